"""What a person sees while a run works: a bar on a terminal, one plain line per log step elsewhere. Only tells; decides nothing."""

from __future__ import annotations

import sys
import textwrap
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from xlt import processes
from xlt.safety import redact, visible


class Screen:
    """Standard output of a stage; of several processes, the first one's."""

    def __init__(self):
        self.quiet = not processes.leads()
        self.console = Console(highlight=False, soft_wrap=True, quiet=self.quiet)
        self.live = self.console.is_terminal
        self._bar: Progress | None = None
        self._started = 0.0

    def say(self, line: str) -> None:
        """One line."""
        if self.live or self.quiet:
            self.console.print(visible(line), markup=False)
        else:
            print(visible(line), flush=True)

    def warn(self, line: str) -> None:
        """One line on standard error."""
        if not self.quiet:
            print(f"xlt: {visible(redact(line))}", file=sys.stderr, flush=True)

    @contextmanager
    def counting(self, what: str, total: int, done: int) -> Iterator[None]:
        """Count to `total` with `advance`; `done` were done before (by an interrupted run). However it ends, the terminal is left tidy."""
        self._started, self._total, self._first = time.monotonic(), total, done
        if self.live and not self.quiet:
            columns = [
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
            ]
            self._bar = Progress(*columns, console=self.console)
            self._bar.start()
            self._task = self._bar.add_task(what, total=total, completed=done, note="")
        try:
            yield
        finally:
            if self._bar is not None:
                self._bar.stop()
                self._bar = None

    def advance(self, step: int, note: str | None = None) -> None:
        """`step` units are done. note: the latest figures, shown in the bar, or as a line with the time left."""
        if self._bar is not None:
            self._bar.update(self._task, completed=step, **({"note": note} if note else {}))
        elif note:
            elapsed = time.monotonic() - self._started
            left = elapsed / max(step - self._first, 1) * (self._total - step)
            self.say(f"step {step}/{self._total}  {note}  left {duration(left)}")

    def table(self, title: str, head: list[str], lines: Iterable[list[str]]) -> None:
        """A table: drawn on a terminal, aligned plain text elsewhere. The first column is left-aligned, the others right."""
        lines = [[visible(str(cell)) for cell in line] for line in lines]
        if self.live or self.quiet:
            table = Table(title=title, title_justify="left")
            for i, name in enumerate(head):
                table.add_column(name, justify="left" if i == 0 else "right")
            for line in lines:
                table.add_row(*line)
            self.console.print(table)
            return
        widths = [max(map(len, column)) for column in zip(head, *lines, strict=True)]
        print(title)
        for line in [head, *lines]:
            print(
                "  "
                + "  ".join(
                    c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True))
                ),
                flush=True,
            )

    def fitted(self, table, width: int) -> None:
        """A `xlt.reporting.tables.Table`, as several below each other where it is wider than `width` characters; its note follows in lines of its own."""
        for i, (head, lines) in enumerate(table.fitting(width)):
            self.table("" if i else table.title, head, lines)
        if table.note:
            self.say(textwrap.fill(table.note, width))


def duration(seconds: float) -> str:
    """1:02:03 or 2:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"

"""xlt report: several run directories -> one table, on screen and as Markdown and CSV; or two of them compared."""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from xlt import files
from xlt.config.build import closed_preset
from xlt.config.rules import resampling
from xlt.errors import ConfigError
from xlt.reporting.figures import heat_map
from xlt.reporting.protocols import comparisons, matrices
from xlt.reporting.scores import WIDTH
from xlt.reporting.tables import collect, csv_table, find, heading, markdown, screen_tables, stamps, to_markdown
from xlt.stages.comparing import Comparison, compare_runs, table_of
from xlt.training.progress import Screen


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        raise ConfigError(f"report: {message}; see xlt report --help")


def main(argv: list[str]) -> int:
    """`xlt report RUN [RUN ...]`; returns the exit code."""
    parser = _Parser(
        prog="xlt report",
        description="One table of runs and languages: mean and standard deviation over seeds, target mean, transfer gap. "
        "With --compare, of two runs (or folders with seeds of one): what differs, by a paired bootstrap, and where it is more than chance.",
    )
    parser.add_argument(
        "runs", nargs="+", type=Path, help="run directories, or folders with run directories below them"
    )
    parser.add_argument("--dataset", help="data set to compare on (default: the first run's)")
    parser.add_argument("--metric", help="metric to compare (default: the task's main one)")
    parser.add_argument("--out", type=Path, help="write OUT.md and OUT.csv")
    parser.add_argument(
        "--compare", action="store_true", help="two runs, by a paired bootstrap with Holm's correction over languages"
    )
    how = closed_preset("scores", "paired")
    for name, kind, what in (
        ("draws", int, "resamples"),
        ("seed", int, "of the draws"),
        ("level", float, "of the intervals"),
    ):
        parser.add_argument(
            f"--{name}", type=kind, default=getattr(how, name), help=f"--compare: {what} (default: %(default)s)"
        )
    options = parser.parse_args(argv)
    if options.compare:
        how = replace(how, draws=options.draws, seed=options.seed, level=options.level)
        return _compare(options, how)
    runs, screen = find(options.runs), Screen()
    dataset, metric, lines = collect(runs, options.dataset, options.metric)
    beside = [*comparisons(runs, dataset, metric), *stamps(runs)]
    for i, (head, rows) in enumerate(screen_tables(lines, metric, WIDTH)):
        screen.table(heading(dataset, metric) if i == 0 else "", head, rows)
    for table in beside:
        screen.say(f"\n{table}".rstrip())
    pictures = [] if options.out is None else _heat_maps(runs, dataset, metric, options.out)
    _write(options.out, "\n".join([markdown(dataset, metric, lines), *beside]), csv_table(metric, lines), pictures)
    return 0


def _compare(options, how) -> int:
    if problems := [p.replace("scores.", "report: --", 1) for p in resampling(how)]:
        raise ConfigError(problems)
    if not how.draws:
        raise ConfigError("report: --draws: 0 compares nothing; give 1000 or more")
    found, screen = compare_runs(options.runs, options.dataset, options.metric, how), Screen()
    head, lines = table_of(found)
    title = f"{heading(found.dataset, found.metric)}: A = {found.names[0]}, B = {found.names[1]}"
    note = f"* p below {1 - how.level:.2g} (of languages: Holm's); paired bootstrap over test rows, {how.draws:,} draws"
    screen.table(title, head, lines)
    screen.say(note)
    _write(options.out, f"{title}\n\n{to_markdown([head, *lines])}\n{note}\n", _csv(found))
    return 0


def _csv(found: Comparison) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["dataset", "metric", "column", "first", "second", "difference", "low", "high", "p", "p_holm"])
    for name, d in {**found.means, **found.languages}.items():
        figures = [d.first, d.second, d.size, *(d.interval or (None, None)), d.p, d.holm]
        writer.writerow([found.dataset, found.metric, name, *("" if f is None else repr(f) for f in figures)])
    return out.getvalue()


def _heat_maps(runs: list[dict], dataset: str, metric: str, out: Path) -> list[Path]:
    """One for each matrix, where they can be drawn."""
    found = [(title, matrix) for _, title, matrix in matrices(runs, dataset, metric)]
    pictures = [out.with_name(f"{out.name}-matrix-{number}.svg") for number in range(1, len(found) + 1)]
    return [place for (title, matrix), place in zip(found, pictures, strict=True) if heat_map(matrix, title, place)]


def _write(out: Path | None, table: str, figures: str, pictures: Sequence[Path] = ()) -> None:
    if out is not None:
        files.write_text(out.with_suffix(".md"), table)
        files.write_text(out.with_suffix(".csv"), figures)
        print(f"\nwritten: {' '.join(map(str, [out.with_suffix('.md'), out.with_suffix('.csv'), *pictures]))}")

"""One table of runs x languages from their metrics.json: mean and standard deviation over seeds, source and target means, gap.

Byte-stable: the same files give the same table. Figures are printed as percentages where the metric is a share.
"""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

from xlt.errors import DataError
from xlt.safety import csv_text, markdown_text

_SEED = re.compile(r"[,/_-]?seed[=_-]?\d+")
NO_SHARES = {
    "loss",
    "perplexity",
    "fertility",
    "characters_per_token",
    "squared_distance",
    "coral",
    "variance",
    "mean_absolute_error",
}  # all else is in [0, 1]
NOTES = {
    "oracle": "checkpoint chosen on TARGET dev data: no zero-shot transfer",
    "average": "mean of the weights after the last validations",
}  # rules of selection that every table names
SUMMARY = {"source mean": "source_mean", "target mean": "target_mean", "gap": "gap"}


@dataclass(frozen=True)
class Table:
    """Of cells that are text already; the first column says what a line is about. note: a line below it."""

    title: str
    head: list[str]
    lines: list[list[str]]
    note: str = ""

    def fitting(self, width: int) -> list[tuple[list[str], list[list[str]]]]:
        """(head, lines) of tables of at most `width` characters as a terminal draws them, with the first column at the left of each."""
        first, *columns = map(list, zip(self.head, *self.lines, strict=True))
        blocks: list[list[list[str]]] = []
        for column in columns:
            if not blocks or _drawn([*blocks[-1], column]) > width:
                blocks.append([first])
            blocks[-1].append(column)
        tables = [[list(row) for row in zip(*block, strict=True)] for block in blocks]
        return [(head, lines) for head, *lines in tables]

    def markdown(self) -> str:
        """Title, table and note, with blank lines between them."""
        table = f"{self.title}\n\n{to_markdown([self.head, *self.lines])}"
        return f"{table}\n{self.note}\n" if self.note else table


def _drawn(columns: list[list[str]]) -> int:
    """How many characters they take with frames around them."""
    return 1 + sum(max(map(len, column)) + 3 for column in columns)


@dataclass(frozen=True)
class Line:
    """One row: a run, or runs that differ only in their seed. values: per column, one figure per seed."""

    name: str
    seeds: list[int]
    values: dict[str, list[float]]


def find(paths: list[Path]) -> list[dict]:
    """The metrics.json in each path, or below it. DataError if a path has none or one that is damaged."""
    found = []
    for path in paths:
        files = [path] if path.is_file() else sorted(path.rglob("metrics.json"))
        if not files:
            raise DataError(f"{path}: no metrics.json in it or below it; give run directories of finished runs")
        for file in files:
            try:
                found += by_selection({**json.loads(file.read_text(encoding="utf-8")), "path": str(file)})
            except (ValueError, OSError) as error:
                raise DataError(f"{file}: cannot be read as JSON ({error}); make that run anew") from error
    return found


def by_selection(run: dict) -> list[dict]:
    """A run once for each rule of selection it was scored by; what rules have in common in each."""
    rules = run.pop("selections", {})
    return [{**run, **found, "selection": rule} for rule, found in rules.items()] or [run]


def name_of(run: dict) -> str:
    """What runs that differ only in their seed have in common, and how the checkpoint was selected if not by source dev data alone."""
    name, rule = _SEED.sub("", run["run"]) or "run", run.get("selection")
    return f"{name} [{rule}]" if rule in NOTES else name


def stamps(runs: list[dict]) -> list[str]:
    """A line for each rule of selection that a reader has to know of."""
    return [f"[{rule}]: {NOTES[rule]}\n" for rule in NOTES if any(run.get("selection") == rule for run in runs)]


def collect(runs: list[dict], dataset: str | None, metric: str | None) -> tuple[str, str, list[Line]]:
    """(data set, metric, lines) for the runs that were scored on `dataset` (None: the first run's). DataError if none was."""
    scored = [r for r in runs if r.get("transfer")] or [r for r in runs if r.get("results")]
    dataset = dataset or next((d for r in scored for d in sorted(r["results"])), None)
    scored = [r for r in scored if dataset in r["results"]]
    if not scored:
        raise DataError(
            f"no run was scored on {dataset}; the runs given have {', '.join(sorted({d for r in runs for d in r.get('results', {})})) or 'no results'}"
        )
    metric = metric or choose_metric(scored[0], dataset)
    groups: dict[str, list[dict]] = {}
    for run in scored:
        if metric not in run["results"][dataset]:
            raise DataError(
                f"{run['path']}: has no {metric} on {dataset}; it has {', '.join(sorted(run['results'][dataset]))}"
            )
        groups.setdefault(name_of(run), []).append(run)
    return dataset, metric, [_line(name, members, dataset, metric) for name, members in groups.items()]


def choose_metric(run: dict, dataset: str) -> str:
    """The main one of the task, where the run says which; else accuracy, else the first."""
    known = run["results"][dataset]
    return next((m for m in (run.get("metric"), "accuracy") if m in known), min(known))


def _line(name: str, members: list[dict], dataset: str, metric: str) -> Line:
    values: dict[str, list[float]] = {}
    for run in members:
        for language, score in run["results"][dataset][metric].items():
            values.setdefault(language, []).append(score)
        summary = run.get("transfer", {}).get(dataset, {}).get(metric)
        for column, key in SUMMARY.items():
            if summary:
                values.setdefault(column, []).append(summary[key])
    return Line(name, sorted(run["seed"] for run in members), values)


def columns(lines: list[Line]) -> list[str]:
    """Summary columns first, then languages in alphabetical order."""
    present = {column for line in lines for column in line.values}
    return [c for c in SUMMARY if c in present] + sorted(present - SUMMARY.keys())


def runs_beside_each_other(dataset: str, metric: str, lines: list[Line]) -> Table:
    """The runs as columns, for a screen. `12.3 ±0.4` is mean and standard deviation (n - 1) over seeds."""
    names = columns(lines)
    told = [[str(len(line.seeds)), *(cell(line.values.get(name), metric) for name in names)] for line in lines]
    rows = [list(row) for row in zip(["seeds", *names], *told, strict=True)]
    return Table(heading(dataset, metric), ["", *(line.name for line in lines)], rows)


def runs_below_each_other(dataset: str, metric: str, lines: list[Line]) -> Table:
    """The same with the runs as rows, for a page."""
    names = columns(lines)
    rows = [[line.name, str(len(line.seeds)), *(cell(line.values.get(c), metric) for c in names)] for line in lines]
    return Table(heading(dataset, metric), ["run", "seeds", *names], rows)


def heading(dataset: str, metric: str) -> str:
    """What a table is of."""
    return f"{dataset}, {metric}{' in percent' if is_share(metric) else ''}"


def to_markdown(rows: list[list[str]]) -> str:
    """A table whose first row is its head; the first column is left-aligned."""
    head, *rest = rows
    return "".join(
        f"| {' | '.join(map(markdown_text, row))} |\n" for row in [head, ["---", *["---:"] * (len(head) - 1)], *rest]
    )


def is_share(metric: str) -> bool:
    """Whether it is in [0, 1]; a mixture's metrics are named PART/METRIC."""
    return metric.rpartition("/")[2] not in NO_SHARES


def scale_of(metric: str) -> tuple[int, int]:
    """(factor, digits) by which it is printed: a share in percent."""
    return (100, 1) if is_share(metric) else (1, 3)


def cell(values: list[float] | None, metric: str) -> str:
    """`12.3 ±0.4`, in percent where the metric is a share; "" without values."""
    if not values:
        return ""
    scale, digits = scale_of(metric)
    spread = f" ±{scale * stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{round(scale * mean(values), digits) + 0.0:.{digits}f}{spread}"  # no -0.0


def signed(difference: float, metric: str) -> str:
    """`+1.2` or `-1.2`, as `cell` scales it; `+0.0` also for a loss that is rounded away."""
    scale, digits = scale_of(metric)
    return f"{round(scale * difference, digits) + 0.0:+.{digits}f}"


def csv_table(metric: str, lines: list[Line]) -> str:
    """One line per run and column, unrounded: run, seeds, metric, column, mean, standard deviation."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["run", "seeds", "metric", "column", "mean", "std"])
    for line in lines:
        for column in columns(lines):
            if values := line.values.get(column):
                writer.writerow(
                    [
                        csv_text(line.name),
                        len(values),
                        metric,
                        csv_text(column),
                        repr(mean(values)),
                        repr(stdev(values)) if len(values) > 1 else "",
                    ]
                )
    return out.getvalue()

"""xlt report: several run directories -> one table, on screen and as Markdown and CSV; of several tasks a table over them; or two runs compared."""

from __future__ import annotations

import argparse
import csv
import io
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from xlt import files
from xlt.config.build import closed_preset
from xlt.config.rules import resampling
from xlt.errors import ConfigError
from xlt.reporting import inspections
from xlt.reporting.costs import cost_table
from xlt.reporting.figures import heat_map
from xlt.reporting.matrix import Matrix
from xlt.reporting.protocols import comparisons, matrices, told_apart
from xlt.reporting.scores import WIDTH
from xlt.reporting.suite import as_data, csv_suite, suite_tables
from xlt.reporting.tables import (
    Line,
    Table,
    collect,
    csv_table,
    find,
    heading,
    runs_below_each_other,
    runs_beside_each_other,
    stamps,
    to_markdown,
)
from xlt.reporting.tasks import Task, tasks
from xlt.safety import csv_text
from xlt.stages.comparing import Comparison, compare_runs, table_of, with_intervals
from xlt.training.progress import Screen


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        raise ConfigError(f"report: {message}; see xlt report --help")


def main(argv: list[str]) -> int:
    """`xlt report RUN [RUN ...]`; returns the exit code."""
    parser = _Parser(
        prog="xlt report",
        description="One table of runs and languages: mean and standard deviation over seeds, target mean, transfer gap. "
        "Of runs on several data sets one table of tasks, with what transfers and what other protocols come to. "
        "With --compare, of two runs (or folders with seeds of one): what differs, by a paired bootstrap, and where it is more than chance.",
    )
    parser.add_argument(
        "runs", nargs="+", type=Path, help="run directories, or folders with run directories below them"
    )
    parser.add_argument(
        "--dataset", help="data set to tell of, language by language (default: a table over all of them)"
    )
    parser.add_argument("--metric", help="metric to tell of (default: each task's main one)")
    parser.add_argument("--out", type=Path, help="write OUT.md and OUT.csv, of several tasks also OUT.json")
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
    inspected = [run for run in runs if run.get("stage") == inspections.STAGE]
    if inspected and len(inspected) == len(runs):
        return _inspected(runs, options, screen)
    if inspected:
        screen.say(
            f"{len(inspected)} of the runs are of xlt inspect, which have tables of their own: xlt report with these alone"
        )
        runs = [run for run in runs if run not in inspected]
    every = runs
    found = [task for task in tasks(runs, options.metric) if options.dataset in (None, task.dataset)]
    if len(found) > 1:
        return _suite(runs, found, options.out, screen)
    if found:
        runs = _of(runs, found[0])
    dataset, metric, lines = collect(runs, options.dataset, options.metric)
    told, beside = _alone(runs, dataset, metric), comparisons(runs, dataset, metric)
    if costs := cost_table(every, dataset, metric):
        beside = [costs, *beside]
    _show(screen, [*([runs_beside_each_other(dataset, metric, told)] if told else []), *beside], stamps(runs))
    pages = [*([runs_below_each_other(dataset, metric, told)] if told else []), *beside]
    pictures = [] if options.out is None else _heat_maps(matrices(runs, dataset, metric), options.out)
    _write(options.out, _page(pages, stamps(runs)), csv_table(metric, lines), pictures)
    return 0


def _inspected(runs: list[dict], options, screen: Screen) -> int:
    """Runs of xlt inspect, such as one before and one after an alignment: by layer, and by pair at the layer that each chose."""
    dataset, metric, lines = collect(runs, options.dataset, options.metric)
    mine = [run for run in runs if dataset in run["results"]]
    tables = [*inspections.compared(mine, options.metric), runs_beside_each_other(dataset, metric, lines)]
    _show(screen, tables, [])
    _write(options.out, _page(tables, []), csv_table(metric, lines))
    return 0


def _suite(runs: list[dict], found: list[Task], out: Path | None, screen: Screen) -> int:
    """Several tasks: a table over them on screen; in the files each task language by language, too."""
    found = [with_intervals(task) for task in found]
    pages = suite_tables(found)
    pages += [costs for task in found if (costs := cost_table(runs, task.dataset, task.metric))]
    _show(screen, pages, stamps(runs))
    names = " | ".join(sorted({task.dataset for task in found}))
    screen.say("\n" + textwrap.fill(f"language by language, with curves and matrices: --dataset {names}", WIDTH))
    if out is None:
        return 0
    drawn: list[tuple[str, str, Matrix]] = []
    for task in found:
        own, at = _of(runs, task), (task.dataset, task.metric)
        told = _alone(own, *at)
        pages += [*([runs_below_each_other(*at, told)] if told else []), *comparisons(own, *at)]
        drawn += matrices(own, *at)
    _write(out, _page(pages, stamps(runs)), csv_suite(found), _heat_maps(drawn, out), as_data(found))
    return 0


def _of(runs: list[dict], task: Task) -> list[dict]:
    """Without what was scored by another objective than the task's."""
    return [run for run in runs if not run.get("transfer") or run.get("objective") == task.objective]


def _alone(runs: list[dict], dataset: str, metric: str) -> list[Line]:
    """Of the runs that only a table of runs tells of; there may be none."""
    scored = "transfer" if any(run.get("transfer") for run in runs) else "results"
    apart = told_apart(runs, dataset, metric)
    return collect(apart, dataset, metric)[2] if any(dataset in run.get(scored, {}) for run in apart) else []


def _show(screen: Screen, tables: Sequence[Table], notes: Sequence[str]) -> None:
    for i, table in enumerate(tables):
        if i:
            screen.say("")
        screen.fitted(table, WIDTH)
    for note in notes:
        screen.say(f"\n{note}".rstrip())


def _page(tables: Sequence[Table], notes: Sequence[str]) -> str:
    return "\n".join([*(table.markdown() for table in tables), *notes])


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
        writer.writerow(
            [*map(csv_text, (found.dataset, found.metric, name)), *("" if f is None else repr(f) for f in figures)]
        )
    return out.getvalue()


def _heat_maps(found: list[tuple[str, str, Matrix]], out: Path) -> list[Path]:
    """One for each matrix, where they can be drawn."""
    pictures = [out.with_name(f"{out.name}-matrix-{number}.svg") for number in range(1, len(found) + 1)]
    return [place for (_, title, matrix), place in zip(found, pictures, strict=True) if heat_map(matrix, title, place)]


def _write(out: Path | None, table: str, figures: str, pictures: Sequence[Path] = (), data: dict | None = None) -> None:
    if out is not None:
        files.write_text(out.with_suffix(".md"), table)
        files.write_text(out.with_suffix(".csv"), figures)
        written = [out.with_suffix(".md"), out.with_suffix(".csv")]
        if data is not None:
            written.append(out.with_suffix(".json"))
            files.write_json(written[-1], data)
        print(f"\nwritten: {' '.join(map(str, [*written, *pictures]))}")

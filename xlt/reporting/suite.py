"""One table over tasks, as benchmarks of transfer print it (XTREME: Hu et al. 2020, sections 4 and 5): a task a line, means over tasks below.

A task is a data set with the metric it is scored by. Of each: what transfers to languages without labels, then, over the same languages, what other
ways of labelling come to. From the metrics.json of `xlt zero-shot-eval`; knows neither screen nor stage.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from statistics import mean, stdev

from xlt.reporting.tables import Table, cell, is_share, scale_of, signed
from xlt.reporting.tasks import TRANSFER, Column, Figures, Task
from xlt.safety import csv_text


def suite_tables(found: list[Task]) -> list[Table]:
    """What transfers, a table for each system; then all protocols that two tasks have, beside each other."""
    names = list(dict.fromkeys(name for task in found for name in task.columns))
    systems = [name for name in names if f"{name} ".startswith(f"{TRANSFER} ")] or names[:1]
    beside = protocol_table(found)
    return [*(table for name in systems if (table := transfer_table(found, name))), *([beside] if beside else [])]


def transfer_table(found: list[Task], name: str) -> Table | None:
    """Source and target means, gap and worst language of the tasks that have this column; a column that would be empty is left out."""
    rows = [(task, figures) for task in found if name in task.columns and (figures := Figures.of(task, name))]
    if not rows:
        return None
    known = [row for row in rows if row[0].averaged and (row[1].source_mean or not any(f.source_mean for _, f in rows))]
    level = next((figures.level for _, figures in rows if figures.level), None)
    head = [
        "task", "langs", "source", "target", f"{100 * (level or 0):g}% interval", "gap", "relative", "worst"
    ]  # fmt: skip
    lines = [
        [
            task.name,
            str(len(f.languages)),
            *_mean_cells([f.source_mean], task.metric),
            cell(f.target_mean, task.metric),
            _range(f.interval, task.metric) if f.level == level else "",
            *_mean_cells([f.gap], task.metric),
            *_mean_cells([f.relative], "relative"),
            f"{cell([f.worst[1]], task.metric)} {f.worst[0]}",
        ]
        for task, f in rows
    ]
    if len(known) > 1:
        each = [f for _, f in known]
        target = cell(_over_tasks([(t.columns[name], f.target_mean) for t, f in known]), known[0][0].metric)
        near, gap, relative = (
            _mean_cells([getattr(f, key) for f in each], known[0][0].metric)
            for key in ("source_mean", "gap", "relative")
        )
        lines.append([f"mean of {len(known)} tasks", "", *near, target, "", *gap, *relative, ""])
    kept = [i for i in range(len(head)) if any(line[i] for line in lines)]
    title = f"{name}: {_counted(rows)}, means over target languages {_unit(rows)}"
    note = _left_out([task for task, _ in rows], [task for task, _ in known], "no source language")
    return Table(title, [head[i] for i in kept], [[line[i] for i in kept] for line in lines], note)


def protocol_table(found: list[Task]) -> Table | None:
    """The target means of all protocols that two tasks have, over languages that all columns of a task have; None unless there are two protocols."""
    names = list(dict.fromkeys(name for task in found for name in task.columns))
    names = [name for name in names if sum(name in task.columns for task in found) > 1]
    rows = [row for task in found if len((row := compared(task, names))[1]) > 1]
    if not rows:
        return None
    base, *others = names
    head = ["task", "langs", base, *(each for name in others for each in (name, "difference"))]
    lines = [
        [task.name, str(len(codes)), *_against_base([means.get(name) for name in names], task.metric)]
        for task, means, codes in rows
    ]
    whole = [(task, means) for task, means, _ in rows if task.averaged and len(means) == len(names)]
    if len(whole) > 1:
        over = [_over_tasks([(task.columns[name], means[name]) for task, means in whole]) for name in names]
        lines.append([f"mean of {len(whole)} tasks", "", *_against_base(over, whole[0][0].metric)])
    title = f"protocols beside each other: {_counted(rows)}, means over the same target languages {_unit(rows)}"
    note = _left_out([task for task, *_ in rows], [task for task, _ in whole], "not in every column")
    return Table(title, head, lines, "; ".join(filter(None, [f"difference: from {base}", note])))


def compared(task: Task, names: Sequence[str]) -> tuple[Task, dict[str, list[float]], list[str]]:
    """(the task, {column: its target means}, languages): over those that all of its columns among `names` have."""
    own = [name for name in names if name in task.columns]
    codes = task.targets(own) if own else []
    return task, {name: task.columns[name].means(codes) for name in own} if codes else {}, codes


def _against_base(columns: Sequence[list[float] | None], metric: str) -> list[str]:
    """Cells of the first, then of each other and its difference from it."""
    base, *others = columns
    told = [cell(base, metric)]
    for values in others:
        told += [cell(values, metric), signed(mean(values) - mean(base), metric) if values and base else ""]
    return told


def _mean_cells(lists: Sequence[list[float] | None], metric: str) -> list[str]:
    """One cell, of the mean over all; empty unless all are known."""
    return [cell([mean(map(mean, lists))], metric) if all(lists) else ""]


def _over_tasks(columns: Sequence[tuple[Column, list[float]]]) -> list[float]:
    """The mean over tasks of each seed, where all have the same seeds once each; else of their means."""
    seeds = [[run["seed"] for run in column.runs] for column, _ in columns]
    if len(set(seeds[0])) == len(seeds[0]) and all(each == seeds[0] for each in seeds):
        return [mean(each) for each in zip(*(values for _, values in columns), strict=True)]
    return [mean(mean(values) for _, values in columns)]


def _counted(rows: Sequence) -> str:
    return f"{len(rows)} task{'s' * (len(rows) > 1)}"


def _unit(rows: Sequence[tuple]) -> str:
    return "in percent" if all(is_share(task.metric) for task, *_ in rows) else "(shares in percent)"


def _left_out(all_of_them: list[Task], averaged: list[Task], lack: str) -> str:
    """What a mean over tasks leaves out, if there is one, and why. lack: of those that may be averaged."""
    rest = [task for task in all_of_them if not any(task is other for other in averaged)]
    if not rest or len(averaged) < 2:
        return ""
    return "not in the mean: " + "; ".join(
        f"{t.name} ({lack if t.averaged else 'lower is better, or no share'})" for t in rest
    )


def _range(ends: Sequence[float] | None, metric: str) -> str:
    scale, digits = scale_of(metric)
    return " to ".join(f"{scale * end:.{digits}f}" for end in ends) if ends else ""


def as_data(found: list[Task]) -> dict:
    """All of it, unrounded, for JSON: of each task what each column says, and what columns come to over the languages that all have."""
    told = []
    for task in found:
        _, means, codes = compared(task, list(task.columns))
        told.append(
            {
                "dataset": task.dataset,
                "metric": task.metric,
                "objective": task.objective,
                "higher_is_better": task.higher_is_better,
                "source": task.source,
                "columns": {name: _data(task, name) for name in task.columns if Figures.of(task, name)},
                "compared": {"languages": codes, "target_mean": {name: _spread(each) for name, each in means.items()}},
            }
        )
    return {"schema": 1, "tasks": told}


def _data(task: Task, name: str) -> dict:
    column, f = task.columns[name], Figures.of(task, name)
    return {
        "runs": [run["path"] for run in column.runs],
        "seeds": [run["seed"] for run in column.runs],
        "languages": f.languages,
        **{key: _spread(getattr(f, key)) for key in ("source_mean", "target_mean", "gap", "relative")},
        "interval": f.interval,
        "level": f.level,
        "worst": list(f.worst),
        "scores": {code: _spread([by[code] for by in column.scores]) for code in sorted(column.languages)},
    }


def _spread(values: list[float] | None) -> dict | None:
    """Mean and standard deviation (n - 1); of one run without deviation."""
    return values and {"mean": mean(values), **({"std": stdev(values)} if len(values) > 1 else {})}


def csv_suite(found: list[Task]) -> str:
    """One line per task and column, unrounded. compared_mean: over the languages that all columns of the task have."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    means = ("source_mean", "target_mean", "gap", "relative")
    figures = [each for key in means for each in (key, f"{key}_std")]
    writer.writerow(["dataset", "metric", "objective", "protocol", "runs", "languages", *figures, "low", "high", "worst", "worst_language",
                     "compared_languages", "compared_mean"])  # fmt: skip
    for task in as_data(found)["tasks"]:
        both = task["compared"]
        for name, told in task["columns"].items():
            spread = [(told[key] or {}).get(part) for key in means for part in ("mean", "std")]
            line = [len(told["runs"]), len(told["languages"]), *spread, *(told["interval"] or (None, None))]
            line += [*reversed(told["worst"]), len(both["languages"]), both["target_mean"].get(name, {}).get("mean")]
            cells = ["" if each is None else repr(each) if isinstance(each, float) else each for each in line]
            writer.writerow([*map(csv_text, (task["dataset"], task["metric"], task["objective"] or "", name)), *cells])
    return out.getvalue()

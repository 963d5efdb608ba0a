"""One table over tasks, as benchmarks of transfer print it (XTREME: Hu et al. 2020, sections 4 and 5): a task a line, means over tasks below.

A task is a data set with the metric it is scored by. Of each: what transfers to languages without labels, then, over the same languages, what other
ways of labelling come to. From the metrics.json of `xlt zero-shot-eval`; knows neither screen nor stage.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from xlt.reporting.protocols import without_bucket, without_cells
from xlt.reporting.tables import NOTES, Table, cell, choose_metric, is_share, name_of, scale_of, signed

TRANSFER = "transfer"  # the protocol that others are compared with
_PIECE = re.compile(r"([/,_-]*)([^/,_-]+)")  # of a run's name, with what separates it from the one before


@dataclass(frozen=True)
class Column:
    """One task by one protocol, in R runs that differ in their seed (few-shot: or in their bucket), in that order.

    interval: (ends, level) of the mean over targets and runs, where it was found from their rows.
    """

    runs: list[dict]
    scores: list[dict[str, float]]
    interval: tuple[list[float], float] | None = None

    @property
    def languages(self) -> set[str]:
        """Those that all runs were scored on."""
        return set.intersection(*(set(by) for by in self.scores))

    def means(self, codes: Sequence[str]) -> list[float]:
        """(R,) over languages."""
        return [mean(by[code] for code in codes) for by in self.scores]


@dataclass(frozen=True)
class Task:
    """columns: by protocol, or protocol and system where there are several. source: languages whose labels transfer starts from."""

    dataset: str
    metric: str
    objective: str | None
    name: str
    higher_is_better: bool
    source: list[str]
    columns: dict[str, Column]

    @property
    def averaged(self) -> bool:
        """Whether a mean over tasks may hold it: what is a share, and better if higher."""
        return is_share(self.metric) and self.higher_is_better

    def targets(self, names: Sequence[str]) -> list[str]:
        """Sorted languages that all of these columns have, without the sources."""
        return sorted(set.intersection(*(self.columns[name].languages for name in names)) - set(self.source))


@dataclass(frozen=True)
class Figures:
    """Of a task by one protocol; lists hold a figure of each run, None where there is no source. worst: by the mean over runs."""

    languages: list[str]
    target_mean: list[float]
    source_mean: list[float] | None
    gap: list[float] | None
    relative: list[float] | None
    worst: tuple[str, float]
    interval: list[float] | None
    level: float | None

    @classmethod
    def of(cls, task: Task, name: str) -> Figures | None:
        """None if no target language was scored."""
        column, codes = task.columns[name], task.targets([name])
        if not codes:
            return None
        far, near, gap, relative = column.means(codes), None, None, None
        if task.source and set(task.source) <= column.languages:
            near, sign = column.means(task.source), 1 if task.higher_is_better else -1
            gap = [sign * (s - t) for s, t in zip(near, far, strict=True)]
            relative = [t / s for s, t in zip(near, far, strict=True)] if all(near) else None
        by = {code: mean(scores[code] for scores in column.scores) for code in codes}
        worst = (min if task.higher_is_better else max)(codes, key=by.get)
        return cls(codes, far, near, gap, relative, (worst, by[worst]), *_interval(task, column))


def _interval(task: Task, column: Column) -> tuple[list[float] | None, float | None]:
    """Of the target mean, and its level, where it is known: at least of a single run, with these sources."""
    if column.interval:
        return column.interval
    run, at = column.runs[0], (task.dataset, task.metric)
    if len(column.runs) > 1 or _at(run, "transfer", *at).get("source") != task.source:
        return None, None
    found = _at(run, "intervals", *at).get("target_mean")
    return found, run["bootstrap"]["level"] if found else None


def tasks(runs: list[dict], metric: str | None = None) -> list[Task]:
    """In alphabetical order, of the runs that were scored on test data; cells of a matrix are none. metric: None is each task's main one."""
    groups: dict[tuple, list[dict]] = {}
    for run in without_cells(runs):
        for dataset in run["results"] if run.get("transfer") else ():
            by = metric or choose_metric(run, dataset)
            if by in run["results"][dataset]:
                groups.setdefault((dataset, by, run.get("objective")), []).append(run)
    systems = _systems(groups)
    found = []
    for dataset, by, objective in sorted(groups, key=lambda key: tuple(map(str, key))):
        members = groups[dataset, by, objective]
        alike = [key for key in groups if key[:2] == (dataset, by)]
        name = f"{dataset}, {by}" + (f" ({objective})" if len(alike) > 1 else "")
        higher = members[0].get("higher_is_better", {}).get(by, True)
        zero = [run for run in members if _protocol(run) == TRANSFER] or members
        source = sorted({code for run in zero for code in _at(run, "transfer", dataset, by).get("source", [])})
        columns: dict[str, list[dict]] = {}
        for run in sorted(members, key=lambda run: (_protocol(run) != TRANSFER, _protocol(run), _draw(run))):
            columns.setdefault(_label(run, systems), []).append(run)
        scored = {label: Column(each, [run["results"][dataset][by] for run in each]) for label, each in columns.items()}
        found.append(Task(dataset, by, objective, name, higher, source, scored))
    return found


def _at(run: dict, *keys: str) -> dict:
    """What a run says there; nothing, if it does not."""
    for key in keys:
        run = run.get(key) or {}
    return run


def _protocol(run: dict) -> str:
    """Where its labels come from; a model that is scored as it is saw none, which is transfer, too."""
    protocol = run.get("protocol", {"name": TRANSFER})
    if protocol["name"] != "few-shot":
        return protocol["name"]
    return f"few-shot k={protocol['k']}" + (" together" if protocol["start"] == "together" else "")


def _draw(run: dict) -> tuple:
    """In what runs of one column differ."""
    return run["seed"], _at(run, "protocol").get("bucket", 0), run["path"]


def _base(run: dict) -> str:
    """The run's name without its seed, its bucket and how it was selected."""
    return without_bucket(name_of({**run, "selection": None}))


def _label(run: dict, systems: dict[tuple, str]) -> str:
    """Of its column."""
    rule = f" [{run['selection']}]" if run.get("selection") in NOTES else ""
    return " ".join(filter(None, [_protocol(run), systems.get((id(run)), "")])) + rule


def _systems(groups: dict[tuple, list[dict]]) -> dict[int, str]:
    """{id of run: what tells it from others}, where a task has runs of several names by one protocol: what the name says beside its task.

    Left out are pieces that every name has, that every name of this task and no other has, and that name its protocol. If names are then no longer
    told apart, they stay whole.
    """
    names = {key: {(_protocol(run), _base(run)) for run in members} for key, members in groups.items()}
    if all(len({p for p, _ in found}) == len(found) for found in names.values()):
        return {}
    pieces = {key: [{piece for _, piece in _PIECE.findall(base)} for _, base in found] for key, found in names.items()}
    everywhere = set.intersection(*(each for found in pieces.values() for each in found))
    said: dict[int, str] = {}
    for key, members in groups.items():
        elsewhere = {piece for other, found in pieces.items() if other != key for each in found for piece in each}
        own = set.intersection(*pieces[key]) - elsewhere
        short = {}
        for protocol, base in names[key]:
            dropped = everywhere | own | {*protocol.split()} | {piece for _, piece in _PIECE.findall(protocol)}
            kept = "".join(sep + piece for sep, piece in _PIECE.findall(base) if piece not in dropped)
            short[protocol, base] = kept.lstrip("/,_-")
        clear = len({(protocol, kept) for (protocol, _), kept in short.items()}) == len(short)
        said |= {id(run): short[_protocol(run), _base(run)] if clear else _base(run) for run in members}
    return said


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
            writer.writerow([task["dataset"], task["metric"], task["objective"] or "", name, *cells])
    return out.getvalue()

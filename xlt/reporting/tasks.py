"""Runs of `xlt zero-shot-eval` as tasks: what was scored, by which protocol, from which model, and the figures that a table reads of it.

A task is a data set with the metric it is scored by; its columns are protocols, told apart by what differs where several runs have one. From the
metrics.json of the runs; the tables are `xlt.reporting.suite`'s.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

from xlt.reporting.protocols import without_bucket, without_cells
from xlt.reporting.tables import NOTES, choose_metric, is_share, name_of

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

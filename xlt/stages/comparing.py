"""What `xlt report` finds out from what each test row adds to a score: whether two runs differ (--compare), and how sure the means of tasks are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from xlt.config.schema import Scores
from xlt.errors import DataError
from xlt.evaluation.bootstrap import interval, resample
from xlt.evaluation.comparison import Difference, compare, paired
from xlt.evaluation.statistics import Statistics
from xlt.reporting.tables import NOTES, choose_metric, find, name_of, scale_of
from xlt.reporting.tasks import Task


@dataclass(frozen=True)
class Comparison:
    """names: of both, with their seeds. languages, means: what differs by how much."""

    dataset: str
    metric: str
    names: tuple[str, str]
    languages: dict[str, Difference]
    means: dict[str, Difference]
    scores: Scores


def compare_runs(paths: list[Path], dataset: str | None, metric: str | None, scores: Scores) -> Comparison:
    """Of the scored runs at or below each of two paths. DataError if they cannot be compared."""
    if len(paths) != 2:
        raise DataError(
            f"report: --compare is of two runs, and {len(paths)} are given; a folder stands for all seeds below it"
        )
    sides = [_scored(path, dataset) for path in paths]
    dataset = dataset or _shared_dataset(sides, paths)
    sides = [[run for run in side if dataset in run["results"]] for side in sides]
    for path, side in zip(paths, sides, strict=True):
        if len({name_of(run) for run in side}) > 1:
            runs = ", ".join(sorted({run["path"] for run in side}))
            raise DataError(
                f"{path}: holds several runs that were scored on {dataset} ({runs}); name one, or a folder with seeds of one"
            )
    first, second = sides
    metric = metric or choose_metric(first[0], dataset)
    statistics = [[_statistics(run, dataset, metric) for run in side] for side in sides]
    _same_rows([*first, *second], dataset)
    source = first[0].get("transfer", {}).get(dataset, {}).get(metric, {}).get("source", [])
    found = compare(*statistics, metric, source, scores.draws, scores.seed, scores.level)
    if not found[0]:
        raise DataError(f"report: {paths[0]} and {paths[1]} were scored on no language of {dataset} that both have")
    return Comparison(dataset, metric, (_named(first), _named(second)), *found, scores)


def table_of(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """(head, lines): means first, then languages. A star stands where Holm's p is below 1 - level."""
    scale, digits = scale_of(comparison.metric)
    level = comparison.scores.level

    def line(name: str, d: Difference) -> list[str]:
        ends = "" if d.interval is None else " to ".join(f"{scale * end:+.{digits}f}" for end in d.interval)
        p = d.p if d.holm is None else d.holm
        told = [f"{d.p:.4f}", "" if d.holm is None else f"{d.holm:.4f}", "*" if p < 1 - level else ""]
        return [
            name,
            *(f"{scale * v:.{digits}f}" for v in (d.first, d.second)),
            f"{scale * d.size:+.{digits}f}",
            ends,
            *told,
        ]

    head = ["", "A", "B", "A - B", f"{100 * level:g}% interval", "p", "p (Holm)", ""]
    return head, [line(name, d) for name, d in {**comparison.means, **comparison.languages}.items()]


def with_intervals(task: Task) -> Task:
    """The task with the intervals of its target means, also of several seeds together, wherever its runs left statistics of the same rows."""
    columns = {name: replace(column, interval=_interval(task, name)) for name, column in task.columns.items()}
    return replace(task, columns=columns)


def _interval(task: Task, name: str) -> tuple[list[float], float] | None:
    """(ends, level), by the draws that the runs' own intervals are of."""
    runs, codes = task.columns[name].runs, task.targets([name])
    how = runs[0].get("bootstrap")
    if not codes or how is None or any(run.get("bootstrap") != how or not _folder(run).is_dir() for run in runs):
        return None
    files = [{c: _folder(run) / f"{task.dataset}.{c}.npz" for c in run["results"][task.dataset][task.metric]} for run in runs]  # fmt: skip
    if not all(path.is_file() for each in files for path in each.values()):
        return None
    try:
        merged = paired([{c: Statistics.load(path) for c, path in each.items()} for each in files], task.metric)
    except ValueError:  # other rows in another seed, as where what was learned from was dropped
        return None
    if not set(codes) <= merged.keys():
        return None
    drawn = resample(merged, how["draws"], how["seed"])
    ends = interval(np.mean([drawn.mean(str(i), codes) for i in range(len(runs))], 0), how["level"])
    return None if ends is None else (ends, how["level"])


def _folder(run: dict) -> Path:
    """Of its statistics; of a run scored by several rules, those of its rule."""
    folder = Path(run["path"]).parent / "statistics"
    return inside if (inside := folder / run.get("selection", "")).is_dir() else folder


def _scored(path: Path, dataset: str | None) -> list[dict]:
    runs = [run for run in find([path]) if (Path(run["path"]).parent / "statistics").is_dir()]
    runs = [run for run in runs if dataset is None or dataset in run["results"]]
    runs = [
        run for run in runs if run.get("selection") not in NOTES
    ] or runs  # scored by several rules: by the ordinary one
    if not runs:
        raise DataError(
            f"{path}: no run of xlt zero-shot-eval{f' on {dataset}' if dataset else ''} with statistics of its rows is in it or below it; "
            "give one, or make an older one anew with run.overwrite=true"
        )
    return runs


def _shared_dataset(sides: list[list[dict]], paths: list[Path]) -> str:
    first, second = ({dataset for run in side for dataset in run["results"]} for side in sides)
    if not first & second:
        raise DataError(
            f"report: {paths[0]} was scored on {', '.join(sorted(first))} and {paths[1]} on {', '.join(sorted(second))}; only runs on one data set can be compared"
        )
    if len(first & second) > 1:
        raise DataError(f"report: both were scored on {', '.join(sorted(first & second))}; choose one with --dataset")
    return min(first & second)


def _statistics(run: dict, dataset: str, metric: str) -> dict[str, Statistics]:
    known = sorted(run["results"][dataset])
    if metric not in known:
        raise DataError(f"{run['path']}: has no {metric} on {dataset}; it has {', '.join(known)}")
    folder = _folder(run)
    found = {code: Statistics.load(folder / f"{dataset}.{code}.npz") for code in run["results"][dataset][metric]}
    if lacking := [code for code, statistics in found.items() if metric not in statistics.sums]:
        raise DataError(
            f"{folder}: {metric} of {lacking[0]} is not made of sums over rows, so it cannot be resampled; choose another --metric"
        )
    return found


def _same_rows(runs: list[dict], dataset: str) -> None:
    """DataError for a language that was scored on other rows in one of the runs."""
    seen: dict[str, tuple[str, str]] = {}
    for run in runs:
        for key, digest in run["lineage"]["data"].items():
            first = seen.setdefault(key, (digest, run["path"]))
            if key.startswith(f"{dataset}/") and first[0] != digest:
                raise DataError(
                    f"{run['path']}: {key} had other rows there than in {first[1]}; score both on the same data"
                )


def _named(side: list[dict]) -> str:
    seeds = sorted(run["seed"] for run in side)
    return f"{name_of(side[0])} (seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))})"

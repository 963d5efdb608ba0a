"""Tables that compare ways in which labels get from one language to another: joint beside transfer, few-shot curves, matrices.

From the metrics.json of `xlt zero-shot-eval` and `xlt matrix`; each is made only where there are runs for it.
"""

from __future__ import annotations

import re
from pathlib import Path
from statistics import mean

from xlt.reporting.matrix import Matrix
from xlt.reporting.tables import Table, cell, name_of, signed

_BUCKET = re.compile(r"[,/_]?few_shot\.\w+[=-][^,/_]+")  # how a job of a sweep over shots is named


def comparisons(runs: list[dict], dataset: str, metric: str) -> list[Table]:
    """All tables there are runs for."""
    scored = [run for run in without_cells(runs) if _scored(run, dataset, metric)]
    beside = beside_transfer(scored, dataset, metric)
    tables = [*([beside] if beside else []), *curves(scored, dataset, metric)]
    return tables + [matrix.table(title, metric) for _, title, matrix in matrices(runs, dataset, metric)]


def _scored(run: dict, dataset: str, metric: str) -> bool:
    """Whether it is a task model's score on test data."""
    return metric in run.get("results", {}).get(dataset, {}) and "protocol" in run and run.get("split") == "test"


def without_cells(runs: list[dict]) -> list[dict]:
    """Without the runs that a transfer matrix among them is made of, which lie below its directory."""
    places = [Path(run["path"]).parent for run in runs if "matrix" in run]
    return [run for run in runs if "matrix" in run or not any(Path(run["path"]).is_relative_to(p) for p in places)]


def told_apart(runs: list[dict], dataset: str, metric: str) -> list[dict]:
    """The runs that no curve and no matrix of `comparisons` tells of, so that their scores are to be told run by run."""
    shown = [run for run in runs if "matrix" not in run or metric in run["matrix"].get(dataset, {})]
    told = [run for run in without_cells(shown) if "matrix" not in run]
    return [run for run in told if not (_scored(run, dataset, metric) and run["protocol"]["name"] == "few-shot")]


def beside_transfer(runs: list[dict], dataset: str, metric: str) -> Table | None:
    """Other protocols beside transfer, language by language, each with its difference from it; None unless both are there.

    Compared are the languages of which the transfer runs saw no label. Difference: of the means over seeds.
    """
    groups: dict[tuple[str, str], list[dict]] = {}
    for run in runs:
        if run["protocol"]["name"] != "few-shot":
            groups.setdefault((run["protocol"]["name"], name_of(run)), []).append(run)
    base = [group for group in groups if group[0] == "transfer"]
    others = sorted(group for group in groups if group[0] != "transfer")
    if len(base) != 1 or not others:
        return None
    sources = {code for run in groups[base[0]] for code in _sources(run, dataset, metric)}
    values = {group: _by_language(members, dataset, metric) for group, members in groups.items()}
    languages = sorted(values[base[0]].keys() - sources)
    if not languages:
        return None
    head = ["language", f"transfer from {', '.join(sorted(sources))}"]
    for protocol, name in others:
        head += [protocol if [p for p, _ in others].count(protocol) == 1 else f"{protocol} ({name})", "difference"]
    lines = []
    for language in languages:
        line = [language, cell(values[base[0]][language], metric)]
        for group in others:
            line += _against(values[group].get(language), values[base[0]][language], metric)
        lines.append(line)
    line = ["mean", cell(_means(values[base[0]], languages), metric)]
    for group in others:  # over languages that both have
        both = [code for code in languages if code in values[group]]
        line += _against(_means(values[group], both), _means(values[base[0]], both), metric) if both else ["", ""]
    return Table(f"{dataset}, {metric}: languages without labels in transfer", head, [*lines, line])


def without_bucket(name: str) -> str:
    """The name of a run as far as it does not say which rows were drawn for few-shot."""
    return _BUCKET.sub("", name)


def curves(runs: list[dict], dataset: str, metric: str) -> list[Table]:
    """A table for each start of few-shot runs and each model they start from: a language a line, a column for each k; mean and deviation over buckets and seeds.

    Column 0 is the transfer run, if there is one with these languages and no more than one name.
    """
    transfer = [r for r in runs if r["protocol"]["name"] == "transfer"]
    zero = _by_language(transfer, dataset, metric) if len({name_of(r) for r in transfer}) == 1 else {}
    groups: dict[tuple[str, str], list[dict]] = {}
    for run in runs:
        if run["protocol"]["name"] == "few-shot":
            groups.setdefault((without_bucket(name_of(run)), run["protocol"]["start"]), []).append(run)
    return [_curve(name, start, members, zero, dataset, metric) for (name, start), members in sorted(groups.items())]


def _curve(name: str, start: str, runs: list[dict], zero: dict, dataset: str, metric: str) -> Table:
    sizes = sorted({run["protocol"]["k"] for run in runs})
    found: dict[str, dict[int, list[float]]] = {}
    for run in runs:
        shown = [*run["protocol"]["languages"], *_sources(run, dataset, metric)]
        for language in (code for code in shown if code in run["results"][dataset][metric]):
            by_size = found.setdefault(language, {})
            by_size.setdefault(run["protocol"]["k"], []).append(run["results"][dataset][metric][language])
    sources = {code for run in runs for code in _sources(run, dataset, metric)}
    columns = [("k=0", zero), *((f"k={k}", {code: by[k] for code, by in found.items() if k in by}) for k in sizes)]
    columns = columns if zero else columns[1:]
    order = sorted(found, key=lambda code: (code in sources, code))
    lines = [
        [f"{code} (source)" if code in sources else code, *(cell(by.get(code), metric) for _, by in columns)]
        for code in order
    ]
    if everywhere := [code for code in order if code not in sources and all(code in by for _, by in columns)]:
        lines.append(["target mean", *(cell(_means(by, everywhere), metric) for _, by in columns)])
    drawn = max(len(values) for by_size in found.values() for values in by_size.values())
    what = "after" if start == "sequential" else "together with"
    title = f"{dataset}, {metric}: few-shot, {name or 'run'}, {what} the source languages; up to {drawn} runs a cell, over buckets and seeds"
    return Table(title, ["language", *(name for name, _ in columns)], lines)


def matrices(runs: list[dict], dataset: str, metric: str) -> list[tuple[str, str, Matrix]]:
    """(name, title, matrix) of the transfer matrices, mean over seeds."""
    groups: dict[str, list[Matrix]] = {}
    for run in runs:
        if scores := run.get("matrix", {}).get(dataset, {}).get(metric):
            groups.setdefault(name_of(run), []).append(Matrix(scores))
    found = []
    for name, members in groups.items():
        same = [m for m in members if (m.scores.keys(), m.targets) == (members[0].scores.keys(), members[0].targets)]
        seeds = f", mean of {len(same)} seeds" if len(same) > 1 else ""
        found.append((name, f"{dataset}, {metric}, matrix of {name}{seeds}", Matrix.mean(same)))
    return found


def _sources(run: dict, dataset: str, metric: str) -> list[str]:
    return run.get("transfer", {}).get(dataset, {}).get(metric, {}).get("source", [])


def _by_language(runs: list[dict], dataset: str, metric: str) -> dict[str, list[float]]:
    values: dict[str, list[float]] = {}
    for run in runs:
        for language, score in run["results"][dataset][metric].items():
            values.setdefault(language, []).append(score)
    return values


def _means(values: dict[str, list[float]], languages: list[str]) -> list[float]:
    """The mean over languages of each seed; one number where languages have different numbers of seeds."""
    counts = {len(values[code]) for code in languages}
    if len(counts) == 1:
        return [mean(scores) for scores in zip(*(values[code] for code in languages), strict=True)]
    return [mean(mean(values[code]) for code in languages)]


def _against(values: list[float] | None, base: list[float], metric: str) -> list[str]:
    if not values:
        return ["", ""]
    return [cell(values, metric), signed(mean(values) - mean(base), metric)]

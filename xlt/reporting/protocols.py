"""Tables that compare ways in which labels get from one language to another: joint beside transfer, few-shot curves, matrices.

From the metrics.json of `xlt zero-shot-eval` and `xlt matrix`; each is made only where there are runs for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from statistics import mean

from xlt.reporting.matrix import Matrix, markdown
from xlt.reporting.tables import cell, name_of

_BUCKET = re.compile(r"[,/_]?few_shot\.\w+[=-][^,/_]+")  # how a job of a sweep over shots is named


def comparisons(runs: list[dict], dataset: str, metric: str) -> list[str]:
    """All tables there are runs for, in Markdown."""
    scored = [
        r
        for r in runs
        if metric in r.get("results", {}).get(dataset, {}) and "protocol" in r and r.get("split") == "test"
    ]
    tables = [beside_transfer(scored, dataset, metric), *curves(scored, dataset, metric)]
    tables += [markdown(matrix, title, metric) for _, title, matrix in matrices(runs, dataset, metric)]
    return [table for table in tables if table]


def beside_transfer(runs: list[dict], dataset: str, metric: str) -> str:
    """Other protocols beside transfer, language by language, each with its difference from it; "" unless both are there.

    Compared are the languages of which the transfer runs saw no label. Difference: of the means over seeds.
    """
    groups: dict[tuple[str, str], list[dict]] = {}
    for run in runs:
        if run["protocol"]["name"] != "few-shot":
            groups.setdefault((run["protocol"]["name"], name_of(run)), []).append(run)
    base = [group for group in groups if group[0] == "transfer"]
    others = sorted(group for group in groups if group[0] != "transfer")
    if len(base) != 1 or not others:
        return ""
    sources = {code for run in groups[base[0]] for code in _sources(run, dataset, metric)}
    values = {group: _by_language(members, dataset, metric) for group, members in groups.items()}
    languages = sorted(values[base[0]].keys() - sources)
    if not languages:
        return ""
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
    return _table(f"{dataset}, {metric}: languages without labels in transfer", head, [*lines, line])


def curves(runs: list[dict], dataset: str, metric: str) -> list[str]:
    """A table for each start of few-shot runs and each model they start from: a language a line, a column for each k; mean and deviation over buckets and seeds.

    Column 0 is the transfer run, if there is one with these languages and no more than one name.
    """
    transfer = [r for r in runs if r["protocol"]["name"] == "transfer"]
    zero = _by_language(transfer, dataset, metric) if len({name_of(r) for r in transfer}) == 1 else {}
    groups: dict[tuple[str, str], list[dict]] = {}
    for run in runs:
        if run["protocol"]["name"] == "few-shot":
            groups.setdefault((_BUCKET.sub("", name_of(run)), run["protocol"]["start"]), []).append(run)
    return [_curve(name, start, members, zero, dataset, metric) for (name, start), members in sorted(groups.items())]


def _curve(name: str, start: str, runs: list[dict], zero: dict, dataset: str, metric: str) -> str:
    sizes = sorted({run["protocol"]["k"] for run in runs})
    found: dict[str, dict[int, list[float]]] = {}
    for run in runs:
        shown = [*run["protocol"]["languages"], *_sources(run, dataset, metric)]
        for language in (code for code in shown if code in run["results"][dataset][metric]):
            by_size = found.setdefault(language, {})
            by_size.setdefault(run["protocol"]["k"], []).append(run["results"][dataset][metric][language])
    sources = {code for run in runs for code in _sources(run, dataset, metric)}
    order = sorted(found, key=lambda code: (code in sources, code))
    head = ["language", *(["k=0"] if zero else []), *(f"k={k}" for k in sizes)]
    lines = [
        [
            f"{code} (source)" if code in sources else code,
            *([cell(zero.get(code), metric)] if zero else []),
            *(cell(found[code].get(k), metric) for k in sizes),
        ]
        for code in order
    ]
    drawn = max(len(values) for by_size in found.values() for values in by_size.values())
    what = "after" if start == "sequential" else "together with"
    return _table(
        f"{dataset}, {metric}: few-shot, {name or 'run'}, {what} the source languages; up to {drawn} runs a cell, over buckets and seeds",
        head,
        lines,
    )


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
    difference = cell([mean(values) - mean(base)], metric)
    return [cell(values, metric), difference if difference.startswith("-") else f"+{difference}"]


def _table(title: str, head: list[str], lines: Iterable[list[str]]) -> str:
    rows = [head, ["---", *["---:"] * (len(head) - 1)], *lines]
    return f"{title}\n\n" + "".join(f"| {' | '.join(row)} |\n" for row in rows)

"""Scores of one run as tables for a screen: a language a line, then what they come to. Knows neither screen nor stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

WIDTH = 100  # characters that a table may take
_KINDS = {"script": "script", "family": "family", "share": "pretraining share"}


def score_table(
    figures: Mapping[str, Mapping[str, float]],
    source: Sequence[str] = (),
    summary: Mapping | None = None,
    intervals: Mapping | None = None,
    level: float = 0.0,
) -> tuple[list[str], list[list[str]], list[str]]:
    """(head, lines, metrics that did not fit into WIDTH). The first metric of `figures` is the one that summary and intervals are about.

    Source languages stand first, each part in alphabetical order. intervals: {languages: {language: [low, high]}, target_mean: ...}.
    """
    main, *others = figures
    codes = sorted({code for by in figures.values() for code in by}, key=lambda code: (code not in source, code))
    names = [f"{code} (source)" if code in source else code for code in codes]
    columns = [_column(main, codes, figures[main])]
    if intervals:
        known = intervals["languages"]
        columns.append([f"{100 * level:g}% interval", *(_range(known.get(code)) for code in codes)])
    columns += [_column(metric, codes, figures[metric]) for metric in others]
    for label, key in _means(summary) if summary else ():
        names.append(label)
        value = summary[key][1] if key == "worst" else summary[key]
        told = [_figure(value), *([_range(intervals.get(key))] if intervals else [])]
        for i, column in enumerate(columns):
            column.append(told[i] if i < len(told) else "")
    kept = _fitting([["language", *names], *columns])
    head, *lines = map(list, zip(*kept, strict=True))
    return head, lines, others[len(others) - (len(columns) + 1 - len(kept)) :] if len(kept) <= len(columns) else []


def group_table(metric: str, summary: Mapping, groups: Mapping[str, Mapping[str, Sequence[str]]]) -> list[list[str]]:
    """[group, languages in it, their mean] of each kind of group that divides the target languages at all. groups: `transfer.grouped`."""
    return [
        [f"{_KINDS[kind]}: {name}", str(len(codes)), _figure(summary[f"by_{kind}"][name])]
        for kind, found in groups.items()
        if len(found) > 1
        for name, codes in found.items()
    ]


def layer_table(metric: str, figures: Mapping[str, Mapping[str, float]]) -> tuple[str, list[str], list[list[str]]]:
    """(title, head, lines) of one metric by layer, a layer a line: mean, lowest and highest language."""
    lines = []
    for name, by in figures.items():
        if name.startswith(f"{metric}_layer_"):
            ends = (min(by, key=by.get), max(by, key=by.get))
            mean = sum(by.values()) / len(by)
            lines.append([name.rpartition("_")[2], _figure(mean), *(f"{_figure(by[code])} {code}" for code in ends)])
    return f"{metric} by layer (0: embeddings)", ["layer", "mean", "lowest", "highest"], lines


def _means(summary: Mapping) -> list[tuple[str, str]]:
    return [
        ("source mean", "source_mean"),
        ("target mean", "target_mean"),
        ("transfer gap", "gap"),
        *([("target / source", "relative")] if summary["relative"] is not None else []),
        (f"worst: {summary['worst'][0]}", "worst"),
    ]


def _column(metric: str, codes: Sequence[str], by: Mapping[str, float]) -> list[str]:
    return [metric, *(_figure(by[code]) if code in by else "" for code in codes)]


def _figure(value: float) -> str:
    return f"{round(value, 3) + 0.0:.3f}"  # no -0.000


def _range(ends: Sequence[float] | None) -> str:
    return " to ".join(map(_figure, ends)) if ends else ""


def _fitting(columns: list[list[str]]) -> list[list[str]]:
    """The first columns, two at least, that stay within WIDTH; each takes two more characters, and a drawn table three."""
    taken, kept = 1, []
    for column in columns:
        taken += max(map(len, column)) + 3
        if taken > WIDTH and len(kept) > 1:
            break
        kept.append(column)
    return kept

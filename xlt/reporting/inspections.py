"""Tables of `xlt inspect`: a layer a line, of one run or of several beside each other, and a pair a line. From metrics.json alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from xlt.errors import DataError, suggest
from xlt.reporting.matrix import Matrix
from xlt.reporting.tables import Table, name_of

STAGE = "inspect"
SHOWN = {  # metric: what a table calls it
    "accuracy": "found",
    "accuracy_centred": "found*",
    "cka_debiased": "CKA",
    "cosine": "cos pair",
    "cosine_others": "cos other",
    "isotropy": "isotropy",
    "isotropy_centred": "isotr.*",
    "probe": "probe",
    "probe_centred": "probe*",
}
NOTE = (
    "* after the mean of each language, from other sentences, was taken away. found: translations that are nearest, of both directions; CKA: linear, debiased, which "
    "no mean changes; cos: mean cosine of translations and of other pairs; probe: how well a linear classifier tells the two languages apart (0.5: it cannot)."
)
DRAWN = ("accuracy", "accuracy_centred", "cka", "cka_debiased", "probe", "probe_centred")  # as heat maps


def layer_figures(layer: Mapping[str, Any], metric: str) -> dict[str, float]:
    """{pair: value} of one layer of a metrics.json."""
    name = metric.removesuffix("_centred")
    pairs = (layer if name == metric else layer["centred"])["pairs"]
    return {pair: by[name] for pair, by in pairs.items() if name in by}


def layers_table(dataset: str, layers: Sequence[Mapping[str, Any]]) -> Table:
    """Of one run, means over pairs."""
    lines = [
        [str(layer["layer"]), *(_figure(mean(layer_figures(layer, metric).values())) for metric in SHOWN)]
        for layer in layers
    ]
    return Table(f"{dataset} by layer (0: embeddings), mean over pairs", ["layer", *SHOWN.values()], lines, NOTE)


def pairs_table(dataset: str, layer: Mapping[str, Any]) -> Table:
    """Of one layer."""
    columns = [layer_figures(layer, metric) for metric in SHOWN]
    lines = [[pair, *(_figure(column[pair]) for column in columns)] for pair in columns[0]]
    return Table(f"{dataset}, layer {layer['layer']}", ["pair", *SHOWN.values()], lines)


def matrix_of(layers: Sequence[Mapping[str, Any]], metric: str) -> Matrix:
    """Layers down, pairs across."""
    return Matrix({f"layer {layer['layer']}": layer_figures(layer, metric) for layer in layers})


def compared(runs: Sequence[Mapping[str, Any]], metric: str | None) -> list[Table]:
    """Runs on one data set beside each other, layer by layer, as means over the pairs that all of them have: a table for each metric that is shown, or for one.

    Runs that differ in their seed are one column. DataError where there is no such pair or metric.
    """
    dataset = next(iter(runs[0]["results"]))
    first = by_metric(runs[0])
    if metric is not None and metric not in first:
        raise DataError(f"report: --metric: xlt inspect measures no {metric}; {suggest(metric, first)}")
    pairs = set.intersection(*({*run["inspection"]["layers"][0]["pairs"]} for run in runs))
    if not pairs:
        raise DataError(
            "report: the runs have no pair of languages in common, so nothing can be compared; inspect them on the same languages"
        )
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for run in runs:
        groups.setdefault(name_of(dict(run)), []).append(run)
    layers = range(max(len(run["inspection"]["layers"]) for run in runs))
    tables = []
    for name in [metric] if metric else SHOWN:
        cells = [[_mean_of(members, layer, name, pairs) for members in groups.values()] for layer in layers]
        lines = [
            [str(layer), *("" if c is None else _figure(c) for c in row)]
            for layer, row in zip(layers, cells, strict=True)
        ]
        tables.append(Table(f"{dataset}, {name} by layer, mean over {len(pairs)} pairs", ["layer", *groups], lines))
    return tables


def by_metric(run: Mapping[str, Any]) -> list[str]:
    """The metrics of a run."""
    return sorted(next(iter(run["results"].values())))


def _mean_of(runs: Sequence[Mapping[str, Any]], number: int, metric: str, pairs: set[str]) -> float | None:
    """None where no run has so many layers."""
    found = [
        value
        for run in runs
        if number < len(run["inspection"]["layers"])
        for pair, value in layer_figures(run["inspection"]["layers"][number], metric).items()
        if pair in pairs
    ]
    return mean(found) if found else None


def _figure(value: float) -> str:
    return f"{round(value, 3) + 0.0:.3f}"  # no -0.000

"""Tables of `xlt inspect`: a layer a line, of one run or of several beside each other, and a pair a line. From metrics.json alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

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
    """Runs beside each other, layer by layer: a table for each of the shown metrics, or of one; means over the pairs that all of the data set's runs have."""
    tables = []
    for dataset in sorted({d for run in runs for d in run["results"]}):
        mine = [run for run in runs if dataset in run["results"]]
        pairs = set.intersection(*({*run["inspection"]["layers"][0]["pairs"]} for run in mine))
        groups: dict[str, list[Mapping[str, Any]]] = {}
        for run in mine:
            groups.setdefault(name_of(dict(run)), []).append(run)
        depth = max(len(run["inspection"]["layers"]) for run in mine)
        for name in [metric] if metric else [m for m in SHOWN if pairs]:
            lines = []
            for number in range(depth):
                cells = [_mean_of(members, number, name, pairs) for members in groups.values()]
                lines.append([str(number), *("" if cell is None else _figure(cell) for cell in cells)])
            head = ["layer", *groups]
            tables.append(Table(f"{dataset}, {name} by layer, mean over {len(pairs)} pairs", head, lines))
    return tables


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

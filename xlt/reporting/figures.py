"""Pictures, drawn by matplotlib where it is installed (`pip install 'xlt[figures]'`). The same numbers give the same bytes."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from xlt import files
from xlt.reporting.matrix import Matrix

_MARKS = "o^sDvP*X"  # languages that share a colour differ in the mark


@dataclass(frozen=True)
class Plane:
    """Points of each language in two dimensions, {language: [(x, y), ...]}, and lines between them as pairs of ends. title: above it."""

    title: str
    points: Mapping[str, Sequence[tuple[float, float]]]
    lines: Sequence[tuple[tuple[float, float], tuple[float, float]]]


def heat_map(
    matrix: Matrix, title: str, path: Path, across: str = "target", down: str = "source", share: bool = True
) -> bool:
    """Draw the matrix into an SVG file, sources down and targets across; False, and nothing is drawn, without matplotlib. share: numbers are percent."""
    if find_spec("matplotlib") is None:
        return False
    from matplotlib.figure import Figure

    sources, targets = list(matrix.scores), matrix.targets
    scores = [list(row.values()) for row in matrix.scores.values()]
    figure = Figure(figsize=(2.5 + 0.42 * len(targets), 1.6 + 0.36 * len(sources)), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(scores, cmap="viridis", aspect="auto")
    axes.set_xticks(range(len(targets)), targets, rotation=90)
    axes.set_yticks(range(len(sources)), sources)
    axes.set(title=title, xlabel=across, ylabel=down)
    middle = (image.norm.vmin + image.norm.vmax) / 2
    for i, row in enumerate(scores):
        for j, score in enumerate(row):
            color = "white" if score < middle else "black"
            told = f"{100 * score:.0f}" if share else f"{score:.2f}"
            axes.text(j, i, told, ha="center", va="center", fontsize=7, color=color)
    figure.colorbar(image)
    _write(figure, path)
    return True


def planes(found: Sequence[Plane], path: Path) -> bool:
    """Draw planes beside each other into an SVG file, a colour for each language; False, and nothing is drawn, without matplotlib."""
    if find_spec("matplotlib") is None:
        return False
    import matplotlib
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2 * len(found) + 1.2, 5), layout="constrained")
    colours = matplotlib.colormaps["tab10" if len(found[0].points) <= 10 else "tab20"].colors
    for axes, plane in zip(figure.subplots(1, len(found), squeeze=False)[0], found, strict=True):
        axes.add_collection(LineCollection(list(plane.lines), colors="0.75", linewidths=0.3, zorder=1))
        for number, (language, points) in enumerate(plane.points.items()):
            mark, colour = _MARKS[number // len(colours) % len(_MARKS)], colours[number % len(colours)]
            xs, ys = zip(*points, strict=True) if points else ((), ())
            axes.scatter(xs, ys, s=9, marker=mark, color=colour, label=language, linewidths=0, zorder=2)
        axes.set(title=plane.title, xticks=[], yticks=[])
    axes.legend(
        loc="center left", bbox_to_anchor=(1, 0.5), fontsize=7, markerscale=2, ncols=1 + len(plane.points) // 26
    )
    _write(figure, path)
    return True


def _write(figure, path: Path) -> None:
    import matplotlib

    drawn = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "xlt", "svg.fonttype": "none"}):
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    files.write_text(path, drawn.getvalue())

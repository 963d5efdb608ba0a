"""Pictures, drawn by matplotlib where it is installed (`pip install 'xlt[figures]'`). The same numbers give the same bytes."""

from __future__ import annotations

import io
from importlib.util import find_spec
from pathlib import Path

from xlt import files
from xlt.reporting.matrix import Matrix


def heat_map(matrix: Matrix, title: str, path: Path) -> bool:
    """Draw the matrix into an SVG file, sources down and targets across; False, and nothing is drawn, without matplotlib."""
    if find_spec("matplotlib") is None:
        return False
    import matplotlib
    from matplotlib.figure import Figure

    sources, targets = list(matrix.scores), matrix.targets
    scores = [list(row.values()) for row in matrix.scores.values()]
    figure = Figure(figsize=(2.5 + 0.42 * len(targets), 1.6 + 0.36 * len(sources)), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(scores, cmap="viridis", aspect="auto")
    axes.set_xticks(range(len(targets)), targets, rotation=90)
    axes.set_yticks(range(len(sources)), sources)
    axes.set(title=title, xlabel="target", ylabel="source")
    middle = (image.norm.vmin + image.norm.vmax) / 2
    for i, row in enumerate(scores):
        for j, score in enumerate(row):
            color = "white" if score < middle else "black"
            axes.text(j, i, f"{100 * score:.0f}", ha="center", va="center", fontsize=7, color=color)
    figure.colorbar(image)
    drawn = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "xlt", "svg.fonttype": "none"}):
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    files.write_text(path, drawn.getvalue())
    return True

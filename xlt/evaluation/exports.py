"""Predictions in the layouts that other people's scorers read: one function a layout, from the lines of predictions/*.jsonl to files of its own.

A layout is added to `LAYOUTS`; `xlt zero-shot-eval export=NAME` then writes it below <run>/exports/NAME.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from xlt import files
from xlt.errors import ConfigError, DataError


@dataclass(frozen=True)
class Layout:
    """views: the views whose predictions it can hold. write(folder, dataset, language, lines): the files of one language."""

    views: tuple[str, ...]
    write: Callable[[Path, str, str, list[dict]], None]


def chosen(name: str | None, objective) -> Layout | None:
    """The layout of that name, one of `LAYOUTS`, for the predictions of `objective`; None for none. ConfigError if it cannot hold them."""
    if name is None:
        return None
    layout, kind = LAYOUTS[name], type(objective).__name__
    if objective.view not in layout.views or not hasattr(objective, "records"):
        fitting = [other for other, each in LAYOUTS.items() if objective.view in each.views]
        raise ConfigError(
            f"export: {name} holds predictions on {' or '.join(layout.views)}, and {kind} reads {objective.view}; leave export out"
            + (f", or take {' or '.join(fitting)}" if fitting else "")
        )
    return layout


def squad(folder: Path, dataset: str, language: str, lines: list[dict]) -> None:
    """<dataset>.<language>.json {id: answer}, as evaluate-v1.1.py, evaluate-v2.0.py and mlqa_evaluation_v1.py read it; where questions may have no
    answer, <dataset>.<language>.na_prob.json {id: probability of none} for evaluate-v2.0.py's --na-prob-file.
    """
    by_id: dict[str, dict] = {}
    for line in lines:
        if by_id.setdefault(str(line["id"]), line) is not line:
            raise DataError(
                f"dataset {dataset}, language {language}: two rows have the id {line['id']}, and export=squad holds one answer for each; "
                "give each row its own, or leave export out"
            )
    files.write_json(folder / f"{dataset}.{language}.json", {key: line["prediction"] for key, line in by_id.items()})
    if all("null_odds" in line for line in lines):
        odds = {key: line["null_odds"] for key, line in by_id.items()}
        files.write_json(folder / f"{dataset}.{language}.na_prob.json", {key: sigmoid(x) for key, x in odds.items()})


def sigmoid(x: float) -> float:
    """Of log odds, the probability."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


LAYOUTS = {"squad": Layout(("qa",), squad)}

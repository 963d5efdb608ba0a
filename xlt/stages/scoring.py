"""Scores of a run on its dev data, by part and language: what chooses a checkpoint and what metrics.json holds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from xlt.data.encode import Table
from xlt.evaluation.loop import predict
from xlt.reporting.scores import score_table
from xlt.stages.parts import LearnedPart
from xlt.training.progress import Screen
from xlt.types import Gold, Labels, Outputs, closed_sets
from xlt.vocabulary import Vocabulary


def score_parts(
    model,
    parts: list[LearnedPart],
    labels: Labels | None,
    accelerator,
    rows: int | None,
    scored: Callable[[str, dict[str, Outputs], Gold], None] | None = None,
) -> dict[str, dict[str, float]]:
    """The scores of each part on its own dev data, by the names they have in the log. scored: is told each language of the first part."""
    figures = {}
    for part in parts:
        first = part is parts[0]
        known = labels if first else None
        objective, cfg = part.cfg.objective, part.cfg
        golds = {code: table.gold(closed_sets(objective, known)) for code, table in part.dev.items()}
        limits = cfg.train.max_length, cfg.hardware.eval_tokens
        told = scored if first else None
        found = score(model, objective, part.dev, golds, part.vocabulary, *limits, accelerator, rows, told)
        figures |= {part.named(metric): by for metric, by in found.items()}
    return figures


def score(
    model,
    objective,
    tables: dict[str, Table],
    golds: dict[str, Gold],
    vocabulary: Vocabulary,
    max_length: int,
    budget: int,
    accelerator,
    rows: int | None,
    scored: Callable[[str, dict[str, Outputs], Gold], None] | None = None,
    fitted: Mapping[str, Any] | None = None,
) -> dict[str, dict[str, float]]:
    """{metric: {language: score}} of the first `rows` rows of each table (None: all). scored: is told each language when it is done.

    fitted: what scores a language, where that is not the objective as it is configured (see `fit_on_dev`).
    """
    figures: dict[str, dict[str, float]] = {}
    kept = {}
    for language, table in tables.items():
        outputs = predict(model, objective, table, golds[language], vocabulary, max_length, budget, accelerator, rows)
        gold = golds[language].first(rows)
        for metric, value in (fitted or {}).get(language, objective).score(outputs, gold).items():
            figures.setdefault(metric, {})[language] = value
        if scored:
            scored(language, outputs, gold)
        if hasattr(objective, "compare"):
            kept[language] = outputs
    return {**figures, **objective.compare(kept)} if kept else figures


def fit_on_dev(
    model,
    objective,
    dev: dict[str, Table],
    wanted: list[str],
    vocabulary: Vocabulary,
    limits: tuple[int, int],
    accelerator,
) -> tuple[dict[str, Any], dict[str, dict]]:
    """({language: what scores it}, {language: facts}) of an objective that is fitted on dev data first."""
    found = {}
    for language, table in dev.items():
        gold = table.gold({})
        found[language] = predict(model, objective, table, gold, vocabulary, *limits, accelerator), gold
    each = objective.fitted(found, wanted)
    return {code: one for code, (one, _) in each.items()}, {code: facts for code, (_, facts) in each.items()}


def mean_score(figures: dict[str, dict[str, float]], metric: str) -> float:
    """The mean over languages; NaN where nothing was scored by it."""
    return float(np.mean(list(figures[metric].values()))) if metric in figures else math.nan


def show(screen: Screen, title: str, figures: dict[str, dict[str, float]], **beside) -> None:
    """Scores, a language or pair a line, and what is known `beside` them (see `xlt.reporting.scores.score_table`)."""
    head, lines, left_out = score_table(figures, **beside)
    screen.table(title, head, lines)
    if left_out:
        screen.say(f"  {', '.join(left_out)}: in metrics.json")

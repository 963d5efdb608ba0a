"""Sentence retrieval: how often a sentence's nearest one in the other language is its translation. Scores any encoder and trains none.

Tatoeba as Artetxe and Schwenk 2019 and XTREME (Hu et al. 2020) use it; the layer matters more than most choices, so all of them can be scored
by one forward pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

import numpy as np
import torch

from xlt import metrics
from xlt.alignment.csls import nearest, unit
from xlt.alignment.retrieval import retrieval_hits
from xlt.errors import ConfigError
from xlt.models.pooling import Pool, pool
from xlt.objectives import sentence_pairs
from xlt.types import Batch, Gold


class Score(str, Enum):
    """What makes a sentence near: its cosine, or the cosine in relation to that of its and the other's k nearest."""

    cosine = "cosine"
    csls = "csls"
    ratio = "ratio"


@dataclass(frozen=True, kw_only=True)
class SentenceRetrieval:
    """k: neighbours of csls and ratio. layer null: the last. every_layer: beside it, `accuracy_layer_N` and its directions for all layers, 0 the embeddings."""

    score_by: Score
    k: int
    pool: Pool
    layer: int | None
    every_layer: bool

    kind: ClassVar[str] = "scorer"
    view: ClassVar[str] = "parallel"
    head: ClassVar[str] = "encoder"
    separable: ClassVar[bool] = True
    metric: ClassVar[str] = "accuracy"

    def __post_init__(self):
        sentence_pairs.check_layer(self.layer)
        if self.k < 1:
            raise ConfigError(f"objective.k: {self.k} is below 1; Artetxe and Schwenk 2019 take 4")

    texts, modules, row_length = sentence_pairs.texts, sentence_pairs.modules, sentence_pairs.row_length
    collate = sentence_pairs.collate

    @property
    def higher_is_better(self) -> dict[str, bool]:
        """Of as many layers as any encoder has; a run keeps those that it has scored."""
        return {name + at: True for name in sentence_pairs.RETRIEVAL for at in ("", *map(_at, range(200)))}

    def predict(self, model, batch: Batch) -> dict[str, torch.Tensor]:
        """source, target (P, D) at `layer`; with every_layer also (P, D) for each, by name."""
        if not self.every_layer:
            return sentence_pairs.predict(self, model, batch)
        found = {}
        for side in sentence_pairs.SIDES:
            states = model.hidden_layers(sentence_pairs.one_side(batch, side))
            mask_PL = batch[f"{side}_attention_mask"]
            vectors = [pool(hidden_PLD, mask_PL, self.pool).float() for hidden_PLD in states]
            found[side] = vectors[-1 if self.layer is None else self.layer]
            found |= {side + _at(layer): vectors_PD for layer, vectors_PD in enumerate(vectors)}
        return found

    def statistics(self, outputs: dict[str, np.ndarray], gold: Gold) -> dict[str, np.ndarray]:
        """Of each pair whether the other is found, by `layer`, then by each."""
        found = {}
        for at in [name.removeprefix("source") for name in outputs if name.startswith("source")]:
            sides = (torch.from_numpy(outputs[side + at]) for side in sentence_pairs.SIDES)
            hits = retrieval_hits(*sides, self.score_by.value, self.k)
            found |= {name + at: hits_P.cpu().numpy() for name, hits_P in hits.items()}
        return found

    def score(self, outputs: dict[str, np.ndarray], gold: Gold) -> dict[str, float]:
        return metrics.scores(self.statistics(outputs, gold))

    def records(self, outputs: dict[str, np.ndarray], gold: Gold) -> Iterator[dict]:
        """The number (from 0) of the sentence that each finds, in both directions, and its score; its own would be right."""
        x_PD, y_PD = (unit(torch.from_numpy(outputs[side])) for side in sentence_pairs.SIDES)
        forward, backward = (
            [column[:, 0].tolist() for column in nearest(a_PD, b_PD, 1, self.score_by.value, self.k)]
            for a_PD, b_PD in ((x_PD, y_PD), (y_PD, x_PD))
        )
        for row, score, found, other, back in zip(gold.rows, *forward, *backward, strict=True):
            scores = {"score_forward": round(score, 6), "score_backward": round(other, 6)}
            yield {
                "source": row["source"], "target": row["target"], "found_by_source": found, "found_by_target": back, **scores,
            }  # fmt: skip


def _at(layer: int) -> str:
    return f"_layer_{layer}"

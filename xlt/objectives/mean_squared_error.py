"""A sentence's vector moves onto its translation's (Reimers and Gurevych 2020, section 2, without their second model as the teacher).

By itself it has a trivial answer, one vector for all sentences: it is meant for a mixture, beside an objective that keeps sentences apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

import numpy as np
import torch

from xlt.alignment.similarity import squared_distances
from xlt.models.pooling import Pool
from xlt.objectives import sentence_pairs
from xlt.objectives.losses import one_a_row
from xlt.types import Batch, Gold


class Held(str, Enum):
    """The side of a pair that is taken as it is: the other one moves towards it."""

    source = "source"
    target = "target"


@dataclass(frozen=True, kw_only=True)
class MeanSquaredError:
    """|x - y|^2 / D of pooled states. held: the side through which no gradient flows, as none flows through a teacher; null: both sides move."""

    held: Held | None
    pool: Pool
    layer: int | None

    view: ClassVar[str] = "parallel"
    head: ClassVar[str] = "encoder"
    separable: ClassVar[bool] = True
    metric: ClassVar[str] = "accuracy"
    higher_is_better: ClassVar[dict[str, bool]] = {**sentence_pairs.RETRIEVAL, "squared_distance": False}

    def __post_init__(self):
        sentence_pairs.check_layer(self.layer)

    texts, modules, row_length = sentence_pairs.texts, sentence_pairs.modules, sentence_pairs.row_length
    collate, loss, predict = sentence_pairs.collate, sentence_pairs.loss, sentence_pairs.predict

    def loss_by_row(self, model, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        sides = []
        for side in sentence_pairs.SIDES:
            with torch.set_grad_enabled(torch.is_grad_enabled() and side != self.held):
                sides.append(sentence_pairs.vectors(self, model, batch, side))
        return one_a_row(squared_distances(*sides))

    def statistics(self, outputs: dict[str, np.ndarray], gold: Gold) -> dict[str, np.ndarray]:
        distance_P = np.square(outputs["source"] - outputs["target"]).mean(1)
        return {**sentence_pairs.statistics(self, outputs, gold), "squared_distance": distance_P}

    def score(self, outputs: dict[str, np.ndarray], gold: Gold) -> dict[str, float]:
        distance = float(np.square(outputs["source"] - outputs["target"]).mean())
        return {**sentence_pairs.score(self, outputs, gold), "squared_distance": distance}

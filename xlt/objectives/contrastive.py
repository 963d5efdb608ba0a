"""Sentence alignment by translation ranking: symmetric InfoNCE with in-batch negatives on parallel text.

Oord et al. 2018 for the loss; both directions as in Feng et al. 2022 (LaBSE, section 2.1), whose margin is `xlt.objectives.additive_margin`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from xlt.models.pooling import Pool
from xlt.objectives import sentence_pairs
from xlt.types import Batch


@dataclass(frozen=True, kw_only=True)
class Contrastive:
    """-1/2 [log softmax_j s(x_i, y_j)/t + log softmax_j s(x_j, y_i)/t] at j = i, s the cosine of pooled states. layer null: the last one."""

    temperature: float
    pool: Pool
    layer: int | None

    view: ClassVar[str] = "parallel"
    head: ClassVar[str] = "encoder"
    separable: ClassVar[bool] = False
    metric: ClassVar[str] = "accuracy"
    higher_is_better: ClassVar[dict[str, bool]] = sentence_pairs.RETRIEVAL

    def __post_init__(self):
        sentence_pairs.check_temperature(self.temperature)
        sentence_pairs.check_layer(self.layer)

    texts, modules, row_length = sentence_pairs.texts, sentence_pairs.modules, sentence_pairs.row_length
    collate, loss, score = sentence_pairs.collate, sentence_pairs.loss, sentence_pairs.score
    statistics = sentence_pairs.statistics

    def loss_by_row(self, model, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        return sentence_pairs.ranked(self, model, batch, margin=0.0)

    def predict(self, model, batch: Batch) -> dict[str, torch.Tensor]:
        return {side: sentence_pairs.unit_vectors(self, model, batch, side) for side in sentence_pairs.SIDES}

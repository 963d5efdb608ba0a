"""Sentence alignment by translation ranking: symmetric InfoNCE with in-batch negatives on parallel text.

Oord et al. 2018 for the loss; both directions as in Feng et al. 2022 (LaBSE, section 2.1), whose margin is `xlt.objectives.additive_margin`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch.nn import functional as F

from xlt.alignment.similarity import ranking_losses
from xlt.errors import ConfigError
from xlt.models.pooling import Pool
from xlt.objectives import sentence_pairs
from xlt.objectives.losses import one_a_row
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
        if self.temperature <= 0:
            raise ConfigError(f"objective.temperature: {self.temperature} is not positive; 0.05 is usual")
        sentence_pairs.check_layer(self.layer)

    texts, modules, row_length = sentence_pairs.texts, sentence_pairs.modules, sentence_pairs.row_length
    collate, loss, score = sentence_pairs.collate, sentence_pairs.loss, sentence_pairs.score

    def embed(self, model, batch: Batch, side: str) -> torch.Tensor:
        """Unit vectors_PD of one side."""
        return F.normalize(sentence_pairs.vectors(self, model, batch, side), dim=-1)

    def loss_by_row(self, model, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        x_PD, y_PD = (self.embed(model, batch, side) for side in sentence_pairs.SIDES)
        return one_a_row(ranking_losses(x_PD, y_PD, self.temperature))

    def predict(self, model, batch: Batch) -> dict[str, torch.Tensor]:
        return {side: self.embed(model, batch, side) for side in sentence_pairs.SIDES}

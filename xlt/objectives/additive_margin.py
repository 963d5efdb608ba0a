"""Translation ranking with an additive margin (Yang et al. 2019, section 2.2; LaBSE: Feng et al. 2022, section 2.1)."""

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
class AdditiveMargin:
    """As `Contrastive`, but a translation has to be nearer than every other sentence of the batch by `margin` of cosine. margin 0 is InfoNCE."""

    margin: float
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
        if not 0 <= self.margin < 2:
            raise ConfigError(f"objective.margin: {self.margin} is not in [0, 2), the range of a cosine; LaBSE has 0.3")
        sentence_pairs.check_layer(self.layer)

    texts, modules, row_length = sentence_pairs.texts, sentence_pairs.modules, sentence_pairs.row_length
    collate, loss = sentence_pairs.collate, sentence_pairs.loss
    predict, score = sentence_pairs.predict, sentence_pairs.score

    def loss_by_row(self, model, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        x_PD, y_PD = (
            F.normalize(sentence_pairs.vectors(self, model, batch, side), dim=-1) for side in sentence_pairs.SIDES
        )
        return one_a_row(ranking_losses(x_PD, y_PD, self.temperature, self.margin))

"""Translation ranking with an additive margin (Yang et al. 2019, section 2.2; LaBSE: Feng et al. 2022, section 2.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from xlt.errors import ConfigError
from xlt.models.pooling import Pool
from xlt.objectives import sentence_pairs
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
    caches_gradients: ClassVar[bool] = True
    metric: ClassVar[str] = "accuracy"
    higher_is_better: ClassVar[dict[str, bool]] = sentence_pairs.RETRIEVAL

    def __post_init__(self):
        sentence_pairs.check_temperature(self.temperature)
        if not 0 <= self.margin < 2:
            raise ConfigError(f"objective.margin: {self.margin} is not in [0, 2), the range of a cosine; LaBSE has 0.3")
        sentence_pairs.check_layer(self.layer)

    texts, modules, row_length = sentence_pairs.texts, sentence_pairs.modules, sentence_pairs.row_length
    collate, loss = sentence_pairs.collate, sentence_pairs.loss
    predict, score, statistics = sentence_pairs.predict, sentence_pairs.score, sentence_pairs.statistics

    def loss_by_row(self, model, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        return sentence_pairs.ranked(self, model, batch, self.margin)

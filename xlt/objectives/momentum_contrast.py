"""Sentence alignment with negatives from a queue: MoCo (He et al. 2020, section 3), between translations as in InfoXLM's XlCo (Chi et al. 2021, section 3.1).

Keys are the vectors of a momentum encoder. In both directions: a sentence against the key of its translation, the keys of the batch's other translations
(MoCo has them only once they are in the queue, which is empty at first), and those of earlier batches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from xlt.alignment.processes import gather_rows
from xlt.alignment.similarity import one_way
from xlt.errors import ConfigError
from xlt.models.momentum import Momentum
from xlt.models.pooling import Pool
from xlt.objectives import sentence_pairs
from xlt.objectives.losses import one_a_row
from xlt.types import Batch

QUEUES = {side: f"{side}_keys" for side in sentence_pairs.SIDES}


@dataclass(frozen=True, kw_only=True)
class MomentumContrast:
    """queue: keys of each side that are kept of earlier batches; 0: none. momentum: share of the key encoder that stays in an update. layer null: the last."""

    temperature: float
    queue: int
    momentum: float
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
        sentence_pairs.check_layer(self.layer)
        if self.queue < 0:
            raise ConfigError(f"objective.queue: {self.queue} is below 0; InfoXLM keeps 131072, 0 keeps none")
        if not 0 <= self.momentum < 1:
            raise ConfigError(f"objective.momentum: {self.momentum} is not in [0, 1); InfoXLM has 0.9999")

    texts, modules, row_length = sentence_pairs.texts, sentence_pairs.modules, sentence_pairs.row_length
    collate, loss = sentence_pairs.collate, sentence_pairs.loss
    predict, score, statistics = sentence_pairs.predict, sentence_pairs.score, sentence_pairs.statistics

    def prepare(self, model) -> None:
        """The key encoder and the queues, which belong to the model while it trains."""
        if hasattr(model, "momentum"):
            raise ConfigError(
                "objective: two parts have a momentum encoder, and a model has one; leave one of them out"
            )
        model.momentum = Momentum(model, tuple(QUEUES.values()), self.queue, model.width)

    def loss_by_row(self, model, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """While the model trains, the key encoder first follows it, and the keys of the batch are queued afterwards."""
        memory: Momentum = model.momentum
        if model.training:
            memory.follow(model, self.momentum)
        memory.encoder.eval()
        queries = [sentence_pairs.unit_vectors(self, model, batch, side) for side in sentence_pairs.SIDES]
        with torch.no_grad():
            keys = [sentence_pairs.unit_vectors(self, memory.encoder, batch, side) for side in sentence_pairs.SIDES]
            keys, first = gather_rows(*keys)
        gold_P = torch.arange(first, first + len(queries[0]), device=queries[0].device)
        ways = [
            one_way(x_PD, torch.cat([y_QD, memory.queue(QUEUES[side])]), gold_P, self.temperature)
            for x_PD, y_QD, side in zip(queries, keys[::-1], sentence_pairs.SIDES[::-1], strict=True)
        ]
        if model.training:
            memory.push(**dict(zip(QUEUES.values(), keys, strict=True)))
        return one_a_row(sum(ways) / 2)

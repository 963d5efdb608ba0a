"""The tokens of a sentence are carried to those of its translation at the least cost: entropic optimal transport between states.

Cuturi 2013 for the transport; between the tokens of translations as in Chi et al. 2021 (XLM-Align, section 3.2), who take the plan as labels.
By itself it has a trivial answer, one state for all tokens: it is meant for a mixture, beside an objective that keeps tokens apart.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch

from xlt.alignment.similarity import transport_losses
from xlt.errors import ConfigError
from xlt.models.pooling import Pool
from xlt.objectives import sentence_pairs
from xlt.objectives.losses import one_a_row
from xlt.types import Batch, Rows
from xlt.vocabulary import Vocabulary


@dataclass(frozen=True, kw_only=True)
class OptimalTransport:
    """<plan, 1 - cosine> between the states of two sentences' tokens, each with the same mass; special tokens take no part.

    epsilon: weight of the plan's entropy, in units of the cost; iterations: Sinkhorn's. pool: only for validation, which retrieves sentences.
    """

    epsilon: float
    iterations: int
    pool: Pool
    layer: int | None

    view: ClassVar[str] = "parallel"
    head: ClassVar[str] = "encoder"
    separable: ClassVar[bool] = True
    metric: ClassVar[str] = "accuracy"
    higher_is_better: ClassVar[dict[str, bool]] = sentence_pairs.RETRIEVAL

    def __post_init__(self):
        if self.epsilon <= 0:
            raise ConfigError(
                f"objective.epsilon: {self.epsilon} is not positive; 0.1 is a tenth of the cost of unlike tokens"
            )
        if self.iterations < 1:
            raise ConfigError(f"objective.iterations: {self.iterations} is below 1; XLM-Align has 2")
        sentence_pairs.check_layer(self.layer)

    texts, modules, row_length = sentence_pairs.texts, sentence_pairs.modules, sentence_pairs.row_length
    loss, predict, score = sentence_pairs.loss, sentence_pairs.predict, sentence_pairs.score
    statistics = sentence_pairs.statistics

    def collate(self, rows: Rows, vocabulary: Vocabulary, max_length: int) -> Batch:
        batch = sentence_pairs.collate(self, rows, vocabulary, max_length)
        mass = {f"{side}_mass": masses(batch, side, vocabulary) for side in sentence_pairs.SIDES}
        return replace(batch, tensors={**batch.tensors, **mass})

    def loss_by_row(self, model, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        states = [sentence_pairs.states(self, model, batch, side) for side in sentence_pairs.SIDES]
        mass = [batch[f"{side}_mass"] for side in sentence_pairs.SIDES]
        return one_a_row(transport_losses(*states, *mass, self.epsilon, self.iterations))


def masses(batch: Batch, side: str, vocabulary: Vocabulary) -> torch.Tensor:
    """masses_PL that sum to 1 a row: the same for each token of text; in a row without text, for each of its special tokens."""
    ids_PL, mask_PL = batch[f"{side}_input_ids"].numpy(), batch[f"{side}_attention_mask"]
    real_PL = np.ones_like(ids_PL, bool) if mask_PL is None else mask_PL.numpy().astype(bool)
    text_PL = real_PL & ~vocabulary.is_special(ids_PL)
    chosen_PL = np.where(text_PL.any(1, keepdims=True), text_PL, real_PL).astype(np.float32)
    return torch.from_numpy(chosen_PL / chosen_PL.sum(1, keepdims=True))

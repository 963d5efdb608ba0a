"""Sentence alignment by translation ranking: symmetric InfoNCE with in-batch negatives on parallel text.

Oord et al. 2018 for the loss; both directions as in Feng et al. 2022 (LaBSE, section 2.1), whose margin is `xlt.objectives.additive_margin`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from xlt.errors import ConfigError
from xlt.models.pooling import Pool
from xlt.objectives import hard_negatives, sentence_pairs
from xlt.objectives.sentence_retrieval import Score
from xlt.types import Batch, Rows
from xlt.vocabulary import Vocabulary


@dataclass(frozen=True, kw_only=True)
class Contrastive:
    """-1/2 [log softmax_j s(x_i, y_j)/t + log softmax_j s(x_j, y_i)/t] at j = i, s the cosine of pooled states. layer null: the last one.

    hard_negatives: so many further sentences in each softmax, those of the training data that are nearest to x_i (or y_i) without being its translation; 0: the batch
    alone. They are searched before the first update, by negatives_by (k neighbours for csls and ratio), among the vectors of negatives_from: a run directory, a
    folder or a hub name of an encoder with the same tokenizer; null: the model as it is then.
    """

    temperature: float
    pool: Pool
    layer: int | None
    hard_negatives: int
    negatives_by: Score
    negatives_k: int
    negatives_from: str | None

    view: ClassVar[str] = "parallel"
    head: ClassVar[str] = "encoder"
    separable: ClassVar[bool] = False
    caches_gradients: ClassVar[bool] = True
    metric: ClassVar[str] = "accuracy"
    higher_is_better: ClassVar[dict[str, bool]] = sentence_pairs.RETRIEVAL

    def __post_init__(self):
        sentence_pairs.check_temperature(self.temperature)
        sentence_pairs.check_layer(self.layer)
        if self.hard_negatives < 0:
            raise ConfigError(f"objective.hard_negatives: {self.hard_negatives} is below 0; 0 takes the batch's alone")
        if self.negatives_k < 1:
            raise ConfigError(f"objective.negatives_k: {self.negatives_k} is below 1; Artetxe and Schwenk 2019 take 4")

    texts, modules, row_length = sentence_pairs.texts, sentence_pairs.modules, sentence_pairs.row_length
    loss, score, statistics = sentence_pairs.loss, sentence_pairs.score, sentence_pairs.statistics

    def collate(self, rows: Rows, vocabulary: Vocabulary, max_length: int) -> Batch:
        """The pairs, and the negatives of each where the table has them (`xlt.data.negatives`)."""
        pairs = replace(rows, segments=rows.segments[: len(sentence_pairs.SIDES)])
        batch = sentence_pairs.collate(self, pairs, vocabulary, max_length)
        return hard_negatives.added(batch, rows, vocabulary, max_length)

    def loss_by_row(self, model, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        return sentence_pairs.ranked(self, model, batch, margin=0.0)

    def predict(self, model, batch: Batch) -> dict[str, torch.Tensor]:
        return {side: sentence_pairs.unit_vectors(self, model, batch, side) for side in sentence_pairs.SIDES}

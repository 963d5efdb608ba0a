"""Classification of a sentence, or of a pair of sentences (topic, sentiment, inference), by cross-entropy on one pooled vector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from xlt.models.pooling import Pool
from xlt.objectives import classification, pooled
from xlt.types import Batch, Labels, Rows
from xlt.vocabulary import Vocabulary


@dataclass(frozen=True, kw_only=True)
class SequenceClassification:
    """pair: rows have a second text, joined to the first by the tokenizer's separator (XNLI, PAWS-X)."""

    pair: bool
    pool: Pool
    hidden: bool
    dropout: float

    view: ClassVar[str] = "classification"
    head: ClassVar[str] = "encoder"
    separable: ClassVar[bool] = True
    metric: ClassVar[str] = "accuracy"
    higher_is_better: ClassVar[dict[str, bool]] = classification.HIGHER_IS_BETTER

    def __post_init__(self):
        classification.check_dropout(self.dropout)

    loss, loss_by_row = classification.loss, classification.loss_by_row
    predict, score, records = classification.predict, classification.score, classification.records
    statistics = classification.statistics
    texts, row_length = pooled.texts, pooled.row_length

    def modules(self, width: int, labels: Labels | None) -> dict[str, nn.Module]:
        return classification.head(width, width, len(labels), self.hidden, self.dropout)

    def collate(self, rows: Rows, vocabulary: Vocabulary, max_length: int) -> Batch:
        return pooled.batch(self, rows, {"labels": torch.from_numpy(rows.labels)}, vocabulary, max_length)

    def logits(self, model, batch: Batch) -> torch.Tensor:
        """logits_BN."""
        return pooled.headed(self, model, batch)

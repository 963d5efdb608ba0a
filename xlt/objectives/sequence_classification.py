"""Classification of a sentence, or of a pair of sentences (topic, sentiment, inference), by cross-entropy on one pooled vector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from xlt.errors import ConfigError
from xlt.models.pooling import Pool, pool
from xlt.objectives import classification
from xlt.types import Batch, Labels, Rows
from xlt.vocabulary import Vocabulary, model_inputs


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

    def texts(self, row: dict) -> tuple[str, ...]:
        if self.pair and "text_pair" not in row:
            raise ConfigError(
                "objective.pair: true, but the data set's rows have one text; set objective.pair=false or map dataset.columns.text_pair"
            )
        return (row["text"], row["text_pair"]) if self.pair else (row["text"],)

    def modules(self, width: int, labels: Labels | None) -> dict[str, nn.Module]:
        return classification.head(width, width, labels, self.hidden, self.dropout)

    def row_length(self, lengths: np.ndarray, vocabulary: Vocabulary, max_length: int) -> np.ndarray:
        return np.minimum(lengths.sum(1) + vocabulary.overhead(lengths.shape[1]), max_length)

    def collate(self, rows: Rows, vocabulary: Vocabulary, max_length: int) -> Batch:
        joined = [vocabulary.join(texts, max_length) for texts in zip(*rows.segments, strict=True)]
        ids_BL, lengths_B = vocabulary.pad_rows(joined)
        tensors = model_inputs(ids_BL, lengths_B) | vocabulary.language_input(rows.languages)
        if self.pair:
            cut = [vocabulary.cut(texts, max_length)[0] for texts in zip(*rows.segments, strict=True)]
            first_B = np.array([len(vocabulary.prefix) + len(ids) + len(vocabulary.between) for ids in cut])
            tensors |= vocabulary.second_text(first_B, lengths_B, ids_BL.shape[1])
        tensors["labels"] = torch.from_numpy(rows.labels)
        return Batch(tensors, count=len(rows), tokens=int(lengths_B.sum()), rows=len(rows))

    def logits(self, model, batch: Batch) -> torch.Tensor:
        """logits_BN."""
        inputs = {k: v for k, v in batch.tensors.items() if k != "labels"}
        return model.heads["classifier"](pool(model.hidden(inputs), batch["attention_mask"], self.pool))

"""Classification of a sentence, or of a pair of sentences (topic, sentiment, inference), by cross-entropy on one pooled vector.

The head is that of RoBERTa's fine-tuning (Liu et al. 2019; dropout, dense, tanh, dropout, projection); with `hidden` false it is a projection only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from xlt import metrics
from xlt.errors import ConfigError
from xlt.models.pooling import Pool, pool
from xlt.objectives.losses import one_a_row
from xlt.types import Batch, Rows
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
    higher_is_better: ClassVar[dict[str, bool]] = {"accuracy": True, "macro_f1": True}

    def __post_init__(self):
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"objective.dropout: {self.dropout} is not in [0, 1)")

    def texts(self, row: dict) -> tuple[str, ...]:
        if self.pair and "text_pair" not in row:
            raise ConfigError(
                "objective.pair: true, but the data set's rows have one text; set objective.pair=false or map dataset.columns.text_pair"
            )
        return (row["text"], row["text_pair"]) if self.pair else (row["text"],)

    def modules(self, width: int, labels: list[str] | None) -> dict[str, nn.Module]:
        dense = [nn.Dropout(self.dropout), nn.Linear(width, width), nn.Tanh()] if self.hidden else []
        return {"classifier": nn.Sequential(*dense, nn.Dropout(self.dropout), nn.Linear(width, len(labels)))}

    def row_length(self, lengths: np.ndarray, vocabulary: Vocabulary, max_length: int) -> np.ndarray:
        return np.minimum(lengths.sum(1) + vocabulary.overhead(lengths.shape[1]), max_length)

    def collate(self, rows: Rows, vocabulary: Vocabulary, max_length: int) -> Batch:
        joined = [vocabulary.join(texts, max_length) for texts in zip(*rows.segments, strict=True)]
        ids_BL, lengths_B = vocabulary.pad_rows(joined)
        tensors = model_inputs(ids_BL, lengths_B) | vocabulary.language_input(rows.languages)
        if self.pair and (vocabulary.pair_types or vocabulary.segments):
            cut = [vocabulary.cut(texts, max_length)[0] for texts in zip(*rows.segments, strict=True)]
            first_B = np.array([len(vocabulary.prefix) + len(ids) + len(vocabulary.between) for ids in cut])
            types_BL = (np.arange(ids_BL.shape[1]) >= first_B[:, None]) & (
                np.arange(ids_BL.shape[1]) < lengths_B[:, None]
            )
            types_BL = torch.from_numpy(types_BL.astype(np.int64))
            tensors |= {"token_type_ids": types_BL} if vocabulary.pair_types else {}
            tensors |= {"segment_ids": types_BL} if vocabulary.segments else {}
        tensors["labels"] = torch.from_numpy(rows.labels)
        return Batch(tensors, count=len(rows), tokens=int(lengths_B.sum()), rows=len(rows))

    def logits(self, model, batch: Batch) -> torch.Tensor:
        """logits_BN."""
        inputs = {k: v for k, v in batch.tensors.items() if k != "labels"}
        return model.heads["classifier"](pool(model.hidden(inputs), batch["attention_mask"], self.pool))

    def loss(self, model, batch: Batch) -> torch.Tensor:
        return self.loss_by_row(model, batch)[0]

    def loss_by_row(self, model, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        return one_a_row(F.cross_entropy(self.logits(model, batch).float(), batch["labels"], reduction="none"))

    def predict(self, model, batch: Batch) -> dict[str, torch.Tensor]:
        return {"logits": self.logits(model, batch).float()}

    def score(self, outputs: dict[str, np.ndarray], labels: np.ndarray | None) -> dict[str, float]:
        predicted = outputs["logits"].argmax(-1)
        return {"accuracy": metrics.accuracy(predicted, labels), "macro_f1": metrics.macro_f1(predicted, labels)}

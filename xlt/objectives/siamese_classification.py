"""Classification of a pair of sentences that are encoded apart: cross-entropy on features of their two vectors.

Reimers and Gurevych 2019, section 3.1 (u, v and |u - v|); Conneau et al. 2017 (InferSent), section 3.1, add the product. What the vectors of an
aligned encoder have in common across languages is their differences, so these carry over where a joint encoding needs depth.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
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

SIDES = ("first", "second")


class Feature(str, Enum):
    """What the classifier sees of the vectors u and v: u, v, |u - v|, u * v."""

    first = "first"
    second = "second"
    difference = "difference"
    product = "product"


@dataclass(frozen=True, kw_only=True)
class SiameseClassification:
    """hidden: a tanh layer between the features and the labels. normalise: u and v have length 1."""

    features: list[Feature]
    pool: Pool
    normalise: bool
    hidden: bool
    dropout: float

    view: ClassVar[str] = "classification"
    head: ClassVar[str] = "encoder"
    separable: ClassVar[bool] = True
    metric: ClassVar[str] = "accuracy"
    higher_is_better: ClassVar[dict[str, bool]] = {"accuracy": True, "macro_f1": True}

    def __post_init__(self):
        if not self.features or len(set(self.features)) < len(self.features):
            raise ConfigError(
                f"objective.features: {[f.value for f in self.features]} must be one or more of {', '.join(f.value for f in Feature)}, each once"
            )
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"objective.dropout: {self.dropout} is not in [0, 1)")

    def texts(self, row: dict) -> tuple[str, ...]:
        if "text_pair" not in row:
            raise ConfigError(
                "objective: siamese_classification needs two texts in a row, but the data set's rows have one; map dataset.columns.text_pair or "
                "choose objective=sequence_classification"
            )
        return row["text"], row["text_pair"]

    def modules(self, width: int, labels: list[str] | None) -> dict[str, nn.Module]:
        size = width * len(self.features)
        dense = [nn.Dropout(self.dropout), nn.Linear(size, width), nn.Tanh()] if self.hidden else []
        last = nn.Linear(width if self.hidden else size, len(labels))
        return {"classifier": nn.Sequential(*dense, nn.Dropout(self.dropout), last)}

    def row_length(self, lengths: np.ndarray, vocabulary: Vocabulary, max_length: int) -> np.ndarray:
        return np.minimum(lengths + vocabulary.overhead(1), max_length).sum(1)

    def collate(self, rows: Rows, vocabulary: Vocabulary, max_length: int) -> Batch:
        tensors, tokens = {"labels": torch.from_numpy(rows.labels)}, 0
        for side, segment in zip(SIDES, rows.segments, strict=True):
            ids_BL, lengths_B = vocabulary.pad_rows([vocabulary.join((ids,), max_length) for ids in segment])
            inputs = model_inputs(ids_BL, lengths_B) | vocabulary.language_input(rows.languages)
            tensors |= {f"{side}_{name}": value for name, value in inputs.items()}
            tokens += int(lengths_B.sum())
        return Batch(tensors, count=len(rows), tokens=tokens, rows=len(rows))

    def embed(self, model, batch: Batch, side: str) -> torch.Tensor:
        """vectors_BD of one side."""
        mask_BL = batch[f"{side}_attention_mask"]
        own = {k.removeprefix(f"{side}_"): v for k, v in batch.tensors.items() if k.startswith(side)}
        hidden_BLD = model.hidden(own)
        vectors_BD = pool(hidden_BLD, mask_BL, self.pool)
        return F.normalize(vectors_BD, dim=-1) * vectors_BD.shape[1] ** 0.5 if self.normalise else vectors_BD

    def logits(self, model, batch: Batch) -> torch.Tensor:
        """logits_BN."""
        u_BD, v_BD = (self.embed(model, batch, side) for side in SIDES)
        seen = {
            Feature.first: u_BD,
            Feature.second: v_BD,
            Feature.difference: (u_BD - v_BD).abs(),
            Feature.product: u_BD * v_BD,
        }
        return model.heads["classifier"](torch.cat([seen[feature] for feature in self.features], -1))

    def loss(self, model, batch: Batch) -> torch.Tensor:
        return self.loss_by_row(model, batch)[0]

    def loss_by_row(self, model, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        return one_a_row(F.cross_entropy(self.logits(model, batch).float(), batch["labels"], reduction="none"))

    def predict(self, model, batch: Batch) -> dict[str, torch.Tensor]:
        return {"logits": self.logits(model, batch).float()}

    def score(self, outputs: dict[str, np.ndarray], labels: np.ndarray | None) -> dict[str, float]:
        predicted = outputs["logits"].argmax(-1)
        return {"accuracy": metrics.accuracy(predicted, labels), "macro_f1": metrics.macro_f1(predicted, labels)}

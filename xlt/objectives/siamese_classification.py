"""Classification of a pair of sentences that are encoded apart: cross-entropy on features of their two vectors.

Reimers and Gurevych 2019, section 3.1 (u, v and |u - v|); Conneau et al. 2017 (InferSent), section 3.1, add the product. What the vectors of an
aligned encoder have in common across languages is their differences, so these carry over where a joint encoding needs depth.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from xlt.errors import ConfigError
from xlt.models.pooling import Pool, pool
from xlt.objectives import classification, sentence_pairs
from xlt.types import Batch, Labels, Rows
from xlt.vocabulary import Vocabulary

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
    higher_is_better: ClassVar[dict[str, bool]] = classification.HIGHER_IS_BETTER

    def __post_init__(self):
        if not self.features or len(set(self.features)) < len(self.features):
            raise ConfigError(
                f"objective.features: {[f.value for f in self.features]} must be one or more of {', '.join(f.value for f in Feature)}, each once"
            )
        classification.check_dropout(self.dropout)

    loss, loss_by_row = classification.loss, classification.loss_by_row
    predict, score, records = classification.predict, classification.score, classification.records
    statistics = classification.statistics
    row_length = sentence_pairs.row_length

    def texts(self, row: dict) -> tuple[str, ...]:
        if "text_pair" not in row:
            raise ConfigError(
                "objective: siamese_classification needs two texts in a row, but the data set's rows have one; map dataset.columns.text_pair or "
                "choose objective=sequence_classification"
            )
        return row["text"], row["text_pair"]

    def modules(self, width: int, labels: Labels | None) -> dict[str, nn.Module]:
        return classification.head(width * len(self.features), width, len(labels), self.hidden, self.dropout)

    def collate(self, rows: Rows, vocabulary: Vocabulary, max_length: int) -> Batch:
        batch = sentence_pairs.apart(rows, vocabulary, max_length, SIDES, of_pairs=False)
        return replace(batch, tensors={"labels": torch.from_numpy(rows.labels), **batch.tensors})

    def embed(self, model, batch: Batch, side: str) -> torch.Tensor:
        """vectors_BD of one side."""
        read = sentence_pairs.one_side(batch, side)
        vectors_BD = pool(model.hidden(read), read["attention_mask"], self.pool)
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

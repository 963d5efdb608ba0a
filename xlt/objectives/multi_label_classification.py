"""Any number of labels for a sentence or a pair of sentences (emotions): each by itself, by binary cross-entropy on one pooled vector."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from xlt import metrics
from xlt.errors import ConfigError
from xlt.models.pooling import Pool
from xlt.objectives import classification, losses, pooled
from xlt.types import Batch, Gold, Labels, Rows
from xlt.vocabulary import Vocabulary


class Score(StrEnum):
    """What may choose among checkpoints."""

    macro_f1 = "macro_f1"
    micro_f1 = "micro_f1"
    exact_match = "exact_match"


@dataclass(frozen=True, kw_only=True)
class MultiLabelClassification:
    """The loss of a row is the mean over the N labels. threshold: the probability at and above which a label is given; a row may get none.

    metric: the score that chooses among checkpoints. micro_f1: of the labels of all rows together. macro_f1: the mean over the labels that
    occur in gold or predictions; a label that does in neither has no F1 and is left out, as by scikit-learn with zero_division=nan. Both are 0 where
    there is nothing at all. exact_match: share of rows whose set of labels is right.
    """

    pair: bool
    pool: Pool
    hidden: bool
    dropout: float
    threshold: float
    metric: Score

    view: ClassVar[str] = "multilabel"
    head: ClassVar[str] = "encoder"
    separable: ClassVar[bool] = True
    closed: ClassVar[tuple[str, ...]] = ("labels",)
    annotation: ClassVar[str] = "labels"
    higher_is_better: ClassVar[dict[str, bool]] = {score.value: True for score in Score}

    def __post_init__(self):
        classification.check_dropout(self.dropout)
        if not 0 < self.threshold < 1:
            raise ConfigError(
                f"objective.threshold: {self.threshold} is not between 0 and 1; give the probability from which on a label is given"
            )

    loss = losses.loss
    texts, row_length = pooled.texts, pooled.row_length

    def annotate(self, row: dict, encodings: tuple) -> dict[str, list[str]]:
        """The labels."""
        return {"labels": row["labels"]}

    def modules(self, width: int, labels: Labels | None) -> dict[str, nn.Module]:
        return classification.head(width, width, len(labels), self.hidden, self.dropout)

    def collate(self, rows: Rows, vocabulary: Vocabulary, max_length: int) -> Batch:
        """labels: the numbers of all rows' labels, one after the other; row: whose."""
        each = rows.notes["labels"]
        row_M = np.repeat(np.arange(len(rows)), [len(labels) for labels in each])
        targets = {"labels": torch.from_numpy(np.concatenate(each).astype(np.int64)), "row": torch.from_numpy(row_M)}
        return pooled.batch(self, rows, targets, vocabulary, max_length)

    def loss_by_row(self, model, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        logits_BN = pooled.headed(self, model, batch)
        truth_BN = torch.zeros_like(logits_BN)
        truth_BN[batch["row"], batch["labels"]] = 1
        return losses.one_a_row(F.binary_cross_entropy_with_logits(logits_BN, truth_BN, reduction="none").mean(1))

    def predict(self, model, batch: Batch) -> dict[str, torch.Tensor]:
        """probabilities_BN."""
        return {"probabilities": pooled.headed(self, model, batch).sigmoid()}

    def statistics(self, outputs: dict[str, np.ndarray], gold: Gold) -> dict[str, np.ndarray | metrics.Sums]:
        given_RN = outputs["probabilities"] >= self.threshold
        truth_RN = np.zeros_like(given_RN)
        for i, labels in enumerate(gold.notes["labels"]):
            truth_RN[i, labels] = True
        return {
            "macro_f1": metrics.label_sums(given_RN, truth_RN),
            "micro_f1": metrics.micro_sums(given_RN, truth_RN),
            "exact_match": (given_RN == truth_RN).all(1),
        }

    def score(self, outputs: dict[str, np.ndarray], gold: Gold) -> dict[str, float]:
        return metrics.scores(self.statistics(outputs, gold))

    def records(self, outputs: dict[str, np.ndarray], gold: Gold) -> Iterator[dict]:
        """The labels of each row, those given, and the probability of each."""
        names = gold.names["labels"]
        for labels, p_N in zip(gold.notes["labels"], outputs["probabilities"], strict=True):
            each = {name: round(float(p), 6) for name, p in zip(names, p_N, strict=True)}
            given = [name for name, p in zip(names, p_N, strict=True) if p >= self.threshold]
            yield {"labels": sorted(names[i] for i in labels), "prediction": given, "probabilities": each}

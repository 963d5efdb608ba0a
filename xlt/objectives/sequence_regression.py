"""A number for a sentence or a pair of sentences (intensity, similarity), by squared error on one pooled vector."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from xlt import metrics
from xlt.models.pooling import Pool
from xlt.objectives import classification, losses, pooled
from xlt.types import Batch, Gold, Labels, Rows
from xlt.vocabulary import Vocabulary


@dataclass(frozen=True, kw_only=True)
class SequenceRegression:
    """The loss of a row is (prediction - score)^2, on the scale of the data, which should be of a few units (GLUE's STS-B has 0 to 5).

    pearson and spearman are 0 where all predictions, or all scores, are one number.
    """

    pair: bool
    pool: Pool
    hidden: bool
    dropout: float

    view: ClassVar[str] = "regression"
    head: ClassVar[str] = "encoder"
    separable: ClassVar[bool] = True
    closed: ClassVar[tuple[str, ...]] = ()
    annotation: ClassVar[str] = "score"
    metric: ClassVar[str] = "spearman"
    higher_is_better: ClassVar[dict[str, bool]] = {"spearman": True, "pearson": True, "mean_absolute_error": False}

    def __post_init__(self):
        classification.check_dropout(self.dropout)

    loss = losses.loss
    texts, row_length = pooled.texts, pooled.row_length

    def annotate(self, row: dict, encodings: tuple) -> dict[str, np.ndarray]:
        """The score."""
        return {"score": np.array([row["score"]])}

    def modules(self, width: int, labels: Labels | None) -> dict[str, nn.Module]:
        return classification.head(width, width, 1, self.hidden, self.dropout)

    def collate(self, rows: Rows, vocabulary: Vocabulary, max_length: int) -> Batch:
        scores_B = torch.from_numpy(np.concatenate(rows.notes["score"]))
        return pooled.batch(self, rows, {"scores": scores_B}, vocabulary, max_length)

    def loss_by_row(self, model, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        return losses.one_a_row((self.predict(model, batch)["score"] - batch["scores"]) ** 2)

    def predict(self, model, batch: Batch) -> dict[str, torch.Tensor]:
        """score_B."""
        return {"score": pooled.headed(self, model, batch)[:, 0]}

    def statistics(self, outputs: dict[str, np.ndarray], gold: Gold) -> dict[str, np.ndarray | metrics.Sums]:
        """All but spearman: a row's rank depends on the other rows."""
        scores_R = _scores(gold)
        return {
            "pearson": metrics.pearson_sums(outputs["score"], scores_R),
            "mean_absolute_error": np.abs(outputs["score"] - scores_R),
        }

    def score(self, outputs: dict[str, np.ndarray], gold: Gold) -> dict[str, float]:
        found = metrics.scores(self.statistics(outputs, gold))
        return {"spearman": metrics.spearman(outputs["score"], _scores(gold)), **found}

    def records(self, outputs: dict[str, np.ndarray], gold: Gold) -> Iterator[dict]:
        """The score of each row, and the one predicted."""
        for score, said in zip(_scores(gold), outputs["score"], strict=True):
            yield {"score": round(float(score), 6), "prediction": round(float(said), 6)}


def _scores(gold: Gold) -> np.ndarray:
    """float64 (R,)."""
    return np.concatenate([np.empty(0), *gold.notes["score"]])

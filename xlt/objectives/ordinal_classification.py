"""One label of an ordered set for a sentence or a pair of sentences (negative, neutral, positive; grades of relevance), on one pooled vector.

CORN (Shi, Cao and Raschka 2021, Deep Neural Networks for Rank-Consistent Ordinal Regression Based On Conditional Probabilities, section 3): of K labels
in their order, K-1 outputs say how probable it is that a row is above the k-th if it is not below it, so the probabilities to be above one label after
the other never rise, and those of the labels sum to 1. The CORAL of Cao et al. 2020 shares all weights but K-1 biases, which a fine-tuning's small
steps hardly move; and `xlt.objectives.coral` is something else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
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


@dataclass(frozen=True, kw_only=True)
class OrdinalClassification:
    """The loss of a row is -log p(its label): the sum of CORN's binary losses that the row has a part in. (The paper divides by their number, xlt by rows.)

    The label predicted is the highest that the row is more likely than not to reach. mean_absolute_error: in places of the order. spearman: of the places
    predicted and true, 0 where one side is all alike. ranking: rows in a row with one `text` are the candidates of a query, ranked by their expected
    place; ndcg as XGLUE scores web pages (Liang et al. 2020; microsoft/XGLUE evaluation/xglue_evaluate.py): gain is the place (0 for the lowest label),
    mean over the queries that have several rows.
    """

    pair: bool
    ranking: bool
    pool: Pool
    hidden: bool
    dropout: float

    view: ClassVar[str] = "classification"
    head: ClassVar[str] = "encoder"
    separable: ClassVar[bool] = True
    ordered: ClassVar[bool] = True

    def __post_init__(self):
        classification.check_dropout(self.dropout)

    @property
    def metric(self) -> str:
        """ndcg of a ranking."""
        return "ndcg" if self.ranking else "spearman"

    @property
    def higher_is_better(self) -> dict[str, bool]:
        """Of all scores."""
        rest = {"spearman": True, "mean_absolute_error": False}
        return ({"ndcg": True} if self.ranking else {}) | classification.HIGHER_IS_BETTER | rest

    loss = losses.loss
    texts, row_length = pooled.texts, pooled.row_length

    def modules(self, width: int, labels: Labels | None) -> dict[str, nn.Module]:
        if len(labels) < 2:
            raise ConfigError(f"dataset.label_names: {', '.join(labels)} has no order; give two labels or more")
        return classification.head(width, width, len(labels) - 1, self.hidden, self.dropout)

    def collate(self, rows: Rows, vocabulary: Vocabulary, max_length: int) -> Batch:
        return pooled.batch(self, rows, {"labels": torch.from_numpy(rows.labels)}, vocabulary, max_length)

    def loss_by_row(self, model, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        logits_BS, labels_B1 = pooled.headed(self, model, batch), batch["labels"][:, None]
        steps_S = torch.arange(logits_BS.shape[1], device=logits_BS.device)
        above_BS = (steps_S < labels_B1).float()
        losses_BS = F.binary_cross_entropy_with_logits(logits_BS, above_BS, reduction="none")
        return losses.one_a_row((losses_BS * (steps_S <= labels_B1)).sum(1))

    def predict(self, model, batch: Batch) -> dict[str, torch.Tensor]:
        """above_BS: the probability of a label above the first, above the second, ..., S = N-1."""
        return {"above": pooled.headed(self, model, batch).sigmoid().cumprod(1)}

    def statistics(self, outputs: dict[str, np.ndarray], gold: Gold) -> dict[str, np.ndarray | metrics.Sums]:
        predicted, n = _places(outputs), outputs["above"].shape[1] + 1
        ranked = {"ndcg": self._ndcg(outputs, gold)} if self.ranking else {}
        return {
            **ranked,
            "accuracy": predicted == gold.labels,
            "macro_f1": metrics.class_sums(predicted, gold.labels, n),
            "spearman": metrics.place_sums(predicted, gold.labels, n),
            "mean_absolute_error": np.abs(predicted - gold.labels),
        }

    def score(self, outputs: dict[str, np.ndarray], gold: Gold) -> dict[str, float]:
        return metrics.scores(self.statistics(outputs, gold))

    def records(self, outputs: dict[str, np.ndarray], gold: Gold) -> Iterator[dict]:
        """The label of each row, the one predicted, the expected place, and the probability of each label."""
        names = gold.names["label"]
        for label, place, above_S in zip(gold.labels, _places(outputs), outputs["above"], strict=True):
            p_N = -np.diff(above_S, prepend=1, append=0)
            each = {name: round(float(p), 6) for name, p in zip(names, p_N, strict=True)}
            expected = round(float(above_S.sum()), 6)
            yield {"label": names[label], "prediction": names[place], "expected": expected, "probabilities": each}

    def _ndcg(self, outputs: dict[str, np.ndarray], gold: Gold) -> metrics.Sums:
        """A query counts with its first row, so that a resample of the rows draws queries."""
        queries = [row["text"] for row in gold.rows]
        first = [i for i, query in enumerate(queries) if i == 0 or query != queries[i - 1]]
        expected_R, each = outputs["above"].sum(1), np.zeros((len(queries), 2))
        for start, stop in zip(first, [*first[1:], len(queries)], strict=True):
            if stop - start > 1:
                each[start] = metrics.graded_ndcg(expected_R[start:stop], gold.labels[start:stop]), 1
        return metrics.Sums(each, "ratio")


def _places(outputs: dict[str, np.ndarray]) -> np.ndarray:
    """int64 (R,): the place of the label predicted."""
    return (outputs["above"] > 0.5).sum(1)

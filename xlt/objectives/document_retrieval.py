"""Cross-lingual document retrieval: a query in one language finds its documents among all documents of another.

Query and document are encoded apart by one encoder and compared by cosine; it learns from the other documents of its batch (DPR, Karpukhin et al. 2020, section
3.2, which has an encoder for each side). A language is one by itself, or a pair QUERIES-DOCUMENTS. Scores any encoder as it is, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from xlt import metrics
from xlt.models.pooling import Pool
from xlt.objectives import plain_text, ranking
from xlt.types import Batch, Gold, Rows
from xlt.vocabulary import Vocabulary, model_inputs


@dataclass(frozen=True, kw_only=True)
class DocumentRetrieval:
    """depth: documents found for a query; what lies deeper counts as not found. recall_at: the ranks at which recall is measured. layer null: the last.

    Of a document longer than the model reads, its beginning is read.
    """

    temperature: float
    pool: Pool
    layer: int | None
    depth: int
    recall_at: list[int]

    view: ClassVar[str] = "retrieval"
    head: ClassVar[str] = "encoder"
    separable: ClassVar[bool] = False
    caches_gradients: ClassVar[bool] = True
    closed: ClassVar[tuple[str, ...]] = ()
    scores_any: ClassVar[bool] = True
    annotation: ClassVar[str] = ranking.ANNOTATION
    metric: ClassVar[str] = "ndcg_at_10"

    __post_init__ = ranking.check
    higher_is_better = property(ranking.higher_is_better)
    modules = plain_text.modules
    loss, loss_by_row, predict = ranking.loss, ranking.loss_by_row, ranking.predict

    def texts(self, row: dict) -> tuple[str | tuple[str, ...], ...]:
        """The query, and its documents; those that are not its own come last."""
        return row["query"], (*row["positives"], *row.get("candidates", []))

    def annotate(self, row: dict, encodings: tuple) -> dict[str, np.ndarray]:
        """Where each document begins, what it says, and how many are right."""
        says = ranking.identities(self.texts(row)[1])
        return {
            "document_begins": encodings[1].word_starts(),
            "document_says": says,
            "right": np.array([len(row["positives"])]),
        }

    def row_length(self, lengths: np.ndarray, vocabulary: Vocabulary, max_length: int) -> np.ndarray:
        """As if there were one document and it were read whole: how many there are is not known here."""
        return np.minimum(lengths[:, 0] + vocabulary.overhead(1), max_length) + lengths[:, 1] + vocabulary.overhead(1)

    def collate(self, rows: Rows, vocabulary: Vocabulary, max_length: int) -> Batch:
        tensors, tokens = ranking.documents(rows, 1, vocabulary, max_length)
        ids_BL, lengths_B = vocabulary.pad_rows([vocabulary.join((ids,), max_length) for ids in rows.segments[0]])
        asking = model_inputs(ids_BL, lengths_B) | vocabulary.language_input(rows.languages, 0)
        tensors |= {f"query_{name}": value for name, value in asking.items()}
        return Batch(tensors, count=len(rows), tokens=tokens + int(lengths_B.sum()), rows=len(rows))

    def asking(self, model, batch: Batch) -> torch.Tensor:
        """vectors_BD of the queries."""
        return ranking.unit_vectors(self, model, batch, "query")

    def statistics(self, outputs: dict, gold: Gold) -> dict[str, np.ndarray]:
        return ranking.statistics_of(self, ranking.find(self, outputs, gold))

    def score(self, outputs: dict, gold: Gold) -> dict[str, float]:
        return metrics.scores(self.statistics(outputs, gold))

    def records(self, outputs: dict, gold: Gold) -> Iterator[dict]:
        """The query, the rank of its first document, and what was found instead."""
        for row, shown in zip(gold.rows, ranking.shown(self, ranking.find(self, outputs, gold), gold), strict=True):
            yield {"query": row["query"], **shown}

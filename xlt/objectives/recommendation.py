"""Recommendation: which item a reader (or a customer) takes next, from the texts of those taken before; in a market whose items are in another language.

Items are known by their texts alone, so a market that was never trained on can be served (UniSRec, Hou et al. 2022; Recformer, Li et al. 2023): one encoder reads
items, the history becomes a vector, and the next item is ranked among all items of the market by cosine. It learns from the other items of its batch.
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
from xlt.errors import BadRow, ConfigError
from xlt.models.history import History, HistoryAttention, mean
from xlt.models.pooling import Pool
from xlt.objectives import ranking
from xlt.objectives.classification import check_dropout
from xlt.types import Batch, Gold, Labels, Rows
from xlt.vocabulary import Vocabulary


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """history: how the items taken become a vector; history_length: the newest ones that count. heads, dropout: of attention. layer null: the last.

    repeats: whether an item of the history may be recommended again. depth: items found; recall_at: the ranks at which recall is measured.
    """

    history: History
    history_length: int
    heads: int
    dropout: float
    temperature: float
    pool: Pool
    layer: int | None
    repeats: bool
    depth: int
    recall_at: list[int]

    view: ClassVar[str] = "recommendation"
    head: ClassVar[str] = "encoder"
    separable: ClassVar[bool] = False
    caches_gradients: ClassVar[bool] = True
    closed: ClassVar[tuple[str, ...]] = ()
    metric: ClassVar[str] = "ndcg_at_10"

    def __post_init__(self):
        ranking.check(self)
        check_dropout(self.dropout)
        problems = [
            f"objective.{name}: {getattr(self, name)} is below 1"
            for name in ("history_length", "heads")
            if getattr(self, name) < 1
        ]
        if problems:
            raise ConfigError(problems)

    higher_is_better = property(ranking.higher_is_better)
    loss, loss_by_row, predict = ranking.loss, ranking.loss_by_row, ranking.predict

    @property
    def scores_any(self) -> bool:
        """A mean has nothing to learn."""
        return self.history is History.mean

    @property
    def annotation(self) -> str:
        """Notes are of the items that count."""
        return f"{ranking.ANNOTATION}, {self.history_length} of the history"

    def texts(self, row: dict) -> tuple[tuple[str, ...], ...]:
        """The newest items of the history, and the next one before others of the market."""
        if not all(isinstance(text, str) for text in (*row["history"], row["next"])):
            raise BadRow(
                "history or next is a number where a text is expected; give the catalogue, too: dataset=recommendation_files"
            )
        return tuple(row["history"][-self.history_length :]), (row["next"], *row.get("candidates", []))

    def modules(self, width: int, labels: Labels | None) -> dict[str, nn.Module]:
        if self.history is History.mean:
            return {}
        if width % self.heads:
            raise ConfigError(
                f"objective.heads: {self.heads} does not divide the model's width {width}; give a number that does"
            )
        return {"history": HistoryAttention(width, self.heads, self.history_length, self.dropout)}

    def annotate(self, row: dict, encodings: tuple) -> dict[str, np.ndarray]:
        """Where each item begins and what it says."""
        notes: dict[str, np.ndarray] = {"right": np.array([1])}
        for name, texts, encoding in zip(("history", "document"), self.texts(row), encodings, strict=True):
            notes |= {f"{name}_begins": encoding.word_starts(), f"{name}_says": ranking.identities(texts)}
        return notes

    def row_length(self, lengths: np.ndarray, vocabulary: Vocabulary, max_length: int) -> np.ndarray:
        """As if each side were one text that is read whole: how many items there are is not known here."""
        return lengths.sum(1) + 2 * vocabulary.overhead(1)

    def collate(self, rows: Rows, vocabulary: Vocabulary, max_length: int) -> Batch:
        tensors, tokens = ranking.documents(rows, 1, vocabulary, max_length)
        texts = ranking.different(rows, 0, "history", 0, vocabulary, max_length)
        inputs, more = ranking.read(texts, "history", vocabulary)
        counts_B = np.bincount(texts.row_T, minlength=len(rows))
        place_T = np.arange(len(texts.of_T)) - np.repeat(counts_B.cumsum(), counts_B) + counts_B.max()  # right-aligned
        items_BH = np.full((len(rows), counts_B.max()), -1)
        items_BH[texts.row_T, place_T] = texts.of_T
        tensors |= inputs | {"history_items": torch.from_numpy(items_BH)}
        return Batch(tensors, count=len(rows), tokens=tokens + more, rows=len(rows))

    def asking(self, model, batch: Batch) -> torch.Tensor:
        """vectors_BD of what each reader wants."""
        vectors_UD, items_BH = ranking.unit_vectors(self, model, batch, "history"), batch["history_items"]
        mask_BH = (items_BH >= 0).long()
        items_BHD = vectors_UD[items_BH.clamp_min(0)]
        want = mean if self.history is History.mean else model.heads["history"]
        return F.normalize(want(items_BHD, mask_BH).float(), dim=-1)

    def statistics(self, outputs: dict, gold: Gold) -> dict[str, np.ndarray]:
        return ranking.statistics_of(self, self._found(outputs, gold))

    def score(self, outputs: dict, gold: Gold) -> dict[str, float]:
        return metrics.scores(self.statistics(outputs, gold))

    def records(self, outputs: dict, gold: Gold) -> Iterator[dict]:
        """History and next item, its rank, and what was found instead."""
        for row, shown in zip(gold.rows, ranking.shown(self, self._found(outputs, gold), gold), strict=True):
            yield {"history": list(self.texts(row)[0]), "next": row["next"], **shown}

    def _found(self, outputs: dict, gold: Gold) -> ranking.Found:
        had = None if self.repeats else [gold.notes["history_says"][i] for i in range(gold.size)]
        return ranking.find(self, outputs, gold, had)

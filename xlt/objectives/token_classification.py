"""One label a word (named entities, parts of speech, slots), read off its first sub-word (Devlin et al. 2019, section 5.3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from operator import eq
from typing import ClassVar

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from xlt import metrics
from xlt.objectives import classification, losses, tagging, windows
from xlt.objectives.tagging import Scheme
from xlt.types import Batch, Gold, Labels, Rows
from xlt.vocabulary import Vocabulary

OURS = ("tags", "where", "row")


@dataclass(frozen=True, kw_only=True)
class TokenClassification:
    """The loss is the cross-entropy of each word's tag. overlap: share of a window that the next one has, too, on a long sentence (see `xlt.objectives.windows`).

    repair: read a stray I-X as conlleval does, instead of refusing the row.
    """

    scheme: Scheme
    repair: bool
    overlap: float
    dropout: float

    view: ClassVar[str] = "tagging"
    head: ClassVar[str] = "encoder"
    separable: ClassVar[bool] = True
    closed: ClassVar[tuple[str, ...]] = ("tags",)

    def __post_init__(self):
        classification.check_dropout(self.dropout)
        windows.check_overlap(self.overlap)

    @property
    def metric(self) -> str:
        """Of spans F1, else accuracy."""
        return "f1" if self.scheme is Scheme.bio else "accuracy"

    @property
    def higher_is_better(self) -> dict[str, bool]:
        """Of all scores."""
        return ({**tagging.SPANS} if self.scheme is Scheme.bio else {}) | {"accuracy": True}

    loss = losses.loss
    texts, annotate, row_length = tagging.texts, tagging.annotate, tagging.row_length
    annotation = property(tagging.annotation)

    def modules(self, width: int, labels: Labels | None) -> dict[str, nn.Module]:
        return {"tagger": nn.Sequential(nn.Dropout(self.dropout), nn.Linear(width, len(labels)))}

    def collate(self, rows: Rows, vocabulary: Vocabulary, max_length: int) -> Batch:
        cut = windows.cut(rows, rows.notes["starts"], vocabulary, max_length, self.overlap)
        tags_M = torch.from_numpy(np.concatenate(rows.notes["tags"]).astype(np.int64))
        tensors = {**cut.tensors, "tags": tags_M, "where": cut.where_M, "row": cut.row_M}
        return Batch(tensors, count=len(tags_M), tokens=cut.tokens, rows=len(rows))

    def logits(self, model, batch: Batch) -> torch.Tensor:
        """logits_MN of the words."""
        hidden_WLD = model.hidden({k: v for k, v in batch.tensors.items() if k not in OURS})
        return model.heads["tagger"](hidden_WLD.flatten(0, 1)[batch["where"]]).float()

    def loss_by_row(self, model, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        losses_M = F.cross_entropy(self.logits(model, batch), batch["tags"], reduction="none")
        each = [losses.by_row(v, batch["row"], batch.rows) for v in (losses_M.detach(), torch.ones_like(losses_M))]
        return losses_M.sum(), torch.stack(each, 1)

    def predict(self, model, batch: Batch) -> dict[str, list[torch.Tensor]]:
        """logits: (words, N) of each row."""
        return {"logits": tagging.per_row(self.logits(model, batch).cpu(), batch["row"].cpu(), batch.rows)}

    def statistics(self, outputs: dict[str, list[np.ndarray]], gold: Gold) -> dict[str, metrics.Sums]:
        """accuracy: of all words alike, whichever row they are in."""
        guesses, truths = tagging.predicted(outputs["logits"], gold)
        spans = tagging.span_sums(guesses, truths) if self.scheme is Scheme.bio else {}
        right_R2 = [(sum(map(eq, *tags)), len(tags[0])) for tags in zip(guesses, truths, strict=True)]
        return {**spans, "accuracy": metrics.Sums(np.array(right_R2), "ratio")}

    def score(self, outputs: dict[str, list[np.ndarray]], gold: Gold) -> dict[str, float]:
        return metrics.scores(self.statistics(outputs, gold))

    def records(self, outputs: dict[str, list[np.ndarray]], gold: Gold) -> Iterator[dict]:
        """The words of each row, their tags, those predicted, and the probability of these."""
        guesses, truths = tagging.predicted(outputs["logits"], gold)
        for row, logits_MN, guess, truth in zip(gold.rows, outputs["logits"], guesses, truths, strict=True):
            surest = [round(float(p), 6) for p in classification.probabilities(logits_MN).max(-1)]
            yield {"tokens": row["tokens"], "tags": truth, "prediction": guess, "probabilities": surest}

"""What an utterance asks for and with which details: one intent a row from its first token, one slot tag a word from its first sub-word.

Chen, Zhuo and Wang 2019 (BERT for joint intent classification and slot filling, section 3.2); for transfer, van der Goot et al. 2021 (xSID).
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
from xlt.models.pooling import Pool, pool
from xlt.objectives import classification, losses, tagging, windows
from xlt.types import Batch, Gold, Labels, Rows
from xlt.vocabulary import Vocabulary

OURS = ("intents", "tags", "where", "row", "first")


@dataclass(frozen=True, kw_only=True)
class JointIntentSlots:
    """L = sum over rows of CE(intent) + slot_weight * mean over the row's words of CE(slot). Of a row in several windows, the first says the intent."""

    slot_weight: float
    repair: bool
    overlap: float
    pool: Pool
    dropout: float

    view: ClassVar[str] = "tagging"
    head: ClassVar[str] = "encoder"
    scheme: ClassVar[tagging.Scheme] = tagging.Scheme.bio
    separable: ClassVar[bool] = True
    closed: ClassVar[tuple[str, ...]] = ("tags", "label")
    metric: ClassVar[str] = "exact_match"
    higher_is_better: ClassVar[dict[str, bool]] = {"exact_match": True, "intent_accuracy": True} | {
        f"slot_{name}": True for name in tagging.SPANS
    }

    def __post_init__(self):
        classification.check_dropout(self.dropout)
        windows.check_overlap(self.overlap)
        if self.slot_weight <= 0:
            raise ConfigError(
                f"objective.slot_weight: {self.slot_weight} is not above 0; for intents alone take objective=sequence_classification"
            )

    loss = losses.loss
    texts, row_length = tagging.texts, tagging.row_length
    annotation = property(tagging.annotation)

    def annotate(self, row: dict, encodings: tuple) -> dict[str, np.ndarray | list[str]]:
        if "label" not in row:
            raise BadRow("it has no label, which is the intent; map dataset.columns.label to the column that holds it")
        return tagging.annotate(self, row, encodings)

    def modules(self, width: int, labels: Labels | None) -> dict[str, nn.Module]:
        sizes = {"intent": len(labels["label"]), "slots": len(labels["tags"])}
        return {name: nn.Sequential(nn.Dropout(self.dropout), nn.Linear(width, n)) for name, n in sizes.items()}

    def collate(self, rows: Rows, vocabulary: Vocabulary, max_length: int) -> Batch:
        cut = windows.cut(rows, rows.notes["starts"], vocabulary, max_length, self.overlap)
        tensors = {**cut.tensors, "where": cut.where_M, "row": cut.row_M, "first": cut.first_B}
        tensors["tags"] = torch.from_numpy(np.concatenate(rows.notes["tags"]).astype(np.int64))
        tensors["intents"] = torch.from_numpy(rows.labels)
        return Batch(tensors, count=len(rows), tokens=cut.tokens, rows=len(rows))

    def logits(self, model, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """(intents_BN, slots_MN)."""
        hidden_WLD = model.hidden({k: v for k, v in batch.tensors.items() if k not in OURS})
        mask_WL, first_B = batch["attention_mask"], batch["first"]
        pooled_BD = pool(hidden_WLD[first_B], None if mask_WL is None else mask_WL[first_B], self.pool)
        words_MD = hidden_WLD.flatten(0, 1)[batch["where"]]
        return model.heads["intent"](pooled_BD).float(), model.heads["slots"](words_MD).float()

    def loss_by_row(self, model, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        intents_BN, slots_MN = self.logits(model, batch)
        slots_M = F.cross_entropy(slots_MN, batch["tags"], reduction="none")
        sums_B, words_B = (losses.by_row(v, batch["row"], batch.rows) for v in (slots_M, torch.ones_like(slots_M)))
        intents_B = F.cross_entropy(intents_BN, batch["intents"], reduction="none")
        return losses.one_a_row(intents_B + self.slot_weight * sums_B / words_B)

    def predict(self, model, batch: Batch) -> dict[str, torch.Tensor | list[torch.Tensor]]:
        """intents: (N,) of each row; slots: (words, N) of each row."""
        intents_BN, slots_MN = self.logits(model, batch)
        return {"intents": intents_BN, "slots": tagging.per_row(slots_MN.cpu(), batch["row"].cpu(), batch.rows)}

    def statistics(
        self, outputs: dict[str, np.ndarray | list[np.ndarray]], gold: Gold
    ) -> dict[str, np.ndarray | metrics.Sums]:
        """exact_match: share of utterances whose intent and slots are all right."""
        guesses, truths = tagging.predicted(outputs["slots"], gold)
        right_R = outputs["intents"].argmax(-1) == gold.labels
        framed_R = right_R & np.array([guess == truth for guess, truth in zip(guesses, truths, strict=True)])
        spans = {f"slot_{name}": sums for name, sums in tagging.span_sums(guesses, truths).items()}
        return {"exact_match": framed_R, "intent_accuracy": right_R, **spans}

    def score(self, outputs: dict[str, np.ndarray | list[np.ndarray]], gold: Gold) -> dict[str, float]:
        return metrics.scores(self.statistics(outputs, gold))

    def records(self, outputs: dict[str, np.ndarray | list[np.ndarray]], gold: Gold) -> Iterator[dict]:
        """Intent and slots of each row, gold and predicted, and the probability of the intent."""
        intents, sure_RN = gold.names["label"], classification.probabilities(outputs["intents"])
        guesses, truths = tagging.predicted(outputs["slots"], gold)
        for i, (row, guess, truth) in enumerate(zip(gold.rows, guesses, truths, strict=True)):
            said = {"label": intents[sure_RN[i].argmax()], "tags": guess}
            gold_frame = {"label": intents[gold.labels[i]], "tags": truth}
            yield {
                "tokens": row["tokens"],
                **gold_frame,
                "prediction": said,
                "probability": round(float(sure_RN[i].max()), 6),
            }

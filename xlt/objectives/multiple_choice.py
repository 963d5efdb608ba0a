"""Which of several texts goes best with a premise (COPA, XCOPA, Social IQa): each is read with it as a pair and gets one score; softmax over a row's choices.

As transformers' models for multiple choice do, by which XTREME-R scores XCOPA (google-research/xtreme third_party/run_xcopa.py): what is read is "PREMISE QUESTION"
and a choice. COPA's question is a word, "cause" or "effect"; there it becomes "What was the cause?", in English whatever the language, and so here by `questions`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from xlt import metrics
from xlt.models.pooling import Pool, pool
from xlt.objectives import classification, losses
from xlt.types import Batch, Gold, Labels, Rows
from xlt.vocabulary import Vocabulary, model_inputs

OURS = ("choices", "right")


@dataclass(frozen=True, kw_only=True)
class MultipleChoice:
    """questions: what a question that is one of these words says. hidden: a tanh layer before the score. Of a pair that is too long the longer text is cut."""

    questions: dict[str, str]
    pool: Pool
    hidden: bool
    dropout: float

    view: ClassVar[str] = "multiple_choice"
    head: ClassVar[str] = "encoder"
    separable: ClassVar[bool] = True
    closed: ClassVar[tuple[str, ...]] = ()
    metric: ClassVar[str] = "accuracy"
    higher_is_better: ClassVar[dict[str, bool]] = {"accuracy": True}

    def __post_init__(self):
        classification.check_dropout(self.dropout)

    loss = losses.loss

    @property
    def annotation(self) -> str:
        """Notes are of the choices; what a question says is not seen in every row."""
        return f"choices 1 {json.dumps(dict(self.questions), sort_keys=True)}"

    def texts(self, row: dict) -> tuple[str | tuple[str, ...], ...]:
        """Premise and question, and all choices."""
        asked = [self.questions.get(row["question"], row["question"])] if "question" in row else []
        return " ".join([row["premise"], *asked]), tuple(row["choices"])

    def annotate(self, row: dict, encodings: tuple) -> dict[str, np.ndarray]:
        """Where each choice begins, and which is right."""
        return {"begins": encodings[1].word_starts(), "right": np.array([row["label"]])}

    def modules(self, width: int, labels: Labels | None) -> dict[str, nn.Module]:
        made = classification.head(width, width, 1, self.hidden, self.dropout)
        # added to every choice it would say nothing, and its gradient would be rounding
        made["classifier"][-1].bias = None
        return made

    def row_length(self, lengths: np.ndarray, vocabulary: Vocabulary, max_length: int) -> np.ndarray:
        """As if there were two choices of one length: how many there are is not known here."""
        return 2 * np.minimum(lengths[:, 0] + -(-lengths[:, 1] // 2) + vocabulary.overhead(2), max_length)

    def collate(self, rows: Rows, vocabulary: Vocabulary, max_length: int) -> Batch:
        each = [np.split(ids, begins[1:]) for ids, begins in zip(rows.segments[1], rows.notes["begins"], strict=True)]
        counts_B = np.array([len(choices) for choices in each])
        row_C = np.repeat(np.arange(len(rows)), counts_B)
        pairs = [
            vocabulary.cut((premise, choice), max_length)
            for premise, choices in zip(rows.segments[0], each, strict=True)
            for choice in choices
        ]
        ids_CL, lengths_C = vocabulary.pad_rows([vocabulary.join(pair, max_length) for pair in pairs])
        first_C = np.array([len(vocabulary.prefix) + len(premise) + len(vocabulary.between) for premise, _ in pairs])
        tensors = model_inputs(ids_CL, lengths_C) | vocabulary.second_text(first_C, lengths_C, ids_CL.shape[1])
        tensors |= vocabulary.language_input([rows.languages[i] for i in row_C.tolist()])
        choices_BN = np.full((len(rows), counts_B.max()), -1)
        choices_BN[np.arange(counts_B.max()) < counts_B[:, None]] = np.arange(len(pairs))
        tensors["choices"] = torch.from_numpy(choices_BN)
        tensors["right"] = torch.from_numpy(np.concatenate(rows.notes["right"]).astype(np.int64))
        return Batch(tensors, count=len(rows), tokens=int(lengths_C.sum()), rows=len(rows))

    def logits(self, model, batch: Batch) -> torch.Tensor:
        """logits_BN, -inf where a row has fewer choices."""
        hidden_CLD = model.hidden({k: v for k, v in batch.tensors.items() if k not in OURS})
        pooled_CD = pool(hidden_CLD, batch["attention_mask"], self.pool)
        scores_C = model.heads["classifier"](pooled_CD).squeeze(-1).float()
        return scores_C[batch["choices"].clamp_min(0)].masked_fill(batch["choices"] < 0, -torch.inf)

    def loss_by_row(self, model, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Cross-entropy."""
        return losses.one_a_row(F.cross_entropy(self.logits(model, batch), batch["right"], reduction="none"))

    def predict(self, model, batch: Batch) -> dict[str, list[torch.Tensor]]:
        """logits: (choices,) of each row."""
        logits_BN, counts_B = self.logits(model, batch), (batch["choices"] >= 0).sum(1).tolist()
        return {"logits": [logits_N[:count] for logits_N, count in zip(logits_BN.cpu(), counts_B, strict=True)]}

    def statistics(self, outputs: dict[str, list[np.ndarray]], gold: Gold) -> dict[str, np.ndarray]:
        """Whether the most probable choice is right; the first of equals counts."""
        guesses_R = np.array([logits_N.argmax() for logits_N in outputs["logits"]])
        return {"accuracy": guesses_R == _right(gold)}

    def score(self, outputs: dict[str, list[np.ndarray]], gold: Gold) -> dict[str, float]:
        return metrics.scores(self.statistics(outputs, gold))

    def records(self, outputs: dict[str, list[np.ndarray]], gold: Gold) -> Iterator[dict]:
        """Premise, question and choices of each row, the number (from 0) of the right one and of the one predicted, and the probability of each."""
        for row, logits_N, right in zip(gold.rows, outputs["logits"], _right(gold).tolist(), strict=True):
            p_N = classification.probabilities(logits_N)
            asked = {name: row[name] for name in ("premise", "question", "choices") if name in row}
            each = [round(float(p), 6) for p in p_N]
            yield {**asked, "label": right, "prediction": int(p_N.argmax()), "probabilities": each}


def _right(gold: Gold) -> np.ndarray:
    """int64 (R,): the number of each row's right choice."""
    return np.array([int(gold.notes["right"][i][0]) for i in range(gold.size)])

"""What objectives that give a row one of N labels do alike: the head, its loss and its scores. No objective of its own.

They take these functions as their methods; what differs, the features that the head reads, is in each one's `logits(model, batch)`. The head is
that of RoBERTa's fine-tuning (Liu et al. 2019; dropout, dense, tanh, dropout, projection); without a hidden layer it is a projection only.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from xlt import metrics
from xlt.errors import ConfigError
from xlt.objectives.losses import loss, one_a_row  # noqa: F401  a method, too
from xlt.types import Batch, Gold

HIGHER_IS_BETTER = {"accuracy": True, "macro_f1": True}


def check_dropout(dropout: float) -> None:
    """ConfigError if it is no rate."""
    if not 0 <= dropout < 1:
        raise ConfigError(f"objective.dropout: {dropout} is not in [0, 1)")


def head(size: int, width: int, outputs: int, hidden: bool, dropout: float) -> dict[str, nn.Module]:
    """The classifier on features of `size`; its hidden layer, where it has one, has `width`."""
    dense = [nn.Dropout(dropout), nn.Linear(size, width), nn.Tanh()] if hidden else []
    last = nn.Linear(width if hidden else size, outputs)
    return {"classifier": nn.Sequential(*dense, nn.Dropout(dropout), last)}


def loss_by_row(self, model, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy."""
    return one_a_row(F.cross_entropy(self.logits(model, batch).float(), batch["labels"], reduction="none"))


def predict(self, model, batch: Batch) -> dict[str, torch.Tensor]:
    """logits_BN in fp32."""
    return {"logits": self.logits(model, batch).float()}


def score(self, outputs: dict[str, np.ndarray], gold: Gold) -> dict[str, float]:
    """Of the most probable labels."""
    predicted = outputs["logits"].argmax(-1)
    return {"accuracy": metrics.accuracy(predicted, gold.labels), "macro_f1": metrics.macro_f1(predicted, gold.labels)}


def statistics(self, outputs: dict[str, np.ndarray], gold: Gold) -> dict[str, np.ndarray | metrics.Sums]:
    """The same by rows."""
    predicted = outputs["logits"].argmax(-1)
    classes = metrics.class_sums(predicted, gold.labels, outputs["logits"].shape[-1])
    return {"accuracy": predicted == gold.labels, "macro_f1": classes}


def records(self, outputs: dict[str, np.ndarray], gold: Gold) -> Iterator[dict]:
    """The label of each row, the one predicted, and the probability of each."""
    names = gold.names["label"]
    for label, p in zip(gold.labels, probabilities(outputs["logits"]), strict=True):
        each = {name: round(float(x), 6) for name, x in zip(names, p, strict=True)}
        yield {"label": names[label], "prediction": names[int(p.argmax())], "probabilities": each}


def probabilities(logits_RN: np.ndarray) -> np.ndarray:
    """Softmax."""
    shifted_RN = np.exp(logits_RN - logits_RN.max(-1, keepdims=True))
    return shifted_RN / shifted_RN.sum(-1, keepdims=True)

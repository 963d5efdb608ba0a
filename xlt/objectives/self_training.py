"""A fine-tuned classifier learns from unlabelled text of other languages: what it is sure of becomes the label (self-training).

Scudder 1965 and Lee 2013; across languages, Dong and de Melo 2019. The labels are those of the classifier as it was when the run began, so a
resumed run has the same ones; for another round, run it again on what it made. No label of a target language is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch.nn import functional as F

from xlt import metrics
from xlt.errors import ConfigError
from xlt.objectives import plain_text
from xlt.objectives.losses import loss, one_a_row
from xlt.types import Batch, Gold, Rows
from xlt.vocabulary import Vocabulary, model_inputs


@dataclass(frozen=True, kw_only=True)
class SelfTraining:
    """-w_k log p_k of rows whose label k the teacher gives at least `threshold`, 0 of the others. balance: w_k makes the rows kept of each label weigh
    the same over all the training text (as Zou et al. 2018, section 4.2, choose equally of each class); else it is 1."""

    threshold: float
    balance: bool

    view: ClassVar[str] = "text"
    head: ClassVar[str] = "encoder"
    separable: ClassVar[bool] = True
    continues_task: ClassVar[bool] = True
    metric: ClassVar[str] = "agreement"
    higher_is_better: ClassVar[dict[str, bool]] = {"agreement": True, "loss": False, "kept": True}

    def __post_init__(self):
        if not 0 <= self.threshold <= 1:
            raise ConfigError(f"objective.threshold: {self.threshold} is not in [0, 1]; 0.9 is usual, 0 keeps all rows")

    texts, modules, row_length = plain_text.texts, plain_text.modules, plain_text.row_length
    loss = loss

    def collate(self, rows: Rows, vocabulary: Vocabulary, max_length: int) -> Batch:
        ids_BL, lengths_B = vocabulary.pad_rows([vocabulary.join((ids,), max_length) for ids in rows.segments[0]])
        tensors = model_inputs(ids_BL, lengths_B) | vocabulary.language_input(rows.languages)
        return Batch(tensors, count=len(rows), tokens=int(lengths_B.sum()), rows=len(rows))

    def said(self, model, batch: Batch) -> dict[str, torch.Tensor]:
        """What the teacher says of each row: its label, and the probability of that."""
        teacher = model.teacher
        with torch.no_grad():
            sure_B, label_B = teacher.classifier.logits(teacher.model, batch).float().softmax(-1).max(-1)
        return {"sure": sure_B, "label": label_B}

    def class_weights(self, sure_R: np.ndarray, label_R: np.ndarray, labels: int) -> torch.Tensor:
        """w_N from what the teacher says of all rows: K / (C K_n), where K_n of the K rows that are kept have label n, and C labels have some.
        ConfigError if none is kept."""
        kept_N = np.bincount(label_R[sure_R >= self.threshold], minlength=labels).astype(np.float64)
        if not kept_N.any():
            raise ConfigError(
                f"objective.threshold: of no row is the classifier so sure ({self.threshold}; at most {float(sure_R.max()):.3f}); lower it"
            )
        if not self.balance:
            return torch.ones(labels)
        balanced_N = kept_N.sum() / ((kept_N > 0).sum() * np.maximum(kept_N, 1.0))
        return torch.from_numpy(np.where(kept_N > 0, balanced_N, 0.0)).float()

    def losses(self, model, batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(losses_B, whether a row is kept, whether the model now says what the teacher says)."""
        said = self.said(model, batch)
        logits_BN = model.teacher.classifier.logits(model, batch).float()
        kept_B = said["sure"] >= self.threshold
        weights_B = kept_B * model.teacher.weights.to(logits_BN.device)[said["label"]]
        losses_B = F.cross_entropy(logits_BN, said["label"], reduction="none") * weights_B
        return losses_B, kept_B, said["label"] == logits_BN.argmax(-1)

    def loss_by_row(self, model, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        return one_a_row(self.losses(model, batch)[0])

    def predict(self, model, batch: Batch) -> dict[str, torch.Tensor]:
        losses_B, kept_B, same_B = self.losses(model, batch)
        return {"losses": losses_B, "kept": kept_B.float(), "agrees": same_B.float()}

    def statistics(self, outputs: dict[str, np.ndarray], gold: Gold) -> dict[str, np.ndarray]:
        """agreement: share of dev rows that have the label they had; kept: share of which the teacher is sure. No gold label is known."""
        return {"agreement": outputs["agrees"], "loss": outputs["losses"], "kept": outputs["kept"]}

    def score(self, outputs: dict[str, np.ndarray], gold: Gold) -> dict[str, float]:
        return metrics.scores(self.statistics(outputs, gold))

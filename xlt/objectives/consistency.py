"""A fine-tuned classifier learns to say the same of a sentence and its translation, while it goes on saying of the source what it said.

The symmetric divergence of both predictions is the consistency regularisation of xTune (Zheng et al. 2021, section 3.1). By itself a constant
answer would be consistent: what the classifier said of the source when the run began holds it (as in `xlt.objectives.label_projection`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch.nn import functional as F

from xlt import metrics
from xlt.errors import ConfigError
from xlt.objectives import sentence_pairs
from xlt.objectives.label_projection import LabelProjection
from xlt.objectives.losses import one_a_row
from xlt.types import Batch, Gold


@dataclass(frozen=True, kw_only=True)
class Consistency:
    """KL(p_source | p_target) + KL(p_target | p_source) + anchor * KL(p_teacher(source) | p_source)."""

    anchor: float

    view: ClassVar[str] = "parallel"
    head: ClassVar[str] = "encoder"
    separable: ClassVar[bool] = True
    continues_task: ClassVar[bool] = True
    metric: ClassVar[str] = "agreement"
    higher_is_better: ClassVar[dict[str, bool]] = {"agreement": True, "loss": False}

    def __post_init__(self):
        if self.anchor <= 0:
            raise ConfigError(
                f"objective.anchor: {self.anchor} is not positive; without it one answer to everything is consistent"
            )

    texts, modules, row_length = sentence_pairs.texts, sentence_pairs.modules, sentence_pairs.row_length
    collate, loss, logits = sentence_pairs.collate, sentence_pairs.loss, LabelProjection.logits

    def losses(self, model, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """(losses_B, whether both sides get the same label)."""
        teacher, classifier = model.teacher.model, model.teacher.classifier
        with torch.no_grad():
            said_BN = self.logits(classifier, teacher, batch, "source").log_softmax(-1)
        x_BN, y_BN = (self.logits(classifier, model, batch, side).log_softmax(-1) for side in sentence_pairs.SIDES)
        losses_B = divergences(x_BN, y_BN) + divergences(y_BN, x_BN) + self.anchor * divergences(said_BN, x_BN)
        return losses_B, x_BN.argmax(-1) == y_BN.argmax(-1)

    def loss_by_row(self, model, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        return one_a_row(self.losses(model, batch)[0])

    def predict(self, model, batch: Batch) -> dict[str, torch.Tensor]:
        losses_B, same_B = self.losses(model, batch)
        return {"losses": losses_B, "agrees": same_B.float()}

    def statistics(self, outputs: dict[str, np.ndarray], gold: Gold) -> dict[str, np.ndarray]:
        """agreement: share of dev pairs whose two sides get the same label. No gold label is known of either."""
        return {"agreement": outputs["agrees"], "loss": outputs["losses"]}

    def score(self, outputs: dict[str, np.ndarray], gold: Gold) -> dict[str, float]:
        return metrics.scores(self.statistics(outputs, gold))


def divergences(log_p_BN: torch.Tensor, log_q_BN: torch.Tensor) -> torch.Tensor:
    """KL(p | q) of each row, from log-probabilities."""
    return F.kl_div(log_q_BN, log_p_BN, reduction="none", log_target=True).sum(-1)

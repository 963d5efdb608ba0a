"""A classifier learns other languages from unlabelled translations: what it says of a source sentence becomes the label of its translation.

Annotation projection (Yarowsky, Ngai and Wicentowski 2001) with soft labels, that is, distillation of the fine-tuned classifier through
parallel text (Hinton et al. 2015, section 2; across languages, Xu and Yang 2017, section 3). No label of a target language is read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from torch.nn import functional as F

from xlt import metrics
from xlt.errors import ConfigError
from xlt.objectives import sentence_pairs
from xlt.objectives.losses import one_a_row
from xlt.types import Batch, Gold


@dataclass(frozen=True, kw_only=True)
class LabelProjection:
    """-sum_n q_n [log p_n(target) + source_weight * log p_n(source)], where q ~ p_teacher(source)^sharpness and the teacher is the classifier
    as it was when the run began. The model must be one that `xlt finetune` made: it stays a classifier of the same labels."""

    sharpness: float
    source_weight: float

    view: ClassVar[str] = "parallel"
    head: ClassVar[str] = "encoder"
    separable: ClassVar[bool] = True
    continues_task: ClassVar[bool] = True
    metric: ClassVar[str] = "agreement"
    higher_is_better: ClassVar[dict[str, bool]] = {"agreement": True, "loss": False}

    def __post_init__(self):
        if self.sharpness <= 0:
            raise ConfigError(
                f"objective.sharpness: {self.sharpness} is not positive; 1 keeps the teacher's probabilities"
            )
        if self.source_weight < 0:
            raise ConfigError(
                f"objective.source_weight: {self.source_weight} is negative; 0 trains on translations only"
            )

    texts, modules, row_length = sentence_pairs.texts, sentence_pairs.modules, sentence_pairs.row_length
    collate, loss = sentence_pairs.collate, sentence_pairs.loss

    def logits(self, classifier, model, batch: Batch, side: str) -> torch.Tensor:
        """logits_BN that the classification objective computes for one side."""
        return classifier.logits(model, replace(batch, tensors=sentence_pairs.one_side(batch, side))).float()

    def losses(self, model, batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(losses_B, teacher's probabilities_BN, logits_BN of the target side)."""
        teacher, classifier = model.teacher.model, model.teacher.classifier
        with torch.no_grad():
            said_BN = (self.logits(classifier, teacher, batch, "source") * self.sharpness).softmax(-1)
        target_BN = self.logits(classifier, model, batch, "target")
        losses_B = F.cross_entropy(target_BN, said_BN, reduction="none")
        if self.source_weight:
            source_BN = self.logits(classifier, model, batch, "source")
            losses_B = losses_B + self.source_weight * F.cross_entropy(source_BN, said_BN, reduction="none")
        return losses_B, said_BN, target_BN

    def loss_by_row(self, model, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        return one_a_row(self.losses(model, batch)[0])

    def predict(self, model, batch: Batch) -> dict[str, torch.Tensor]:
        losses_B, said_BN, target_BN = self.losses(model, batch)
        return {"losses": losses_B, "agrees": (said_BN.argmax(-1) == target_BN.argmax(-1)).float()}

    def statistics(self, outputs: dict[str, np.ndarray], gold: Gold) -> dict[str, np.ndarray]:
        """agreement: share of dev pairs whose two sides get the same label. No gold label is known of either."""
        return {"agreement": outputs["agrees"], "loss": outputs["losses"]}

    def score(self, outputs: dict[str, np.ndarray], gold: Gold) -> dict[str, float]:
        return metrics.scores(self.statistics(outputs, gold))

"""What a teacher says of all the training text before anything is learned from it: how much each of its labels will weigh."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from xlt.errors import ConfigError
from xlt.evaluation.loop import predict
from xlt.models.build import TransferModel
from xlt.stages.parts import LearnedPart


@dataclass(frozen=True)
class _Asked:
    """The objective, asked for what the teacher says instead of what the model says."""

    objective: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.objective, name)

    def predict(self, model, batch) -> dict[str, torch.Tensor]:
        return self.objective.said(model, batch)


def survey(model: TransferModel, part: LearnedPart, accelerator, screen) -> None:
    """Give the model's teacher the weight of each label, where the objective learns from its labels (`class_weights`), and say what they are."""
    objective, cfg = part.cfg.objective, part.cfg
    if not hasattr(objective, "class_weights"):
        return
    if part.streamed:
        raise ConfigError("dataset.streaming: self-training asks of all text before it begins; set it to false")
    model.to(accelerator.device)
    model.teacher.model.to(accelerator.device)
    limits = cfg.train.max_length, cfg.hardware.eval_tokens
    found = [
        predict(model, _Asked(objective), t, t.gold({}), part.vocabulary, *limits, accelerator)
        for t in part.tables.values()
    ]
    sure_R, label_R = (np.concatenate([f[name] for f in found]) for name in ("sure", "label"))
    names = model.task["labels"]
    weights_N = objective.class_weights(sure_R, label_R, len(names))
    object.__setattr__(model, "teacher", model.teacher._replace(weights=weights_N))
    kept_N = np.bincount(label_R[sure_R >= objective.threshold], minlength=len(names)).tolist()
    lines = [[str(n), f"{k:,}", f"{w:.3f}"] for n, k, w in zip(names, kept_N, weights_N.tolist(), strict=True)]
    screen.table(
        f"labels of {sum(kept_N):,} of {len(sure_R):,} rows are sure enough", ["label", "rows", "weight"], lines
    )

"""Sentence alignment by translation ranking: symmetric InfoNCE with in-batch negatives on parallel text.

Oord et al. 2018 for the loss; both directions as in Feng et al. 2022 (LaBSE, section 2.1), without their margin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch.nn import functional as F

from xlt.alignment.retrieval import retrieval_accuracy
from xlt.errors import ConfigError
from xlt.models.pooling import Pool, pool
from xlt.types import Batch, Rows
from xlt.vocabulary import Vocabulary, model_inputs


@dataclass(frozen=True, kw_only=True)
class Contrastive:
    """-1/2 [log softmax_j s(x_i, y_j)/t + log softmax_j s(x_j, y_i)/t] at j = i, s the cosine of pooled states. layer null: the last one."""

    temperature: float
    pool: Pool
    layer: int | None

    view: ClassVar[str] = "parallel"
    head: ClassVar[str] = "encoder"
    separable: ClassVar[bool] = False
    metric: ClassVar[str] = "accuracy"
    higher_is_better: ClassVar[dict[str, bool]] = {
        "accuracy": True,
        "accuracy_forward": True,
        "accuracy_backward": True,
    }

    def __post_init__(self):
        if self.temperature <= 0:
            raise ConfigError(f"objective.temperature: {self.temperature} is not positive; 0.05 is usual")

    def texts(self, row: dict) -> tuple[str, ...]:
        return row["source"], row["target"]

    def modules(self, width: int, labels: list[str] | None) -> dict[str, torch.nn.Module]:
        return {}

    def row_length(self, lengths: np.ndarray, vocabulary: Vocabulary, max_length: int) -> np.ndarray:
        return np.minimum(lengths + vocabulary.overhead(1), max_length).sum(1)

    def collate(self, rows: Rows, vocabulary: Vocabulary, max_length: int) -> Batch:
        tensors, tokens = {}, 0
        for i, (side, segment) in enumerate(zip(("source", "target"), rows.segments, strict=True)):
            ids_BL, lengths_B = vocabulary.pad_rows([vocabulary.join((ids,), max_length) for ids in segment])
            inputs = model_inputs(ids_BL, lengths_B) | vocabulary.language_input(rows.languages, i)
            tensors |= {f"{side}_{name}": value for name, value in inputs.items()}
            tokens += int(lengths_B.sum())
        return Batch(tensors, count=len(rows), tokens=tokens, rows=len(rows))

    def embed(self, model, batch: Batch, side: str) -> torch.Tensor:
        """Unit vectors_PD of one side."""
        mask_BL = batch[f"{side}_attention_mask"]
        own = {k.removeprefix(f"{side}_"): v for k, v in batch.tensors.items() if k.startswith(side)}
        hidden_BLD = model.hidden(own, self.layer)
        return F.normalize(pool(hidden_BLD, mask_BL, self.pool).float(), dim=-1)

    def loss(self, model, batch: Batch) -> torch.Tensor:
        scores_PP = self.embed(model, batch, "source") @ self.embed(model, batch, "target").T / self.temperature
        gold_P = torch.arange(len(scores_PP), device=scores_PP.device)
        return (
            F.cross_entropy(scores_PP, gold_P, reduction="sum") + F.cross_entropy(scores_PP.T, gold_P, reduction="sum")
        ) / 2

    def predict(self, model, batch: Batch) -> dict[str, torch.Tensor]:
        return {side: self.embed(model, batch, side) for side in ("source", "target")}

    def score(self, outputs: dict[str, np.ndarray], labels: np.ndarray | None) -> dict[str, float]:
        return retrieval_accuracy(torch.from_numpy(outputs["source"]), torch.from_numpy(outputs["target"]))

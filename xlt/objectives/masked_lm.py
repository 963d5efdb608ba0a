"""Masked language modelling (Devlin et al. 2019, section 3.1; multilingual: Lample and Conneau 2019, section 3.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch.nn import functional as F

from xlt import noise
from xlt.errors import ConfigError
from xlt.models.pooling import masked_lm_logits
from xlt.objectives.losses import by_row
from xlt.types import Batch, Rows
from xlt.vocabulary import Vocabulary, model_inputs


@dataclass(frozen=True, kw_only=True)
class MaskedLM:
    """Predict tokens that were hidden. Each token but the special ones is chosen with probability mask_rate; of the chosen, mask_share become
    <mask>, random_share a random token, and the rest stay. The loss is the cross-entropy at the chosen positions only."""

    mask_rate: float
    mask_share: float
    random_share: float

    view: ClassVar[str] = "text"
    head: ClassVar[str] = "masked-lm"
    separable: ClassVar[bool] = True
    metric: ClassVar[str] = "loss"
    higher_is_better: ClassVar[dict[str, bool]] = {"loss": False, "perplexity": False, "accuracy": True}

    def __post_init__(self):
        if not 0 < self.mask_rate < 1:
            raise ConfigError(f"objective.mask_rate: {self.mask_rate} is not in (0, 1); BERT has 0.15")
        if self.mask_share < 0 or self.random_share < 0 or self.mask_share + self.random_share > 1:
            raise ConfigError(
                f"objective.mask_share + objective.random_share: {self.mask_share} + {self.random_share} is not in [0, 1]; BERT has 0.8 + 0.1"
            )

    def texts(self, row: dict) -> tuple[str, ...]:
        return (row["text"],)

    def modules(self, width: int, labels: list[str] | None) -> dict[str, torch.nn.Module]:
        return {}

    def row_length(self, lengths: np.ndarray, vocabulary: Vocabulary, max_length: int) -> np.ndarray:
        return np.minimum(lengths[:, 0] + vocabulary.overhead(1), max_length)

    def collate(self, rows: Rows, vocabulary: Vocabulary, max_length: int) -> Batch:
        if vocabulary.mask is None:
            raise ConfigError("tokenizer: it has no mask token, which objective=masked_lm needs")
        ids_BL, lengths_B = vocabulary.pad_rows([vocabulary.join((ids,), max_length) for ids in rows.segments[0]])
        noised_BL, chosen_BL = self.corrupt(ids_BL, rows.keys, vocabulary)
        where_M = np.flatnonzero(chosen_BL)
        tensors = model_inputs(noised_BL, lengths_B)
        tensors |= {"where": torch.from_numpy(where_M), "targets": torch.from_numpy(ids_BL.ravel()[where_M])}
        return Batch(tensors, count=len(where_M), tokens=int(lengths_B.sum()), rows=len(rows))

    def corrupt(self, ids_BL: np.ndarray, keys_B: np.ndarray, vocabulary: Vocabulary) -> tuple[np.ndarray, np.ndarray]:
        """(noised ids_BL, chosen bool BL). A position's fate depends on its row's key and its place alone, never on the batch."""
        keys_BL = noise.combine(keys_B[:, None], np.arange(ids_BL.shape[1], dtype=np.uint64))
        chosen_BL = (noise.uniform(keys_BL) < self.mask_rate) & ~vocabulary.is_special(ids_BL)
        fate_BL = noise.uniform(noise.combine(keys_BL, 1))
        random_BL = (noise.uniform(noise.combine(keys_BL, 2)) * vocabulary.size).astype(np.int64)
        swap_BL = chosen_BL & (fate_BL >= self.mask_share) & (fate_BL < self.mask_share + self.random_share)
        noised_BL = np.where(chosen_BL & (fate_BL < self.mask_share), vocabulary.mask, ids_BL)
        return np.where(swap_BL, random_BL, noised_BL), chosen_BL

    def logits(self, model, batch: Batch) -> torch.Tensor:
        """logits_MV at the chosen positions."""
        hidden_BLD = model.hidden({k: batch[k] for k in ("input_ids", "attention_mask")})
        return masked_lm_logits(model.backbone, hidden_BLD.flatten(0, 1)[batch["where"]])

    def loss(self, model, batch: Batch) -> torch.Tensor:
        return self.loss_by_row(model, batch)[0]

    def loss_by_row(self, model, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        losses_M = F.cross_entropy(self.logits(model, batch).float(), batch["targets"], reduction="none")
        return by_row(losses_M, batch["where"] // batch["input_ids"].shape[1], batch.rows)

    def predict(self, model, batch: Batch) -> dict[str, torch.Tensor]:
        logits_MV = self.logits(model, batch).float()
        losses_M = F.cross_entropy(logits_MV, batch["targets"], reduction="none")
        row_M = batch["where"] // batch["input_ids"].shape[1]
        hits_M = (logits_MV.argmax(-1) == batch["targets"]).float()
        sums = torch.zeros(batch.rows, 3, dtype=torch.float64, device=losses_M.device)
        sums.index_add_(0, row_M, torch.stack([losses_M, hits_M, torch.ones_like(hits_M)], 1).double())
        return {"sums": sums}

    def score(self, outputs: dict[str, np.ndarray], labels: np.ndarray | None) -> dict[str, float]:
        loss, hits, count = outputs["sums"].sum(0).tolist()
        count = max(count, 1.0)  # no position was chosen: a loss of 0 over nothing
        return {"loss": loss / count, "perplexity": float(np.exp(loss / count)), "accuracy": hits / count}

"""What all language models share: the loss at the predicted positions, and how it is scored per language. Knows no noise and no special token."""

from __future__ import annotations

import numpy as np
import torch

from xlt.models.heads import lm_losses, lm_scores
from xlt.types import Batch

HIGHER_IS_BETTER = {"loss": False, "perplexity": False, "accuracy": True}


def predicted(ids_BL: np.ndarray, where_M: np.ndarray, at_M: np.ndarray | None = None) -> dict[str, torch.Tensor]:
    """Tensors of a batch: `where`, places in the flattened states from which something is predicted, and `targets`, the ids at `at_M` (the same places)."""
    targets_M = ids_BL.ravel()[where_M if at_M is None else at_M]
    return {"where": torch.from_numpy(where_M), "targets": torch.from_numpy(targets_M)}


def loss(model, hidden_BLD: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Scalar: summed over the predicted positions."""
    return lm_losses(model.backbone, hidden_BLD.flatten(0, 1)[batch["where"]], batch["targets"]).sum()


def sums(model, hidden_BLD: torch.Tensor, batch: Batch) -> dict[str, torch.Tensor]:
    """sums float64 (B, 3): loss, hits and predictions of each row."""
    losses_M, hits_M = lm_scores(model.backbone, hidden_BLD.flatten(0, 1)[batch["where"]], batch["targets"])
    row_M = batch["where"] // hidden_BLD.shape[1]
    sums_B3 = torch.zeros(batch.rows, 3, dtype=torch.float64, device=losses_M.device)
    return {"sums": sums_B3.index_add_(0, row_M, torch.stack([losses_M, hits_M, torch.ones_like(hits_M)], 1).double())}


def score(outputs: dict[str, np.ndarray]) -> dict[str, float]:
    """Mean loss in nats, perplexity and accuracy over all predictions of a language."""
    total, hits, count = outputs["sums"].sum(0).tolist()
    count = max(count, 1.0)  # nothing was predicted: a loss of 0 over nothing
    return {"loss": total / count, "perplexity": float(np.exp(total / count)), "accuracy": hits / count}

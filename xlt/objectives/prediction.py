"""What all language models share: the loss at the predicted positions, and how it is scored per language. Knows no noise and no special token.

The functions are methods in all but name: an objective with `hidden(model, batch) -> hidden_BLD` takes them into its class. Its batches hold `where`, places in
the flattened states from which something is predicted, `targets`, the ids that are predicted there, and `row`, the row of each.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from xlt import metrics
from xlt.models.heads import directions, lm_losses, lm_scores
from xlt.objectives.losses import by_row, loss  # noqa: F401  a method, too
from xlt.types import Batch, Gold

HIGHER_IS_BETTER = {"loss": False, "perplexity": False, "accuracy": True}


def predicted(ids_BL: np.ndarray, where_M: np.ndarray, at_M: np.ndarray | None = None) -> dict[str, torch.Tensor]:
    """`where`, `targets`, the ids at the places `at_M` (None: the same places), and the `row` of each."""
    targets_M = ids_BL.ravel()[where_M if at_M is None else at_M]
    arrays = {"where": where_M, "targets": targets_M, "row": where_M // ids_BL.shape[1]}
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def inputs(batch: Batch) -> dict[str, torch.Tensor | None]:
    """What the model reads: all of the batch but what it is to predict."""
    return {name: value for name, value in batch.tensors.items() if name not in ("where", "targets", "row", "labels")}


def loss_by_row(objective, model, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """(sum, sums_B2): the loss, and without gradient what each row adds to it and to its count."""
    parts = list(_predictions(objective, model, batch))
    losses_M = sum(lm_losses(model.backbone, *part, fast=model.fused and model.training) for part in parts) / len(parts)
    each = losses_M.detach()
    return losses_M.sum(), by_row(torch.stack([each, torch.ones_like(each)], 1), batch["row"], batch.rows)


def predict(objective, model, batch: Batch) -> dict[str, torch.Tensor]:
    """sums float64 (B, 3): loss, hits and predictions of each row."""
    parts = [lm_scores(model.backbone, *part) for part in _predictions(objective, model, batch)]
    losses_M, hits_M = (sum(which) / len(parts) for which in zip(*parts, strict=True))
    values_MK = torch.stack([losses_M, hits_M, torch.ones_like(hits_M)], 1).double()
    return {"sums": by_row(values_MK, batch["row"], batch.rows)}


def statistics(objective, outputs: dict[str, np.ndarray], gold: Gold) -> dict[str, metrics.Sums]:
    """Mean loss in nats, perplexity and accuracy over all predictions of a language; where nothing was predicted, a loss of 0."""
    losses_R2, hits_R2 = (outputs["sums"][:, [which, 2]] for which in (0, 1))
    sums = metrics.Sums(losses_R2, "ratio"), metrics.Sums(losses_R2, "exp_ratio"), metrics.Sums(hits_R2, "ratio")
    return dict(zip(HIGHER_IS_BETTER, sums, strict=True))


def score(objective, outputs: dict[str, np.ndarray], gold: Gold) -> dict[str, float]:
    """The same of all rows."""
    return metrics.scores(statistics(objective, outputs, gold))


def _predictions(objective, model, batch: Batch) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """(states MD, targets M); twice for a causal model of two directions, whose loss is their mean: from `where` the next token is predicted, and by
    the other direction from the next token the one at `where` (Peters et al. 2018, section 3.1)."""
    hidden_BLD = objective.hidden(model, batch)
    states = directions(model.backbone, hidden_BLD) if objective.head == "causal-lm" else (hidden_BLD,)
    yield states[0].flatten(0, 1)[batch["where"]], batch["targets"]
    if len(states) == 2:
        yield states[1].flatten(0, 1)[batch["where"] + 1], batch["input_ids"].flatten()[batch["where"]]

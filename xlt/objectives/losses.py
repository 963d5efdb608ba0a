"""A loss as the loop takes it: the sum that is differentiated and, for the log, what each row adds to it. Of language models: `xlt.objectives.prediction`."""

from __future__ import annotations

import torch

from xlt.types import Batch


def loss(self, model, batch: Batch) -> torch.Tensor:
    """Scalar: the sum of `loss_by_row` alone. The method of every objective that has both."""
    return self.loss_by_row(model, batch)[0]


def one_a_row(losses_B: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(sum, sums_B2) of one loss per row."""
    losses = losses_B.detach().float()
    return losses_B.sum(), torch.stack([losses, torch.ones_like(losses)], 1)


def by_row(values: torch.Tensor, row_M: torch.Tensor, rows: int) -> torch.Tensor:
    """sums (B, ...) of the values (M, ...) that belong to each row."""
    return values.new_zeros(rows, *values.shape[1:]).index_add_(0, row_M, values)

"""A loss as the loop takes it: the sum that is differentiated and, for the log, what each row adds to it. No objective of its own."""

from __future__ import annotations

import torch


def by_row(losses_M: torch.Tensor, row_M: torch.Tensor, rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(sum, sums_B2) of losses that belong to rows `row_M`: sums_B2 holds each row's loss and count, without gradient."""
    losses = losses_M.detach().float()
    sums_B2 = torch.zeros(rows, 2, device=losses.device)
    return losses_M.sum(), sums_B2.index_add_(0, row_M, torch.stack([losses, torch.ones_like(losses)], 1))


def one_a_row(losses_B: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(sum, sums_B2) of one loss per row."""
    losses = losses_B.detach().float()
    return losses_B.sum(), torch.stack([losses, torch.ones_like(losses)], 1)

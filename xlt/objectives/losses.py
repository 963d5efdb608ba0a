"""A loss as the loop takes it: the sum that is differentiated and, for the log, what each row adds to it. Of language models: `xlt.objectives.prediction`."""

from __future__ import annotations

import torch


def one_a_row(losses_B: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(sum, sums_B2) of one loss per row."""
    losses = losses_B.detach().float()
    return losses_B.sum(), torch.stack([losses, torch.ones_like(losses)], 1)

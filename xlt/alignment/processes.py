"""Vectors of the whole batch where each process of a run holds a part of its rows: gathered with gradients. Knows vectors only; one process has nothing to gather.

If every process sums the losses of its own rows among the rows of all, the losses add up to that of one process with the whole batch, and so do the gradients of the
parameters: what flows back into a gathered row is summed over the processes that compared something with it.
"""

from __future__ import annotations

import torch
from torch import distributed


def processes() -> int:
    """How many work together."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def gather_rows(*sides_PD: torch.Tensor) -> tuple[tuple[torch.Tensor, ...], int]:
    """(the same with the rows of all processes, in their order, the number of this process's first row). sides: (P, D) each, with the same P; P may differ between processes.

    Every process has to call it, and if one of them goes backward through it, all do.
    """
    if processes() == 1:
        return sides_PD, 0
    joined_PS = torch.cat(sides_PD, 1)  # one exchange, so that all processes go backward through it in one order
    sizes = _sizes(joined_PS)
    joined_QS = _Gather.apply(joined_PS, sizes)
    widths = [side.shape[1] for side in sides_PD]
    return joined_QS.split(widths, 1), sum(sizes[: distributed.get_rank()])


class _Gather(torch.autograd.Function):
    """Rows of all processes; back goes the sum of all their gradients for the rows that are this process's own."""

    @staticmethod
    def forward(ctx, rows_PD, sizes):
        ctx.sizes = sizes
        padded = rows_PD.new_zeros(max(sizes), rows_PD.shape[1])  # an exchange is of equal shapes
        padded[: len(rows_PD)] = rows_PD
        found = [torch.empty_like(padded) for _ in sizes]
        distributed.all_gather(found, padded)
        return torch.cat([rows[:size] for rows, size in zip(found, sizes, strict=True)])

    @staticmethod
    def backward(ctx, gradient_QD):
        summed_QD = gradient_QD.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(summed_QD)
        return summed_QD.split(ctx.sizes)[distributed.get_rank()], None


def _sizes(rows_PD: torch.Tensor) -> list[int]:
    """Rows of each process."""
    own = torch.tensor([len(rows_PD)], device=rows_PD.device)
    found = [torch.empty_like(own) for _ in range(processes())]
    distributed.all_gather(found, own)
    return torch.cat(found).tolist()

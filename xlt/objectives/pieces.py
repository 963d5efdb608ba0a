"""A batch that is encoded a few rows at a time, though its loss needs the vectors of all: the gradient of the whole in the memory of a piece. No objective of its own.

Gradient caching (Gao, Zhang, Han and Callan 2021, section 3): all rows are encoded without a graph, the loss is taken over their vectors, and with its gradient at the
vectors each piece is encoded again, with a graph and the random numbers that its dropout drew the first time. It is what torch's checkpoint does with a piece.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch.utils.checkpoint import checkpoint

Inputs = dict[str, torch.Tensor | None]


def in_pieces(encode: Callable[[Inputs], torch.Tensor], inputs: Inputs, size: int | None) -> torch.Tensor:
    """encode(inputs), computed `size` rows at a time; None: at once. encode reads each row by itself; its first dimension, and that of all inputs, is the row."""
    rows = len(inputs["input_ids"])
    if size is None or rows <= size:
        return encode(inputs)
    run = partial(checkpoint, encode, use_reentrant=False) if torch.is_grad_enabled() else encode
    starts = range(0, rows, size)
    return torch.cat([run({k: None if v is None else v[i : i + size] for k, v in inputs.items()}) for i in starts])

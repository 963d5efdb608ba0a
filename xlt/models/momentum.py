"""A second encoder that follows the first slowly, and queues of what it made of earlier batches (MoCo: He et al. 2020, section 3.2). Knows no loss.

All of it is part of the model's state while it trains, so a checkpoint holds it; what a stage saves in the end is the first encoder alone.
"""

from __future__ import annotations

import copy

import torch
from torch import nn


class Momentum(nn.Module):
    """encoder: a copy of a model, without gradient and dropout. Each side has a queue of up to `size` keys, the oldest of which goes first; all begin empty."""

    def __init__(self, model: nn.Module, sides: tuple[str, ...], size: int, width: int):
        super().__init__()
        self.encoder = copy.deepcopy(model).requires_grad_(False)
        for side in sides:
            self.register_buffer(side, torch.zeros(size, width))
        self.register_buffer("pushed", torch.zeros((), dtype=torch.long))  # keys in all so far, of each side

    @torch.no_grad()
    def follow(self, model: nn.Module, momentum: float) -> None:
        """theta_k <- momentum theta_k + (1 - momentum) theta_q (equation 2)."""
        own = dict(self.encoder.named_parameters())
        pairs = [(own[name], p.detach()) for name, p in model.named_parameters() if name in own]
        keys, queries = map(list, zip(*pairs, strict=True))
        torch._foreach_lerp_(keys, queries, 1 - momentum)

    def queue(self, side: str) -> torch.Tensor:
        """keys_KD of the side, no more than were pushed; a copy, which pushing does not change."""
        return getattr(self, side)[: int(self.pushed)].clone()

    @torch.no_grad()
    def push(self, **keys_BD: torch.Tensor) -> None:
        """Keys of each side, as many of each; of more than the queue holds the last."""
        count = len(next(iter(keys_BD.values())))
        for side, keys in keys_BD.items():
            ring = getattr(self, side)
            if not len(ring):
                continue
            places = (self.pushed + torch.arange(count, device=ring.device))[-len(ring) :] % len(ring)
            ring[places] = keys[-len(ring) :].to(ring.dtype)
        self.pushed += count

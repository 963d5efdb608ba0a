"""AdamW (Loshchilov and Hutter 2019) and the learning rate as a pure function of the update."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from xlt.errors import ConfigError


@dataclass(frozen=True)
class LearningRate:
    """lr(step) for step 0..steps-1: linear warm-up over `warmup` updates, then `schedule` (linear and cosine reach 0 at the end).

    inverse_sqrt follows Vaswani et al. 2017, section 5.3, with the peak at the end of the warm-up.
    """

    peak: float
    schedule: str
    warmup: int
    steps: int

    def __call__(self, step: int) -> float:
        if step < self.warmup:
            return self.peak * (step + 1) / self.warmup
        done = (step - self.warmup) / max(self.steps - self.warmup, 1)
        if self.schedule == "linear":
            return self.peak * (1 - done)
        if self.schedule == "cosine":
            return self.peak * 0.5 * (1 + math.cos(math.pi * done))
        if self.schedule == "inverse_sqrt":
            return self.peak * math.sqrt(max(self.warmup, 1) / (step + 1))
        return self.peak


def freeze(model: nn.Module, patterns: list[str]) -> int:
    """Parameters whose names match a shell pattern learn no more; returns how many numbers that are. ConfigError if a pattern matches none,
    or if nothing is left to learn."""
    named = dict(model.named_parameters())
    for pattern in patterns:
        if not (found := fnmatch.filter(named, pattern)):
            raise ConfigError(
                f"train.freeze: no parameter is called like {pattern!r}; names begin as {', '.join(list(named)[:3])}, and * stands for any part"
            )
        for name in found:
            named[name].requires_grad_(False)
    if not any(p.requires_grad for p in named.values()):
        raise ConfigError(f"train.freeze: {patterns} leave no parameter to learn; name fewer")
    return sum(p.numel() for p in named.values() if not p.requires_grad)


def adamw(model: nn.Module, betas: tuple[float, float], epsilon: float, weight_decay: float) -> torch.optim.AdamW:
    """AdamW in one fused kernel; biases and normalisation weights (all vectors) do not decay, as in BERT."""
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=0.0, betas=betas, eps=epsilon, fused=True)


def clip(parameters: Iterable[nn.Parameter], longest: float) -> torch.Tensor:
    """The gradient's norm; a longer gradient is scaled down to `longest` (Pascanu et al. 2013, section 3.2). A shorter one is only read:
    torch's clip_grad_norm_ multiplies it by 1."""
    trained = [p for p in parameters if p.grad is not None]
    norm = torch.nn.utils.get_total_norm([p.grad for p in trained])
    if not norm < longest:
        torch.nn.utils.clip_grads_with_norm_(trained, longest, norm)
    return norm

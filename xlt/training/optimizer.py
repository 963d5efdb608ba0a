"""AdamW (Loshchilov and Hutter 2019) and the learning rate as a pure function of the update."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from xlt.training.layers import Course


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


def adamw(
    model: nn.Module,
    betas: tuple[float, float],
    epsilon: float,
    weight_decay: float,
    courses: dict[str, Course] | None = None,
) -> torch.optim.AdamW:
    """AdamW in one fused kernel; biases and normalisation weights (all vectors) do not decay, as in BERT. courses: how parameters learn that do
    not simply learn (see `xlt.training.layers`)."""
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    groups: dict[tuple[bool, Course], list[nn.Parameter]] = {}
    for name, p in sorted(trained, key=lambda each: each[1].ndim < 2):  # what decays, then the vectors
        groups.setdefault((p.ndim >= 2, (courses or {}).get(name, Course())), []).append(p)
    gradual = any(course.begins for _, course in groups)
    return torch.optim.AdamW(
        [
            {"params": ps, "weight_decay": weight_decay if decays else 0.0, "gradual": gradual, **vars(course)}
            for (decays, course), ps in groups.items()
        ],
        lr=0.0,
        betas=betas,
        eps=epsilon,
        fused=True,
    )


def set_rates(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Each group's learning rate, by its factor."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("factor", 1.0)


def clip(parameters: Iterable[nn.Parameter], longest: float) -> torch.Tensor:
    """The gradient's norm; a longer gradient is scaled down to `longest` (Pascanu et al. 2013, section 3.2). A shorter one is only read:
    torch's clip_grad_norm_ multiplies it by 1."""
    trained = [p for p in parameters if p.grad is not None]
    norm = torch.nn.utils.get_total_norm([p.grad for p in trained])
    if not norm < longest:
        torch.nn.utils.clip_grads_with_norm_(trained, longest, norm)
    return norm

"""Embeddings perturbed against the loss: FGM (Miyato et al. 2017) and FreeLB (Zhu et al. 2020), for any objective and model.

What is perturbed is what the table of input embeddings gives for a text, each row within a norm of its own, so that a row's perturbation does not
depend on its batch. A loss that reads several texts (pairs) has one perturbation for each reading. All passes of a micro-batch have the same
dropout (Zhu et al. 2020, section 3.3).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch

from xlt import noise
from xlt.errors import ConfigError
from xlt.types import Batch

Backward = Callable[[torch.Tensor], None]


@dataclass(frozen=True, kw_only=True)
class FGM:
    """epsilon: L2 norm of a row's perturbation. weight: of the perturbed loss beside the clean one."""

    epsilon: float
    weight: float

    def __post_init__(self):
        _positive(epsilon=self.epsilon, weight=self.weight)

    def backward(self, model, compute, batch: Batch, scale: float, backward: Backward, key: int):
        """Gradients of L(x) + weight * L(x + epsilon g / |g|), g the gradient of L by x (equation 5). Returns what `compute` gave for x."""
        with _readings(model) as readings:
            with _same_draws(batch):
                outcome = model(compute, batch)
                backward(scale * _loss(outcome))
            readings.deltas = [self.epsilon * unit(_gradient(delta)) for delta in readings.used]
            readings.used = []
            backward(scale * self.weight * _loss(model(compute, batch)))
        return outcome


@dataclass(frozen=True, kw_only=True)
class FreeLB:
    """steps: of ascent, whose gradients of the weights are averaged. rate: length of each step, per row. magnitude: of the perturbation that it begins
    with. max_norm: bound of a row's L2 norm; 0: none."""

    steps: int
    rate: float
    magnitude: float
    max_norm: float

    def __post_init__(self):
        _positive(steps=self.steps, rate=self.rate)
        if bad := [n for n in ("magnitude", "max_norm") if getattr(self, n) < 0]:
            raise ConfigError(f"perturbation.{bad[0]}: {getattr(self, bad[0])} is below 0; give 0 for none")

    def backward(self, model, compute, batch: Batch, scale: float, backward: Backward, key: int):
        """The mean over `steps` of the gradients at x + delta_t, delta_t+1 = P(delta_t + rate g_t / |g_t|) (algorithm 1). Returns (mean loss, what
        each row had in the first pass)."""
        total, first = 0.0, None
        with _readings(model) as readings:
            if self.magnitude:
                readings.start = lambda ids_BL, like, number: self._start(ids_BL, like, noise.key(key, number), model)
            for step in range(self.steps):
                with _same_draws(batch, last=step == self.steps - 1):
                    outcome = model(compute, batch)
                    backward(scale / self.steps * _loss(outcome))
                total, first = total + _loss(outcome).detach() / self.steps, outcome if first is None else first
                moved = [delta.detach() + self.rate * unit(_gradient(delta)) for delta in readings.used]
                readings.deltas, readings.used = [self._bounded(delta) for delta in moved], []
        return (total, first[1]) if isinstance(first, tuple) else total

    def _bounded(self, delta_BLD: torch.Tensor) -> torch.Tensor:
        if not self.max_norm:
            return delta_BLD
        norms_B = delta_BLD.flatten(1).norm(dim=1).clamp_min(1e-12)
        return delta_BLD * (self.max_norm / norms_B).clamp_max(1.0).view(-1, *[1] * (delta_BLD.ndim - 1))

    def _start(self, ids_BL: torch.Tensor, like: torch.Tensor, key: np.uint64, model) -> torch.Tensor:
        """Uniform in [-magnitude, magnitude], over the root of how many numbers the row has; drawn from the row's own tokens, not from its batch."""
        pad = model.backbone.config.pad_token_id
        ids, width = ids_BL.cpu().numpy(), like.shape[-1]
        real_BL = np.ones_like(ids, bool) if pad is None else ids != pad
        places_L = np.arange(ids.shape[1])
        with np.errstate(over="ignore"):
            folded_BL = np.where(real_BL, noise.combine(noise.combine(key, places_L), ids), np.uint64(0))
            rows_B = folded_BL.sum(1, dtype=np.uint64)
        counters = (places_L[:, None] * width + np.arange(width)).astype(np.uint64)
        drawn_BLD = 2.0 * noise.uniform(noise.combine(rows_B[:, None, None], counters)) - 1.0
        sizes_B = real_BL.sum(1) * width
        drawn_BLD *= self.magnitude * real_BL[..., None] / np.sqrt(np.maximum(sizes_B, 1))[:, None, None]
        return torch.from_numpy(drawn_BLD).to(like)


def _gradient(delta_BLD: torch.Tensor) -> torch.Tensor:
    """Zero for a reading that the loss does not depend on."""
    return torch.zeros_like(delta_BLD) if delta_BLD.grad is None else delta_BLD.grad


def unit(gradient_BLD: torch.Tensor) -> torch.Tensor:
    """Each row with L2 norm 1 over all of its tokens; 0 where it is 0."""
    norms_B = gradient_BLD.flatten(1).norm(dim=1)
    norms_B = torch.where(norms_B > 0, norms_B, torch.ones_like(norms_B))
    return gradient_BLD / norms_B.view(-1, *[1] * (gradient_BLD.ndim - 1))


@dataclass
class _Readings:
    """Perturbations of the readings of one pass, in their order. used: those of the pass that is running, whose gradients it leaves."""

    deltas: list[torch.Tensor] = field(default_factory=list)
    used: list[torch.Tensor] = field(default_factory=list)
    start: Callable[..., torch.Tensor] | None = None

    def hook(self, table, inputs: tuple, output: torch.Tensor) -> torch.Tensor | None:
        """Adds the next perturbation to what the table gives."""
        if not torch.is_grad_enabled():
            return None
        number = len(self.used)
        if self.deltas:
            delta = self.deltas[number]
        else:
            delta = torch.zeros_like(output) if self.start is None else self.start(inputs[0], output, number)
        self.used.append(delta.detach().requires_grad_())
        return output + self.used[-1]


@contextmanager
def _readings(model) -> Iterator[_Readings]:
    """While it lasts, the table of input embeddings gives perturbed embeddings."""
    readings = _Readings()
    handle = model.reader.get_input_embeddings().register_forward_hook(readings.hook)
    try:
        yield readings
        if not readings.deltas:
            raise ConfigError(
                f"perturbation: {type(model.reader).__name__} does not look its text up in a table of embeddings, so there is nothing to perturb; "
                "set it to null"
            )
    finally:
        handle.remove()


@contextmanager
def _same_draws(batch: Batch, last: bool = False) -> Iterator[None]:
    """What is drawn inside is drawn again after it, unless it is the last pass."""
    if last:
        yield
        return
    on = next(t.device for t in batch.tensors.values() if t is not None)
    with torch.random.fork_rng(devices=[on] if on.type == "cuda" else []):
        yield


def _loss(outcome) -> torch.Tensor:
    return outcome[0] if isinstance(outcome, tuple) else outcome


def _positive(**values: float) -> None:
    if problems := [f"perturbation.{n}: {v} is not above 0; give a larger one" for n, v in values.items() if v <= 0]:
        raise ConfigError(problems)

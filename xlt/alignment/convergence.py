"""Did an unsupervised map find the other language? Asked of source words that took no part in finding it, against maps that cannot know. Reads no dictionary.

Any map of any two spaces gives every word some neighbour, and one that was fitted to its own dictionary fits that dictionary: on the words that it learned from,
a failure looks like a success. Words held out are as near to their neighbours as under a meaningless map if the map is one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch

from xlt.alignment.csls import nearest, unit

DRAWS = 20  # meaningless maps
SIGMAS = 5.0  # above chance, so that it is none
GAIN = 0.05  # of the way from chance to certainty; below it, hardly a word is translated (see tests/alignment/test_convergence.py)
HELD = 0.1, 1000  # share of the most frequent words that is held out, and how many at most


class Verdict(NamedTuple):
    """criterion: mean cosine of held-out source words with their CSLS neighbours; chance, deviation: its mean and standard deviation under meaningless maps."""

    criterion: float
    chance: float
    deviation: float

    @property
    def sigmas(self) -> float:
        """How many standard deviations above chance."""
        return (self.criterion - self.chance) / max(self.deviation, 1e-12)

    @property
    def gain(self) -> float:
        """How far from chance (0) to every word lying on its neighbour (1)."""
        return (self.criterion - self.chance) / max(1 - self.chance, 1e-12)

    @property
    def converged(self) -> bool:
        """Whether words were found: above chance beyond doubt, and by enough."""
        return self.sigmas >= SIGMAS and self.gain >= GAIN


def hold_out(size: int, cutoff: int, never: Iterable[int], seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(kept_N, held_H): rows of the source in order, without some of its `cutoff` most frequent words; none of `never` is held out."""
    among = torch.tensor(sorted(set(range(min(size, cutoff))) - set(never)), dtype=torch.long)
    share, most = HELD
    count = min(most, max(1, round(share * len(among))))
    order = torch.randperm(len(among), generator=torch.Generator().manual_seed(seed))
    held_H = among[order[:count]].sort().values
    free = torch.ones(size, dtype=torch.bool)
    free[held_H] = False
    return free.nonzero()[:, 0], held_H


def verdict(w_DD: torch.Tensor, held_HD: torch.Tensor, y_MD: torch.Tensor, k: int, seed: int) -> Verdict:
    """Of the map W of held-out source rows to y. The meaningless maps are W after the signs of the principal axes of the source are drawn at random: they keep
    every variance, so that a map that brought only the shapes of both clouds together is not taken for one that found words."""
    y = unit(y_MD)
    axes_DD = torch.linalg.eigh((held_HD.T @ held_HD).double())[1].to(held_HD.dtype)
    generator = torch.Generator(held_HD.device).manual_seed(seed)

    def criterion(mapped_HD: torch.Tensor) -> float:
        x = unit(mapped_HD)
        near_H = nearest(x, y, 1, "csls", k)[1][:, 0]
        return (x * y[near_H]).sum(1).double().mean().item()

    def meaningless() -> torch.Tensor:
        signs_D = 1 - 2 * torch.randint(2, (len(axes_DD),), generator=generator, device=held_HD.device)
        return held_HD @ axes_DD * signs_D @ axes_DD.T @ w_DD.T

    chance = torch.tensor([criterion(meaningless()) for _ in range(DRAWS)], dtype=torch.float64)
    return Verdict(criterion(held_HD @ w_DD.T), chance.mean().item(), chance.std().item())

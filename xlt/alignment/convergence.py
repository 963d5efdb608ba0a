"""Did a search for a mapping find the other language? Two attempts that found it translate words alike that neither has seen. Reads no dictionary.

Any map of any two spaces gives every word some neighbour, and one that was fitted to its own dictionary fits that dictionary: on the words that it learned from, a
failure looks like a success. Nor does it help that words held out lie nearer to their neighbours than by chance: two unrelated spaces have clusters of words, which
a map can lay on each other. But then each attempt lays other clusters on each other.

Measured on spaces of 1,000 and 2,000 words (tests/alignment/spaces.py), self-learning from the similarity distribution: on rotated copies with noise of 0.1 to 0.7
times the scale (right translations of 70 to 100 %) two attempts agree on 83 to 100 % of held-out words, on independent spaces on 0 to 31 %,
with a made-up dictionary of 25 to 600 pairs to begin from as without.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch

from xlt.alignment.csls import nearest, unit

AGREEMENT = 0.5  # share of the held-out words that two attempts must translate alike
HELD = 0.1, 1000  # share of the most frequent words that is held out, and how many at most


def hold_out(size: int, cutoff: int, never: Iterable[int], seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(kept_N, held_H): rows of the source in order, without some of its `cutoff` most frequent words; none of `never` is held out."""
    among = torch.tensor(sorted(set(range(min(size, cutoff))) - set(never)), dtype=torch.long)
    share, most = HELD
    order = torch.randperm(len(among), generator=torch.Generator().manual_seed(seed))
    held_H = among[order[: min(most, round(share * len(among)))]].sort().values
    free = torch.ones(size, dtype=torch.bool)
    free[held_H] = False
    return free.nonzero()[:, 0], held_H


def translated(w_DD: torch.Tensor, held_HD: torch.Tensor, y_MD: torch.Tensor, k: int) -> tuple[torch.Tensor, float]:
    """(indices_H, criterion): the CSLS neighbours of mapped rows among y, and their mean cosine (Conneau et al. 2018, section 2.4)."""
    x, y = unit(held_HD @ w_DD.T), unit(y_MD)
    indices_H = nearest(x, y, 1, "csls", k)[1][:, 0]
    return indices_H, (x * y[indices_H]).sum(1).double().mean().item()


def agreement(chosen_H: torch.Tensor, others: list[torch.Tensor]) -> float:
    """The largest share of words that another attempt translates as the chosen one does."""
    return max(((chosen_H == other).double().mean().item() for other in others), default=0.0)

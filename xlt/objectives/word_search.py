"""What the searches for a mapping without, or with almost no, dictionary share: restarts, words held out, the verdict. No objective of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from xlt.alignment.convergence import Verdict, hold_out, verdict

Attempt = tuple[Any, torch.Tensor, dict]  # what was found, its map W_DD, facts


def search(
    x_ND: torch.Tensor,
    y_MD: torch.Tensor,
    attempt: Callable[[int, torch.Tensor], Attempt],
    restarts: int,
    cutoff: int,
    never: list[int],
    k: int,
    seed: int,
    tell: Callable[[str], None],
) -> tuple[Any, torch.Tensor, dict, bool]:
    """(what was found, rows of the source that took part, facts, converged) of the best of `restarts` attempts.

    attempt(seed, rows): a search that looks at these source rows only. The best is the one under which the held-out words lie nearest to their neighbours.
    never: rows that are not held out, because the search begins with them.
    """
    kept_N, held_H = hold_out(len(x_ND), cutoff, never, seed)
    kept_N, held_H = kept_N.to(x_ND.device), held_H.to(x_ND.device)
    best, every = None, []
    for number in range(restarts):
        found, w_DD, facts = attempt(seed + number, kept_N)
        judged = verdict(w_DD, x_ND[held_H], y_MD[:cutoff], k, seed)
        every.append(facts | described(judged))
        tell(
            f"attempt {number + 1} of {restarts}: held-out words {judged.criterion:.4f}, by chance {judged.chance:.4f} ± {judged.deviation:.4f}, "
            f"{'converged' if judged.converged else 'not converged'}"
        )
        if best is None or judged.criterion > best[1].criterion:
            best = found, judged
    found, judged = best
    return found, kept_N, {"held_out": len(held_H), **described(judged), "attempts": every}, judged.converged


def described(judged: Verdict) -> dict:
    """For metrics.json."""
    return {
        "criterion": judged.criterion,
        "chance": judged.chance,
        "sigmas": judged.sigmas,
        "gain": judged.gain,
        "converged": judged.converged,
    }

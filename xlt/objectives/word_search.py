"""What the searches for a mapping without, or with almost no, dictionary share: attempts, words held out, the verdict. No objective of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from xlt.alignment.convergence import AGREEMENT, agreement, hold_out, translated
from xlt.errors import DataError

Attempt = tuple[Any, torch.Tensor, dict]  # what was found, its map W_DD, facts


def problems(objective) -> list[str]:
    """A sentence where success could not be told from failure."""
    if objective.restarts >= 2:
        return []
    return [
        f"objective.restarts: {objective.restarts} is below 2; only two attempts that agree show that a search found the other language"
    ]


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

    attempt(seed, rows): a search that looks at these source rows only. The best is the one under which the held-out words lie nearest to their neighbours; it has
    converged if it ended by its own rule and another attempt translates enough of them alike (`xlt.alignment.convergence`). never: rows that are not held out, since the search begins with them.
    DataError if there are too few words to hold any out.
    """
    kept_N, held_H = (rows.to(x_ND.device) for rows in hold_out(len(x_ND), cutoff, never, seed))
    if not len(held_H):
        raise DataError(
            f"{len(x_ND)} source words are too few to search with; give more vectors, or objective.max_vocab"
        )
    every = []
    for number in range(restarts):
        found, w_DD, facts = attempt(seed + number, kept_N)
        words_H, criterion = translated(w_DD, x_ND[held_H], y_MD[:cutoff], k)
        every.append((criterion, found, words_H, {**facts, "criterion": criterion}))
        tell(f"attempt {number + 1} of {restarts}: mean cosine of held-out words {criterion:.4f}")
    best = max(every, key=lambda each: each[0])
    agreed = agreement(best[2], [each[2] for each in every if each is not best])
    converged = agreed >= AGREEMENT and best[3].get("ended", True)
    tell(f"two attempts translate {agreed:.1%} of {len(held_H):,} held-out words alike")
    facts = {
        "held_out": len(held_H),
        "criterion": best[0],
        "agreement": agreed,
        "converged": converged,
        "attempts": [each[3] for each in every],
    }
    return best[1], kept_N, facts, converged

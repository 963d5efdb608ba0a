"""Self-learning: a map makes a dictionary, the dictionary a map, from very few pairs or none. Knows vectors only; both sides are ordered by frequency.

Artetxe, Labaka and Agirre 2018 (ACL), sections 3.2 and 3.3: the start from the words' similarity distributions, and the loop whose induced dictionaries are thinned
at random, less and less, so that it leaves poor solutions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch

from xlt.alignment.csls import best, mean_similarities, unit
from xlt.alignment.largest import TILE
from xlt.alignment.procrustes import normalise, procrustes

ROWS = 512  # that share which columns are kept


@dataclass(frozen=True)
class Pace:
    """keep: share of the similarities that the first dictionaries are made of; times `factor` after `stale` rounds in which the mean similarity has not risen by
    `threshold`, until all are kept. cutoff: most frequent words of each side that take part. rounds: at most."""

    keep: float
    factor: float
    stale: int
    threshold: float
    cutoff: int
    rounds: int


class Learned(NamedTuple):
    """w_DD maps source rows as x @ w.T. i_P, j_P: the dictionary of the last round. objective: mean similarity after each round.
    ended: by its own rule, before the rounds were used up."""

    w: torch.Tensor
    i: torch.Tensor
    j: torch.Tensor
    objective: list[float]
    ended: bool


def similarity_start(
    x_ND: torch.Tensor, y_MD: torch.Tensor, words: int, k: int, steps: list[str]
) -> tuple[torch.Tensor, torch.Tensor]:
    """(i_P, j_P) of words whose similarities to the words of their own language, sorted, are alike, among the `words` most frequent (section 3.2).

    The square root of the similarity matrix is taken (X X^T)^1/2 = U S U^T, X = U S V^T, and its sorted rows are normalised by `steps`, as the vectors were.
    """
    size = min(words, len(x_ND), len(y_MD))
    sorted_x, sorted_y = (normalise(_root(each[:size]).sort(1).values, steps) for each in (x_ND, y_MD))
    return union(*_neighbours(unit(sorted_x), unit(sorted_y), 1.0, k, None)[0])


def _root(x_ND: torch.Tensor) -> torch.Tensor:
    u_NK, s_K, _ = torch.linalg.svd(x_ND, full_matrices=False)
    return (u_NK * s_K) @ u_NK.T


def union(forward_N: torch.Tensor, backward_M: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Pairs of both directions; one that both have counts twice, as the paper has it."""
    rows_N, rows_M = (torch.arange(len(each), device=each.device) for each in (forward_N, backward_M))
    return torch.cat([rows_N, backward_M]), torch.cat([forward_N, rows_M])


def learn(
    x_ND: torch.Tensor,
    y_MD: torch.Tensor,
    i_P: torch.Tensor,
    j_P: torch.Tensor,
    pace: Pace,
    k: int,
    seed: int,
    tell: Callable[[str], None],
) -> Learned:
    """The orthogonal map that the pairs (i_P, j_P) grow into. Vectors are unit rows."""
    x, y = x_ND[: pace.cutoff], y_MD[: pace.cutoff]
    generator = torch.Generator(x.device).manual_seed(seed)
    keep, highest, since, history, ended = pace.keep, float("-inf"), 0, [], False
    while True:
        w_DD = procrustes(x_ND[i_P], y_MD[j_P])
        directions, objective = _neighbours(unit(x @ w_DD.T), y, keep, k, generator)
        i_P, j_P = union(*directions)
        history.append(objective)
        since += 1
        if objective - highest >= pace.threshold:
            highest, since = objective, 0
        elif since > pace.stale:
            if keep >= 1:
                ended = True
                break
            keep, since = min(1.0, keep * pace.factor), 0
        if len(history) % 10 == 1:
            tell(f"round {len(history)}, keeping {keep:.0%}: mean similarity {objective:.4f}")
        if len(history) == pace.rounds:
            break
    return Learned(procrustes(x_ND[i_P], y_MD[j_P]), i_P, j_P, history, ended)


def _neighbours(
    x_ND: torch.Tensor, y_MD: torch.Tensor, keep: float, k: int, generator: torch.Generator | None
) -> tuple[tuple[torch.Tensor, torch.Tensor], float]:
    """((forward_N, backward_M), objective): the CSLS neighbours of both sides among a random share `keep` of the other, and the mean similarity of all words of
    both sides to their nearest, whatever was kept."""
    (r_N, r_M), (max_N, max_M) = mean_similarities(x_ND, y_MD, k)
    forward_N = _among_kept(x_ND, y_MD, r_M, keep, generator)
    backward_M = _among_kept(y_MD, x_ND, r_N, keep, generator)
    return (forward_N, backward_M), float(max_N.double().mean() + max_M.double().mean()) / 2


def _among_kept(x_ND: torch.Tensor, y_MD: torch.Tensor, r_M: torch.Tensor, keep: float, generator) -> torch.Tensor:
    """The row of y with the largest 2 x.y - r among those kept, for each row of x.

    The paper draws anew for every similarity. Here ROWS rows of x, put together at random, share a draw: each row's choice is distributed the same, and only what
    was kept is multiplied.
    """
    if keep >= 1:
        return best(x_ND, y_MD, 1, 2.0, r_M)[1][:, 0]
    found_N = torch.empty(len(x_ND), dtype=torch.long, device=x_ND.device)
    size = max(1, round(keep * len(y_MD)))
    for rows in torch.randperm(len(x_ND), generator=generator, device=x_ND.device).split(
        min(ROWS, max(1, TILE // size))
    ):
        kept = torch.randperm(len(y_MD), generator=generator, device=x_ND.device)[:size]
        found_N[rows] = kept[(x_ND[rows] @ y_MD[kept].T).mul_(2).sub_(r_M[kept]).argmax(1)]
    return found_N

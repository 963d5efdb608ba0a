"""Bitext mining: which sentences of two languages are translations, found among the nearest neighbours and judged by a margin. Knows vectors only.

Artetxe and Schwenk 2019 (section 3), as their released code and XTREME's BUCC script do it: candidates are each sentence's k nearest in the other language.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

import numpy as np
import torch

from xlt.alignment.csls import unit
from xlt.alignment.index import Index, search_both


class Margin(str, Enum):
    """Score of a pair with cosine a and b the mean cosine of both with their k nearest: a (absolute), a - b (distance), a / b (ratio)."""

    absolute = "absolute"
    distance = "distance"
    ratio = "ratio"


class Matching(str, Enum):
    """Which candidates become pairs. max: greedily the best pair of sentences not yet taken (competitive linking, Melamed 2000), of those that one side or the
    other likes best; intersection: those that choose each other; hungarian: of all neighbours, the pairs whose scores have the largest sum.
    """

    max = "max"
    intersection = "intersection"
    hungarian = "hungarian"


class Pairs(NamedTuple):
    """source_P, target_P int64: places of the sentences that were put together. scores_P float64, best first."""

    source: torch.Tensor
    target: torch.Tensor
    scores: torch.Tensor


Near = tuple[
    torch.Tensor, torch.Tensor
]  # (cosines_NK float32, best first, places_NK int64) of the K nearest of each row


class Scores(NamedTuple):
    """Of mined pairs against the true ones."""

    precision: float
    recall: float
    f1: float


def mine(x_ND: torch.Tensor, y_MD: torch.Tensor, k: int, margin: Margin, matching: Matching) -> Pairs:
    """Pairs of rows of x and y, every row in one pair at most; of equal scores, those of the lower row of x (then of y) first. Vectors need no length."""
    if not len(x_ND) or not len(y_MD):
        none = torch.empty(0, dtype=torch.long)
        return Pairs(none, none, torch.empty(0, dtype=torch.float64))
    x_ND, y_MD = unit(x_ND.float()), unit(y_MD.float())
    near = [(scores.float(), places) for scores, places in search_both(Index(x_ND), Index(y_MD), k)]
    return put_together(*near, margin, matching)


def put_together(near_NK: Near, near_MK: Near, margin: Margin, matching: Matching) -> Pairs:
    """The same from the cosines and places of the nearest: near_NK of each row of x in y, near_MK of each row of y in x; one of each at least."""
    mean_N, mean_M = (scores.double().mean(1) for scores, _ in (near_NK, near_MK))
    rows_N, rows_M = torch.arange(len(mean_N)), torch.arange(len(mean_M))
    if matching is Matching.hungarian:
        return _sorted(_largest_sum(_every(near_NK, near_MK, mean_N, mean_M, margin), len(rows_N), len(rows_M)))
    forward_N, best_N = _chosen(*near_NK, mean_N, mean_M, margin)
    backward_M, best_M = _chosen(*near_MK, mean_M, mean_N, margin)
    if matching is Matching.intersection:
        source_P = (backward_M[forward_N] == rows_N).nonzero()[:, 0]
        pairs = Pairs(source_P, forward_N[source_P], best_N[source_P])
    else:
        both = torch.cat([rows_N, backward_M]), torch.cat([forward_N, rows_M]), torch.cat([best_N, best_M])
        pairs = Pairs(*both)
    return _one_to_one(_sorted(pairs))


def _chosen(near_NK, indices_NK, mean_N, mean_M, margin: Margin) -> tuple[torch.Tensor, torch.Tensor]:
    """(row of the other side, its score) that each row likes best among its neighbours; of equal ones the nearer."""
    best = _scores(near_NK, indices_NK, mean_N, mean_M, margin).max(1)
    return indices_NK.gather(1, best.indices[:, None])[:, 0], best.values


def _scores(near_NK, indices_NK, mean_N, mean_M, margin: Margin) -> torch.Tensor:
    """scores_NK of each row with its neighbours."""
    a_NK, b_NK = near_NK.double(), (mean_N[:, None] + mean_M[indices_NK]) / 2
    scores_NK = {Margin.absolute: lambda: a_NK, Margin.distance: lambda: a_NK - b_NK, Margin.ratio: lambda: a_NK / b_NK}
    return scores_NK[margin]()


def _every(near_NK: Near, near_MK: Near, mean_N, mean_M, margin: Margin) -> Pairs:
    """Each row with each of its neighbours, of both sides, a pair once."""
    forward_NK, backward_MK = _scores(*near_NK, mean_N, mean_M, margin), _scores(*near_MK, mean_M, mean_N, margin)
    row_NK, row_MK = (torch.arange(len(s))[:, None].expand_as(s) for s in (forward_NK, backward_MK))
    source_P = torch.cat([row_NK.flatten(), near_MK[1].flatten()])
    target_P = torch.cat([near_NK[1].flatten(), row_MK.flatten()])
    scores_P = torch.cat([forward_NK.flatten(), backward_MK.flatten()])
    _, first = np.unique((source_P * len(mean_M) + target_P).numpy(), return_index=True)
    return Pairs(source_P[first], target_P[first], scores_P[first])


def _largest_sum(pairs: Pairs, n: int, m: int) -> Pairs:
    """The one-to-one choice of the largest sum of scores (Kuhn 1955), by scipy's sparse solver; pairs whose score is not above 0 add nothing and are left out.

    The solver gives each row a column, so each may also take one of its own, which costs more than any pair.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    pairs = Pairs(*(column[pairs.scores > 0] for column in pairs))
    if not len(pairs.scores):
        return pairs
    most = float(pairs.scores.max()) + 1.0
    rows = np.concatenate([pairs.source.numpy(), np.arange(n)])
    columns = np.concatenate([pairs.target.numpy(), m + np.arange(n)])
    costs = np.concatenate([most - pairs.scores.numpy(), np.full(n, most)])
    row_N, column_N = min_weight_full_bipartite_matching(csr_array((costs, (rows, columns)), shape=(n, m + n)))
    chosen = dict(zip(row_N.tolist(), column_N.tolist(), strict=True))
    kept_P = torch.tensor([chosen[i] == j for i, j in zip(pairs.source.tolist(), pairs.target.tolist(), strict=True)])
    return Pairs(*(column[kept_P] for column in pairs))


def _sorted(pairs: Pairs) -> Pairs:
    """By score, then by source, then by target: stable sorts, the least important first."""
    for name, descending in (("target", False), ("source", False), ("scores", True)):
        order_P = getattr(pairs, name).sort(stable=True, descending=descending).indices
        pairs = Pairs(*(column[order_P] for column in pairs))
    return pairs


def _one_to_one(pairs: Pairs) -> Pairs:
    """Without the pairs of which a sentence is in a better one."""
    sources, targets, kept = set(), set(), []
    for place, (i, j) in enumerate(zip(pairs.source.tolist(), pairs.target.tolist(), strict=True)):
        if i not in sources and j not in targets:
            kept.append(place)
            sources.add(i)
            targets.add(j)
    return Pairs(*(column[kept] for column in pairs))


def right(pairs: Pairs, gold: Iterable[tuple[int, int]]) -> torch.Tensor:
    """bool P: which of the mined pairs are true ones."""
    gold = set(gold)
    mined = zip(pairs.source.tolist(), pairs.target.tolist(), strict=True)
    return torch.tensor([pair in gold for pair in mined], dtype=torch.bool)


def fit_threshold(scores_P: torch.Tensor, right_P: torch.Tensor, gold: int) -> float:
    """The score from which on a pair is kept so that F1 against `gold` true pairs is largest; halfway to the best score that is left out.

    The rule of XTREME's BUCC script (Hu et al. 2020), but equal scores are never torn apart. Of equal F1, the highest threshold. scores_P: best first.
    """
    if not len(scores_P):
        return 0.0
    kept_P = torch.arange(1, len(scores_P) + 1)
    f1_P = 2 * right_P.cumsum(0).double() / (kept_P + gold)
    f1_P[:-1][scores_P[1:] == scores_P[:-1]] = -1.0
    last = int(f1_P.argmax())
    if f1_P[last] == 0:  # none is right: nothing speaks for any threshold
        last = len(scores_P) - 1
    return float(scores_P[last : last + 2].mean())


def scores(right_P: torch.Tensor, gold: int) -> Scores:
    """Precision, recall and F1 of the pairs that were kept; 0 where there is nothing to divide by."""
    hits, kept = int(right_P.sum()), len(right_P)
    return Scores(hits / kept if kept else 0.0, hits / gold if gold else 0.0, 2 * hits / max(kept + gold, 1))

"""Nearest neighbours between two spaces, plain or corrected for hubs, in tiles: the full n x m matrix is never held.

CSLS: Conneau et al. 2018, section 2.3. Inverted softmax: Smith et al. 2017, section 2.3. Ratio margin: Artetxe and Schwenk 2019, section 3.1.
All vectors are unit rows unless said, on one device.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isqrt

import torch

BLOCK = 2**23  # similarities held at once where a row is needed whole: 32 MB of float32
TILE = 2**20  # similarities of a tile: 4 MB of float32

SCORES = ("cosine", "csls", "ratio", "inverted_softmax")


def blocks(x_ND: torch.Tensor, y_MD: torch.Tensor) -> Iterator[tuple[slice, torch.Tensor]]:
    """(rows, similarities_KM) of consecutive rows of x against all of y."""
    step = max(1, BLOCK // max(1, len(y_MD)))
    for start in range(0, len(x_ND), step):
        rows = slice(start, min(start + step, len(x_ND)))
        yield rows, x_ND[rows] @ y_MD.T


def tiles(x_ND: torch.Tensor, y_MD: torch.Tensor) -> Iterator[tuple[slice, slice, torch.Tensor]]:
    """(rows, columns, similarities) of x against y, a tile that stays in the cache at a time; all columns of some rows, then the next rows.

    A product of a few rows with all of y would be half as fast, and what is done with a tile is cheap only while it is in the cache.
    """
    width = max(1, min(len(y_MD), isqrt(4 * TILE)))
    height = max(1, TILE // width)
    for i in range(0, len(x_ND), height):
        rows = slice(i, min(i + height, len(x_ND)))
        for j in range(0, len(y_MD), width):
            columns = slice(j, min(j + width, len(y_MD)))
            yield rows, columns, x_ND[rows] @ y_MD[columns].T


class Best:
    """The k largest scores of each row so far, values_NK and indices_NK, best first; of equal ones the lower index, if columns come in order."""

    def __init__(self, rows: int, k: int, like: torch.Tensor):
        self.values_NK = like.new_full((rows, k), -torch.inf)
        self.indices_NK = torch.zeros(rows, k, dtype=torch.long, device=like.device)

    def add(self, rows: slice, first: int, scores_KM: torch.Tensor) -> None:
        """scores_KM: of `rows` with the columns from `first` on."""
        values_NK, indices_NK = self.values_NK[rows], self.indices_NK[rows]
        k = values_NK.shape[1]
        if first == 0:
            values, indices = largest(scores_KM, min(k, scores_KM.shape[1]))
        else:
            values, indices = above(scores_KM, values_NK[:, -1])
        if not values.shape[1]:
            return
        values, order = torch.cat([values_NK, values], 1).sort(dim=1, descending=True, stable=True)
        values_NK[:] = values[:, :k]
        indices_NK[:] = torch.cat([indices_NK, indices + first], 1).gather(1, order[:, :k])


def above(scores_KM: torch.Tensor, least_K: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(values_KC, columns_KC): the scores of each row above its least, in the order of the columns, filled up with -inf. Few are, once something good was
    found, and to find them so is three times as fast as topk."""
    row_P, column_P = (scores_KM > least_K[:, None]).nonzero(as_tuple=True)
    count_K = torch.bincount(row_P, minlength=len(scores_KM))
    place_P = torch.arange(len(row_P), device=row_P.device) - (count_K.cumsum(0) - count_K)[row_P]
    most = int(count_K.max()) if len(row_P) else 0
    values_KC = scores_KM.new_full((len(scores_KM), most), -torch.inf)
    columns_KC = torch.zeros(len(scores_KM), most, dtype=torch.long, device=row_P.device)
    values_KC[row_P, place_P] = scores_KM[row_P, column_P]
    columns_KC[row_P, place_P] = column_P
    return values_KC, columns_KC


def best(
    x_ND: torch.Tensor, y_MD: torch.Tensor, k: int, scale: float = 1.0, minus_M: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """(values_NK, indices_NK) of the k largest scale * x.y - minus of each row of x, best first; of equal ones the lower index. k <= M."""
    found = Best(len(x_ND), k, x_ND)
    for rows, columns, tile_KM in tiles(x_ND, y_MD):
        if scale != 1.0:
            tile_KM.mul_(scale)
        if minus_M is not None:
            tile_KM.sub_(minus_M[columns])
        found.add(rows, columns.start, tile_KM)
    return found.values_NK, found.indices_NK


def largest(scores_KM: torch.Tensor, top: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(values_KT, indices_KT), best first; of equal ones the lower index."""
    if top == 1:  # of equal ones max gives the first, topk any
        values_K, indices_K = scores_KM.max(1)
        return values_K[:, None], indices_K[:, None]
    indices_KT = scores_KM.topk(top, dim=1).indices.sort(1).values
    values_KT, order_KT = scores_KM.gather(1, indices_KT).sort(dim=1, descending=True, stable=True)
    return values_KT, indices_KT.gather(1, order_KT)


def mean_similarity(x_ND: torch.Tensor, y_MD: torch.Tensor, k: int) -> torch.Tensor:
    """r_N: mean similarity of each row of x to its k nearest rows of y (to all of them if y has fewer)."""
    values_NK = x_ND.new_full((len(x_ND), min(k, len(y_MD))), -torch.inf)
    for rows, columns, tile_KM in tiles(x_ND, y_MD):
        _raise(values_NK[rows], tile_KM, columns.start == 0)
    return values_NK.mean(1)


def mean_similarities(
    x_ND: torch.Tensor, y_MD: torch.Tensor, k: int
) -> tuple[tuple[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
    """((r_N, r_M), (max_N, max_M)): mean_similarity both ways, and the similarity to the nearest, of one set of products."""
    values_NK = x_ND.new_full((len(x_ND), min(k, len(y_MD))), -torch.inf)
    values_MK = y_MD.new_full((len(y_MD), min(k, len(x_ND))), -torch.inf)
    for rows, columns, tile_KM in tiles(x_ND, y_MD):
        _raise(values_NK[rows], tile_KM, columns.start == 0)
        _raise(values_MK[columns], tile_KM.T.contiguous(), rows.start == 0)
    return (values_NK.mean(1), values_MK.mean(1)), (values_NK.amax(1), values_MK.amax(1))


def _raise(values_RK: torch.Tensor, scores_RM: torch.Tensor, first: bool) -> None:
    """In place, the K largest of what each row had (nothing, at `first`) and its new scores; in no order."""
    k = values_RK.shape[1]
    if first:
        new = scores_RM.topk(min(k, scores_RM.shape[1]), dim=1, sorted=False).values
    else:
        new = above(scores_RM, values_RK.amin(1))[0]
    if new.shape[1]:
        values_RK[:] = torch.cat([values_RK, new], 1).topk(k, dim=1, sorted=False).values


def log_sums(y_MD: torch.Tensor, x_ND: torch.Tensor, beta: float) -> torch.Tensor:
    """z_M = log sum_n exp(beta x_n.y) over all rows of x: how near a word is to all of the other space, the denominator of the inverted softmax."""
    z_M = y_MD.new_full((len(y_MD),), -torch.inf)
    for rows, _, tile_KN in tiles(y_MD, x_ND):
        top_K = tile_KN.amax(1, keepdim=True)
        sums_K = tile_KN.sub_(top_K).mul_(beta).exp_().sum(1).log_() + beta * top_K[:, 0]
        z_M[rows] = torch.logaddexp(z_M[rows], sums_K)
    return z_M


def nearest(
    x_ND: torch.Tensor,
    y_MD: torch.Tensor,
    top: int,
    score: str = "cosine",
    k: int = 10,
    hubs_ND: torch.Tensor | None = None,
    beta: float = 30.0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """(scores_NT, indices_NT) of the `top` best rows of y for each row of x, best first; of equal scores the lower index first.

    score: cosine x.y; csls 2 x.y - r_Y(x) - r_X(y); ratio x.y / ((r_Y(x) + r_X(y)) / 2), r the mean over the k nearest in the other space;
    inverted_softmax beta x.y - log sum_n exp(beta x_n.y), the log-probability that y comes from x (up to a constant of each x).
    hubs_ND: the whole space of x, over which r_X and the sum go, where x is a part of it.
    """
    top, hubs_ND = min(top, len(y_MD)), x_ND if hubs_ND is None else hubs_ND
    if score == "cosine":
        return best(x_ND, y_MD, top)
    if score == "inverted_softmax":
        return best(x_ND, y_MD, top, beta, log_sums(y_MD, hubs_ND, beta))
    r_M, r_N = mean_similarity(y_MD, hubs_ND, k), mean_similarity(x_ND, y_MD, k)
    if score == "csls":
        scores_NT, indices_NT = best(x_ND, y_MD, top, 2.0, r_M)
        return scores_NT - r_N[:, None], indices_NT
    if score == "ratio":
        return _by_ratio(x_ND, y_MD, top, r_N, r_M)
    raise ValueError(f"score {score!r} is not one of {', '.join(SCORES)}")


def _by_ratio(x_ND, y_MD, top: int, r_N: torch.Tensor, r_M: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    found = [largest(block.mul_(2).div_(r_N[rows, None] + r_M), top) for rows, block in blocks(x_ND, y_MD)]
    return torch.cat([values for values, _ in found]), torch.cat([indices for _, indices in found])


def mutual_nearest(x_ND: torch.Tensor, y_MD: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor, float]:
    """(i_P, j_P) of the pairs that are each other's CSLS neighbour, and the mean cosine of every x with its CSLS neighbour."""
    forward_N, backward_M, cosine_N = csls_neighbours(x_ND, y_MD, k)
    mutual_P = (backward_M[forward_N] == torch.arange(len(x_ND), device=x_ND.device)).nonzero()[:, 0]
    return mutual_P, forward_N[mutual_P], cosine_N.double().mean().item()


def csls_neighbours(x_ND: torch.Tensor, y_MD: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(forward_N, backward_M, cosine_N): the CSLS neighbour of each row of x and of each row of y, and the cosine of x with its own."""
    (r_N, r_M), _ = mean_similarities(x_ND, y_MD, k)
    forward, backward = Best(len(x_ND), 1, x_ND), Best(len(y_MD), 1, y_MD)
    for rows, columns, tile_KM in tiles(x_ND, y_MD):
        backward.add(columns, rows.start, (tile_KM - r_N[rows, None] / 2).T.contiguous())
        forward.add(rows, columns.start, tile_KM.sub_(r_M[columns] / 2))
    forward_N, backward_M = forward.indices_NK[:, 0], backward.indices_NK[:, 0]
    return forward_N, backward_M, (x_ND * y_MD[forward_N]).sum(1)


def unit(x_ND: torch.Tensor) -> torch.Tensor:
    """Rows scaled to length 1; rows of zeros stay."""
    return x_ND / x_ND.norm(dim=1, keepdim=True).clamp_min(torch.finfo(x_ND.dtype).tiny)

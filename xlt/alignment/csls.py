"""Nearest neighbours between two spaces, plain or corrected for hubs, in tiles: the full n x m matrix is never held.

CSLS: Conneau et al. 2018, section 2.3. Inverted softmax: Smith et al. 2017, section 2.3. Ratio margin: Artetxe and Schwenk 2019, section 3.1.
All vectors are unit rows unless said, on one device.
"""

from __future__ import annotations

import torch

from xlt.alignment.largest import Largest, both_ways, tiles

SCORES = ("cosine", "csls", "ratio", "inverted_softmax")


def best(
    x_ND: torch.Tensor, y_MD: torch.Tensor, k: int, scale: float = 1.0, minus_M: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """(values_NK, indices_NK) of the k largest scale * x.y - minus of each row of x, best first; of equal ones the lower index. k <= M."""
    found = Largest(len(x_ND), k, x_ND)
    for rows, columns, tile_KM in tiles(x_ND, y_MD):
        if scale != 1.0:
            tile_KM.mul_(scale)
        if minus_M is not None:
            tile_KM.sub_(minus_M[columns])
        found.add(rows, columns, tile_KM)
    return found.values_NK, found.indices_NK


def mean_similarity(x_ND: torch.Tensor, y_MD: torch.Tensor, k: int) -> torch.Tensor:
    """r_N: mean similarity of each row of x to its k nearest rows of y (to all of them if y has fewer)."""
    return best(x_ND, y_MD, min(k, len(y_MD)))[0].mean(1)


def mean_similarities(
    x_ND: torch.Tensor, y_MD: torch.Tensor, k: int
) -> tuple[tuple[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
    """((r_N, r_M), (max_N, max_M)): mean_similarity both ways, and the similarity to the nearest, of one set of products."""
    of_x, of_y = both_ways(x_ND, y_MD, k)
    return (of_x.values_NK.mean(1), of_y.values_NK.mean(1)), (of_x.values_NK[:, 0], of_y.values_NK[:, 0])


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
    found = Largest(len(x_ND), top, x_ND)
    for rows, columns, tile_KM in tiles(x_ND, y_MD):
        found.add(rows, columns, tile_KM.mul_(2).div_(r_N[rows, None] + r_M[columns]))
    return found.values_NK, found.indices_NK


def mutual_nearest(x_ND: torch.Tensor, y_MD: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor, float]:
    """(i_P, j_P) of the pairs that are each other's CSLS neighbour, and the mean cosine of every x with its CSLS neighbour."""
    forward_N, backward_M, cosine_N = csls_neighbours(x_ND, y_MD, k)
    mutual_P = (backward_M[forward_N] == torch.arange(len(x_ND), device=x_ND.device)).nonzero()[:, 0]
    return mutual_P, forward_N[mutual_P], cosine_N.double().mean().item()


def csls_neighbours(x_ND: torch.Tensor, y_MD: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(forward_N, backward_M, cosine_N): the CSLS neighbour of each row of x and of each row of y, and the cosine of x with its own."""
    (r_N, r_M), _ = mean_similarities(x_ND, y_MD, k)
    forward, backward = Largest(len(x_ND), 1, x_ND), Largest(len(y_MD), 1, y_MD)
    for rows, columns, tile_KM in tiles(x_ND, y_MD):
        backward.add_transposed(rows, columns, tile_KM - r_N[rows, None] / 2)
        forward.add(rows, columns, tile_KM.sub_(r_M[columns] / 2))
    forward_N, backward_M = forward.indices_NK[:, 0], backward.indices_NK[:, 0]
    return forward_N, backward_M, (x_ND * y_MD[forward_N]).sum(1)


def unit(x_ND: torch.Tensor) -> torch.Tensor:
    """Rows scaled to length 1; rows of zeros stay."""
    return x_ND / x_ND.norm(dim=1, keepdim=True).clamp_min(torch.finfo(x_ND.dtype).tiny)

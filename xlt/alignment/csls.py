"""Nearest neighbours between two spaces, plain or corrected for hubs, in blocks: the full n x m matrix is never held.

CSLS: Conneau et al. 2018, section 2.3. Ratio margin: Artetxe and Schwenk 2019, section 3.1. All vectors are unit rows unless said, on one device.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

BLOCK = 2**23  # similarities held at once: 32 MB of float32; larger blocks fall out of the cache and are slower

SCORES = ("cosine", "csls", "ratio")


def blocks(x_ND: torch.Tensor, y_MD: torch.Tensor) -> Iterator[tuple[slice, torch.Tensor]]:
    """(rows, similarities_KM) of consecutive rows of x against all of y."""
    step = max(1, BLOCK // max(1, len(y_MD)))
    for start in range(0, len(x_ND), step):
        rows = slice(start, min(start + step, len(x_ND)))
        yield rows, x_ND[rows] @ y_MD.T


def mean_similarity(x_ND: torch.Tensor, y_MD: torch.Tensor, k: int) -> torch.Tensor:
    """r_N: mean similarity of each row of x to its k nearest rows of y (to all of them if y has fewer)."""
    r_N = x_ND.new_empty(len(x_ND))
    for rows, similarity_KM in blocks(x_ND, y_MD):
        r_N[rows] = _mean_of_best(similarity_KM, k)
    return r_N


def nearest(
    x_ND: torch.Tensor,
    y_MD: torch.Tensor,
    top: int,
    score: str = "cosine",
    k: int = 10,
    hubs_ND: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """(scores_NT, indices_NT) of the `top` best rows of y for each row of x, best first; of equal scores the lower index first.

    score: cosine x.y; csls 2 x.y - r_Y(x) - r_X(y); ratio x.y / ((r_Y(x) + r_X(y)) / 2), r the mean over the k nearest in the other space.
    hubs_ND: the whole space of x, from which r_X is taken, where x is a part of it.
    """
    top = min(top, len(y_MD))
    r_M = None if score == "cosine" else mean_similarity(y_MD, x_ND if hubs_ND is None else hubs_ND, k)
    scores_NT, indices_NT = (
        x_ND.new_empty(len(x_ND), top),
        torch.empty(len(x_ND), top, dtype=torch.long, device=x_ND.device),
    )
    for rows, block_KM in blocks(x_ND, y_MD):
        if r_M is not None:
            block_KM = _corrected(block_KM, _mean_of_best(block_KM, k), r_M, score)
        scores_NT[rows], indices_NT[rows] = _best(block_KM, top)
    return scores_NT, indices_NT


def mutual_nearest(x_ND: torch.Tensor, y_MD: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor, float]:
    """(i_P, j_P) of the pairs that are each other's CSLS neighbour, and the mean cosine of every x with its CSLS neighbour."""
    r_N, r_M = mean_similarity(x_ND, y_MD, k), mean_similarity(y_MD, x_ND, k)
    forward_N, cosine_N = torch.empty(len(x_ND), dtype=torch.long, device=x_ND.device), x_ND.new_empty(len(x_ND))
    backward_M, best_M = (
        torch.zeros(len(y_MD), dtype=torch.long, device=x_ND.device),
        x_ND.new_full((len(y_MD),), -torch.inf),
    )
    for rows, block_KM in blocks(x_ND, y_MD):
        scores_KM = _corrected(block_KM.clone(), r_N[rows], r_M, "csls")
        forward_N[rows] = scores_KM.argmax(1)
        cosine_N[rows] = block_KM.gather(1, forward_N[rows, None])[:, 0]
        value_M, row_M = scores_KM.max(0)
        backward_M = torch.where(value_M > best_M, row_M + rows.start, backward_M)
        best_M = torch.maximum(value_M, best_M)
    mutual_P = (backward_M[forward_N] == torch.arange(len(x_ND), device=x_ND.device)).nonzero()[:, 0]
    return mutual_P, forward_N[mutual_P], cosine_N.double().mean().item()


def unit(x_ND: torch.Tensor) -> torch.Tensor:
    """Rows scaled to length 1; rows of zeros stay."""
    return x_ND / x_ND.norm(dim=1, keepdim=True).clamp_min(torch.finfo(x_ND.dtype).tiny)


def _mean_of_best(similarity_KM: torch.Tensor, k: int) -> torch.Tensor:
    return similarity_KM.topk(min(k, similarity_KM.shape[1]), dim=1, sorted=False).values.mean(1)


def _corrected(similarity_KM: torch.Tensor, r_K: torch.Tensor, r_M: torch.Tensor, score: str) -> torch.Tensor:
    """In place: a block is the largest thing here."""
    if score == "csls":
        return similarity_KM.mul_(2).sub_(r_K[:, None]).sub_(r_M)
    if score == "ratio":
        return similarity_KM.mul_(2).div_(r_K[:, None] + r_M)
    raise ValueError(f"score {score!r} is not one of {', '.join(SCORES)}")


def _best(scores_KM: torch.Tensor, top: int) -> tuple[torch.Tensor, torch.Tensor]:
    if top == 1:  # of equal ones max gives the first, topk any
        values_K, indices_K = scores_KM.max(1)
        return values_K[:, None], indices_K[:, None]
    indices_KT = scores_KM.topk(top, dim=1).indices.sort(1).values
    values_KT, order_KT = scores_KM.gather(1, indices_KT).sort(dim=1, descending=True, stable=True)
    return values_KT, indices_KT.gather(1, order_KT)

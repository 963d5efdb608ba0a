"""Nearest neighbours between two spaces, plain and corrected for hubs (CSLS), in blocks: the full n x m matrix is never held.

CSLS: Conneau et al. 2018, section 2.3. Margin ratio: Artetxe and Schwenk 2019, section 3.1. All vectors are unit rows unless said.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

BLOCK = 4096  # rows of the left side per matrix product


def blocks(x_ND: torch.Tensor, y_MD: torch.Tensor, size: int = BLOCK) -> Iterator[tuple[int, torch.Tensor]]:
    """(start, similarities_KM) of consecutive rows of x against all of y."""
    for start in range(0, len(x_ND), size):
        yield start, x_ND[start : start + size] @ y_MD.T


def mean_similarity(x_ND: torch.Tensor, y_MD: torch.Tensor, k: int) -> torch.Tensor:
    """r_N: mean similarity of each row of x to its k nearest rows of y (all of them if y has fewer)."""
    k = min(k, len(y_MD))
    return torch.cat([similarity.topk(k, dim=1).values.mean(1) for _, similarity in blocks(x_ND, y_MD)])


def nearest(x_ND: torch.Tensor, y_MD: torch.Tensor, top: int, csls_k: int | None) -> tuple[torch.Tensor, torch.Tensor]:
    """(scores_NT, indices_NT) of the `top` best rows of y for each row of x, best first; of equal scores the lower index.

    csls_k None: similarity. Else CSLS(x, y) = 2 x.y - r_Y(x) - r_X(y), r the mean over the csls_k nearest in the other space.
    """
    top = min(top, len(y_MD))
    penalty_M = mean_similarity(y_MD, x_ND, csls_k) if csls_k else None
    scores, indices = [], []
    for _, similarity in blocks(x_ND, y_MD):
        if csls_k:
            r_K = similarity.topk(min(csls_k, len(y_MD)), dim=1).values.mean(1)
            similarity = 2 * similarity - r_K[:, None] - penalty_M[None, :]
        best = similarity.topk(top, dim=1)
        scores.append(best.values)
        indices.append(best.indices)
    return torch.cat(scores), torch.cat(indices)


def unit(x_ND: torch.Tensor) -> torch.Tensor:
    """Rows scaled to length 1; rows of zeros stay."""
    return x_ND / x_ND.norm(dim=1, keepdim=True).clamp_min(1e-12)

"""Orthogonal maps between two embedding spaces from pairs of words: one closed form, and its refinement on its own dictionary.

Schoenemann 1966; for embeddings Smith et al. 2017 and Conneau et al. 2018, sections 2.1 to 2.4. No unsupervised start: a first map is given.
"""

from __future__ import annotations

import torch

from xlt.alignment.csls import mutual_nearest, unit

NORMALISATIONS = ("unit", "center")


def procrustes(x_PD: torch.Tensor, y_PD: torch.Tensor) -> torch.Tensor:
    """W_DD, the orthogonal matrix with the least sum of |W x_i - y_i|^2: W = U V^T with U S V^T = SVD(Y^T X). Rows map as x @ W.T.

    Solved in float64, returned in the type of x: float64 in, float64 out.
    """
    u_DD, _, vt_DD = torch.linalg.svd(y_PD.double().T @ x_PD.double())
    return (u_DD @ vt_DD).to(x_PD.dtype)


def normalise(x_ND: torch.Tensor, steps: list[str]) -> torch.Tensor:
    """`unit` scales rows to length 1, `center` takes the mean row away; in the order given (Artetxe et al. 2018: unit, center, unit)."""
    for step in steps:
        x_ND = unit(x_ND) if step == "unit" else x_ND - x_ND.mean(0)
    return x_ND


def refine(
    w_DD: torch.Tensor, x_ND: torch.Tensor, y_MD: torch.Tensor, rounds: int, max_rank: int, k: int
) -> tuple[torch.Tensor, list[float]]:
    """The best map over `rounds` of: mutual CSLS neighbours among the max_rank most frequent words of both sides -> Procrustes.

    x and y are ordered by frequency. Best is by the unsupervised criterion, the mean cosine of the source words with their CSLS neighbours
    (Conneau et al. 2018, section 2.4), which reads no dictionary. Returns (W, criterion of the start and of each round).
    """
    x, y = x_ND[:max_rank], y_MD[:max_rank]
    y_unit, best, history = unit(y), w_DD, []
    for done in range(rounds + 1):
        i_P, j_P, criterion = mutual_nearest(unit(x @ w_DD.T), y_unit, k)
        if not history or criterion > max(history):
            best = w_DD
        history.append(criterion)
        if done < rounds and len(i_P):
            w_DD = procrustes(x[i_P], y[j_P])
    return best, history

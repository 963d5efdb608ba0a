"""Relaxed CSLS: a linear map that is trained on the criterion it is used with. Joulin, Bojanowski, Mikolov, Jégou and Grave 2018, sections 3.1 to 3.4.

Knows unit vectors only. The loss is piecewise linear in W while the neighbourhoods hold, so its gradient is exact at each step.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

import torch

from xlt.alignment.csls import best
from xlt.alignment.procrustes import procrustes


class Constraint(str, Enum):
    """What W may be after each step. spectral: its singular values are cut at 1, the paper's convex relaxation; orthogonal: the nearest orthogonal matrix."""

    none = "none"
    spectral = "spectral"
    orthogonal = "orthogonal"


def loss_and_gradient(
    w_DD: torch.Tensor, x_PD: torch.Tensor, y_PD: torch.Tensor, x_ND: torch.Tensor, y_MD: torch.Tensor, k: int
) -> tuple[float, torch.Tensor]:
    """(loss, gradient_DD) of W at pairs (x_i, y_i), neighbours among all of x_ND and y_MD:

    1/P sum_i [ -2 W x_i.y_i + 1/k sum_{y in N_Y(W x_i)} W x_i.y + 1/k sum_{W x in N_X(y_i)} W x.y_i ] (equation 6). Rows map as x @ W.T.
    """
    mapped_PD, mapped_ND = x_PD @ w_DD.T, x_ND @ w_DD.T
    near_PK = best(mapped_PD, y_MD, min(k, len(y_MD)))[1]
    back_PK = best(y_PD, mapped_ND, min(k, len(x_ND)))[1]
    near_PD, back_PD = _means(y_MD, near_PK), _means(x_ND, back_PK)
    pull_PD = near_PD - 2 * y_PD
    gradient_DD = (pull_PD.T @ x_PD + y_PD.T @ back_PD) / len(x_PD)
    return float((gradient_DD.double() * w_DD.double()).sum()), gradient_DD  # the loss is linear in W


def _means(y_MD: torch.Tensor, rows_PK: torch.Tensor) -> torch.Tensor:
    """The mean of the rows that each pair names; a thousand pairs at once, for all their neighbours together are large."""
    return torch.cat([y_MD[rows].mean(1) for rows in rows_PK.split(1000)])


def train(
    w_DD: torch.Tensor,
    pairs: tuple[torch.Tensor, torch.Tensor],
    spaces: tuple[torch.Tensor, torch.Tensor],
    k: int,
    rate: float,
    rounds: int,
    constraint: Constraint,
    tell: Callable[[str], None],
) -> tuple[torch.Tensor, list[float]]:
    """(W, loss at the start and after each accepted step) of full gradient steps; one that makes the loss larger is taken back, and the rate halved."""
    loss, gradient_DD = loss_and_gradient(w_DD, *pairs, *spaces, k)
    history = [loss]
    for done in range(rounds):
        tried_DD = project(w_DD - rate * gradient_DD, constraint)
        tried, gradient = loss_and_gradient(tried_DD, *pairs, *spaces, k)
        if tried > loss:
            rate /= 2
            tell(f"step {done + 1} of {rounds}: the loss would rise to {tried:.5f}; rate {rate:g}")
            continue
        w_DD, loss, gradient_DD = tried_DD, tried, gradient
        history.append(loss)
        tell(f"step {done + 1} of {rounds}: loss {loss:.5f}")
    return w_DD, history


def project(w_DD: torch.Tensor, constraint: Constraint) -> torch.Tensor:
    """The nearest matrix that the constraint allows."""
    if constraint is Constraint.none:
        return w_DD
    if constraint is Constraint.orthogonal:
        return procrustes(torch.eye(len(w_DD), dtype=w_DD.dtype, device=w_DD.device), w_DD.T)
    u_DD, s_D, vt_DD = torch.linalg.svd(w_DD.double())
    return (u_DD * s_D.clamp(max=1) @ vt_DD).to(w_DD.dtype)

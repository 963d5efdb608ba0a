"""How unlike two languages' states are: losses that a shared space brings down. Functions on tensors; they know no model and no batch.

Those of sentence pairs give one loss per pair, so that a caller sums or averages; CORAL compares two sets, whose rows are not paired.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F


def ranking_losses(x_PD: torch.Tensor, y_PD: torch.Tensor, temperature: float, margin: float = 0.0) -> torch.Tensor:
    """losses_P of unit vectors: -1/2 [log softmax_j of (s_ij - m [i=j]) / t, plus the same over the columns] at j = i, s the cosine.

    margin 0 is symmetric InfoNCE (Oord et al. 2018); else additive margin softmax both ways (Yang et al. 2019, equations 5 and 6).
    """
    gold_P = torch.arange(len(x_PD), device=x_PD.device)
    ways = (one_way(x_PD, y_PD, gold_P, temperature, margin), one_way(y_PD, x_PD, gold_P, temperature, margin))
    return sum(ways) / 2


def one_way(
    x_PD: torch.Tensor,
    y_QD: torch.Tensor,
    gold_P: torch.Tensor,
    temperature: float,
    margin: float = 0.0,
    hard_PK: torch.Tensor | None = None,
) -> torch.Tensor:
    """losses_P = -log softmax of the cosine with row gold of y, less the margin, among those with all rows of y and, where they are given, further ones of each row's own."""
    scores_PQ = x_PD @ y_QD.T
    if margin:
        scores_PQ = scores_PQ - margin * F.one_hot(gold_P, len(y_QD)).to(scores_PQ.dtype)
    if hard_PK is not None:
        scores_PQ = torch.cat([scores_PQ, hard_PK], 1)
    return F.cross_entropy(scores_PQ / temperature, gold_P, reduction="none")


def ranking_losses_of(scores_BU: torch.Tensor, row_P: torch.Tensor, right_P: torch.Tensor) -> torch.Tensor:
    """losses_P: -log softmax of score [row_P, right_P] among those of its row, without the row's other right ones: they are no negatives of each other."""
    other_BU = torch.zeros_like(scores_BU, dtype=torch.bool)
    other_BU[row_P, right_P] = True
    other_PU = other_BU[row_P].scatter(1, right_P[:, None], False)
    return F.cross_entropy(scores_BU[row_P].masked_fill(other_PU, -torch.inf), right_P, reduction="none")


def squared_distances(x_PD: torch.Tensor, y_PD: torch.Tensor) -> torch.Tensor:
    """losses_P: the mean of (x_i - y_i)^2 over the width."""
    return (x_PD - y_PD).square().mean(-1)


def cosine_costs(x_PLD: torch.Tensor, y_PMD: torch.Tensor) -> torch.Tensor:
    """costs_PLM = 1 - cosine, in [0, 2], of every state of a side with every one of the other."""
    return 1 - F.normalize(x_PLD, dim=-1) @ F.normalize(y_PMD, dim=-1).transpose(1, 2)


@torch.no_grad()
def sinkhorn_plan(
    costs_PLM: torch.Tensor, x_PL: torch.Tensor, y_PM: torch.Tensor, epsilon: float, iterations: int
) -> torch.Tensor:
    """plans_PLM, the transport of mass x_PL to y_PM that minimises <plan, costs> - epsilon * entropy (Cuturi 2013, algorithm 1).

    In logarithms (Peyre and Cuturi 2019, section 4.4), so a small epsilon does not underflow. Masses sum to 1 a row; where one is 0 (padding) no mass
    goes. The column sums are exact; the row sums become so with more iterations.
    """
    kernel_PLM = -costs_PLM.float() / epsilon
    log_x_PL, log_y_PM = x_PL.float().log(), y_PM.float().log()
    v_PM = torch.zeros_like(log_y_PM).masked_fill(y_PM == 0, -torch.inf)
    for _ in range(iterations):
        u_PL = log_x_PL - torch.logsumexp(kernel_PLM + v_PM.unsqueeze(1), 2)
        v_PM = log_y_PM - torch.logsumexp(kernel_PLM + u_PL.unsqueeze(2), 1)
    return (kernel_PLM + u_PL.unsqueeze(2) + v_PM.unsqueeze(1)).exp()


def transport_losses(
    x_PLD: torch.Tensor, y_PMD: torch.Tensor, x_PL: torch.Tensor, y_PM: torch.Tensor, epsilon: float, iterations: int
) -> torch.Tensor:
    """losses_P = <plan, costs>, the plan held fixed: the gradient of the regularised cost with respect to the costs is the plan itself
    (Peyre and Cuturi 2019, section 9.1), so nothing has to be kept of the iterations."""
    costs_PLM = cosine_costs(x_PLD.float(), y_PMD.float())
    return (sinkhorn_plan(costs_PLM.detach(), x_PL, y_PM, epsilon, iterations) * costs_PLM).sum((1, 2))


def covariance(x_ND: torch.Tensor) -> torch.Tensor:
    """covariance_DD of N >= 2 rows, divided by N - 1 (Sun and Saenko 2016, equations 2 and 3)."""
    centred_ND = x_ND - x_ND.mean(0)
    return centred_ND.T @ centred_ND / (len(x_ND) - 1)


def coral_distance(x_DD: torch.Tensor, y_DD: torch.Tensor) -> torch.Tensor:
    """|C_x - C_y|^2 / (4 D^2), Frobenius, of two covariances (Sun and Saenko 2016, equation 1)."""
    return (x_DD - y_DD).square().sum() / (4 * len(x_DD) ** 2)

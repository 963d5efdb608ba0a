"""What the vectors of languages look like: how alike two spaces are, how evenly one is filled, how near its vectors are to each other, its main plane.

Functions on tensors of vectors, a row each; they know no model and no sentence. float64 inside, whatever is given.
"""

from __future__ import annotations

import math

import torch

from xlt.alignment.csls import unit


def linear_cka(x_ND: torch.Tensor, y_ND: torch.Tensor) -> float:
    """|Y'X|^2 / (|X'X| |Y'Y|), Frobenius, of centred columns (Kornblith et al. 2019, equation 3 and table 1); row i of both is the same sentence.

    In [0, 1], the same for any rotation and scale of either side. Of unrelated sides it is about D / (N + D), not 0, so few rows flatter (see `debiased_cka`).
    0 where a side does not vary. The widths may differ.
    """
    x_ND, y_ND = _centred(x_ND), _centred(y_ND)
    if len(x_ND) < max(
        x_ND.shape[1], y_ND.shape[1]
    ):  # the same by the rows' products, which are then the smaller matrices
        x_NN, y_NN = x_ND @ x_ND.T, y_ND @ y_ND.T
        return _ratio((x_NN * y_NN).sum(), x_NN.norm() * y_NN.norm())
    return _ratio((y_ND.T @ x_ND).norm().square(), (x_ND.T @ x_ND).norm() * (y_ND.T @ y_ND).norm())


def debiased_cka(x_ND: torch.Tensor, y_ND: torch.Tensor) -> float:
    """The same from unbiased estimates of HSIC (Song et al. 2012, equation 5, as Nguyen et al. 2021, section 3, put it into CKA): of unrelated sides about 0.

    It can be a little below 0. ValueError for fewer than 4 rows, of which HSIC has no such estimate.
    """
    if len(x_ND) < 4:
        raise ValueError(f"{len(x_ND)} rows, and the estimate needs 4")
    x_NN, y_NN = (_without_diagonal(_centred(side_ND)) for side_ND in (x_ND, y_ND))
    itself = _unbiased_hsic(x_NN, x_NN) * _unbiased_hsic(y_NN, y_NN)
    return float(_unbiased_hsic(x_NN, y_NN) / itself.sqrt()) if itself > 0 else 0.0


def isotropy(w_ND: torch.Tensor) -> float:
    """min Z(c) / max Z(c) over the eigenvectors c of W'W, Z(c) = sum_i exp(c.w_i) (Mu and Viswanath 2018, section 2): 1 where no direction is preferred.

    An eigenvector's sign is arbitrary, so Z is taken of both. The measure changes with the vectors' length.
    """
    w_ND = w_ND.double()
    directions_DD = torch.linalg.eigh(w_ND.T @ w_ND).eigenvectors
    products_ND = w_ND @ directions_DD
    logs_2D = torch.stack([torch.logsumexp(sign * products_ND, 0) for sign in (1, -1)])
    return float((logs_2D.min() - logs_2D.max()).exp())


def mean_cosine(x_ND: torch.Tensor) -> float:
    """Of all pairs of different rows (Ethayarajh 2019, section 3.3, draws some of them); 0 of a single row."""
    x_ND, n = unit(x_ND.double()), len(x_ND)
    return float((x_ND.sum(0).square().sum() - x_ND.square().sum()) / (n * (n - 1))) if n > 1 else 0.0


def pair_cosines(x_ND: torch.Tensor, y_ND: torch.Tensor) -> tuple[float, float]:
    """(mean cosine of row i with row i, of row i with the others); the second is 0 of a single row."""
    x_ND, y_ND, n = unit(x_ND.double()), unit(y_ND.double()), len(x_ND)
    same = (x_ND * y_ND).sum()
    others = float((x_ND.sum(0) @ y_ND.sum(0) - same) / (n * (n - 1))) if n > 1 else 0.0
    return float(same / n), others


def main_plane(x_ND: torch.Tensor) -> tuple[torch.Tensor, list[float]]:
    """(x_N2 in the two directions of most variance, their shares of it): PCA. The larger end of each direction is positive, so that the sign is the data's."""
    centred_ND = _centred(x_ND)
    values_D, vectors_DD = torch.linalg.eigh(centred_ND.T @ centred_ND)
    plane_D2, total = vectors_DD.flip(1)[:, :2], float(values_D.sum())
    largest_2 = plane_D2.gather(0, plane_D2.abs().argmax(0, keepdim=True))[0]
    x_N2 = centred_ND @ (plane_D2 * torch.where(largest_2 < 0, -1.0, 1.0))
    if x_N2.shape[1] < 2:  # vectors of a single number
        x_N2 = torch.cat([x_N2, x_N2.new_zeros(len(x_N2), 2 - x_N2.shape[1])], 1)
    shares = [float(v) / total if total > 0 else 0.0 for v in values_D.flip(0)[:2]]
    return x_N2, [*shares, 0.0][:2]


def _centred(x_ND: torch.Tensor) -> torch.Tensor:
    x_ND = x_ND.double()
    return x_ND - x_ND.mean(0)


def _without_diagonal(x_ND: torch.Tensor) -> torch.Tensor:
    return (x_ND @ x_ND.T).fill_diagonal_(0)


def _unbiased_hsic(k_NN: torch.Tensor, l_NN: torch.Tensor) -> torch.Tensor:
    """Of kernels with a diagonal of zeros, times n (n - 3), which a ratio does not see."""
    n = len(k_NN)
    trace = (k_NN * l_NN).sum()
    sums = k_NN.sum() * l_NN.sum() / ((n - 1) * (n - 2))
    return trace + sums - 2 / (n - 2) * (k_NN.sum(0) @ l_NN.sum(0))


def _ratio(above: torch.Tensor, below: torch.Tensor) -> float:
    value = float(above / below) if float(below) > 0 else 0.0
    return value if math.isfinite(value) else 0.0

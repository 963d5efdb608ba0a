"""Figures of a space against their definitions, written out or in closed form."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from xlt.alignment.geometry import debiased_cka, isotropy, linear_cka, main_plane, mean_cosine, pair_cosines


def cloud(rows, width, seed):
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rotation(width, seed):
    return torch.linalg.qr(cloud(width, width, seed)).Q


def hsic(k, m):
    """tr(K H L H) / (n - 1)^2, H = I - 1/n: the definition of Gretton et al. 2005, with every matrix written out."""
    n = len(k)
    h = np.eye(n) - np.ones((n, n)) / n
    return np.trace(k @ h @ m @ h) / (n - 1) ** 2


def unbiased_hsic(k, m):
    """Song et al. 2012, equation 5, by sums over single entries."""
    n = len(k)
    k, m = k * (1 - np.eye(n)), m * (1 - np.eye(n))
    one = np.ones(n)
    total = np.trace(k @ m) + one @ k @ one * (one @ m @ one) / ((n - 1) * (n - 2)) - 2 / (n - 2) * (one @ k @ m @ one)
    return total / (n * (n - 3))


@given(st.integers(4, 30), st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**30))
def test_cka_is_the_ratio_of_hsic_by_its_definition(n, width, other, seed):
    x, y = cloud(n, width, seed), cloud(n, other, seed + 1) + 3
    k, m = (side.numpy() @ side.numpy().T for side in (x, y))
    assert linear_cka(x, y) == pytest.approx(hsic(k, m) / math.sqrt(hsic(k, k) * hsic(m, m)), abs=1e-9)
    centred = [side.numpy() - side.numpy().mean(0) for side in (x, y)]
    k, m = (side @ side.T for side in centred)
    below = unbiased_hsic(k, k) * unbiased_hsic(m, m)
    if below > 1e-12:
        assert debiased_cka(x, y) == pytest.approx(unbiased_hsic(k, m) / math.sqrt(below), abs=1e-7)


@given(st.integers(5, 40), st.integers(2, 20), st.floats(0.01, 100), st.integers(0, 2**30))
def test_no_rotation_scale_or_shift_changes_cka(n, width, scale, seed):
    x = cloud(n, width, seed)
    moved = scale * x @ rotation(width, seed + 1) + cloud(1, width, seed + 2)
    assert linear_cka(x, moved) == pytest.approx(1, abs=1e-9)
    y = cloud(n, 7, seed + 3)
    for cka in (linear_cka, debiased_cka):
        assert cka(moved, y) == pytest.approx(cka(x, y), abs=1e-7)


def test_unrelated_spaces_are_alike_by_chance_and_the_debiased_figure_says_so():
    x, y = cloud(400, 200, 1), cloud(400, 200, 2)
    assert linear_cka(x, y) == pytest.approx(200 / 600, abs=0.02)
    assert abs(debiased_cka(x, y)) < 0.02
    assert linear_cka(cloud(20_000, 4, 3), cloud(20_000, 4, 4)) < 0.002
    assert linear_cka(x, torch.ones(400, 3)) == 0 and debiased_cka(x, torch.ones(400, 3)) == 0
    with pytest.raises(ValueError, match="3 rows"):
        debiased_cka(x[:3], y[:3])


def test_isotropy_of_an_identity_like_cloud_and_of_one_direction_in_closed_form():
    """Of the cloud +-e_i of D directions, Z(c) = 2 cosh(1) + 2 (D - 1) for each axis: all the same. Of n copies of one vector a, exp(-|a|) / exp(|a|)."""
    even = torch.cat([torch.eye(6), -torch.eye(6)])
    assert isotropy(even) == pytest.approx(1, abs=1e-9)
    assert isotropy(torch.tensor([[3.0, 4.0]]).repeat(9, 1)) == pytest.approx(math.exp(-10), rel=1e-9)
    only = torch.eye(
        6
    )  # Z(+-e_i) = e^(+-1) + 5; any rotation of the axes is an eigenbasis too, so the ratio is bounded by the extremes
    assert (math.exp(-1) + 5) / (math.e + 5) - 1e-9 <= isotropy(only) < 1
    assert isotropy(1000 * torch.tensor([[3.0, 4.0]]).repeat(9, 1)) == 0.0, "nothing overflows"


@given(st.integers(2, 25), st.integers(1, 8), st.integers(0, 2**30))
def test_isotropy_and_cosines_by_their_sums(n, width, seed):
    x, y = cloud(n, width, seed).numpy() + 0.5, cloud(n, width, seed + 1).numpy()
    _, vectors = np.linalg.eigh(x.T @ x)
    z = [sum(math.exp(sign * (c @ w)) for w in x) for c in vectors.T for sign in (1, -1)]
    assert isotropy(torch.from_numpy(x)) == pytest.approx(min(z) / max(z), rel=1e-6)

    def cosine(a, b):
        return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    others = [cosine(x[i], x[j]) for i in range(n) for j in range(n) if i != j]
    assert mean_cosine(torch.from_numpy(x)) == pytest.approx(np.mean(others), abs=1e-9)
    across = [[cosine(a, b) for b in y] for a in x]
    same, apart = pair_cosines(torch.from_numpy(x), torch.from_numpy(y))
    assert same == pytest.approx(np.mean(np.diag(across)), abs=1e-9)
    assert apart == pytest.approx((np.sum(across) - np.trace(across)) / (n * (n - 1)), abs=1e-9)


def test_the_main_plane_holds_the_two_directions_of_most_variance():
    flat = cloud(300, 2, 5) * torch.tensor([5.0, 2.0]) @ rotation(9, 6)[:2] + 4
    x_N2, shares = main_plane(flat)
    assert sum(shares) == pytest.approx(1) and shares[0] > 0.7
    assert torch.pdist(x_N2).allclose(torch.pdist(flat), atol=1e-9), "of a flat cloud all distances stay"
    again, _ = main_plane(-flat)
    assert torch.allclose(again.abs(), x_N2.abs())
    x_N2, shares = main_plane(torch.arange(4.0)[:, None])
    assert x_N2.shape == (4, 2) and shares == [1.0, 0.0] and (x_N2[:, 1] == 0).all()

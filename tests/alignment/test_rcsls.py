"""Relaxed CSLS: the loss against its definition entry by entry, the gradient against autograd, and what training does to retrieval."""

import pytest
import torch

from tests.alignment.spaces import gaussian, noisy_copy, realistic, rotation
from xlt.alignment.csls import nearest, unit
from xlt.alignment.procrustes import procrustes
from xlt.alignment.rcsls import Constraint, loss_and_gradient, project, train


def spaces(n=60, m=50, d=6, pairs=20):
    x, y = (unit(gaussian(size, d, seed=seed, dtype=torch.float64)) for size, seed in ((n, 0), (m, 1)))
    return rotation(d, dtype=torch.float64), x[:pairs], y[:pairs], x, y


def by_definition(w, x_p, y_p, x, y, k):
    """Equation 6, with autograd's gradient: what topk returns is differentiable in the values that it chose."""
    mapped_p, mapped = x_p @ w.T, x @ w.T
    total = 0.0
    for x_i, y_i in zip(mapped_p, y_p, strict=True):
        total = total - 2 * x_i @ y_i + (y @ x_i).topk(k).values.mean() + (mapped @ y_i).topk(k).values.mean()
    return total / len(x_p)


def test_loss_and_gradient_are_the_definitions():
    w, *data = spaces()
    w = (w + 0.1 * gaussian(6, 6, seed=3, dtype=torch.float64)).requires_grad_()
    expected = by_definition(w, *data, 4)
    expected.backward()
    loss, gradient = loss_and_gradient(w.detach(), *data, 4)
    assert loss == pytest.approx(expected.item(), abs=1e-12)
    torch.testing.assert_close(gradient, w.grad, atol=1e-12, rtol=0)


def test_the_loss_never_rises_and_a_rate_that_is_too_large_is_halved():
    w, *data = spaces()
    said = []
    _, history = train(w, (data[0], data[1]), (data[2], data[3]), 4, 1000.0, 30, Constraint.spectral, said.append)
    assert history == sorted(history, reverse=True) and len(history) > 1
    assert any("would rise" in line for line in said)


def test_constraints():
    w = gaussian(8, 8, dtype=torch.float64)
    assert project(w, Constraint.none) is w
    assert torch.linalg.svdvals(project(w, Constraint.spectral)).max() <= 1 + 1e-12
    small = 0.1 * w / torch.linalg.svdvals(w).max()
    torch.testing.assert_close(project(small, Constraint.spectral), small)
    turned = project(w, Constraint.orthogonal)
    assert (turned @ turned.T - torch.eye(8)).abs().max() < 1e-6
    u, _, vt = torch.linalg.svd(w)
    torch.testing.assert_close(turned, u @ vt)


def test_it_retrieves_better_than_the_map_it_starts_from():
    """Where the true map is not orthogonal, as between real languages."""
    x = unit(realistic(800, 20, dtype=torch.float64))
    skew = torch.eye(20, dtype=torch.float64) + 0.3 * gaussian(20, 20, seed=5, dtype=torch.float64)
    y = unit(noisy_copy(x @ skew, 0.5)[0])
    start = procrustes(x[:300], y[:300])
    w, _ = train(start, (x[:300], y[:300]), (x, y), 10, 1.0, 30, Constraint.none, print)

    def precision(map_DD):
        found = nearest(unit(x[300:] @ map_DD.T), y, 1)[1][:, 0]
        return (found == torch.arange(300, 800)).double().mean().item()

    assert precision(w) > precision(start) + 0.05

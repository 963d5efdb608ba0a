"""Each similarity loss against its formula written out in numpy, a closed form, or what it must be at its optimum."""

import itertools

import numpy as np
import pytest
import torch

from xlt.alignment.similarity import (
    coral_distance,
    cosine_costs,
    covariance,
    ranking_losses,
    sinkhorn_plan,
    squared_distances,
    transport_losses,
)

RNG = np.random.default_rng(3)


def unit(shape):
    x = RNG.normal(size=shape)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def tensor(x):
    return torch.tensor(x, dtype=torch.float64)


@pytest.mark.parametrize("margin", [0.0, 0.3])
def test_ranking_is_its_formula(margin):
    x, y, t = unit((6, 4)), unit((6, 4)), 0.1
    expected = []
    for i in range(6):
        forward = np.array([np.exp((x[i] @ y[j] - margin * (i == j)) / t) for j in range(6)])
        backward = np.array([np.exp((x[j] @ y[i] - margin * (i == j)) / t) for j in range(6)])
        expected.append(-np.log(forward[i] / forward.sum()) / 2 - np.log(backward[i] / backward.sum()) / 2)
    assert ranking_losses(tensor(x), tensor(y), t, margin).numpy() == pytest.approx(expected, rel=1e-12)


def test_margin_makes_it_harder_by_at_most_its_size():
    x, y = tensor(unit((9, 5))), tensor(unit((9, 5)))
    plain, harder = ranking_losses(x, y, 0.5), ranking_losses(x, y, 0.5, 0.2)
    assert (harder > plain).all() and (harder < plain + 0.2 / 0.5).all()


def test_squared_distances():
    assert squared_distances(tensor([[1.0, 2.0], [0.0, 0.0]]), tensor([[1.0, 0.0], [0.0, 0.0]])).tolist() == [2.0, 0.0]


def numpy_sinkhorn(costs, a, b, epsilon, iterations):
    """Cuturi's algorithm 1 as printed: scaling vectors of the kernel, one pair at a time, no logarithms."""
    kernel = np.exp(-costs / epsilon)
    v = np.ones(len(b))
    for _ in range(iterations):
        u = a / (kernel @ v)
        v = b / (kernel.T @ u)
    return u[:, None] * kernel * v[None, :]


def padded(lengths, width):
    masses = np.zeros((len(lengths), width))
    for i, n in enumerate(lengths):
        masses[i, :n] = RNG.dirichlet(np.ones(n))
    return masses


def test_transport_is_the_printed_algorithm_and_padding_takes_no_part():
    costs, a, b = RNG.uniform(0, 2, (3, 5, 7)), padded([5, 2, 4], 5), padded([3, 7, 1], 7)
    plans = sinkhorn_plan(tensor(costs), tensor(a), tensor(b), 0.3, 4).numpy()
    for p in range(3):
        n, m = (a[p] > 0).sum(), (b[p] > 0).sum()
        expected = numpy_sinkhorn(costs[p, :n, :m], a[p, :n], b[p, :m], 0.3, 4)
        assert plans[p, :n, :m] == pytest.approx(expected, abs=1e-6)
        assert plans[p].sum() == pytest.approx(expected.sum(), abs=1e-6)


def test_transport_has_the_marginals():
    costs, a, b = tensor(RNG.uniform(0, 2, (4, 6, 6))), padded([6, 3, 2, 5], 6), padded([6, 6, 4, 1], 6)
    plans = sinkhorn_plan(costs, tensor(a), tensor(b), 0.2, 500).numpy()
    assert plans.sum(2) == pytest.approx(a, abs=1e-5)
    assert plans.sum(1) == pytest.approx(b, abs=1e-5)
    assert (plans >= 0).all()


def test_the_cost_of_a_known_permutation_is_found():
    """Orthogonal states in another order: each is carried to itself, at no cost."""
    states = torch.eye(8, dtype=torch.float64)[None]
    order = torch.tensor(RNG.permutation(8))
    mass = torch.full((1, 8), 1 / 8, dtype=torch.float64)
    plan = sinkhorn_plan(cosine_costs(states, states[:, order]), mass, mass, 0.02, 50)[0]
    assert torch.equal(plan.argmax(1)[order], torch.arange(8))
    assert plan.max(1).values == pytest.approx(1 / 8, abs=1e-6)
    assert transport_losses(states, states[:, order], mass, mass, 0.02, 50).item() == pytest.approx(0, abs=1e-6)
    shifted = -states[:, order]  # every state at the far end of its own: cost 2 there, 1 everywhere else
    assert transport_losses(states, shifted, mass, mass, 0.02, 200).item() == pytest.approx(1, abs=1e-3)


def test_a_small_epsilon_finds_the_best_assignment():
    """With equal masses an extreme plan is a permutation (Birkhoff), so the least cost is that of the best of 5! of them."""
    x, y = unit((1, 5, 3)), unit((1, 5, 3))
    costs = 1 - x[0] @ y[0].T
    best = min(sum(costs[i, p[i]] for i in range(5)) / 5 for p in itertools.permutations(range(5)))
    mass = torch.full((1, 5), 0.2, dtype=torch.float64)
    found = transport_losses(tensor(x), tensor(y), mass, mass, 0.005, 3000).item()
    assert found == pytest.approx(best, abs=5e-3)
    assert found > best - 1e-4


def test_the_gradient_is_that_of_the_regularised_cost():
    """Finite differences of <plan, costs> - epsilon * entropy at convergence, with a plan that is solved anew at each."""
    costs, mass = RNG.uniform(0, 2, (3, 4)), (np.full(3, 1 / 3), np.full(4, 1 / 4))

    def objective(c):
        plan = numpy_sinkhorn(c, *mass, 0.3, 5000)
        return (plan * c).sum() + 0.3 * (plan * (np.log(plan) - 1)).sum()

    plan = sinkhorn_plan(tensor(costs)[None], tensor(mass[0])[None], tensor(mass[1])[None], 0.3, 500)[0].numpy()
    for i, j in ((0, 0), (1, 3), (2, 1)):
        up, down = costs.copy(), costs.copy()
        up[i, j] += 1e-4
        down[i, j] -= 1e-4
        assert (objective(up) - objective(down)) / 2e-4 == pytest.approx(plan[i, j], abs=1e-5)


def test_the_loss_differentiates_the_costs_under_a_fixed_plan():
    x, y = tensor(unit((2, 4, 3))).requires_grad_(), tensor(unit((2, 5, 3)))
    a, b = torch.full((2, 4), 0.25, dtype=torch.float64), torch.full((2, 5), 0.2, dtype=torch.float64)
    transport_losses(x, y, a, b, 0.1, 20).sum().backward()
    plan = sinkhorn_plan(cosine_costs(x.detach().float(), y.float()), a, b, 0.1, 20)
    expected = torch.autograd.grad((plan * cosine_costs(x, y)).sum(), x)[0]
    torch.testing.assert_close(x.grad, expected, atol=1e-6, rtol=1e-5)


def test_covariance_is_numpys():
    x = RNG.normal(size=(11, 4))
    assert covariance(tensor(x)).numpy() == pytest.approx(np.cov(x, rowvar=False), abs=1e-12)


def test_coral_is_zero_iff_the_covariances_are_equal():
    x = RNG.normal(size=(40, 5))
    turned = np.linalg.qr(RNG.normal(size=(40, 40)))[0]
    centred = x - x.mean(0)
    same = turned @ centred  # other rows with the same second moments ...
    same = np.concatenate([same, -same]) / np.sqrt(2) * np.sqrt(79 / 39)  # ... and mean 0, so the same covariance
    assert coral_distance(covariance(tensor(x)), covariance(tensor(same + 7.0))).item() == pytest.approx(0, abs=1e-20)
    stretched = coral_distance(covariance(tensor(x)), covariance(tensor(2 * x))).item()
    assert stretched == pytest.approx(9 * np.square(np.cov(x, rowvar=False)).sum() / (4 * 25))

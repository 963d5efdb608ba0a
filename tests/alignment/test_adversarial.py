"""The adversarial game: its parts against their formulas, and that it ends near a hidden rotation of a space whose shape tells directions apart."""

import dataclasses

import torch

from tests.alignment.spaces import gaussian, rotation
from xlt.alignment.adversarial import Discriminator, Game, criterion, orthogonalise, play, random_rotation
from xlt.alignment.csls import nearest, unit

GAME = Game(epochs=3, steps=400, batch_size=32, hidden=64, input_dropout=0.1, smoothing=0.1, discriminator_steps=3, frequent=600, beta=0.01, rate=0.1, decay=0.98, shrink=0.5, least=1e-6)  # fmt: skip


def lopsided(n=600):
    """A cloud in 3 dimensions that no rotation but the identity maps onto itself: few heavy clusters, each at its own distance."""
    centres = torch.tensor([[3.0, 0, 0], [0, 2, 0], [0, 0, 1.2], [-1, -1, -0.5]])
    sizes = torch.tensor([n // 2, n // 4, n // 8, n - n // 2 - n // 4 - n // 8])
    return torch.repeat_interleave(centres, sizes, dim=0)[
        torch.randperm(n, generator=torch.Generator().manual_seed(0))
    ] + 0.15 * gaussian(n, 3)


def test_it_moves_the_clouds_onto_each_other():
    x = lopsided()
    turn = torch.linalg.matrix_exp(0.7 * torch.tensor([[0.0, -1, 0.5], [1, 0, -0.3], [-0.5, 0.3, 0]]))
    y = (x @ turn.T)[torch.randperm(len(x), generator=torch.Generator().manual_seed(1))]
    w, history = play(torch.eye(3), x, y, GAME, 10, 0, print)
    before, after = ((torch.eye(3) - turn).norm(), (w - turn).norm())
    assert after < 0.35 * before, (before, after)
    assert len(history) == 3


def test_the_same_seed_plays_the_same_game():
    x, y = lopsided(), lopsided() @ rotation(3).T
    short = dataclasses.replace(GAME, epochs=1, steps=10)
    a, b, c = (play(torch.eye(3), x, y, short, 10, seed, print)[0] for seed in (0, 0, 1))
    assert torch.equal(a, b) and not torch.equal(a, c)


def test_orthogonalisation_is_the_formula_and_ends_orthogonal():
    w = rotation(5, dtype=torch.float64) + 0.05 * gaussian(5, 5, dtype=torch.float64)
    torch.testing.assert_close(orthogonalise(w, 0.01), 1.01 * w - 0.01 * (w @ w.T) @ w)
    for _ in range(3000):
        w = orthogonalise(w, 0.01)
    assert (w @ w.T - torch.eye(5)).abs().max() < 1e-6


def test_the_criterion_is_the_mean_cosine_of_the_csls_neighbours():
    x, y = gaussian(50, 6), gaussian(70, 6, seed=1)
    w = rotation(6)
    a, b = unit(x @ w.T), unit(y)
    near = nearest(a, b, 1, "csls", 10)[1][:, 0]
    assert abs(criterion(w, x, y, 10) - float((a @ b.T)[torch.arange(50), near].mean())) < 1e-6


def test_dropout_is_drawn_from_the_generator_and_keeps_the_mean():
    judge = Discriminator(4, 8, 0.5)
    seen = []
    judge.layers[0].register_forward_hook(lambda module, given, _: seen.append(given[0]))
    judge(torch.ones(4000, 4), torch.Generator().manual_seed(0))
    assert set(seen[0].unique().tolist()) == {0.0, 2.0} and abs(float(seen[0].mean()) - 1) < 0.05
    judge(torch.ones(3, 4), None)
    assert torch.equal(seen[1], torch.ones(3, 4))


def test_a_random_rotation_is_one():
    w = random_rotation(8, 3, torch.empty(0, dtype=torch.float64))
    assert (w @ w.T - torch.eye(8)).abs().max() < 1e-12
    assert torch.equal(w, random_rotation(8, 3, w)) and not torch.equal(w, random_rotation(8, 4, w))

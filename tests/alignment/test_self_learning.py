"""Self-learning: it finds a hidden rotation from nothing, from 25 pairs, and its parts do what the paper says."""

import pytest
import torch

from tests.alignment.spaces import gaussian, noisy_copy, realistic
from xlt.alignment.csls import best, nearest, unit
from xlt.alignment.procrustes import normalise
from xlt.alignment.self_learning import Pace, _among_kept, _root, learn, similarity_start, union

STEPS = ["unit", "center", "unit"]
PACE = Pace(keep=0.1, factor=2.0, stale=5, threshold=1e-6, cutoff=2000, rounds=500)


def copies(noise, n=1000, d=40):
    x = realistic(n, d)
    y, w = noisy_copy(x, noise)
    return normalise(x, STEPS), normalise(y, STEPS), w


def precision(w, x, y):
    return (nearest(unit(x @ w.T), y, 1, "csls")[1][:, 0] == torch.arange(len(x))).float().mean().item()


def test_finds_a_hidden_rotation_from_nothing():
    x, y, _ = copies(noise=0.1)
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(0))  # the start cannot lean on equal ranks
    i, j = similarity_start(x, y[order], 1000, 10, STEPS)
    learned = learn(x, y[order], i, j, PACE, 10, 0, print)
    assert precision(learned.w, x, y) > 0.99
    assert (learned.w @ learned.w.T - torch.eye(40)).abs().max() < 1e-5  # float32


def test_finds_it_to_the_last_digit_without_noise():
    x = realistic(600, 20, dtype=torch.float64)
    y, w = noisy_copy(x, 0.0)
    x, y = (normalise(each, ["unit"]) for each in (x, y))
    i, j = similarity_start(x, y, 600, 10, ["unit"])
    learned = learn(x, y, i, j, PACE, 10, 0, print)
    torch.testing.assert_close(learned.w, w, atol=1e-6, rtol=0)
    assert (learned.w @ learned.w.T - torch.eye(20)).abs().max() < 1e-6


def test_grows_from_a_few_pairs():
    x, y, _ = copies(noise=0.3)
    pairs = torch.arange(25)
    learned = learn(x, y, pairs, pairs, PACE, 10, 0, print)
    assert precision(learned.w, x, y) > 0.95


def test_the_same_seed_gives_the_same_map():
    x, y, _ = copies(noise=0.3, n=300)
    pairs = torch.arange(25)
    a, b, c = (learn(x, y, pairs, pairs, PACE, 10, seed, print) for seed in (0, 0, 1))
    assert torch.equal(a.w, b.w) and a.objective == b.objective and a.objective != c.objective


def test_rounds_are_bounded_and_the_objective_is_the_mean_of_both_sides_best():
    x, y, _ = copies(noise=0.3, n=300)
    pairs = torch.arange(25)
    learned = learn(x, y, pairs, pairs, Pace(1.0, 2.0, 5, 1e-6, 2000, 1), 10, 0, print)
    from xlt.alignment.procrustes import procrustes

    similarity = unit(x @ procrustes(x[:25], y[:25]).T) @ y.T
    assert learned.objective == [
        pytest.approx(float(similarity.amax(0).mean() + similarity.amax(1).mean()) / 2, abs=1e-5)
    ]
    assert len(learned.i) == len(x) + len(y)


def test_the_root_of_the_similarities_squared_is_the_similarities():
    x = gaussian(30, 8, dtype=torch.float64)
    root = _root(x)
    torch.testing.assert_close(root @ root, x @ x.T)
    assert torch.linalg.eigvalsh(root).min() > -1e-9


def test_union_holds_both_directions():
    i, j = union(torch.tensor([2, 0]), torch.tensor([1, 1, 0]))
    assert list(zip(i.tolist(), j.tolist(), strict=True)) == [(0, 2), (1, 0), (1, 0), (1, 1), (0, 2)]


def test_each_word_chooses_among_the_kept_share():
    """The chance that its best is kept, else its second best is ..., is geometric in the rank, whichever words share a draw."""
    x, y = unit(gaussian(1500, 10, seed=1)), unit(gaussian(400, 10, seed=2))
    r = torch.zeros(400)
    rank = (x @ y.T).argsort(1, descending=True)
    found = torch.cat([_rank(rank, _among_kept(x, y, r, 0.25, torch.Generator().manual_seed(s))) for s in range(40)])
    share = torch.bincount(found, minlength=400)[:4].double() / len(found)
    assert share.tolist() == pytest.approx([0.25 * 0.75**n for n in range(4)], abs=0.02)
    assert torch.equal(_among_kept(x, y, r, 1.0, None), best(x, y, 1)[1][:, 0])


def _rank(rank, found):
    return (rank == found[:, None]).int().argmax(1)

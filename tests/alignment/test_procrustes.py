"""The closed form against its definition, against scipy and by exact recovery; the refinement on a space with a known answer."""

import pytest
import scipy.linalg
import torch

from xlt.alignment.csls import nearest, unit
from xlt.alignment.procrustes import normalise, procrustes, refine


def gaussian(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def rotation(d, seed=1, dtype=torch.float64):
    return torch.linalg.qr(gaussian(d, d, seed=seed))[0].to(dtype)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_recovers_a_rotation_exactly(dtype, tolerance):
    x, w = gaussian(100, 20, dtype=dtype), rotation(20, dtype=dtype)
    found = procrustes(x, x @ w.T)
    assert found.dtype == dtype
    assert (found - w).abs().max() < tolerance
    assert (found @ found.T - torch.eye(20, dtype=dtype)).abs().max() < tolerance


def test_is_scipys_solution_on_noise():
    x, y = gaussian(60, 12, seed=2), gaussian(60, 12, seed=3)
    theirs, _ = scipy.linalg.orthogonal_procrustes(x.numpy(), y.numpy())  # |x R - y|, so R is our W transposed
    assert (procrustes(x, y) - torch.from_numpy(theirs).T).abs().max() < 1e-12


def test_no_other_rotation_is_better():
    x, y = gaussian(50, 2, seed=4), gaussian(50, 2, seed=5)
    angles = torch.linspace(0, 2 * torch.pi, 3601, dtype=torch.float64)
    turns = torch.stack(
        [torch.stack([angles.cos(), -angles.sin()], 1), torch.stack([angles.sin(), angles.cos()], 1)], 1
    )
    mirrored = turns @ torch.diag(torch.tensor([1.0, -1.0], dtype=torch.float64))
    errors = [float((x @ w.T - y).square().sum()) for w in torch.cat([turns, mirrored])]
    ours = float((x @ procrustes(x, y).T - y).square().sum())
    assert ours <= min(errors) + 1e-9
    assert ours == pytest.approx(min(errors), rel=1e-4)


def test_scale_changes_nothing():
    x, y = gaussian(60, 12, seed=2), gaussian(60, 12, seed=3)
    assert (procrustes(3 * x, 0.1 * y) - procrustes(x, y)).abs().max() < 1e-12


def test_normalisations_in_their_order():
    x = gaussian(30, 5) + 2
    torch.testing.assert_close(normalise(x, []), x)
    torch.testing.assert_close(normalise(x, ["unit"]).norm(dim=1), torch.ones(30, dtype=torch.float64))
    torch.testing.assert_close(normalise(x, ["center"]), x - x.mean(0))
    vecmap = normalise(x, ["unit", "center", "unit"])
    torch.testing.assert_close(vecmap, unit(unit(x) - unit(x).mean(0)))
    assert not torch.allclose(vecmap, normalise(x, ["center", "unit"]))


def noisy_rotation(n=1500, d=30, noise=0.3):
    x = unit(gaussian(n, d, dtype=torch.float32) * torch.linspace(2, 0.5, d))
    y = x @ rotation(d, dtype=torch.float32).T + noise * gaussian(n, d, seed=7, dtype=torch.float32) / d**0.5
    return x, y


def precision(w, x, y):
    return float((nearest(unit(x @ w.T), unit(y), 1, "csls")[1][:, 0] == torch.arange(len(x))).float().mean())


def test_refinement_improves_a_map_from_few_and_wrong_pairs():
    x, y = noisy_rotation()
    few = torch.arange(30)
    wrong = few.clone()
    wrong[:10] = few[:10].roll(1)
    start = procrustes(x[few], y[wrong])
    w, history = refine(start, x, y, rounds=5, max_rank=1000, k=10)
    assert len(history) == 6 and max(history) > history[0]
    assert precision(start, x, y) < 0.9
    assert precision(w, x, y) > precision(start, x, y) + 0.1


def test_refinement_keeps_the_best_map_and_none_of_its_rounds_is_the_start():
    x, y = noisy_rotation()
    start = procrustes(x[:200], y[:200])
    assert refine(start, x, y, 0, 1000, 10)[0] is start
    w, history = refine(start, x, y, 3, 1000, 10)
    again, _ = refine(start, x, y, history.index(max(history)), 1000, 10)
    torch.testing.assert_close(w, again)


def test_a_perfect_map_stays():
    x = gaussian(300, 10)
    w = rotation(10)
    found, history = refine(w, x, x @ w.T, 2, 300, 10)
    assert (found - w).abs().max() < 1e-12
    assert history == pytest.approx([1.0] * 3)

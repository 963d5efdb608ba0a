"""Learning rates at the points where their formulas are known."""

import pytest
import torch

from xlt.training.optimizer import LearningRate, adamw, clip


def test_linear():
    rate = LearningRate(1.0, "linear", warmup=10, steps=110)
    assert [rate(0), rate(9), rate(10), rate(60)] == pytest.approx([0.1, 1.0, 1.0, 0.5])
    assert rate(109) == pytest.approx(0.01)


def test_cosine_inverse_sqrt_and_constant():
    assert LearningRate(1.0, "cosine", 0, 100)(50) == pytest.approx(0.5)
    rate = LearningRate(1.0, "inverse_sqrt", 100, 1000)
    assert rate(99) == pytest.approx(1.0) and rate(399) == pytest.approx(0.5)
    assert LearningRate(0.3, "constant", 0, 100)(99) == 0.3


def test_vectors_do_not_decay():
    layer = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.LayerNorm(3))
    groups = adamw(layer, (0.9, 0.999), 1e-8, 0.1).param_groups
    assert {p.ndim: g["weight_decay"] for g in groups for p in g["params"]} == {2: 0.1, 1: 0.0}


def test_clipping_is_torchs_and_leaves_short_gradients_as_they_are():
    for length in (0.5, 3.0, 40.0):
        torch.manual_seed(0)
        ours = [torch.nn.Parameter(torch.zeros(5, 3)), torch.nn.Parameter(torch.zeros(4))]
        for p in ours:
            p.grad = torch.randn_like(p) * length
        theirs = [torch.nn.Parameter(p.detach().clone()) for p in ours]
        for p, q in zip(theirs, ours, strict=True):
            p.grad = q.grad.clone()
        assert float(clip(ours, 3.0)) == float(torch.nn.utils.clip_grad_norm_(theirs, 3.0))
        assert all(torch.equal(p.grad, q.grad) for p, q in zip(ours, theirs, strict=True))

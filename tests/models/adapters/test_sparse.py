"""LT-SFT against its definition: which weights, what gradient, what is added up."""

import numpy as np
import pytest
import torch

from tests.models.adapters.bases import MLM, adapted, base, batch, kept, learn, loaded
from xlt.errors import ConfigError
from xlt.models.adapters.sparse import compose, largest


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return base(tmp_path_factory.mktemp("base"))


def test_the_weights_that_moved_most_are_chosen_over_all_matrices():
    torch.manual_seed(0)
    moved = {"b": torch.randn(7, 3), "a": torch.randn(40), "c": 10 * torch.randn(2, 2)}
    masks = largest(moved, 12)
    sizes = np.concatenate([moved[n].abs().flatten().numpy() for n in ("a", "b", "c")])
    chosen = np.concatenate([masks[n].flatten().numpy() for n in ("a", "b", "c")])
    assert chosen.sum() == 12 and sizes[chosen].min() > sizes[~chosen].max()
    assert masks["b"].shape == (7, 3) and masks["c"].shape == (2, 2)
    equal = largest({"a": torch.ones(5), "b": torch.ones(5)}, 6)
    assert equal["a"].all() and equal["b"].tolist() == [True, False, False, False, False]


def test_the_penalty_is_the_mean_absolute_difference_and_nothing_else_gets_a_gradient(place):
    model = adapted(place, "lt_sft", l1=0.7)
    adapter = model.adapter
    total = sum(p.numel() for p in adapter.weights.values())
    with torch.no_grad():
        for i, p in enumerate(adapter.weights.values()):
            p.add_(adapter.mask[list(adapter.weights)[i]] * torch.randn_like(p))
    own = {n: torch.randn_like(p) for n, p in adapter.weights.items()}
    for name, p in adapter.weights.items():
        p.grad = own[name].clone()
    adapter.before_update()
    leaves = {n: p.detach().clone().requires_grad_() for n, p in adapter.weights.items()}
    penalty = 0.7 / total * sum((p - adapter.start[n]).abs().sum() for n, p in leaves.items())
    expected = torch.autograd.grad(penalty, list(leaves.values()))
    for (name, p), gradient in zip(adapter.weights.items(), expected, strict=True):
        assert torch.allclose(p.grad, (own[name] + gradient) * adapter.mask[name], atol=1e-7), name


def test_differences_add_up(place, tmp_path):
    """theta = theta_0 + task + language (section 3.2), for each language, and coming back changes no bit."""
    for i, code in enumerate(("en", "de")):
        one = adapted(place, "lt_sft_language", MLM, (code,), seed=i)
        generator = torch.Generator().manual_seed(i)
        start = {n: p.detach().clone() for n, p in one.adapter.weights.items()}
        one.adapter.learn({n: p + torch.randn(p.shape, generator=generator) for n, p in start.items()}, start)
        learn(one)
        kept(one, tmp_path / code)
    from tests.models.adapters.bases import kind
    from xlt.models.adapters import folder as adapter_folder
    from xlt.models.adapters.attach import attach

    both = loaded(place, MLM)
    joined = attach(kind("lt_sft_language"), both, adapter_folder.reference(str(place)), 1, ["en", "de"])
    for code in ("en", "de"):
        joined.read(tmp_path / code / "model")
    kept(both, tmp_path / "both")

    task = loaded(tmp_path / "both")
    origin = {n: p.detach().clone() for n, p in task.backbone.base_model.named_parameters()}
    task.adapter.speak(["en"])
    below = task.adapter
    adapter = attach(kind("lt_sft"), task, adapter_folder.reference(str(tmp_path / "both")), 1)
    source = {n: p.detach().clone() for n, p in adapter.weights.items()}
    adapter.learn({n: p + torch.randn_like(p) for n, p in source.items()}, source)
    learn(task)
    own = {n: p.detach() - source[n] for n, p in adapter.weights.items()}
    kept(task, tmp_path / "task")

    again = loaded(tmp_path / "task", load_heads=True)
    weights = dict(again.backbone.base_model.named_parameters())
    seen = {}
    for code in ("de", "en", "de"):
        again.adapter.speak([code])
        difference = {n: torch.zeros_like(p) for n, p in origin.items()}
        for name, (places, values) in below.differences[code].items():
            difference[name].view(-1)[places] = values
        for name, p in weights.items():
            assert torch.allclose(p, origin[name] + difference[name] + own[name], atol=1e-6), (code, name)
        now = {n: p.detach().clone() for n, p in weights.items()}
        assert code not in seen or all(torch.equal(now[n], seen[code][n]) for n in now)
        seen[code] = now
    with pytest.raises(ConfigError, match="no adapter of sw"):
        again.adapter.speak(["sw"])

    # weights of another checkpoint of the same fine-tuning, with its source language in them: the others read its task, too
    with torch.no_grad():
        for name, p in weights.items():
            p.copy_(source[name] + 3 * own[name])
    again.adapter.reread(["en"])
    for code in ("en", "de", "en"):
        again.adapter.speak([code])
        for name, p in weights.items():
            expected = seen[code][name] + 2 * own[name]
            assert torch.allclose(p, expected, atol=1e-5), (code, name)


def test_composing_with_nothing_is_the_base():
    weights = {"a": torch.nn.Parameter(torch.randn(4))}
    compose(weights, {"a": torch.arange(4.0)}, [])
    assert torch.equal(weights["a"], torch.arange(4.0))


def test_more_weights_than_there_are(place):
    with pytest.raises(ConfigError, match=r"adapter\.count: .* are more than the .* that the model has"):
        adapted(place, "lt_sft", count=10**9)
    assert batch()

"""Perturbed embeddings against closed forms on a linear model, and on encoders: fast path as plain, micro-batches as whole, dropout the same in all passes."""

import json
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from tests.shipped import shipped
from tests.stages.test_training import MLM, TASK, SignalAt, data, encoder, equal, tokenizer, weights  # noqa: F401
from tests.toy import stage_config
from tests.training.test_loop import MLM as HIDDEN_TOKENS
from tests.training.test_loop import TASK as DRY
from tests.training.test_loop import parts
from xlt.errors import ConfigError, Interrupted
from xlt.stages.training import Recipe, train
from xlt.training.perturbation import FGM, FreeLB
from xlt.types import Batch

PAD = 1


class Table(nn.Module):
    def __init__(self):
        super().__init__()
        self.embeddings = nn.Embedding(9, 4)
        self.config = SimpleNamespace(pad_token_id=PAD)

    def get_input_embeddings(self):
        return self.embeddings


class Linear(nn.Module):
    """The loss of a row is w . (the sum of its embeddings)."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.backbone, self.w = Table(), nn.Parameter(torch.randn(4))

    @property
    def reader(self):
        return self.backbone

    def forward(self, function, batch):
        return function(self, batch)


def linear(model, batch):
    states_BLD = model.backbone.embeddings(batch["input_ids"]) * (batch["input_ids"] != PAD).unsqueeze(-1)
    return (states_BLD.sum(1) @ model.w).sum()


def batch_of(*rows):
    width = max(map(len, rows))
    ids = torch.tensor([row + [PAD] * (width - len(row)) for row in rows])
    return Batch({"input_ids": ids}, count=len(rows), tokens=ids.numel(), rows=len(rows))


ROWS = batch_of([2, 3, 4], [5, 6], [7, 8, 2])


def gradient(model, how, batch, compute=linear, scale=1.0, key=7):
    model.zero_grad(set_to_none=True)
    outcome = how.backward(model, compute, batch, scale, torch.Tensor.backward, key)
    return outcome, {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_fgm_on_a_linear_model(scale):
    """g of a row of n tokens is w for each, so the perturbation is epsilon w / (sqrt(n) |w|) for each, and its sum epsilon sqrt(n) w / |w|."""
    model = Linear()
    loss, found = gradient(model, FGM(epsilon=0.5, weight=2.0), ROWS, scale=scale)
    w = model.w.detach()
    sums = (model.backbone.embeddings.weight.detach() * torch.tensor([0, 0, 2, 1, 1, 1, 1, 1, 1.0]).unsqueeze(1)).sum(0)
    moved = 0.5 * (3**0.5 + 2**0.5 + 3**0.5) * w / w.norm()
    torch.testing.assert_close(found["w"], scale * (sums + 2.0 * (sums + moved)))
    assert float(loss) == pytest.approx(float(sums @ w), rel=1e-5), "what is logged is the clean loss"
    counts = torch.tensor([0, 0, 2, 1, 1, 1, 1, 1, 1.0]).unsqueeze(1)
    torch.testing.assert_close(found["backbone.embeddings.weight"], scale * 3.0 * counts * w)


@pytest.mark.parametrize("max_norm", [0.0, 0.15])
def test_freelb_on_a_linear_model(max_norm):
    """delta_t is t steps of `rate` along w, or as far as max_norm; the gradient is the mean over the steps."""
    model = Linear()
    loss, found = gradient(model, FreeLB(steps=3, rate=0.1, magnitude=0.0, max_norm=max_norm), ROWS)
    w = model.w.detach()
    sums = (model.backbone.embeddings.weight.detach() * torch.tensor([0, 0, 2, 1, 1, 1, 1, 1, 1.0]).unsqueeze(1)).sum(0)
    norm = sum(min(0.1 * t, max_norm or 9.0) for t in range(3)) / 3
    moved = norm * (3**0.5 + 2**0.5 + 3**0.5) * w / w.norm()
    torch.testing.assert_close(found["w"], sums + moved)
    assert float(loss) == pytest.approx(float((sums + moved) @ w), rel=1e-5), "the mean over the steps"


def test_freelb_begins_within_its_bound_and_differs_by_row_not_by_batch():
    how, model = FreeLB(steps=1, rate=0.1, magnitude=0.3, max_norm=0.0), Linear()
    seen = []

    def compute(model, batch):
        found = model.backbone.embeddings(batch["input_ids"])
        seen.append(found.detach() - model.backbone.embeddings.weight[batch["input_ids"]].detach())
        return found.sum()

    gradient(model, how, batch_of([2, 3, 4], [5, 6]), compute)
    gradient(model, how, batch_of([5, 6]), compute)
    gradient(model, how, batch_of([5, 6]), compute, key=8)
    together, alone, other = seen
    assert together[1, 2].eq(0).all(), "padding is not perturbed"
    torch.testing.assert_close(together[1, :2], alone[0])
    assert not torch.allclose(alone, other)
    for row, real in ((together[0], 3), (alone[0], 2)):
        assert 0.5 < row[:real].abs().max() / (0.3 / (real * 4) ** 0.5) <= 1.0


@pytest.mark.parametrize(
    "how",
    [FGM(epsilon=0.5, weight=1.0), FreeLB(steps=2, rate=0.3, magnitude=0.2, max_norm=0.4)],
    ids=["fgm", "freelb"],
)
@pytest.mark.parametrize("objective", [HIDDEN_TOKENS, DRY], ids=["masked_lm", "classification"])
def test_the_fast_path_and_micro_batches_give_the_plain_gradient(tmp_path, how, objective):
    found = {}
    for name, micro, fused in (("plain", None, False), ("fused", None, True), ("split", 2, False), ("both", 2, True)):
        p = parts(tmp_path / name, objective, micro=micro)
        p.model.train().fused = fused
        for batch in p.batches(0):
            how.backward(p.model, objective.loss, batch, 1.0, torch.Tensor.backward, 7)
        found[name] = {n: q.grad.clone() for n, q in p.model.named_parameters() if q.grad is not None}
        if name == "plain":
            p.model.zero_grad()
            for batch in p.batches(0):
                objective.loss(p.model, batch).backward()
            assert any(
                not torch.allclose(q.grad, found[name][n], rtol=0.01)
                for n, q in p.model.named_parameters()
                if q.grad is not None
            )
    for name in ("fused", "split", "both"):
        assert found[name].keys() == found["plain"].keys()
        for n, expected in found["plain"].items():
            torch.testing.assert_close(found[name][n], expected, rtol=2e-3, atol=2e-5)


def test_all_passes_have_the_same_dropout_and_the_next_batch_another():
    model, drawn = Linear(), []

    def compute(model, batch):
        drawn.append(float(torch.rand(())))
        return linear(model, batch)

    for _ in range(2):
        gradient(model, FreeLB(steps=3, rate=0.1, magnitude=0.0, max_norm=0.0), ROWS, compute)
    gradient(model, FGM(epsilon=0.5, weight=2.0), ROWS, compute)
    assert [len(set(drawn[i:j])) for i, j in ((0, 3), (3, 6), (6, 8))] == [1, 1, 1]
    assert len(set(drawn)) == 3


def test_each_text_of_a_pair_is_perturbed(tmp_path):
    model, seen = Linear(), []

    def compute(model, batch):
        pair = [model.backbone.embeddings(ids).sum((1, 2)) for ids in (batch["input_ids"], batch["input_ids"] + 0)]
        seen.append([float(p.detach().sum()) for p in pair])
        return pair[0].sum() + 2 * pair[1].sum()

    gradient(model, FGM(epsilon=0.5, weight=1.0), batch_of([2, 3]), compute)
    assert all(after > before for before, after in zip(*seen, strict=True))


@pytest.mark.parametrize("how", [FGM(epsilon=0.5, weight=1.0), FreeLB(steps=2, rate=0.1, magnitude=0.1, max_norm=0.0)], ids=["fgm", "freelb"])  # fmt: skip
@pytest.mark.parametrize("objective", [MLM, TASK, shipped("contrastive", temperature=0.05, pool="mean", layer=None)], ids=["masked_lm", "classification", "contrastive"])  # fmt: skip
def test_interrupted_runs_end_in_the_same_bits(tmp_path, data, tokenizer, monkeypatch, how, objective):  # noqa: F811
    labelled = objective is TASK
    recipe = Recipe(["en"] if labelled else None, "languages.source" if labelled else "languages.train", labelled, labelled)  # fmt: skip

    def run(name):
        cfg = stage_config(tmp_path, "pretrain", data, objective, encoder(), tokenizer, name=name, fused=True, steps=6)
        cfg.perturbation = how
        return train(cfg, recipe)

    run("whole")
    for asked in (1, 4, 4, 400):
        with monkeypatch.context() as patch:
            SignalAt(patch, asked)
            try:
                run("stopped")
            except Interrupted:
                continue
    assert equal(weights(tmp_path, "whole"), weights(tmp_path, "stopped"))
    logs = [(tmp_path / n / "pretrain" / "metrics.jsonl").read_text().splitlines() for n in ("whole", "stopped")]
    losses = [[json.loads(line)["loss"] for line in log if '"loss"' in line and "tokens" in line] for log in logs]
    assert losses[0] and losses[0] == losses[1]


@pytest.mark.parametrize(
    "make, said",
    [
        (lambda: FGM(epsilon=0.0, weight=1.0), "perturbation.epsilon: 0.0 is not above 0"),
        (lambda: FreeLB(steps=0, rate=0.1, magnitude=0.0, max_norm=0.0), "perturbation.steps: 0 is not above 0"),
        (lambda: FreeLB(steps=1, rate=0.1, magnitude=-1.0, max_norm=0.0), "perturbation.magnitude: -1.0 is below 0"),
    ],
)
def test_what_cannot_be_is_said(make, said):
    with pytest.raises(ConfigError, match=said):
        make()


def test_a_model_that_looks_nothing_up_is_refused():
    with pytest.raises(ConfigError, match="Table does not look its text up"):
        gradient(Linear(), FGM(epsilon=0.5, weight=1.0), ROWS, lambda model, batch: model.w.sum())

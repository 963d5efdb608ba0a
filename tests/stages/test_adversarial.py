"""Language-adversarial training in whole runs: exact under micro-batching, resumed to the bit, on training text of other languages alone."""

import json
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from tests.objectives.test_language_adversary import critic, reversal
from tests.shipped import shipped
from tests.stages.test_training import MLM, PARTS, TASK, SignalAt, data, encoder, equal, tokenizer, weights  # noqa: F401
from tests.toy import Toy, stage_config
from xlt.errors import ConfigError, Interrupted, NonFinite
from xlt.models.pooling import Pool
from xlt.objectives.language_adversary import Classes
from xlt.objectives.mixture import Mixture, Updates
from xlt.objectives.sequence_classification import SequenceClassification
from xlt.stages import finetune, pretrain
from xlt.stages.training import Recipe, train
from xlt.training.adversary import Opponent

DRY = SequenceClassification(pair=False, pool=Pool.mean, hidden=False, dropout=0.0)
SPECS = {
    "reversal": reversal(probe_rows=8, batch_size=6),
    "tokens": reversal(pool=None, layer=1, classes=Classes.sides, batch_size=6),
    "critic": critic(weight=1.0, rounds=2, clip=0.05, batch_size=6),
}


def config(folder, data, tokenizer, spec, objective=TASK, dropout=0.1, stage="finetune", **changes):  # noqa: F811
    cfg = stage_config(folder, stage, data, objective, encoder(dropout), tokenizer, **changes)
    cfg.adversarial = spec
    return cfg


def told(folder, name, stage="finetune"):
    place = folder / name / stage
    lines = [json.loads(line) for line in (place / "metrics.jsonl").read_text().splitlines()]
    return json.loads((place / "metrics.json").read_text()), [line for line in lines if "loss" in line]


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_interrupted_runs_end_in_the_same_bits(tmp_path, data, tokenizer, monkeypatch, spec):  # noqa: F811
    """Weights, and what the discriminator said in every logged update: so its own weights and moments were restored."""

    def run(name):
        return finetune.run(config(tmp_path, data, tokenizer, spec, name=name, log_every=1))

    run("whole")
    interruptions = 0
    for asked in [1, *[3] * 5, *range(4, 400)]:
        with monkeypatch.context() as patch:
            SignalAt(patch, asked)
            try:
                run("stopped")
                break
            except Interrupted:
                interruptions += 1
    assert interruptions > 4
    assert equal(weights(tmp_path, "whole", "finetune"), weights(tmp_path, "stopped", "finetune"))
    (whole, lines), (stopped, again) = told(tmp_path, "whole"), told(tmp_path, "stopped")
    assert whole["adversarial"] == stopped["adversarial"] and whole["results"] == stopped["results"]
    assert [line["adversarial"] for line in lines] == [line["adversarial"] for line in again]
    assert len({line["adversarial"]["loss"] for line in lines}) == 12


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
@pytest.mark.parametrize("fused", [False, True])
def test_micro_batches_give_the_same_gradient(tmp_path, data, tokenizer, monkeypatch, spec, fused):  # noqa: F811
    """The gradients of model and discriminator themselves, from the same weights: an optimizer would divide rounding by its own size."""
    found = []
    real = Opponent.play

    def play(self, model, step):
        real(self, model, step)
        if step == 3:
            found.append({f"model.{n}": p.grad.clone() for n, p in model.named_parameters() if p.grad is not None})
            found[-1] |= {f"own.{n}": p.grad.clone() for n, p in self.discriminator.named_parameters()}
        for parameter in (*model.parameters(), *self.discriminator.parameters()) if step < 3 else ():
            parameter.grad = None  # the model stays as it began

    monkeypatch.setattr(Opponent, "play", play)
    for name, size in (("whole", None), ("split", 2)):
        cfg = config(tmp_path, data, tokenizer, spec, DRY, 0.0, name=name, micro_batch_size=size, fused=fused, steps=4, eval_every=0)  # fmt: skip
        finetune.run(cfg)
    whole, split = found
    assert whole.keys() == split.keys() and any(n.startswith("model.backbone") for n in whole)
    for name, gradient in whole.items():
        torch.testing.assert_close(split[name], gradient, rtol=1e-3, atol=1e-6)


def test_the_model_gets_minus_lambda_times_the_discriminators_gradient(tmp_path, data, tokenizer, monkeypatch):  # noqa: F811
    """By autograd from the definition: of the update that is half way, with weight 3."""
    seen = []
    real = Opponent.play

    def play(self, model, step):
        if step != 2:
            return real(self, model, step)
        before = {n: p.grad.clone() for n, p in model.named_parameters()}
        (window,), layers = self.batches(step), [p.detach().clone() for p in self.discriminator.parameters()]
        first, first_bias, last, last_bias = layers
        ids_BL, mask_BL = window["input_ids"], window["attention_mask"]
        states = model.backbone(input_ids=ids_BL, attention_mask=mask_BL).last_hidden_state
        mask_BL1 = torch.ones_like(ids_BL)[..., None] if mask_BL is None else mask_BL[..., None]
        pooled = (states * mask_BL1).sum(1) / mask_BL1.sum(1)
        logits = F.linear(F.relu(F.linear(pooled, first, first_bias)), last, last_bias)
        loss = F.cross_entropy(logits, window["classes"])
        named = [(n, p) for n, p in model.named_parameters() if n.startswith("backbone")]
        expected = torch.autograd.grad(loss, [p for _, p in named], allow_unused=True)
        real(self, model, step)
        strength = 3.0 * torch.tanh(torch.tensor(2.5))  # p = 1/2
        for (name, p), gradient in zip(named, expected, strict=True):
            if gradient is not None:
                torch.testing.assert_close(p.grad - before[name], -strength * gradient, rtol=1e-3, atol=1e-6)
        assert self.figures["loss"] == pytest.approx(float(loss.detach()), rel=1e-5)
        seen.append(step)

    monkeypatch.setattr(Opponent, "play", play)
    finetune.run(config(tmp_path, data, tokenizer, reversal(weight=3.0), DRY, 0.0, steps=4, eval_every=0))
    assert seen == [2]


def test_the_critics_weights_stay_within_the_clip(tmp_path, data, tokenizer, monkeypatch):  # noqa: F811
    sizes, rounds = [], []
    real, count = Opponent.play, Opponent._round
    monkeypatch.setattr(Opponent, "_round", lambda self, m, n, s: rounds.append((n, s)) or count(self, m, n, s))

    def play(self, model, step):
        real(self, model, step)
        sizes.append(max(float(p.detach().abs().max()) for p in self.discriminator.parameters()))

    monkeypatch.setattr(Opponent, "play", play)
    finetune.run(config(tmp_path, data, tokenizer, critic(clip=0.02, learning_rate=0.01, rounds=3), steps=3))
    assert sizes == pytest.approx([0.02] * 3), "pressed against it"
    assert rounds == [(n, None if n % 4 < 3 else 1.0) for n in range(12)]


def test_without_weight_the_model_learns_as_if_alone(tmp_path, data, tokenizer):  # noqa: F811
    for name, spec in (("alone", None), ("watched", reversal(weight=0.0, probe_rows=8))):
        finetune.run(config(tmp_path, data, tokenizer, spec, name=name))
    assert equal(weights(tmp_path, "alone", "finetune"), weights(tmp_path, "watched", "finetune"))
    metrics, lines = told(tmp_path, "watched")
    probe = metrics["adversarial"]["probe"]
    assert probe["before"]["chance"] == 0.5 and set(probe["after"]["languages"]) == {"en", "sw"}
    assert all(0 <= line["adversarial"]["accuracy"] <= 1 for line in lines)
    assert "adversarial" not in told(tmp_path, "alone")[0]


def test_only_training_and_dev_text_of_target_languages_is_read_and_no_label(tmp_path, data, tokenizer):  # noqa: F811
    """The wrong labels of the target language change nothing; its test split is never opened."""
    read = []

    class Watched(Toy):
        def rows(self, view, language, split):
            read.append((view, language, split))
            return super().rows(view, language, split)

    wrong = {k: [{**r, "label": "wrong"} if k[1] == "sw" and "label" in r else r for r in v] for k, v in data._rows.items()}  # fmt: skip
    for name, rows in (("right", data._rows), ("wrong", wrong)):
        cfg = config(tmp_path, Watched(rows), tokenizer, reversal(probe_rows=8), name=name)
        cfg.run.cache = str(tmp_path / name / "cache")
        finetune.run(cfg)
    assert set(read) == {("classification", code, split) for code in ("en", "sw") for split in ("train", "dev")}
    assert equal(weights(tmp_path, "right", "finetune"), weights(tmp_path, "wrong", "finetune"))
    metrics, _ = told(tmp_path, "right")
    assert (metrics["adversarial"]["source"], metrics["adversarial"]["target"]) == (["en"], ["sw"])
    manifest = json.loads((tmp_path / "right" / "finetune" / "manifest.json").read_text())
    assert "adversarial/toy/sw/train" in json.dumps(manifest)


@pytest.mark.parametrize("kind", ["masked_lm", "contrastive", "mixture"])
def test_any_objective_of_the_loop_can_carry_it(tmp_path, data, tokenizer, kind):  # noqa: F811
    """Pretraining: all of its languages. Parallel text is in two languages at once, so the text comes from elsewhere."""
    objective = {"masked_lm": MLM, "contrastive": shipped("contrastive", temperature=0.05, pool="mean", layer=None), "mixture": Mixture(updates=Updates.joint, parts=PARTS)}[kind]  # fmt: skip
    spec = reversal(dataset=data) if kind == "contrastive" else reversal()
    if kind == "contrastive":
        with pytest.raises(ConfigError, match="rows of a parallel view are in two languages"):
            train(
                config(tmp_path, data, tokenizer, reversal(), objective, name="no"),
                Recipe(None, "languages.train", False),
            )
        spec = replace(spec, languages=["de", "sw"])
    cfg = config(tmp_path, data, tokenizer, spec, objective, stage="pretrain")
    cfg.languages.source = ["en"] if kind == "contrastive" else None
    train(cfg, Recipe(None, "languages.train", False))
    found = told(tmp_path, "run", "pretrain")[0]["adversarial"]
    assert sorted(found["source"] + found["target"]) == ["de", "en", "sw"]


def test_what_cannot_be_is_said(tmp_path, data, tokenizer):  # noqa: F811
    def said(spec, match, objective=TASK, **changes):
        with pytest.raises(ConfigError, match=match):
            cfg = config(tmp_path, data, tokenizer, spec, objective, name=match[:9].strip("."), **changes)
            cfg.languages.source = ["en"] if objective is TASK else None
            (finetune if objective is TASK else pretrain).run(cfg)

    said(reversal(languages=["en"]), "adversarial.languages: toy has text of no other language than en")
    said(reversal(layer=7), "adversarial.layer: 7, and this model has 2 layers")
    said(critic(), "languages.source: xlt tells source from target", MLM, stage="pretrain")
    said(reversal(), "no parameter of the backbone learns", freeze=["backbone.*"])


def test_a_discriminator_that_runs_away_is_said(tmp_path, data, tokenizer):  # noqa: F811
    with pytest.raises(NonFinite, match="the discriminator's loss is"):
        finetune.run(config(tmp_path, data, tokenizer, reversal(learning_rate=1e30), steps=6))

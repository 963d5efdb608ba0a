"""The loop against the definition: a plain PyTorch loop written out here, micro-batches that change nothing, validation that changes nothing."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from torch.nn import functional as F

from tests.shipped import shipped
from tests.toy import Toy, masked_lm, stage_config, word_tokenizer
from xlt.errors import ConfigError, NonFinite
from xlt.models.build import FromScratch, build
from xlt.models.pooling import Pool
from xlt.objectives.contrastive import Contrastive
from xlt.objectives.sequence_classification import SequenceClassification
from xlt.stages import align
from xlt.stages.feeding import batches_of, make_plan
from xlt.stages.scoring import score
from xlt.stages.setup import encode_all
from xlt.training.checkpoint import Checkpoints
from xlt.training.loop import Choice, Pace, Progress, fit
from xlt.training.optimizer import LearningRate, adamw
from xlt.training.progress import Screen
from xlt.training.tracking import MetricsLog
from xlt.types import closed_sets
from xlt.vocabulary import Vocabulary

WORDS = [f"w{i}" for i in range(40)]
MLM = masked_lm(mask_rate=0.3)
TASK = SequenceClassification(pair=False, pool=Pool.mean, hidden=True, dropout=0.0)
NORM = 0.5  # of the clipped gradient: small enough to bite


def rows(size):
    texts = [" ".join(WORDS[(i * k) % 40] for k in range(1, 3 + i * 5 % 17)) for i in range(size)]
    return [{"text": text, "label": "ab"[i % 3 == 0]} for i, text in enumerate(texts)]


def parts(folder, objective, dropout=0.0, micro=None, workers=0):
    """All that `fit` is given, on uneven rows in two languages; batches of 8 rows."""
    view = objective.view
    data = Toy({(view, code, split): rows(n) for code, split, n in (("en", "train", 40), ("sw", "train", 23), ("en", "dev", 11))})  # fmt: skip
    tokenizer = word_tokenizer(WORDS)
    cfg = stage_config(
        folder, "pretrain", data, objective, None, None, micro_batch_size=micro, workers=workers, alpha=0.5
    )
    labels = ["a", "b"] if objective is TASK else None
    node = FromScratch(
        architecture="xlm-roberta", layers=2, width=16, attention_heads=2, feed_forward=32, max_positions=40,
        dropout=dropout, attention_dropout=dropout, init_from=None,
    )  # fmt: skip
    model = build(node, objective.head, objective, labels, tokenizer, seed=5)
    vocabulary = Vocabulary.of(tokenizer)
    tables = encode_all(cfg, objective, tokenizer, ["en", "sw"], "train")
    dev = encode_all(cfg, objective, tokenizer, ["en"], "dev")
    plan, *_ = make_plan(cfg, objective, vocabulary, tables)
    accelerator = Accelerator(cpu=True)

    def validate():
        golds = {language: table.gold(closed_sets(objective, labels)) for language, table in dev.items()}
        limits = cfg.train.max_length, cfg.hardware.eval_tokens
        figures = score(model, objective, dev, golds, vocabulary, *limits, accelerator, None)
        return figures, figures[objective.metric]["en"]

    return SimpleNamespace(
        folder=folder, model=model, objective=objective, accelerator=accelerator, validate=validate,
        batches=batches_of(plan, tables, labels, objective, vocabulary, cfg), choice=Choice(objective.metric == "accuracy"),
    )  # fmt: skip


def train(p, optimizer, steps=6, rate=None, norm=NORM, validate=False, workers=0, **more) -> Progress:
    p.folder.mkdir(exist_ok=True)
    screen = Screen()
    with screen.counting("training", steps, 0):
        return fit(
            model=p.model, objective=p.objective, batches=p.batches, optimizer=optimizer,
            learning_rate=rate or LearningRate(0.01, "linear", 2, steps), accelerator=p.accelerator,
            pace=Pace(steps, log_every=1, eval_every=2, save_every=3, workers=workers), seed=1, max_grad_norm=norm,
            checkpoints=Checkpoints(p.folder / "checkpoints", 2, print), progress=more.pop("progress", Progress()),
            validate=p.validate if validate else None, choice=p.choice if validate else None,
            log=MetricsLog(p.folder / "metrics.jsonl", 0), screen=screen, **more,
        )  # fmt: skip


def flat(model) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).norm() / b.norm())


def optimizer_of(model):
    return adamw(model, (0.9, 0.98), 1e-6, 0.1)


@pytest.mark.parametrize("objective", [MLM, TASK], ids=["masked_lm", "classification"])
@pytest.mark.parametrize("micro", [4, 2])
def test_micro_batches_give_the_same_update(tmp_path, objective, micro):
    """With SGD the update is the gradient itself: AdamW would divide rounding by its own size."""
    moved = []
    for size in (None, micro):
        p = parts(tmp_path / str(size), objective, micro=size)
        windows = [p.batches(step) for step in range(3)]
        assert {len(window) for window in windows} == {8 // (size or 8)}
        uneven = any(len({batch.count for batch in window}) > 1 for window in windows)
        assert uneven == (objective is MLM and size is not None), "else a mean of means would pass"
        before = flat(p.model)
        train(p, torch.optim.SGD(p.model.parameters(), lr=0.0), steps=3, rate=lambda _: 0.1, norm=1e9)
        moved.append(flat(p.model) - before)
    assert relative(moved[1], moved[0]) < 1e-6


def by_hand(model, objective, batches, steps):
    """The textbook loop: transformers' own forward, mean loss, clip, AdamW, and the schedule written out."""
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}], betas=(0.9, 0.98), eps=1e-6
    )
    losses = []
    for step in range(steps):
        (batch,) = batches(step)
        mask_BL = batch["attention_mask"]
        mask_BL = torch.ones_like(batch["input_ids"]) if mask_BL is None else mask_BL
        if objective is MLM:
            targets = torch.full_like(batch["input_ids"], -100).flatten()
            targets[batch["where"]] = batch["targets"]
            logits = model.backbone(input_ids=batch["input_ids"], attention_mask=mask_BL).logits
            loss = F.cross_entropy(logits.flatten(0, 1), targets)
        else:
            hidden = model.backbone(input_ids=batch["input_ids"], attention_mask=mask_BL).last_hidden_state
            mean = (hidden * mask_BL[..., None]).sum(1) / mask_BL.sum(1, keepdim=True)
            loss = F.cross_entropy(model.heads["classifier"](mean), batch["labels"])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), NORM)
        for group in optimizer.param_groups:
            group["lr"] = [0.005, 0.01, 0.01, 0.0075, 0.005, 0.0025][step]
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("objective", [MLM, TASK], ids=["masked_lm", "classification"])
def test_it_is_the_loop_one_would_write_by_hand(tmp_path, objective):
    ours, theirs = parts(tmp_path / "ours", objective), parts(tmp_path / "theirs", objective)
    start = flat(ours.model)
    assert torch.equal(start, flat(theirs.model))
    train(ours, optimizer_of(ours.model))
    losses = by_hand(theirs.model, objective, theirs.batches, 6)
    assert relative(flat(ours.model), flat(theirs.model)) < 1e-6
    assert relative(flat(ours.model), start) > 1e-2, "something was learned"
    lines = [json.loads(line) for line in (tmp_path / "ours" / "metrics.jsonl").read_text().splitlines()]
    assert [line["loss"] for line in lines] == pytest.approx(losses, rel=1e-5)
    assert [line["learning_rate"] for line in lines] == pytest.approx([0.005, 0.01, 0.01, 0.0075, 0.005, 0.0025])


@pytest.mark.parametrize("change", ["workers", "validation"])
def test_neither_workers_nor_validation_change_a_bit(tmp_path, change):
    weights = []
    for on in (False, True):
        p = parts(tmp_path / str(on), MLM, dropout=0.1)
        train(
            p, optimizer_of(p.model), validate=on and change == "validation", workers=2 * (on and change == "workers")
        )
        assert p.model.training
        weights.append(flat(p.model))
    assert torch.equal(*weights)


def test_what_is_not_finite_changes_no_weight(tmp_path):
    p = parts(tmp_path, MLM)
    train(p, optimizer_of(p.model), steps=2)
    before, real = flat(p.model), p.objective

    class Spoilt:
        def loss(self, model, batch):
            return real.loss(model, batch) * float("nan")

    p.objective = Spoilt()
    with pytest.raises(NonFinite, match=r"update 1: the loss is nan .*no weight was changed by it"):
        train(p, optimizer_of(p.model), steps=2)
    assert torch.equal(flat(p.model), before)


def test_a_gradient_that_is_not_finite_under_a_finite_loss_is_caught_too(tmp_path):
    p = parts(tmp_path, MLM)
    real, before = p.objective, flat(p.model)

    class Spoilt:
        def loss(self, model, batch):
            return real.loss(model, batch) + torch.sqrt(model.backbone.lm_head.bias.sum() * 0.0)

    p.objective = Spoilt()
    with pytest.raises(NonFinite, match="the gradient's norm (nan|inf)"):
        train(p, optimizer_of(p.model), steps=2)
    assert torch.equal(flat(p.model), before)


def test_a_validation_that_is_not_finite_is_said_in_a_sentence(tmp_path):
    p = parts(tmp_path, MLM)
    p.validate = lambda: ({"perplexity": {"en": float("inf")}}, 1.0)
    with pytest.raises(NonFinite, match="validation after update 2: perplexity is not finite"):
        train(p, optimizer_of(p.model), validate=True)


def test_an_error_in_the_thread_that_prepares_batches_comes_out(tmp_path):
    p = parts(tmp_path, MLM)
    batches = p.batches
    p.batches = lambda step: batches(step) if step < 3 else np.zeros(0)[step]
    with pytest.raises(IndexError):
        train(p, optimizer_of(p.model), workers=1)
    assert Checkpoints(tmp_path / "checkpoints", 2, print).newest() == 3


def test_a_loss_over_the_batch_that_caches_no_gradients_refuses_micro_batches_before_it_touches_anything(tmp_path):
    class Uncached(Contrastive):
        caches_gradients = False

    objective = Uncached(**vars(shipped("contrastive")))
    cfg = stage_config(tmp_path / "run", "align", Toy({}), objective, None, None, micro_batch_size=2)
    cfg.languages.train = None
    with pytest.raises(ConfigError, match="hardware.micro_batch_size: Uncached takes its negatives from the whole"):
        align.run(cfg)
    assert not (tmp_path / "run").exists()

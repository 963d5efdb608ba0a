"""A mixture against its parts: the same rows as each alone, the weighted sum of their gradients, and a log that tells them apart."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from tests.models.test_families import scratch
from tests.shipped import shipped
from tests.toy import Toy, stage_config, word_tokenizer
from xlt.config.schema import Sampling
from xlt.errors import ConfigError
from xlt.models.build import FromScratch, build
from xlt.models.pooling import Pool
from xlt.objectives.coral import Coral
from xlt.objectives.mean_squared_error import MeanSquaredError
from xlt.objectives.mixture import Mixture, Part, Updates
from xlt.objectives.optimal_transport import OptimalTransport
from xlt.objectives.sequence_classification import SequenceClassification
from xlt.stages import finetune, pretrain, zero_shot_eval
from xlt.stages.feeding import batches_of, draw, make_plan
from xlt.stages.parts import read, refuse_splitting
from xlt.tokenization.load import Pretrained
from xlt.training.checkpoint import Checkpoints
from xlt.training.loop import Pace, Progress, fit
from xlt.training.progress import Screen
from xlt.training.tracking import MetricsLog
from xlt.vocabulary import Vocabulary

WORDS = [f"w{i}" for i in range(40)]
TOKENIZER = word_tokenizer(WORDS)
VOCABULARY = Vocabulary.of(TOKENIZER)
MLM = shipped("masked_lm", mask_rate=0.3)
CAUSAL = shipped("causal_lm")
CROSS = shipped("contrastive", temperature=0.05, pool="mean", layer=1)
SQUARED = MeanSquaredError(held=None, pool=Pool.mean, layer=None)
TRANSPORT = OptimalTransport(epsilon=0.1, iterations=5, pool=Pool.mean, layer=None)
CORAL = Coral(pool=Pool.mean, layer=None)
TASK = SequenceClassification(pair=False, pool=Pool.first, hidden=True, dropout=0.1)
ENCODER = dict(
    architecture="xlm-roberta", layers=2, width=16, attention_heads=2, feed_forward=32, max_positions=40, init_from=None
)


def sentence(i, base):
    return " ".join(f"w{(base + i * k) % 40}" for k in range(1, 4 + i % 9))


def texts(*sizes):
    rows = {
        ("text", code, split): [{"text": sentence(i, base)} for i in range(n)]
        for base, (code, size) in enumerate(sizes)
        for split, n in (("train", size), ("dev", 9))
    }
    return rows


def pairs(code, base, size=30):
    return {("parallel", code, split): [{"source": sentence(i, base), "target": sentence(i, base + 3)} for i in range(n)] for split, n in (("train", size), ("dev", 10))}  # fmt: skip


def labelled(*codes):
    return {
        ("classification", code, split): [{"text": f"w{1 + 2 * (i % 2)} " + sentence(i, 7), "label": ["bad", "good"][i % 2]} for i in range(n)]
        for code in codes
        for split, n in (("train", 40), ("dev", 12), ("test", 12))
    }  # fmt: skip


DATA = Toy({**texts(("de", 40), ("en", 30), ("sw", 17)), **pairs("en-de", 0), **pairs("en-sw", 5), **labelled("en", "sw")})  # fmt: skip


def part(objective, weight=1, **settings):
    fixed = dict.fromkeys(("dataset", "languages", "batch_size", "batch_tokens", "max_length", "alpha", "weights"))
    return Part(objective=objective, weight=weight, **{**fixed, **settings})


def mixture(updates=Updates.joint, **parts):
    return Mixture(updates=updates, parts=parts)


def encoder(dropout=0.0):
    return FromScratch(**ENCODER, dropout=dropout, attention_dropout=dropout)


def config(folder, objective, stage="pretrain", dataset=DATA, dropout=0.0, tokenizer=None, **changes):
    cfg = stage_config(folder, stage, dataset, objective, encoder(dropout), tokenizer, **changes)
    cfg.resolved["objective"] = {"parts": {"task": {"objective": {
        "_target_": "xlt.objectives.sequence_classification.SequenceClassification", "pair": False, "pool": "first", "hidden": True, "dropout": 0.1,
    }}}}  # fmt: skip
    return cfg


def parts_of(cfg, folder, languages=None):
    return read(cfg, languages, "languages.train", False, TOKENIZER, SimpleNamespace(path=folder), Screen())


def drawn(folder, objective, **changes):
    """(cfg, updates, update -> batches) of a mixture."""
    cfg = config(folder, objective, **changes)
    feed, _ = draw(cfg, parts_of(cfg, folder), None, TOKENIZER)
    return cfg, feed.steps, feed.batches


def alone(folder, objective, languages=None, **changes):
    """update -> batches of an ordinary run, by the functions that know no parts."""
    cfg = config(folder, objective, **changes)
    (only,) = parts_of(cfg, folder, languages)
    plan, *_ = make_plan(cfg, objective, VOCABULARY, only.tables)
    return batches_of(plan, only.tables, None, objective, VOCABULARY, cfg)


def same(a, b):
    assert a.tensors.keys() == b.tensors.keys()
    both = [(a[k], b[k]) for k in a.tensors]
    return a.count == b.count and all(x is y is None or torch.equal(x, y) for x, y in both)


def test_each_part_draws_the_rows_that_it_draws_alone(tmp_path):
    mixed = mixture(
        mlm=part(MLM),
        cross=part(CROSS, batch_size=5),
        coral=part(CORAL, languages=["de", "en"], alpha=1.0, max_length=9),
    )
    _, steps, batches = drawn(tmp_path, mixed)
    singles = {
        "mlm": alone(tmp_path, MLM),
        "cross": alone(tmp_path, CROSS, batch_size=5),
        "coral": alone(tmp_path, CORAL, languages=["de", "en"], alpha=1.0, max_length=9),
    }
    for step in range(steps):
        window = batches(step)
        assert [batch.part for batch in window] == ["mlm", "cross", "coral"]
        for batch in window:
            (expected,) = singles[batch.part](step)
            assert same(batch, expected) and batch.languages == expected.languages


def test_a_part_that_waits_goes_on_where_it_was(tmp_path):
    """By turns, and from update 7 on alone: the n-th batch of a part is the n-th of its stream."""
    mixed = mixture(Updates.alternate, mlm=part(MLM), cross=part(CROSS, "0:0.5,6:0.5,7:0"))
    _, steps, batches = drawn(tmp_path, mixed)
    streams = {"mlm": alone(tmp_path, MLM), "cross": alone(tmp_path, CROSS)}
    seen = {"mlm": 0, "cross": 0}
    order = []
    for step in range(steps):
        (batch,) = batches(step)
        order.append(batch.part)
        assert same(batch, streams[batch.part](seen[batch.part])[0])
        assert batch.weight == (1 if batch.part == "mlm" else 0.5)
        seen[batch.part] += 1
    assert order == ["mlm", "cross"] * 3 + ["mlm"] * 6


def test_what_is_drawn_does_not_depend_on_the_order_of_asking(tmp_path):
    _, steps, batches = drawn(tmp_path, mixture(Updates.alternate, mlm=part(MLM), cross=part(CROSS)))
    forward = [batches(step) for step in range(steps)]
    _, _, again = drawn(tmp_path, mixture(Updates.alternate, mlm=part(MLM), cross=part(CROSS)))
    for step in reversed(range(steps)):
        assert same(again(step)[0], forward[step][0])


def flat(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def model_for(mixed):
    return build(encoder(), mixed.head, mixed, None, TOKENIZER, seed=5)


def moved(folder, mixed, batches, steps=1, fused=False):
    """How far the loop takes the weights with plain gradient descent of rate 0.1, unclipped."""
    folder.mkdir(exist_ok=True)
    model = model_for(mixed)
    model.fused = fused
    before, screen = flat(model), Screen()
    with screen.counting("training", steps, 0):
        fit(
            model=model, objective=mixed, batches=batches, optimizer=torch.optim.SGD(model.parameters(), lr=0.0),
            learning_rate=lambda _: 0.1, accelerator=Accelerator(cpu=True), pace=Pace(steps, 1, 0, 0, 0), seed=1, max_grad_norm=1e9,
            checkpoints=Checkpoints(folder / "checkpoints", 2, print), progress=Progress(), validate=None, choice=None,
            log=MetricsLog(folder / "metrics.jsonl", 0), screen=screen,
        )  # fmt: skip
    return flat(model) - before


@pytest.mark.parametrize("fused", [False, True])
def test_the_gradient_is_the_weighted_sum_of_the_parts_gradients(tmp_path, fused):
    parts = {"mlm": MLM, "cross": CROSS, "transport": TRANSPORT, "squared": SQUARED, "coral": CORAL}
    weights = {"mlm": 1, "cross": "0:0.25,100:0.5", "transport": 2.0, "squared": 30, "coral": 1000.0}
    mixed = mixture(**{name: part(objective, weights[name]) for name, objective in parts.items()})
    _, _, batches = drawn(tmp_path, mixed)
    together = moved(tmp_path / "joint", mixed, batches, fused=fused)
    expected, sizes = 0, []
    for name, objective in parts.items():
        model = model_for(mixed).train()
        (batch,) = alone(tmp_path, objective)(0)
        (objective.loss(model, batch) / batch.count).backward()
        weight = {"cross": 0.25}.get(name, weights[name])
        gradient = torch.cat([torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in model.parameters()])  # fmt: skip
        sizes.append(float(weight * gradient.norm()))
        expected = expected + weight * gradient
    assert min(sizes) > 0.02 * max(sizes), "else a part could be missing unseen"
    assert float((together / -0.1 - expected).norm() / expected.norm()) < 1e-5


def test_only_a_part_that_reads_frequencies_has_them(tmp_path):
    rare = shipped("masked_lm", frequency_power=0.5)
    mixed = mixture(mlm=part(rare, languages=["en"]), plain=part(MLM), cross=part(CROSS))
    parts = parts_of(config(tmp_path, mixed), tmp_path)
    expected = np.zeros(VOCABULARY.size, np.int64)
    for i in range(30):
        np.add.at(expected, TOKENIZER(sentence(i, 1), add_special_tokens=False)["input_ids"], 1)
    assert np.array_equal(parts[0].vocabulary.counts, expected)
    assert [p.vocabulary.counts for p in parts[1:]] == [None, None]


def test_parts_draw_by_their_own_weights_or_as_the_run(tmp_path):
    mixed = mixture(
        mlm=part(MLM),
        cross=part(CROSS, weights={"en-de": 3, "en-sw": 1}),
        more=part(MLM, alpha="0:0,12:1", batch_size=4),
    )
    cfg = config(tmp_path, mixed, sampling=Sampling.weights, weights={"de": 1, "en": 1, "sw": 2})
    _, tables = draw(cfg, parts_of(cfg, tmp_path), None, TOKENIZER)
    shares = {name: {line.language: line.share for line in table} for name, table in tables.items()}
    assert shares["mlm"] == pytest.approx({"de": 0.25, "en": 0.25, "sw": 0.5})
    assert shares["cross"] == pytest.approx({"en-de": 0.75, "en-sw": 0.25})
    assert 17 / 87 < shares["more"]["sw"] < 1 / 3, "from even to in proportion"


def test_a_part_of_weight_zero_reads_nothing(tmp_path):
    _, steps, batches = drawn(tmp_path, mixture(mlm=part(MLM), cross=part(CROSS, 0)))
    assert {batch.part for step in range(steps) for batch in batches(step)} == {"mlm"}


def test_passes_are_capped_over_a_parts_own_updates(tmp_path):
    """UniMax: 87 rows and a cap of one pass are enough for half of 20 updates of 8 rows, and not for all."""
    capped = dict(sampling=Sampling.unimax, epoch_cap=1.0, steps=20)
    drawn(tmp_path, mixture(Updates.alternate, a=part(MLM), b=part(MLM)), **capped)
    with pytest.raises(ConfigError, match="^objective.parts.a: train.epoch_cap: "):
        drawn(tmp_path, mixture(a=part(MLM), b=part(MLM)), **capped)


@pytest.mark.parametrize("updates", Updates)
@pytest.mark.parametrize("micro", [1, 3])
def test_micro_batches_give_the_same_update(tmp_path, updates, micro):
    mixed = mixture(
        updates, mlm=part(MLM), squared=part(SQUARED, 20), transport=part(TRANSPORT, "0:1,3:2", batch_size=7)
    )
    steps = 3
    whole = moved(tmp_path / "whole", mixed, drawn(tmp_path, mixed)[2], steps)
    cut = moved(tmp_path / "cut", mixed, drawn(tmp_path, mixed, micro_batch_size=micro)[2], steps)
    assert float((whole - cut).norm() / whole.norm()) < 1e-6
    lines = [[json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()] for name in ("whole", "cut")]  # fmt: skip
    for a, b in zip(*lines, strict=True):
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-5)
        assert a["parts"].keys() == b["parts"].keys()


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    TOKENIZER.save_pretrained(folder)
    return Pretrained(path=str(folder))


def outcome(folder, name="run", stage="pretrain"):
    place = folder / name / stage
    lines = [json.loads(line) for line in (place / "metrics.jsonl").read_text().splitlines()]
    return SimpleNamespace(lines=lines, metrics=json.loads((place / "metrics.json").read_text()), folder=place)


def test_the_log_tells_parts_weights_and_languages_apart(tmp_path, tokenizer, capsys):
    mixed = mixture(mlm=part(MLM), cross=part(CROSS, "0:1,4:0.2,8:0", batch_size=4))
    pretrain.run(config(tmp_path, mixed, tokenizer=tokenizer, log_every=1))
    run, said = outcome(tmp_path), capsys.readouterr().out
    steps = [line for line in run.lines if "loss" in line]
    weights = [line["parts"].get("cross", {"weight": 0})["weight"] for line in steps]
    assert weights == pytest.approx([1, 0.8, 0.6, 0.4, 0.2, 0.15, 0.1, 0.05, 0, 0, 0, 0])
    for line in steps:
        assert line["loss"] == pytest.approx(sum(p["weight"] * p["loss"] for p in line["parts"].values()), rel=1e-6)
        assert set(line["parts"]["mlm"]["languages"]) <= {"de", "en", "sw"}
        assert set(line["parts"].get("cross", {"languages": []})["languages"]) <= {"en-de", "en-sw"}
    (last,) = [line["validation"] for line in run.lines if "validation" in line and line["step"] == 12]
    assert set(last) == {"mlm/loss", "mlm/perplexity", "mlm/accuracy", "cross/accuracy", "cross/accuracy_forward", "cross/accuracy_backward"}  # fmt: skip
    assert run.metrics["results"]["toy"] == last
    assert run.metrics["higher_is_better"].keys() == last.keys()
    assert run.metrics["n"]["toy"] == {"mlm/de": 9, "mlm/en": 9, "mlm/sw": 9, "cross/en-de": 10, "cross/en-sw": 10}
    assert {(line["part"], line["language"]) for line in run.metrics["sampling"]} == {("mlm", "de"), ("mlm", "en"), ("mlm", "sw"), ("cross", "en-de"), ("cross", "en-sw")}  # fmt: skip
    assert sum(line["epochs"] * line["rows"] for line in run.metrics["sampling"] if line["part"] == "cross") == pytest.approx(8 * 4)  # fmt: skip
    for words in ("mlm (weight 1): languages drawn", "cross (weight 0:1,4:0.2,8:0): languages drawn", "dev, by part", "  cross "):  # fmt: skip
        assert words in said


def test_one_objective_logs_its_languages_too(tmp_path, tokenizer):
    pretrain.run(config(tmp_path, MLM, tokenizer=tokenizer, log_every=1))
    first = outcome(tmp_path).lines[0]
    assert set(first["languages"]) <= {"de", "en", "sw"} and len(first["languages"]) > 1
    assert min(first["languages"].values()) <= first["loss"] <= max(first["languages"].values())
    assert "parts" not in first


def test_a_part_reads_a_data_set_of_its_own(tmp_path, tokenizer):
    other = Toy(pairs("en-fr", 9))
    other.name = "other"
    mixed = mixture(mlm=part(MLM), cross=part(CROSS, dataset=other))
    pretrain.run(config(tmp_path, mixed, dataset=Toy(texts(("de", 40), ("en", 30))), tokenizer=tokenizer))
    metrics = outcome(tmp_path).metrics
    assert set(metrics["results"]) == {"toy", "other"}
    assert set(metrics["results"]["other"]["cross/accuracy"]) == {"en-fr"}
    assert set(metrics["lineage"]["data"]) == {"mlm/toy/de/train", "mlm/toy/de/dev", "mlm/toy/en/train", "mlm/toy/en/dev", "cross/other/en-fr/train", "cross/other/en-fr/dev"}  # fmt: skip


def test_both_parts_learn(tmp_path, tokenizer):
    mixed = mixture(mlm=part(MLM), cross=part(CROSS))
    pretrain.run(config(tmp_path, mixed, tokenizer=tokenizer, steps=80, eval_every=0, learning_rate=1e-2, log_every=10))
    steps = [line["parts"] for line in outcome(tmp_path).lines if "parts" in line]
    for name, share in (("mlm", 0.98), ("cross", 0.2)):  # near chance, and near certainty, on sentences without grammar
        assert steps[-1][name]["loss"] < share * steps[0][name]["loss"]


def test_coral_is_scored_across_languages(tmp_path, tokenizer):
    pretrain.run(config(tmp_path, mixture(mlm=part(MLM), coral=part(CORAL, 10.0)), tokenizer=tokenizer))
    scores = outcome(tmp_path).metrics["results"]["toy"]
    assert set(scores["coral/coral"]) == set(scores["coral/variance"]) == {"de", "en", "sw"}
    assert all(0 < value < 1 for value in scores["coral/coral"].values())


def test_a_task_is_learned_beside_an_alignment_and_scored_alone(tmp_path, tokenizer):
    mixed = mixture(task=part(TASK), cross=part(CROSS, 0.1))
    finetune.run(config(tmp_path, mixed, "finetune", tokenizer=tokenizer, steps=16, learning_rate=5e-3))
    run = outcome(tmp_path, stage="finetune")
    assert set(run.metrics["results"]["toy"]["task/accuracy"]) == {"en"}, "the source language"
    assert set(run.metrics["results"]["toy"]["cross/accuracy"]) == {"en-de", "en-sw"}, "all pairs"
    cfg = config(tmp_path, None, "zero-shot-eval", tokenizer=Pretrained(path=None))
    cfg.model = SimpleNamespace(init_from=str(run.folder))
    cfg.model = FromScratch(**{**ENCODER, "init_from": str(run.folder)}, dropout=0.0, attention_dropout=0.0)
    zero_shot_eval.run(cfg)
    scores = outcome_of(tmp_path / "run" / "zero-shot-eval")["results"]["toy"]["accuracy"]
    assert set(scores) == {"en", "sw"}


def outcome_of(folder):
    return json.loads((folder / "metrics.json").read_text())


def test_passes_are_counted_over_the_main_parts_rows(tmp_path):
    rows = 40 + 30 + 17
    for updates, times in ((Updates.joint, 1), (Updates.alternate, 2)):
        mixed = mixture(updates, mlm=part(MLM), cross=part(CROSS))
        _, steps, _ = drawn(tmp_path, mixed, epochs=2.0)
        assert steps == times * int(np.ceil(2 * rows / 8))


@pytest.mark.parametrize(
    ("objective", "changes", "sentence"),
    [
        (mixture(mlm=part(MLM), cross=part(CROSS, dataset=Toy(texts(("en", 9))))), {},
         "objective.parts.cross: Contrastive reads parallel, and toy has text; give the part a data set of its own, dataset@objective.parts.cross.dataset=NAME, or leave the part out"),
        (mixture(mlm=part(MLM), cross=part(CROSS, languages=["en-fr"])), {},
         "objective.parts.cross.languages: toy has no en-fr with a train split; did you mean en-sw? it has en-de, en-sw"),
        (mixture(mlm=part(MLM, languages=["fr"])), {}, "objective.parts.mlm.languages: toy has no fr with a train split; it has de, en, sw"),
        (mixture(mlm=part(MLM), cross=part(shipped("contrastive", temperature=0.1, pool="mean", layer=9))), {},
         "objective.parts.cross.objective.layer: 9, and this model has 2 layers; give 0 (embeddings) to 2, or null"),
        (mixture(mlm=part(CAUSAL), cross=part(shipped("contrastive", temperature=0.1, pool="first", layer=None))), {"model": scratch("llama")},
         "objective.parts.cross: objective.pool: first, but llama reads from left to right, so its first token knows nothing of the text; set it to last or mean"),
        (mixture(mlm=part(MLM), cross=part(CROSS)), {"train": {"sampling": Sampling.weights, "weights": {"de": 1, "en": 1, "sw": 1}}},
         "objective.parts.cross.weights: en-de, en-sw has none; name each of en-de, en-sw, with 0 for those to leave out"),
        (shipped("contrastive", temperature=0.1, pool="mean", layer=3), {}, "objective.layer: 3, and this model has 2 layers; give 0 (embeddings) to 2, or null"),
        (mixture(mlm=part(MLM), cross=part(CROSS, max_length=50)), {}, "objective.parts.cross.max_length: 50 tokens are more than the 40 positions this model has; lower it or raise model.max_positions"),
        (mixture(mlm=part(MLM, "0:1,5:0")), {}, "objective.parts: all weights are 0 in update 6; nothing would be learned in it"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_of_the_part(tmp_path, tokenizer, objective, changes, sentence):
    cfg = config(tmp_path, objective, tokenizer=tokenizer, **changes.get("train", {}))
    vars(cfg).update({k: v for k, v in changes.items() if k != "train"})
    with pytest.raises(ConfigError) as error:
        pretrain.run(cfg)
    assert str(error.value) == sentence


class Whole(Coral):
    """One of a user's own, that encodes all rows at once."""

    caches_gradients = False


@pytest.mark.parametrize(
    ("objective", "sentence"),
    [
        (mixture(mlm=part(MLM), c=part(Whole(pool=None, layer=None))), r"hardware.micro_batch_size: Whole \(part c\) takes its covariances from the whole batch, .* lower objective.parts.c.batch_size"),
        (Whole(pool=None, layer=None), "hardware.micro_batch_size: Whole takes its covariances from the whole batch, .* lower train.batch_size"),
    ],
)  # fmt: skip
def test_what_needs_the_whole_batch_at_once_is_not_split(tmp_path, objective, sentence):
    with pytest.raises(ConfigError, match=sentence):
        refuse_splitting(config(tmp_path, objective, micro_batch_size=2))
    refuse_splitting(config(tmp_path, mixture(mlm=part(MLM), s=part(SQUARED), c=part(CROSS)), micro_batch_size=2))
    refuse_splitting(config(tmp_path, CORAL, micro_batch_size=2))

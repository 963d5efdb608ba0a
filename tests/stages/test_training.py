"""The promises of training: micro-batches, workers and interruptions change nothing; only the source language's dev data choose."""

import json

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoModelForMaskedLM

from tests.shipped import shipped
from tests.toy import Toy, masked_lm, stage_config, word_tokenizer
from xlt import signals
from xlt.errors import Interrupted, NonFinite
from xlt.models.build import FromScratch
from xlt.models.pooling import Pool
from xlt.objectives.mixture import Mixture, Part, Updates
from xlt.objectives.optimal_transport import OptimalTransport
from xlt.objectives.sequence_classification import SequenceClassification
from xlt.stages import finetune, pretrain
from xlt.stages.training import Recipe, train
from xlt.tokenization.load import Pretrained

WORDS = ["a", "b", *(f"w{i}" for i in range(40))]


def sentence(i, base):
    return " ".join(f"w{(base + i * k) % 40}" for k in range(1, 4 + i % 9))


@pytest.fixture(scope="module")
def data():
    rows = {
        ("text", code, split): [{"text": sentence(i, base)} for i in range(n)]
        for base, code in enumerate(["de", "en", "sw"])
        for split, n in (("train", 40 - 12 * base), ("dev", 9))
    }
    for code in ("en", "sw"):
        for split, n in (("train", 40), ("dev", 12), ("test", 12)):
            rows["classification", code, split] = [
                {"text": ("w1 w2 " if i % 2 else "w3 w4 ") + sentence(i, 7), "label": ["bad", "good"][i % 2]}
                for i in range(n)
            ]
    for split, n in (("train", 30), ("dev", 10)):
        rows["parallel", "en-de", split] = [{"source": sentence(i, 0), "target": sentence(i, 3)} for i in range(n)]
    return Toy(rows)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    word_tokenizer(WORDS).save_pretrained(folder)
    return Pretrained(path=str(folder))


def encoder(dropout=0.1):
    return FromScratch(
        architecture="xlm-roberta",
        layers=2,
        width=16,
        attention_heads=2,
        feed_forward=32,
        max_positions=40,
        dropout=dropout,
        attention_dropout=dropout,
        init_from=None,
    )


MLM = masked_lm()
TASK = SequenceClassification(pair=False, pool=Pool.first, hidden=True, dropout=0.1)
AS_RUN = dict.fromkeys(("dataset", "languages", "batch_size", "batch_tokens", "max_length", "alpha", "weights"))
PARTS = {
    "mlm": Part(objective=MLM, weight=1, **AS_RUN),
    "cross": Part(objective=shipped("contrastive", temperature=0.05, pool="mean", layer=1), weight="0:1,6:0.2,10:0", **AS_RUN),
    "transport": Part(objective=OptimalTransport(epsilon=0.1, iterations=5, pool=Pool.mean, layer=None), weight=0.5, **{**AS_RUN, "batch_size": 5}),
}  # fmt: skip
MIXED, BY_TURNS = (Mixture(updates=updates, parts=PARTS) for updates in Updates)


def weights(folder, name, stage="pretrain"):
    return load_file(folder / name / stage / "model" / "model.safetensors")


def figures(folder, name, stage="pretrain"):
    metrics = json.loads((folder / name / stage / "metrics.json").read_text())
    lines = [json.loads(line) for line in (folder / name / stage / "metrics.jsonl").read_text().splitlines()]
    return {k: metrics[k] for k in ("results", "n", "step", "sampling")}, [
        {k: v for k, v in line.items() if k != "tokens_per_second"} for line in lines
    ]


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("micro", [1, 3, 4])
def test_micro_batches_give_the_same_update(tmp_path, data, tokenizer, micro):
    for name, size in (("whole", None), ("split", micro)):
        pretrain.run(
            stage_config(
                tmp_path, "pretrain", data, MLM, encoder(dropout=0.0), tokenizer, name=name, micro_batch_size=size
            )
        )
    whole, split = weights(tmp_path, "whole"), weights(tmp_path, "split")
    for name in whole:
        torch.testing.assert_close(
            whole[name], split[name], rtol=0, atol=2e-5
        )  # AdamW divides rounding by its own size; losses agree far closer
    first, second = figures(tmp_path, "whole")[1], figures(tmp_path, "split")[1]
    assert [line["loss"] for line in first if "loss" in line] == pytest.approx(
        [line["loss"] for line in second if "loss" in line], rel=1e-5
    )


@pytest.mark.parametrize("objective", [MLM, MIXED, BY_TURNS], ids=["masked_lm", "mixture", "by turns"])
def test_workers_change_nothing(tmp_path, data, tokenizer, objective):
    for name, workers in (("none", 0), ("three", 3)):
        pretrain.run(
            stage_config(tmp_path, "pretrain", data, objective, encoder(), tokenizer, name=name, workers=workers)
        )
    assert equal(weights(tmp_path, "none"), weights(tmp_path, "three"))
    assert figures(tmp_path, "none") == figures(tmp_path, "three")


class SignalAt:
    """Stands in for xlt.signals: a SIGTERM that comes when it is asked for the n-th time."""

    def __init__(self, monkeypatch, n):
        self.left, self.real = n, signals.requested
        monkeypatch.setattr(signals, "requested", self)
        monkeypatch.setattr(signals, "stop_if_requested", self.stop)

    def __call__(self):
        self.left -= 1
        return 15 if self.left <= 0 else None

    def stop(self, where):
        if self():
            raise Interrupted(15, f"stopped {where}")


@pytest.mark.parametrize(
    "objective",
    [
        *(MLM, TASK, shipped("contrastive", layer=None), MIXED, BY_TURNS),
        *(
            shipped("contrastive", hard_negatives=2, negatives_by="csls"),
            shipped("momentum_contrast", queue=11, momentum=0.9),
        ),
    ],
    ids=["masked_lm", "classification", "contrastive", "mixture", "by turns", "hard negatives", "momentum"],
)
def test_interrupted_runs_end_in_the_same_bits(tmp_path, data, tokenizer, monkeypatch, objective):
    recipe = {
        "text": Recipe(None, "languages.train", False),
        "classification": Recipe(["en"], "languages.source", True, True),
        "parallel": Recipe(None, "languages.train", False),
    }[objective.view]

    def run(name):
        return train(stage_config(tmp_path, "pretrain", data, objective, encoder(), tokenizer, name=name), recipe)

    run("whole")
    interruptions = 0
    for asked in [1, *[3] * 9, *range(4, 400)]:  # during encoding, updates, validations and the final scoring
        with monkeypatch.context() as patch:
            SignalAt(patch, asked)
            try:
                run("stopped")
                break
            except Interrupted:
                interruptions += 1
    assert interruptions > 5
    assert equal(weights(tmp_path, "whole"), weights(tmp_path, "stopped"))
    assert figures(tmp_path, "whole") == figures(tmp_path, "stopped")


def test_what_is_saved_loads_in_plain_transformers(tmp_path, data, tokenizer):
    pretrain.run(stage_config(tmp_path, "pretrain", data, MLM, encoder(), tokenizer))
    place = tmp_path / "run" / "pretrain" / "model"
    model, info = AutoModelForMaskedLM.from_pretrained(place, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert AutoModel.from_pretrained(place).config.hidden_size == 16
    assert torch.equal(model.get_output_embeddings().weight, model.get_input_embeddings().weight)


def test_the_best_on_source_dev_is_kept(tmp_path, data, tokenizer):
    cfg = stage_config(tmp_path, "finetune", data, TASK, encoder(), tokenizer, steps=24, learning_rate=5e-3)
    finetune.run(cfg)
    lines = [json.loads(line) for line in (tmp_path / "run" / "finetune" / "metrics.jsonl").read_text().splitlines()]
    scores = {line["step"]: line["validation"]["accuracy"]["en"] for line in lines if "validation" in line}
    metrics = json.loads((tmp_path / "run" / "finetune" / "metrics.json").read_text())
    best = max(scores.values())
    assert metrics["step"] == min(step for step, score in scores.items() if score == best)
    assert metrics["results"]["toy"]["accuracy"] == {"en": best}
    assert metrics["selection"] == "source-dev"


def test_no_target_row_is_read_in_finetuning(tmp_path, data, tokenizer):
    read = []

    class Watched(Toy):
        def rows(self, view, language, split):
            read.append((language, split))
            return super().rows(view, language, split)

    finetune.run(stage_config(tmp_path, "finetune", Watched(data._rows), TASK, encoder(), tokenizer))
    assert set(read) == {("en", "train"), ("en", "dev")}


def test_a_loss_that_is_not_finite_stops_before_the_update(tmp_path, data, tokenizer):
    cfg = stage_config(
        tmp_path, "pretrain", data, MLM, encoder(), tokenizer, learning_rate=1e30, warmup=0, max_grad_norm=1e30
    )
    with pytest.raises(NonFinite, match=r"update \d+: the loss is .* no weight was changed by it"):
        pretrain.run(cfg)
    assert not (tmp_path / "run" / "pretrain" / "metrics.json").exists()


RANKING = shipped("contrastive", layer=None)


def test_gradients_of_contrastive_batches_are_cached(tmp_path, data, tokenizer):
    """Encoded in pieces, a batch has the same negatives: the same losses, and weights that agree as far as AdamW lets them."""
    for name, size in (("whole", None), ("pieces", 3)):
        cfg = stage_config(
            tmp_path, "align", data, RANKING, encoder(dropout=0.0), tokenizer, name=name, micro_batch_size=size
        )
        train(cfg, Recipe(None, "languages.train", False))
    first, second = (
        [line["loss"] for line in figures(tmp_path, name, "align")[1] if "loss" in line] for name in ("whole", "pieces")
    )
    assert first == pytest.approx(second, rel=1e-4) and len(first) > 3

"""Every stage takes every kind of model: the promises of training hold for recurrent models, decoders, encoder-decoders and language embeddings."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch

from tests.models.test_families import recurrent, scratch
from tests.shipped import shipped
from tests.stages.test_training import MIXED, MLM, TASK, SignalAt, data, equal, figures, tokenizer, weights  # noqa: F401 (fixtures)
from tests.toy import Toy, stage_config
from xlt.errors import ConfigError, DataError, Interrupted
from xlt.models.build import MultilingualInput, Pretrained
from xlt.models.pooling import Pool
from xlt.models.shapes import Cell, Direction
from xlt.objectives.causal_lm import CausalLM
from xlt.objectives.coral import Coral
from xlt.stages import align, finetune, pretrain, zero_shot_eval
from xlt.tokenization.load import Pretrained as PretrainedTokenizer

TOPICS = {"_target_": "xlt.objectives.sequence_classification.SequenceClassification", "pair": False, "pool": "last", "hidden": True, "dropout": 0.1}  # fmt: skip
LAST = dataclasses.replace(TASK, pool=Pool.last)
RANKING = shipped("contrastive", temperature=0.05, pool="mean", layer=None)
CLM = CausalLM(predict_end=True)
CORAL = Coral(pool=Pool.mean, layer=None)
GRU = recurrent(cell=Cell.gru, direction=Direction.forward)
SPOKEN = MultilingualInput(backbone=scratch("xlm-roberta"), languages=True, segments=True)
BESIDE = PretrainedTokenizer(path=None)  # the one beside the model


@pytest.mark.parametrize(
    ("objective", "model"), [(MLM, recurrent()), (MLM, SPOKEN), (LAST, GRU), (LAST, scratch("llama")), (MIXED, SPOKEN)],
    ids=["bilstm", "language_embeddings", "gru", "llama", "mixture"],
)  # fmt: skip
def test_interrupted_runs_end_in_the_same_bits(tmp_path, data, tokenizer, monkeypatch, objective, model):  # noqa: F811
    stage = finetune if objective is LAST else pretrain

    def run(name):
        return stage.run(stage_config(tmp_path, "pretrain", data, objective, model, tokenizer, name=name))

    run("whole")
    for asked in (4, 9, 17, 30, 10**6):
        with monkeypatch.context() as patch:
            SignalAt(patch, asked)
            try:
                run("stopped")
                break
            except Interrupted:
                pass
    assert asked > 9, "it was interrupted at least twice"
    assert equal(weights(tmp_path, "whole"), weights(tmp_path, "stopped"))
    assert figures(tmp_path, "whole") == figures(tmp_path, "stopped")


@pytest.mark.parametrize("model", [recurrent(dropout=0.0), dataclasses.replace(SPOKEN, backbone=scratch("xlm-roberta", dropout=0.0, attention_dropout=0.0))], ids=["bilstm", "language_embeddings"])  # fmt: skip
def test_micro_batches_give_the_same_update(tmp_path, data, tokenizer, model):  # noqa: F811
    for name, size in (("whole", None), ("split", 3)):
        pretrain.run(stage_config(tmp_path, "pretrain", data, MLM, model, tokenizer, name=name, micro_batch_size=size))
    whole, split = weights(tmp_path, "whole"), weights(tmp_path, "split")
    for name in whole:
        torch.testing.assert_close(whole[name], split[name], rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    "model", [*map(scratch, ["gpt2", "llama", "mbart", "mt5", "modernbert"]), recurrent(), GRU, SPOKEN],
    ids=["gpt2", "llama", "mbart", "mt5", "modernbert", "bilstm", "gru", "language_embeddings"],
)  # fmt: skip
def test_align_finetune_and_score(tmp_path, data, tokenizer, model):  # noqa: F811
    """Each stage begins with what the one before it left, whatever it was told the model is."""
    spoken = model if model is not SPOKEN else dataclasses.replace(model, segments=False)
    align_cfg = stage_config(tmp_path, "align", data, RANKING, spoken, tokenizer)
    align.run(align_cfg)
    cfg = stage_config(tmp_path, "finetune", data, LAST, Pretrained(init_from=str(tmp_path / "run" / "align")), BESIDE)
    cfg.resolved["objective"] = TOPICS
    cfg.train.steps, cfg.train.learning_rate = 1, 1e-30  # what was aligned is what is fine-tuned
    finetune.run(cfg)
    aligned, tuned = weights(tmp_path, "run", "align"), weights(tmp_path, "run", "finetune")
    assert all(torch.equal(aligned[k], v) for k, v in tuned.items())
    score = stage_config(tmp_path, "zero-shot-eval", data, None, Pretrained(init_from=str(tmp_path / "run" / "finetune")), BESIDE)  # fmt: skip
    if model is SPOKEN:  # it was aligned on German and English, and is asked for Swahili
        with pytest.raises(
            ConfigError, match=r"model: it has no language embedding for sw, nor .* space \(it has de, en\)"
        ):
            zero_shot_eval.run(score)
        return
    zero_shot_eval.run(score)
    scored = json.loads((tmp_path / "run" / "zero-shot-eval" / "metrics.json").read_text())["results"]["toy"]
    assert set(scored["accuracy"]) == {"en", "sw"}


def test_language_embeddings_learn_what_only_the_language_tells(tmp_path, tokenizer):  # noqa: F811
    """The same sentences mean the opposite in the other language: a model that is told the language can learn that, no other can."""
    rows = [{"text": " ".join(f"w{(i * k) % 40}" for k in range(1, 4)), "good": i % 2} for i in range(40)]
    labelled = {
        ("classification", code, split): [{"text": ("w1 " if r["good"] else "w2 ") + r["text"], "label": "ab"[r["good"] ^ turn]} for r in rows]
        for turn, code in enumerate(["en", "sw"])
        for split in ("train", "dev")
    }  # fmt: skip
    found = {}
    plain = scratch("xlm-roberta", dropout=0.0, attention_dropout=0.0)
    for name, model in (("told", MultilingualInput(backbone=plain, languages=True, segments=False)), ("plain", plain)):
        cfg = stage_config(tmp_path, "finetune", Toy(labelled), LAST, model, tokenizer, name=name, steps=120, learning_rate=5e-3, batch_size=16, eval_every=0)  # fmt: skip
        cfg.languages.source = ["en", "sw"]
        found[name] = finetune.run(cfg)
    assert found["told"] > 0.95 and found["plain"] == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("model", [scratch("xlm-roberta"), scratch("gpt2"), GRU], ids=["encoder", "decoder", "gru"])
def test_a_pretrained_model_is_scored_by_retrieval(tmp_path, data, tokenizer, model):  # noqa: F811
    """The test rows are 6 sentences and themselves, so retrieval is perfect, and 6 with the translations turned by one, so none is found."""
    node = dataclasses.replace(model)
    objective = MLM if model is not GRU and model.architecture != "gpt2" else CLM
    pretrain.run(stage_config(tmp_path, "pretrain", data, objective, node, tokenizer, steps=1))
    texts = [f"w{i} w{i + 7}" for i in range(1, 7)]
    pairs = {"en-de": texts, "en-sw": texts[1:] + texts[:1]}
    rows = {("parallel", p, "test"): [{"source": s, "target": t} for s, t in zip(texts, found, strict=True)] for p, found in pairs.items()}  # fmt: skip
    cfg = stage_config(tmp_path, "zero-shot-eval", Toy(rows), RANKING, Pretrained(init_from=str(tmp_path / "run" / "pretrain")), BESIDE)  # fmt: skip
    assert zero_shot_eval.run(cfg) == 0.5
    metrics = json.loads((tmp_path / "run" / "zero-shot-eval" / "metrics.json").read_text())
    assert metrics["results"]["toy"]["accuracy"] == {"en-de": 1.0, "en-sw": 0.0}
    assert (metrics["n"]["toy"], metrics["transfer"]["toy"], "selection" in metrics) == (
        {"en-de": 6, "en-sw": 6},
        {},
        False,
    )


def test_a_score_between_languages_is_given_and_one_language_alone_is_refused(tmp_path, data, tokenizer):  # noqa: F811
    pretrain.run(stage_config(tmp_path, "pretrain", data, MLM, scratch("xlm-roberta"), tokenizer, steps=1))
    rows = [{"text": f"w{i} w{i + 7}"} for i in range(1, 7)]
    model = Pretrained(init_from=str(tmp_path / "run" / "pretrain"))
    same = {("text", code, "test"): rows for code in ("de", "en")}
    assert zero_shot_eval.run(stage_config(tmp_path, "zero-shot-eval", Toy(same), CORAL, model, BESIDE)) == 0.0
    alone = stage_config(tmp_path, "zero-shot-eval", Toy({("text", "en", "test"): rows}), CORAL, model, BESIDE)
    alone.run.dir = str(tmp_path / "run" / "alone")
    with pytest.raises(DataError, match="en: Coral finds no coral there"):
        zero_shot_eval.run(alone)


def test_an_objective_that_reads_labels_is_not_scored_on_a_model_without_them(tmp_path, data, tokenizer):  # noqa: F811
    pretrain.run(stage_config(tmp_path, "pretrain", data, MLM, scratch("xlm-roberta"), tokenizer, steps=1))
    for objective, said in (
        (TASK, "SequenceClassification needs what fine-tuning learns"),
        (MIXED, "a mixture has a score for each part"),
    ):
        with pytest.raises(ConfigError, match=f"objective: {said}"):
            zero_shot_eval.run(stage_config(tmp_path, "zero-shot-eval", data, objective, Pretrained(init_from=str(tmp_path / "run" / "pretrain")), BESIDE))  # fmt: skip

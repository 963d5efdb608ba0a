"""The shapes of retrieval from the shell's side: any encoder scored as it is, thresholds from dev data, what is trained and then scored in other languages."""

import json

import pytest
import yaml

from tests.shipped import shipped
from tests.stages.test_shapes import BESIDE
from tests.stages.test_training import encoder, tokenizer  # noqa: F401 (a fixture)
from tests.toy import Toy, stage_config
from xlt.config import paths, rules, schema
from xlt.errors import ConfigError
from xlt.models.build import Pretrained
from xlt.stages import align, finetune, zero_shot_eval


def words(i, step):
    return " ".join(f"w{(i * k * step) % 40}" for k in range(1, 4 + i % 5))


def pairs(size, start=0):
    return [{"source": words(i, 1), "target": words(i, 3)} for i in range(start, start + size)]


PARALLEL = Toy({
    ("parallel", "en-de", "train"): pairs(24), ("parallel", "en-de", "dev"): pairs(12, 30), ("parallel", "en-de", "test"): pairs(16, 50),
    ("parallel", "en-sw", "test"): pairs(16, 70),
})  # fmt: skip
ASKED = Toy({
    ("retrieval", code, split): [{"query": words(i, 1), "positives": [words(i % 9, step)]} for i in range(14)]
    for code, step in (("en", 5), ("en-de", 7)) for split in ("train", "dev", "test")
})  # fmt: skip
TAKEN = Toy({
    ("recommendation", code, split): [{"history": [words(i, step), words(i + 1, step)], "next": words(i + 2, step), "candidates": []} for i in range(14)]
    for code, step in (("en", 1), ("de", 3)) for split in ("train", "dev", "test")
})  # fmt: skip


@pytest.fixture(scope="module")
def aligned(tmp_path_factory, tokenizer):  # noqa: F811
    """The folder of an encoder that was aligned for a moment."""
    folder = tmp_path_factory.mktemp("aligned")
    cfg = stage_config(folder, "align", PARALLEL, shipped("contrastive"), encoder(), tokenizer, steps=3)
    align.run(cfg)
    return folder


def scored(folder, data, objective, name, parent="align", languages=None):
    cfg = stage_config(
        folder, "zero-shot-eval", data, objective, Pretrained(init_from=str(folder / "run" / parent)), BESIDE, name=name
    )
    cfg.languages = schema.Languages(None, ["en"], languages)
    zero_shot_eval.run(cfg)
    place = folder / name / "zero-shot-eval"
    lines = {
        p.stem: list(map(json.loads, p.read_text().split("\n")[:-1])) for p in (place / "predictions").glob("*.jsonl")
    }
    return json.loads((place / "metrics.json").read_text()), lines


def test_every_layer_is_in_the_metrics_and_the_model_has_no_other(aligned, capsys):
    metrics, lines = scored(aligned, PARALLEL, shipped("sentence_retrieval", every_layer=True), "layers")
    names = {
        f"accuracy{way}{at}" for way in ("", "_forward", "_backward") for at in ("", "_layer_0", "_layer_1", "_layer_2")
    }
    assert set(metrics["results"]["toy"]) == set(metrics["higher_is_better"]) == names
    assert "accuracy by layer (0: embeddings)" in capsys.readouterr().out
    assert metrics["n"]["toy"] == {"en-de": 16, "en-sw": 16} and len(lines["toy.en-sw"]) == 16
    with pytest.raises(ConfigError, match="objective.layer: 7, and this model has 2 layers"):
        scored(aligned, PARALLEL, shipped("sentence_retrieval", layer=7), "deep")


def test_thresholds_come_from_dev_data(aligned):
    metrics, lines = scored(aligned, PARALLEL, shipped("bitext_mining"), "mined")
    fitted = metrics["fitted"]["toy"]
    assert {code: facts["dev"] for code, facts in fitted.items()} == {"en-de": "en-de", "en-sw": "all"}
    assert fitted["en-de"]["threshold"] == fitted["en-sw"]["threshold"] > 0
    assert set(metrics["results"]["toy"]) == {"f1", "precision", "recall"}
    for code, facts in fitted.items():
        for line in lines[f"toy.{code}"]:
            assert line["mined"] == (line["score"] is not None and line["score"] >= round(facts["threshold"], 6))
    manifest = json.loads((aligned / "mined" / "zero-shot-eval" / "manifest.json").read_text())
    assert (
        "toy/en-de/dev" in manifest["lineage"]["data"] if "lineage" in manifest else "toy/en-de/dev" in manifest["data"]
    )
    given, _ = scored(aligned, PARALLEL, shipped("bitext_mining", threshold=1.05), "given")
    assert "fitted" not in given


def test_another_language_s_dev_data_serve_where_there_are_none(aligned):
    metrics, _ = scored(aligned, PARALLEL, shipped("bitext_mining"), "other", languages=["en-sw"])
    assert metrics["fitted"]["toy"]["en-sw"]["dev"] == "all" and list(metrics["results"]["toy"]["f1"]) == ["en-sw"]
    without = Toy({("parallel", "en-sw", "test"): pairs(9)})
    with pytest.raises(
        ConfigError, match="objective.threshold: null, and toy has no dev split to fit it on; give a number"
    ):
        scored(aligned, without, shipped("bitext_mining"), "nothing")


@pytest.mark.parametrize(
    "name, data, target", [("document_retrieval", ASKED, "en-de"), ("recommendation", TAKEN, "de")]
)
def test_an_encoder_is_scored_as_it_is_and_after_it_was_trained(aligned, name, data, target):
    before, lines = scored(aligned, data, shipped(name), f"{name}-before")
    assert set(before["results"]["toy"]["mrr"]) == {"en", target} and len(lines[f"toy.{target}"]) == 14
    assert "selection" not in before and all(line["found"] for line in lines[f"toy.{target}"])

    changes = {"history": "attention"} if name == "recommendation" else {}
    cfg = stage_config(aligned, "finetune", data, shipped(name, **changes), encoder(), BESIDE, steps=4, name=name)
    cfg.model = Pretrained(init_from=str(aligned / "run" / "align"))
    cfg.resolved["objective"] = {
        **yaml.safe_load((paths.conf_dir() / "objective" / f"{name}.yaml").read_text()),
        **changes,
    }
    finetune.run(cfg)
    (aligned / "run" / name).symlink_to(aligned / name / "finetune")
    after, _ = scored(aligned, data, None, f"{name}-after", name)
    assert after["selection"] == "source-dev" and after["transfer"]["toy"]["mrr"]["source"] == ["en"]
    assert set(after["results"]["toy"]) == set(before["results"]["toy"])


def test_attention_that_was_not_trained_scores_nothing(aligned):
    with pytest.raises(
        ConfigError,
        match="objective: Recommendation needs what fine-tuning learns, and a fine-tuned model knows its own; leave objective out",
    ):
        scored(aligned, TAKEN, shipped("recommendation", history="attention"), "untrained")


@pytest.mark.parametrize("name", ["sentence_retrieval", "bitext_mining"])
def test_what_only_scores_is_refused_where_something_is_learned(name):
    problems = rules.fits("align", PARALLEL, None, None, object(), shipped(name), None, None, None)
    assert [
        p
        for p in problems
        if p.startswith("objective: ") and "scores a model and trains nothing; use it with xlt zero-shot-eval" in p
    ]
    assert not [
        p
        for p in rules.fits("zero-shot-eval", PARALLEL, None, None, object(), shipped(name), None, None, None)
        if "scores a model" in p
    ]

"""Tags from fine-tuning to prediction files: closed sets found in all source languages and saved, words that no window loses, and what a test may not hold."""

import json

import pytest
import yaml

from tests.shipped import shipped
from tests.stages.test_shapes import BESIDE
from tests.stages.test_training import encoder, tokenizer  # noqa: F401 (a fixture)
from tests.toy import Toy, stage_config
from xlt.config import paths, schema
from xlt.data import patterns
from xlt.errors import DataError
from xlt.models.build import Pretrained
from xlt.objectives.joint_intent_slots import JointIntentSlots
from xlt.objectives.tagging import Scheme
from xlt.objectives.token_classification import TokenClassification
from xlt.stages import finetune, zero_shot_eval
from xlt.stages.setup import encode_all
from xlt.stages.training import label_names
from xlt.tokenization.load import load
from xlt.types import closed_sets


def row(i: int, name: str = "PER") -> dict:
    tokens = [f"w{(i * k) % 40}" for k in range(1, 3 + (i * 7) % 40)]  # up to 41 words, and windows of 24 tokens
    tags = [f"B-{name}", f"I-{name}", *["O"] * len(tokens)][: len(tokens)]
    return {"id": f"row {i}", "tokens": tokens, "tags": tags, "label": ["ask", "tell"][i % 2]}


def rows_of(**tests):
    rows = {("tagging", code, split): [row(i, name) for i in range(14)]
            for code, name in (("de", "LOC"), ("en", "PER")) for split in ("train", "dev")}  # fmt: skip
    return Toy(rows | {("tagging", code, "test"): test for code, test in tests.items()})


@pytest.fixture(scope="module", params=["token_classification", "joint_intent_slots"])
def tuned(request, tmp_path_factory, tokenizer):  # noqa: F811
    """(objective, run folder) after a few updates on English and German."""
    folder, objective = tmp_path_factory.mktemp("tuned"), shipped(request.param)
    cfg = stage_config(folder, "finetune", rows_of(), objective, encoder(), tokenizer, steps=4)
    cfg.languages = schema.Languages(None, ["en", "de"], None)
    cfg.resolved["objective"] = yaml.safe_load((paths.conf_dir() / "objective" / f"{request.param}.yaml").read_text())
    finetune.run(cfg)
    return objective, folder


def evaluation(folder, data, name="run"):
    model = Pretrained(init_from=str(folder / "run" / "finetune"))
    return stage_config(folder, "zero-shot-eval", data, None, model, BESIDE, name=name)


def test_sets_are_those_of_all_source_languages(tuned):
    objective, folder = tuned
    tags = ["B-LOC", "B-PER", "I-LOC", "I-PER", "O"]
    saved = json.loads((folder / "run" / "finetune" / "model" / "xlt.json").read_text())["labels"]
    joint = isinstance(objective, JointIntentSlots)
    assert saved == ({"tags": tags, "label": ["ask", "tell"]} if joint else tags)
    assert closed_sets(objective, saved)["tags"] == tags


def test_each_word_of_each_row_has_a_prediction(tuned):
    objective, folder = tuned
    test = [row(i) for i in (5, 3, 0, 8)]
    zero_shot_eval.run(evaluation(folder, rows_of(en=test, sw=test)))
    place = folder / "run" / "zero-shot-eval"
    lines = [json.loads(line) for line in (place / "predictions" / "toy.sw.jsonl").read_text().splitlines()]
    assert [(line["id"], line["tokens"], line["tags"]) for line in lines] == [(r["id"], r["tokens"], r["tags"]) for r in test]  # fmt: skip
    said = [line["prediction"]["tags"] if isinstance(objective, JointIntentSlots) else line["prediction"] for line in lines]  # fmt: skip
    assert list(map(len, said)) == [len(r["tokens"]) for r in test] and max(map(len, said)) > 24
    metrics = json.loads((place / "metrics.json").read_text())
    assert set(metrics["results"]["toy"]) == set(objective.higher_is_better)
    assert metrics["results"]["toy"][objective.metric].keys() == {"en", "sw"}


def test_a_tag_that_was_not_learned_stops_it_before_it_computes(tuned):
    _, folder = tuned
    with pytest.raises(
        DataError,
        match=r"language sw, split test, row 2: tags 'B-ORG' is not one of those the model knows \(B-LOC, B-PER",
    ):
        zero_shot_eval.run(evaluation(folder, rows_of(sw=[row(1), row(2, "ORG")]), name="unknown"))


def test_a_task_without_a_closed_set_has_no_labels(tmp_path, tokenizer):  # noqa: F811
    class Open(TokenClassification):
        closed = ()

    objective = Open(scheme=Scheme.plain, repair=False, overlap=0.25, dropout=0.1)
    cfg = stage_config(tmp_path, "finetune", rows_of(), objective, encoder(), tokenizer)
    tables = encode_all(cfg, objective, load(tokenizer.path), ["en"], "train")
    assert label_names(cfg, tables) == [] and closed_sets(objective, []) == {}
    gold = tables["en"].gold({})
    assert gold.labels is None and len(gold.notes["starts"]) == 14


def test_a_config_of_the_hub_may_be_called_by_the_languages_name():
    assert patterns.fill("udpos.{name}", "pt") == "udpos.Portuguese"

"""Several labels, ordered labels and numbers, from fine-tuning to prediction files: each learns what it is shown, and says what it lacks."""

import json

import pytest
import yaml

from tests.shipped import shipped
from tests.stages.test_shapes import BESIDE
from tests.stages.test_training import encoder, tokenizer  # noqa: F401 (a fixture)
from tests.toy import Toy, stage_config
from xlt.config import paths
from xlt.errors import ConfigError, DataError
from xlt.models.build import Pretrained
from xlt.stages import finetune, zero_shot_eval

VIEWS = {
    "multi_label_classification": "multilabel",
    "sequence_regression": "regression",
    "ordinal_classification": "classification",
    "graded_relevance": "classification",
}
GRADES = ["low", "fair", "high"]  # not the order of the alphabet


def row(i: int) -> dict:
    """The first words say it all: how many of the first two are there, and which."""
    a, b = i % 2, i // 2 % 2
    said = ["w1"] * a + ["w2"] * b
    return {
        "id": i,
        "text": " ".join([*said, "w9", f"w{10 + i % 20}"]),
        "text_pair": f"w{10 + i % 7}",
        "labels": ["first"] * a + ["second"] * b,
        "label": GRADES[a + b],
        "score": float(a + b),
    }


def candidate(row: dict) -> dict:
    """Four rows a query, which says nothing: what is said is in the page."""
    return row | {"text": f"w{10 + row['id'] // 4}", "text_pair": row["text"]}


def toy(view: str, labels=None, change=lambda row: row) -> Toy:
    shown = {"id", "text", "text_pair", {"multilabel": "labels", "regression": "score"}.get(view, "label")}
    sizes = {("en", "train"): 64, ("en", "dev"): 16, ("en", "test"): 20, ("sw", "test"): 20}
    rows = {
        (view, code, split): [change({k: v for k, v in row(i).items() if k in shown}) for i in range(n)]
        for (code, split), n in sizes.items()
    }
    return Toy(rows, labels)


def config(folder, name, data, tokenizer, **changes):  # noqa: F811
    settings = {"steps": 400, "learning_rate": 3e-3, "eval_every": 400, "log_every": 100, "batch_size": 16}
    cfg = stage_config(folder, "finetune", data, shipped(name), encoder(), tokenizer, **settings | changes)
    cfg.resolved["objective"] = yaml.safe_load((paths.conf_dir() / "objective" / f"{name}.yaml").read_text())
    return cfg


def scored(folder, data):
    model = Pretrained(init_from=str(folder / "run" / "finetune"))
    cfg = stage_config(folder, "zero-shot-eval", data, None, model, BESIDE)
    cfg.dataset = data
    zero_shot_eval.run(cfg)
    place = folder / "run" / "zero-shot-eval"
    lines = [json.loads(line) for line in (place / "predictions" / "toy.sw.jsonl").read_text().splitlines()]
    return json.loads((place / "metrics.json").read_text()), lines


@pytest.mark.parametrize("name", VIEWS)
def test_it_learns_and_says_what_it_predicts(tmp_path, tokenizer, name):  # noqa: F811
    view = VIEWS[name]
    data = toy(view, GRADES if view == "classification" else None, candidate if name == "graded_relevance" else dict)
    finetune.run(config(tmp_path, name, data, tokenizer))
    saved = json.loads((tmp_path / "run" / "finetune" / "model" / "xlt.json").read_text())["labels"]
    assert saved == {"multilabel": ["first", "second"], "regression": [], "classification": GRADES}[view]
    metrics, lines = scored(tmp_path, data)
    objective, results = shipped(name), metrics["results"]["toy"]
    assert set(results) == set(objective.higher_is_better) and metrics["metric"] == objective.metric
    assert results[objective.metric]["sw"] > 0.9
    if "mean_absolute_error" in results:
        assert (
            results["mean_absolute_error"]["sw"] < 0.2 and metrics["higher_is_better"]["mean_absolute_error"] is False
        )
    without = {"spearman"} if name == "sequence_regression" else set()
    assert set(metrics["intervals"]["toy"]) == set(results) - without
    kind = {"multilabel": "labels", "regression": "score"}.get(view, "label")
    assert [line["id"] for line in lines] == list(range(20))
    assert [line[kind] for line in lines] == [row(i)[kind] for i in range(20)]
    said = [line["prediction"] for line in lines]
    right = sum(abs(a - b) < 0.5 if kind == "score" else a == b for a, b in zip(said, (row(i)[kind] for i in range(20)), strict=True))  # fmt: skip
    assert right >= 18


def test_an_order_must_be_declared(tmp_path, tokenizer):  # noqa: F811
    with pytest.raises(
        ConfigError,
        match=r"dataset\.label_names: toy does not say in which order its labels are, and OrdinalClassification needs it; list them from the lowest",
    ):
        finetune.run(config(tmp_path, "ordinal_classification", toy("classification"), tokenizer))


def test_labels_of_which_no_row_has_any(tmp_path, tokenizer):  # noqa: F811
    data = toy("multilabel", change=lambda row: row | {"labels": []})
    with pytest.raises(
        ConfigError,
        match=r"dataset: toy, en: no row has any of labels, so there is nothing to learn; check dataset\.columns\.labels",
    ):
        finetune.run(config(tmp_path, "multi_label_classification", data, tokenizer))


def test_a_label_that_was_not_learned_stops_it_before_it_computes(tmp_path, tokenizer):  # noqa: F811
    finetune.run(config(tmp_path, "multi_label_classification", toy("multilabel"), tokenizer, steps=2))
    data = toy("multilabel", change=lambda row: row | {"labels": [*row["labels"], *["third"] * (row["id"] == 3)]})
    with pytest.raises(
        DataError, match=r"row 4: labels 'third' is not one of those the model knows \(first, second\); map or remove"
    ):
        scored(tmp_path, data)

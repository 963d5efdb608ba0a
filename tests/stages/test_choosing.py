"""Multiple choice and dialogs from fine-tuning to scores in a language that was never learned."""

import json

import pytest
import yaml

from tests.shipped import shipped
from tests.stages.test_retrieval import scored
from tests.stages.test_training import encoder, tokenizer  # noqa: F401 (a fixture)
from tests.toy import Toy, stage_config
from xlt.config import paths
from xlt.data.dialogs import responses
from xlt.stages import finetune


def words(i, step, size=3):
    return " ".join(f"w{(i * k * step) % 40}" for k in range(1, 1 + size))


def choices(size, step, start=0):
    """The right choice begins with the premise's first word."""
    return [
        {"premise": words(i, step), "question": "cause", "choices": [f"{words(i, step, 1)} w{i % 40}" if n == i % 3 else words(i + 7 + n, 5) for n in range(3)], "label": i % 3}
        for i in range(start, start + size)
    ]  # fmt: skip


def dialogs(size, step, start=0):
    """What is answered is said again."""
    turns = [[part for k in range(6) for part in [words(i + 11 * (k // 2), step)]] for i in range(start, start + size)]
    return [
        row for i, each in enumerate(turns) for row in responses({"persona": [words(i, 3)], "turns": each}, i, None)
    ]


CHOICES = Toy({("multiple_choice", code, split): choices(24, step, start)
               for code, step in (("en", 1), ("sw", 3)) for split, start in (("train", 1), ("dev", 40), ("test", 80))})  # fmt: skip
DIALOGS = Toy({("dialog", code, split): dialogs(9, step, start)
               for code, step in (("en", 1), ("sw", 3)) for split, start in (("train", 1), ("dev", 40), ("test", 80))})  # fmt: skip


def tuned(folder, name, data, tokenizer, **changes):  # noqa: F811
    cfg = stage_config(folder, "finetune", data, shipped(name), encoder(), tokenizer, **changes)
    cfg.resolved["objective"] = yaml.safe_load((paths.conf_dir() / "objective" / f"{name}.yaml").read_text())
    return finetune.run(cfg)


@pytest.mark.parametrize(("name", "data"), [("multiple_choice", CHOICES), ("response_ranking", DIALOGS)])
def test_what_is_learned_is_scored_in_another_language(tmp_path, tokenizer, name, data):  # noqa: F811
    objective = shipped(name)
    tuned(tmp_path, name, data, tokenizer, steps=8)
    metrics, lines = scored(tmp_path, data, None, "scored", "finetune")
    assert set(metrics["results"]["toy"]) == set(objective.higher_is_better) and metrics["metric"] == objective.metric
    assert metrics["results"]["toy"][objective.metric].keys() == {"en", "sw"}
    assert set(metrics["intervals"]["toy"]) == set(objective.higher_is_better)
    for code in ("en", "sw"):
        rows, said = list(data.rows(objective.view, code, "test")), lines[f"toy.{code}"]
        assert len(said) == len(rows) == metrics["n"]["toy"][code]
        if name == "multiple_choice":
            assert [line["choices"] for line in said] == [row["choices"] for row in rows]
            share = sum(line["prediction"] == line["label"] for line in said) / len(said)
        else:
            assert [line["response"] for line in said] == [row["response"] for row in rows]
            assert {line["candidates"] for line in said} == {20}
            share = sum(line["rank"] == 1 for line in said) / len(said)
        assert share == metrics["results"]["toy"][objective.metric][code]


def test_a_rule_that_choices_follow_is_learned(tmp_path, tokenizer):  # noqa: F811
    """The right choice alone holds w1: an encoder that learns nothing is right once in three."""
    rows = {split: [{"premise": words(i, 1), "choices": [f"{words(i + n, 2, 2)} {'w1' if n == i % 3 else 'w2'}" for n in range(3)], "label": i % 3}
                    for i in range(start, start + 30)] for split, start in (("train", 0), ("dev", 40))}  # fmt: skip
    data = Toy({("multiple_choice", "en", split): each for split, each in rows.items()})
    assert tuned(tmp_path, "multiple_choice", data, tokenizer, steps=60, learning_rate=3e-3, eval_every=0) > 0.9


def test_an_encoder_ranks_responses_as_it_is(tmp_path, tokenizer):  # noqa: F811
    """What was said last is said again, and that even random embeddings find more often than one in twenty."""
    tuned(tmp_path, "response_ranking", DIALOGS, tokenizer, steps=1, learning_rate=1e-30)
    metrics, _ = scored(tmp_path, DIALOGS, shipped("response_ranking"), "as-it-is", "finetune")
    assert "selection" not in metrics and metrics["results"]["toy"]["mrr"]["sw"] > 0.3
    assert json.loads((tmp_path / "as-it-is" / "zero-shot-eval" / "metrics.json").read_text())["metric"] == "hits_at_1"

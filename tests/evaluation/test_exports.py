"""Layouts of predictions hold what others' scorers read, and refuse what they cannot hold."""

from __future__ import annotations

import json

import pytest

from tests.shipped import shipped
from xlt.errors import ConfigError, DataError
from xlt.evaluation import exports


def test_squad_is_one_answer_for_each_id(tmp_path):
    lines = [{"id": 7, "prediction": "長城", "score": 1.0}, {"id": "b", "prediction": "", "score": None}]
    exports.squad(tmp_path, "xquad", "zh", lines)
    assert [p.name for p in tmp_path.iterdir()] == ["xquad.zh.json"]
    assert json.loads((tmp_path / "xquad.zh.json").read_text(encoding="utf-8")) == {"7": "長城", "b": ""}


def test_where_there_may_be_no_answer_its_probability_is_beside_it(tmp_path):
    odds = {"a": 0.0, "b": 800.0, "c": -800.0, "d": 2.0}
    exports.squad(tmp_path, "s", "en", [{"id": key, "prediction": "x", "null_odds": x} for key, x in odds.items()])
    found = json.loads((tmp_path / "s.en.na_prob.json").read_text())
    assert found == pytest.approx({"a": 0.5, "b": 1.0, "c": 0.0, "d": 0.8807970779778823})


def test_an_id_that_stands_twice_is_refused(tmp_path):
    lines = [{"id": 1, "prediction": "x"}, {"id": "1", "prediction": "y"}]
    with pytest.raises(DataError, match="dataset d, language sw: two rows have the id 1, and export=squad holds one answer for each"):
        exports.squad(tmp_path, "d", "sw", lines)
    assert not list(tmp_path.iterdir())


def test_a_layout_is_for_the_predictions_that_it_can_hold():
    assert exports.chosen(None, shipped("token_classification")) is None
    assert exports.chosen("squad", shipped("span_extraction")).write is exports.squad
    with pytest.raises(ConfigError, match="export: squad holds predictions on qa, and TokenClassification reads tagging; leave export out"):
        exports.chosen("squad", shipped("token_classification"))


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (["zero-shot-eval", "export=squda"], "export: there is no layout squda; did you mean squad?"),
        (["finetune", "export=squad"], "export: xlt finetune writes no predictions; give it to xlt zero-shot-eval"),
    ],
)
def test_a_layout_that_is_not_there_is_refused(shell, command, sentence):
    answer = shell("check", *command)
    assert answer.code == 2 and any(sentence in line for line in answer.err), answer.err

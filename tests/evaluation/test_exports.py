"""Layouts of predictions hold what others' scorers read, and refuse what they cannot hold."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.shipped import shipped
from xlt import metrics
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
    with pytest.raises(
        DataError, match="dataset d, language sw: two rows have the id 1, and export=squad holds one answer for each"
    ):
        exports.squad(tmp_path, "d", "sw", lines)
    assert not list(tmp_path.iterdir())


def test_a_layout_is_for_the_predictions_that_it_can_hold():
    assert exports.chosen(None, shipped("token_classification"), "uner") is None
    assert exports.chosen("squad", shipped("span_extraction"), "cmrc2018").write is exports.squad
    assert exports.chosen("xtreme", shipped("span_extraction"), "mlqa").write is exports.xtreme
    with pytest.raises(
        ConfigError,
        match=r"export: xtreme knows no data set nli; leave export out, or, if it is one of those it knows \(pawsx, xnli",
    ):
        exports.chosen("xtreme", shipped("sequence_classification"), "nli")
    with pytest.raises(ConfigError, match="export: xtreme holds predictions on .*, and Contrastive reads parallel"):
        exports.chosen("xtreme", shipped("contrastive"), "tatoeba")
    with pytest.raises(
        ConfigError,
        match="export: squad holds predictions on qa, and TokenClassification reads tagging; leave export out, or take conll or xtreme",
    ):
        exports.chosen("squad", shipped("token_classification"), "uner")


TAGGED = [
    {"tokens": ["New", "York\u00a0x", ""], "tags": ["B-LOC", "I-LOC", "O"], "prediction": ["B-LOC", "O", "O"]},
    {"tokens": ["a"], "tags": ["O"], "prediction": {"label": "ask", "tags": ["B-LOC"]}},
]


def conlleval(text):
    """(right, predicted, gold) phrases of conlleval's input, by the rules of its startOfChunk and endOfChunk for IOB tags."""
    counts, before, open_right = [0, 0, 0], [("O", ""), ("O", "")], False
    for line in text.split("\n"):
        columns = line.split() or ["-", "O", "O"]
        now = [(tag.partition("-")[0], tag.partition("-")[2]) for tag in columns[1:]]
        ends = [p[0] != "O" and (n[0] in "BO" or n[1] != p[1]) for p, n in zip(before, now, strict=True)]
        starts = [
            n[0] != "O" and (n[0] == "B" or p[0] == "O" or n[1] != p[1]) for p, n in zip(before, now, strict=True)
        ]
        if open_right and any(ends):
            counts[0] += all(ends) and before[0][1] == before[1][1]
            open_right = False
        elif open_right and now[0][1] != now[1][1]:
            open_right = False
        if all(starts) and now[0][1] == now[1][1]:
            open_right = True
        counts[1] += starts[1]
        counts[2] += starts[0]
        before = now
    return counts


def test_conll_has_three_columns_and_blank_lines(tmp_path):
    exports.conll(tmp_path, "uner", "en", TAGGED)
    text = (tmp_path / "uner.en.conll").read_text()
    assert text == "New B-LOC B-LOC\nYork_x I-LOC O\n_ O O\n\na O B-LOC\n\n"
    assert conlleval(text) == [0, 2, 1]


TAGS = st.sampled_from(["O", "O", "B-LOC", "I-LOC", "B-PER", "I-PER"])


@given(st.lists(st.lists(st.tuples(TAGS, TAGS), min_size=1, max_size=8), min_size=1, max_size=4))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_conlleval_counts_in_the_export_what_we_count(tmp_path, rows):
    lines = [{"tokens": ["w"] * len(row), "tags": [g for g, _ in row], "prediction": [p for _, p in row]} for row in rows]  # fmt: skip
    exports.conll(tmp_path, "d", "en", lines)
    ours = metrics.span_counts([line["prediction"] for line in lines], [line["tags"] for line in lines], strict=False)
    assert conlleval((tmp_path / "d.en.conll").read_text()) == ours.sum(0).tolist()


def read_tag(path):
    """As XTREME's evaluate.py reads tags."""
    labels, example = [], []
    for line in map(str.strip, path.read_text().split("\n")[:-1]):
        if line:
            example.append(line)
        else:
            labels.append(example)
            example = []
    return [*labels, example] if example else labels


def test_xtreme_tags(tmp_path):
    exports.xtreme(tmp_path, "wikiann", "zh_Hans", TAGGED)
    assert read_tag(tmp_path / "panx" / "test-zh.tsv") == [["B-LOC", "O", "O"], ["B-LOC"]]


def test_xtreme_labels_and_answers(tmp_path):
    exports.xtreme(tmp_path, "xnli", "sw", [{"label": "neutral", "prediction": p} for p in ("entailment", "neutral")])
    assert (tmp_path / "xnli" / "test-sw.tsv").read_text() == "entailment\nneutral\n"
    exports.xtreme(tmp_path, "tydiqa_goldp", "te", [{"id": 3, "question": "?", "prediction": "భారత"}])
    assert json.loads((tmp_path / "tydiqa" / "test-te.json").read_text()) == {"3": "భారత"}


@pytest.mark.parametrize(("pair", "found"), [("en-de", "4\n9\n"), ("deu-eng", "1\n2\n")])
def test_xtreme_retrieval_is_into_english(tmp_path, pair, found):
    lines = [{"found_by_source": 1, "found_by_target": 4}, {"found_by_source": 2, "found_by_target": 9}]
    exports.xtreme(tmp_path, "tatoeba", pair, lines)
    assert (tmp_path / "tatoeba" / "test-de.tsv").read_text() == found


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

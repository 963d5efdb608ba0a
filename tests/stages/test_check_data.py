"""xlt check data, and dataset.on_error=quarantine, from the shell."""

from __future__ import annotations

import json
from random import Random

import pytest

from tests.reliability import corpus

DATA = ["dataset=classification_files", "dataset.root=topics", "dataset.name=topics"]
BAD = [b'{"text": "caf\xe9", "label": "bad"}', b"", b'{"text": NaN, "label": "bad"}', b'{"text": "", "label": "bad"}']


@pytest.fixture
def topics(shell, tmp_path):
    """Two languages; run in that folder."""
    return corpus.labelled(tmp_path / "topics", Random(1))


def test_clean_data_pass(shell, topics):
    answer = shell("check", "data", *DATA)
    assert (answer.code, answer.err) == (0, []), answer.err
    assert "ru, test" in answer.out and "warning" not in answer.out


def test_faults_are_told_with_place_and_count(shell, topics):
    lines = corpus.plant(topics / "en/train.jsonl", Random(2), BAD)
    answer = shell("check", "data", *DATA)
    assert answer.code == 2 and len(answer.err) == 5
    for line, sentence, what in zip(
        lines, answer.err, ("UTF-8", "an empty line", "NaN is no JSON", "text is empty"), strict=False
    ):
        assert sentence.startswith(f"xlt: topics/en/train.jsonl line {line}") and what in sentence
    assert answer.err[4] == "xlt: 4 faulty rows (not UTF-8: 1, empty line: 1, not JSON: 1, text is empty: 1)"


def test_as_json(shell, topics):
    line = corpus.plant(topics / "en/train.jsonl", Random(2), BAD[:1])
    answer = shell("check", "data", *DATA, "--json")
    found = json.loads(answer.out)
    assert (
        answer.code == 2
        and found["splits"]["en"]["train"]["faulty"] == 1
        and found["splits"]["ru"]["train"]["rows"] == 40
    )
    assert [(r["line"], r["column"], r["kind"]) for r in found["first"]] == [(*line, 14, "not UTF-8")]


def test_only_the_languages_asked_for(shell, topics):
    corpus.plant(topics / "en/train.jsonl", Random(2), BAD)
    assert shell("check", "data", *DATA, "languages.target=[ru]").code == 0


def test_more_than_twenty(shell, topics):
    corpus.plant(topics / "en/train.jsonl", Random(2), BAD * 10)
    command = ["tokenize", *DATA, "tokenizer.vocab_size=300"]
    answer = shell(*command)
    assert answer.code == 2 and len(answer.err) == 21
    assert (
        "40 faulty rows, of which the first 20 are told (not UTF-8: 10" in answer.err[-1]
        and "dataset.on_error=quarantine" in answer.err[-1]
    )


def test_quarantine_counts_and_keeps_what_it_leaves_out(shell, topics, tmp_path):
    """The same tokenizer as without the faulty rows."""
    command = ["tokenize", *DATA, "tokenizer.vocab_size=300"]
    assert shell(*command, "run.name=clean").code == 0
    lines = corpus.plant(topics / "en/train.jsonl", Random(2), BAD)
    assert shell(*command).code == 2
    answer = shell(*command, "dataset.on_error=quarantine")
    assert answer.code == 0, answer.err
    assert "rows set aside" in answer.out
    run = tmp_path / "runs/main/tokenize"
    counts = json.loads((run / "metrics.json").read_text())["quarantine"]["topics"]["text"]["en"]["train"]
    assert (counts["rows"], counts["set_aside"], sum(counts["kinds"].values())) == (40, 4, 4)
    aside = [json.loads(line) for line in (run / "quarantine.jsonl").read_text().split("\n")[:-1]]
    assert [(row["path"], row["line"], row["language"]) for row in aside] == [
        ("topics/en/train.jsonl", line, "en") for line in lines
    ]
    made = [(tmp_path / f"runs/{name}/tokenize/tokenizer/tokenizer.json").read_bytes() for name in ("main", "clean")]
    assert made[0] == made[1]


def test_a_stream_has_no_quarantine(shell, topics):
    answer = shell("check", "tokenize", *DATA, "dataset.streaming=true", "dataset.on_error=quarantine")
    assert answer.code == 2 and any("dataset.on_error: rows of a stream" in line for line in answer.err)

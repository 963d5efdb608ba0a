"""`xlt check`: what it says of a run that has not started, and that it loads nothing and makes nothing."""

from __future__ import annotations

import json

import pytest

DATA = ["dataset=classification_files", "dataset.root=topics", "dataset.name=topics"]


@pytest.fixture
def check(shell, tmp_path):
    """check(stage, ...) in a folder with a few rows in English and Swahili; nothing is ever written there."""
    for language in ("en", "sw"):
        (tmp_path / "topics" / language).mkdir(parents=True)
        for split in ("train", "test"):
            (tmp_path / "topics" / language / f"{split}.jsonl").write_text(
                json.dumps({"text": "a", "label": "b"}) + "\n"
            )

    def run(stage, *argv):
        answer = shell("check", stage, *argv)
        assert {p.name for p in tmp_path.iterdir()} == {"topics"}
        return answer

    return run


@pytest.mark.parametrize(
    ("stage", "changes", "said"),
    [
        ("tokenize", DATA, "dataset topics: text, train in en, sw\nok\n"),
        ("finetune", [*DATA, "model=tiny"], "tokenizer.path: none is given and runs/main/tokenize does not exist; run `xlt tokenize"),
        ("finetune", [*DATA, "model=xlmr_base"], "model.init_from: FacebookAI/xlm-roberta-base would come from the hub; not checked\nok\n"),
        ("finetune", [*DATA, "model.init_from=runs/a/b"], "model.init_from: runs/a/b does not exist here (yet); not checked\nok\n"),
        ("finetune", ["dataset=sib200", "model=tiny"], "dataset sib200: dataset.root is null, so it would come from the hub; not checked\n"),
    ],
)  # fmt: skip
def test_what_is_not_there_yet_is_said_and_is_no_error(check, stage, changes, said):
    answer = check(stage, *changes)
    assert (answer.code, answer.err) == (0, [])
    assert said in answer.out and answer.out.endswith("\nok\n")


@pytest.mark.parametrize(
    ("stage", "changes", "sentence"),
    [
        ("finetune", DATA, "model.init_from: no checkpoint is named; give a run directory, folder or hub name, or choose a shape"),
        ("zero-shot-eval", DATA, "model.init_from: no checkpoint is named; give a run directory, folder or hub name of a fine-tuned model"),
        ("finetune", [*DATA, "model=tiny", "languages.source=[de]"], "languages.source: topics has no de with a train split; it has en, sw"),
        ("zero-shot-eval", [*DATA, "languages.target=[de]"], "languages.target: topics has no de with a test split; it has en, sw"),
        ("align", [*DATA, "model=tiny"], "dataset: topics has no parallel view, which this objective reads (it has classification, text)"),
        ("tokenize", ["dataset=text_files"], "dataset text_files: no folder is named, and it is not on the hub; give dataset.root=DIR"),
        ("tokenize", ["dataset=text_files", "dataset.root=topcs"], "topcs: no such directory (did you mean topics?); give dataset.root=DIR"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_an_error(check, stage, changes, sentence):
    answer = check(stage, *changes)
    assert (answer.code, len(answer.err)) == (2, 1)
    assert answer.err[0].startswith(f"xlt: {sentence}")

"""What bad input gets, from the shell: one sentence with path, value and remedy, the right exit code, and nothing half made that a later
run would take for whole: the same command, once the input is repaired, succeeds."""

from __future__ import annotations

import errno
import fcntl
import gzip
import json
import os
import random
import resource
import shutil

import pytest

from xlt import cli

DATA = ["dataset=classification_files", "dataset.root=topics", "dataset.name=topics", "hardware=debug"]
SMALL = [
    "model=tiny",
    "model.width=16",
    "model.feed_forward=32",
    "train.max_length=16",
    "train.steps=2",
    "train.epochs=null",
]
COMMANDS = {
    "tokenize": ["tokenize", *DATA, "tokenizer.vocab_size=300"],
    "finetune": ["finetune", *DATA, *SMALL],
    "zero-shot-eval": ["zero-shot-eval", *DATA, "model.init_from=runs/main/finetune"],
}
LANGUAGES = {"en": "abcdefghijklm", "de": "nopqrstuvwxyz"}


def rows(language, count):
    """Sentences of made-up words, varied enough to learn 300 pieces from."""
    draw = random.Random(language)
    words = ["".join(draw.choices(LANGUAGES[language], k=draw.randint(2, 7))) for _ in range(80)]
    return [{"text": " ".join(draw.choices(words, k=8)), "label": ["bad", "good"][i % 2]} for i in range(count)]


def write_rows(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in lines))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with data in two languages, a tokenizer and a fine-tuned model."""
    place = tmp_path_factory.mktemp("made")
    for language in LANGUAGES:
        for split, count in (("train", 20), ("dev", 6), ("test", 6)):
            write_rows(place / "topics" / language / f"{split}.jsonl", rows(language, count))
    before = os.getcwd()
    os.chdir(place)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cli.signals, "install", lambda: None)
            patch.setenv("XLT_CACHE", str(place / ".cache"))
            patch.delenv("XLT_CONF", raising=False)
            assert [cli.main(COMMANDS[stage]) for stage in ("tokenize", "finetune")] == [0, 0]
    finally:
        os.chdir(before)
    return place


@pytest.fixture
def place(made, tmp_path, shell):
    """A copy of it, to spoil."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def spoil(place, shell):
    """spoil(stage, code, sentence, path, content): the command fails with that sentence, and succeeds when `path` is as it was."""

    def run(stage, sentence, path, content, code=2, *changes):
        original = path.read_bytes() if path.exists() else None
        shutil.rmtree(place / "runs" / "main" / stage, ignore_errors=True)
        path.unlink() if content is None else path.write_bytes(content)
        answer = shell(*COMMANDS[stage], *changes)
        assert (answer.code, len(answer.err)) == (code, 1), answer.err
        for part in sentence:
            assert part in answer.err[0]
        assert not (place / "runs" / "main" / stage / "metrics.json").exists()
        path.unlink(missing_ok=True) if original is None else path.write_bytes(original)
        assert shell(*COMMANDS[stage], *changes).code == 0
        assert (place / "runs" / "main" / stage / "metrics.json").exists()

    return run


@pytest.mark.parametrize(
    ("mistake", "sentence"),
    [
        ("train.stpes=3", "train.stpes: there is no such key; did you mean steps?"),
        ("train.steps=few", "train.steps: 'few' is not a whole number; give one"),
        ("languages.source=[englsh]", "languages.source: 'englsh' is not a known language code; did you mean eng?"),
        ("languages.source=[sw]", "languages.source: topics has no sw with a train split; it has de, en"),
        ("languages.source=[false]", 'languages.source: False is not a language code; YAML reads a bare no as False: quote it, "no"'),
        ("dataset.root=topcs", "topcs: no such directory (did you mean topics?); give dataset.root=DIR"),
        ("tokenizer.path=./nowhere", "tokenizer.path: ./nowhere does not exist; run the stage that makes it first, or give another run directory"),
        ("model.init_from=runs/main/nowhere", "model.init_from: runs/main/nowhere does not exist; run the stage that makes it first, or give another run directory"),
    ],
)  # fmt: skip
def test_what_is_asked_for_is_not_there(place, shell, mistake, sentence):
    shutil.rmtree(place / "runs" / "main" / "finetune")
    answer = shell(*COMMANDS["finetune"], mistake)
    assert (answer.code, len(answer.err)) == (2, 1), answer.err
    assert answer.err[0].startswith(f"xlt: {sentence}")
    assert not list((place / "runs" / "main").glob("finetune/m*"))


def test_a_mistake_in_the_config_leaves_nothing_in_the_way(place, shell):
    shutil.rmtree(place / "runs" / "main" / "finetune")
    assert shell(*COMMANDS["finetune"], "languages.source=[sw]").code == 2
    assert shell(*COMMANDS["finetune"], "languages.source=[de]").code == 0


def test_joint_where_a_recipe_names_its_source(place, shell):
    answer = shell("check", "finetune", "experiment=suite/xcopa", "languages=joint")
    assert (answer.code, len(answer.err)) == (2, 1), answer.err
    assert answer.err[0].startswith("xlt: languages.source: ['it'] stands over languages=joint")
    assert "languages.source=null" in answer.err[0]


@pytest.mark.parametrize("stage", ["finetune", "zero-shot-eval"])
def test_a_stage_before_its_predecessor(place, shell, stage):
    shutil.rmtree(place / "runs")
    answer = shell(*COMMANDS[stage])
    assert (answer.code, len(answer.err)) == (2, 1)
    assert ("runs/main/" in answer.err[0] and "run `xlt " in answer.err[0]) or "give the run directory" in answer.err[0]


def test_a_missing_column(place, spoil):
    file = place / "topics/en/train.jsonl"
    sentence = ["topics/en/train.jsonl line 1: no column label; it has text, topic", "dataset.columns.label"]
    spoil("finetune", sentence, file, file.read_bytes().replace(b'"label"', b'"topic"'))


def test_a_missing_second_text(place, shell):
    """Also when the rows are encoded already, for an objective that takes one text."""
    answer = shell(
        *COMMANDS["finetune"],
        "run.name=pairs",
        "tokenizer.path=runs/main/tokenize",
        "objective=sequence_pair_classification",
    )
    assert (answer.code, len(answer.err)) == (2, 1)
    assert answer.err[0].startswith(
        "xlt: objective.pair: true, but the data set's rows have one text; set objective.pair=false"
    )


def test_an_empty_split(place, spoil):
    spoil(
        "tokenize",
        ["topics/de/train.jsonl: no rows; fill the file, or leave the language out"],
        place / "topics/de/train.jsonl",
        b"",
    )


def test_an_unknown_label_in_a_target_language(place, spoil):
    file = place / "topics/de/test.jsonl"
    sentence = [
        "topics/de/test.jsonl line 2: label 'gut' is not one of those the model knows (bad, good); map or remove such rows"
    ]
    spoil("zero-shot-eval", sentence, file, file.read_bytes().replace(b'"good"', b'"gut"'))


def test_invalid_utf_8(place, spoil):
    file = place / "topics/en/train.jsonl"
    spoil(
        "tokenize",
        ["topics/en/train.jsonl line 3", "UTF-8", "; "],
        file,
        _insert(file, 2, b'{"text": "caf\xe9", "label": "bad"}\n'),
    )


def test_an_empty_line(place, spoil):
    file = place / "topics/en/train.jsonl"
    sentence = ["topics/en/train.jsonl line 3: an empty line where a JSON object is expected; remove it"]
    spoil("tokenize", sentence, file, _insert(file, 2, b"\n"))


def test_a_line_of_ten_megabytes(place, spoil):
    file = place / "topics/en/train.jsonl"
    line = json.dumps({"text": "a" * 10_000_000, "label": "bad"}).encode() + b"\n"
    spoil(
        "tokenize",
        ["topics/en/train.jsonl line 3", "100000 characters", "dataset.max_line"],
        file,
        _insert(file, 2, line),
    )


def test_a_truncated_gz(place, spoil):
    file = place / "topics/en/train.jsonl"
    whole = gzip.compress(file.read_bytes(), mtime=0)
    file.unlink()
    packed = file.with_name("train.jsonl.gz")
    packed.write_bytes(whole)
    spoil("tokenize", ["topics/en/train.jsonl.gz", "; "], packed, whole[: len(whole) // 2])


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_a_checkpoint_with_a_damaged_file(place, spoil, name):
    file = place / "runs/main/finetune/model" / name
    damaged = bytearray(file.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    spoil(
        "zero-shot-eval",
        [f"runs/main/finetune/model: {name} is damaged", "make that checkpoint anew"],
        file,
        bytes(damaged),
    )


def test_a_checkpoint_with_a_missing_file(place, spoil):
    file = place / "runs/main/finetune/model/heads.safetensors"
    spoil(
        "zero-shot-eval", ["heads.safetensors is missing; make that checkpoint anew, or take another one"], file, None
    )


def test_a_run_directory_in_use(place, shell):
    (place / "runs/main/zero-shot-eval").mkdir()
    with open(place / "runs/main/zero-shot-eval/.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        answer = shell(*COMMANDS["zero-shot-eval"])
    assert answer.code == 75
    assert answer.err == [
        "xlt: runs/main/zero-shot-eval: another process is working there; wait for it, or give another run.name"
    ]
    assert shell(*COMMANDS["zero-shot-eval"]).code == 0


@pytest.mark.parametrize("stage", COMMANDS)
@pytest.mark.parametrize("limit", [0, 5_000])
def test_a_disk_that_takes_no_more(place, shell, stage, limit):
    """Files may not grow beyond `limit` bytes: the kernel refuses as a full disk does, wherever that happens to be."""
    shutil.rmtree(place / "runs" / "main" / stage, ignore_errors=True)
    shutil.rmtree(place / ".cache")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        answer = shell(*COMMANDS[stage])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    if answer.code == 0:  # all of its files are smaller than that
        assert (stage, limit) == ("zero-shot-eval", 5_000)
        return
    assert (answer.code, len(answer.err)) == (74, 1), answer.err
    assert "could not be written (File too large)" in answer.err[0] and "run the same command again" in answer.err[0]
    assert not (place / "runs" / "main" / stage / "metrics.json").exists()
    assert shell(*COMMANDS[stage]).code == 0


def test_no_disk_space(place, shell, monkeypatch):
    shutil.rmtree(place / "runs" / "main" / "tokenize")

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        answer = shell(*COMMANDS["tokenize"])
    assert (answer.code, len(answer.err)) == (74, 1)
    assert "runs/main/tokenize/config.yaml: could not be written (No space left on device); " in answer.err[0]
    assert answer.err[0].endswith("MB are free there; free some space and run the same command again")
    assert shell(*COMMANDS["tokenize"]).code == 0


def _insert(file, after, line):
    lines = file.read_bytes().split(b"\n")
    return b"\n".join([*lines[:after], line.rstrip(b"\n"), *lines[after:]])

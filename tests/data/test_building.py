"""A table is built as the tokenizer alone would make it, whatever the chunks, the threads and the kills on the way."""

import fcntl
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from transformers import PreTrainedTokenizerFast

from tests import corpus
from tests.toy import Toy, word_tokenizer
from xlt.data import building
from xlt.data.encode import encode
from xlt.errors import DataError

LINES = [" ".join(corpus.sentence(language, i)) for i in range(150) for language in corpus.LANGUAGES]
ODD = ["", " ", "<mask> in the text </s>", "a\u0301 é 長城 🙂 \u200b", "x" * 3000, "unseen WORDS\twith\ttabs"]


@pytest.fixture(scope="module")
def subwords():
    """Byte-level BPE, saved with a truncation that must not cut what is stored."""
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel()
    made.train_from_iterator(
        LINES,
        tokenizers.trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=["<s>", "</s>", "<mask>"],
            initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        ),
    )
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    made.enable_truncation(5)
    made.enable_padding(length=9)
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", eos_token="</s>", mask_token="<mask>")


class Backwards(PreTrainedTokenizerFast):
    """A tokenizer that does something of its own around its backend."""

    def _encode_plus(self, text, **options):
        return super()._encode_plus([t[::-1] for t in text], **options)


def rows(lines=LINES):
    return [{"text": line, "label": f"label {len(line) % 3}"} for line in lines]


def table(cache, tokenizer, lines=LINES):
    data = Toy({("classification", "en", "train"): rows(lines)})
    return encode(data, "classification", "en", "train", lambda row: (row["text"],), tokenizer, "hash", cache)


def bytes_of(cache):
    (place,) = (p for p in (cache / "encoded").iterdir() if not p.name.startswith("."))
    return {p.name: p.read_bytes() for p in place.iterdir()}


def test_ids_are_the_tokenizers_own_one_by_one(tmp_path, subwords, monkeypatch):
    monkeypatch.setattr(building, "CHUNK_ROWS", 7)
    found = table(tmp_path, subwords, LINES + ODD)
    for i, line in enumerate(LINES + ODD):
        assert found.segment(i, 0).tolist() == subwords(line, add_special_tokens=False)["input_ids"]
    assert found.lengths.max() > 1000, "a stored truncation has cut a line"
    names = [row["label"] for row in rows(LINES + ODD)]
    assert [found.labels[i] for i in found.label_of] == names


def test_a_tokenizer_that_does_more_than_its_backend_is_asked_itself(tmp_path, subwords):
    own = Backwards(tokenizer_object=subwords.backend_tokenizer, mask_token="<mask>")
    found = table(tmp_path, own, LINES[:20])
    for i, line in enumerate(LINES[:20]):
        assert found.segment(i, 0).tolist() == subwords(line[::-1], add_special_tokens=False)["input_ids"]


def test_the_bytes_do_not_depend_on_chunks_and_threads(tmp_path, subwords, monkeypatch):
    outcomes = []
    for name, size, cores in (("one", 10**6, 1), ("small", 3, 1), ("many", 5, 8)):
        monkeypatch.setattr(building, "CHUNK_ROWS", size)
        monkeypatch.setattr(building.os, "sched_getaffinity", lambda _, cores=cores: range(cores))
        table(tmp_path / name, subwords)
        outcomes.append(bytes_of(tmp_path / name))
    assert outcomes[0] == outcomes[1] == outcomes[2]


def test_long_rows_make_small_chunks_and_little_is_at_work(monkeypatch):
    monkeypatch.setattr(building, "CHUNK_CHARS", 100)
    monkeypatch.setattr(building, "CHARS_AHEAD", 300)
    monkeypatch.setattr(building.os, "sched_getaffinity", lambda _: range(8))
    read, written, ahead = 0, 0, []

    def long_rows():
        nonlocal read
        for _ in range(200):
            read += 1
            yield {"text": "x" * 60}

    def count(chunk):
        return np.zeros(len(chunk.texts), np.uint16), np.ones(len(chunk.texts), np.int64), {}

    for chunk, *_ in building._encoded(long_rows(), lambda row: (row["text"],), count, 0):
        assert len(chunk.rows) <= 2
        written += len(chunk.rows)
        ahead.append((read - written) * 60)
    assert written == 200 and max(ahead) <= 300 + 120


def kill_while_building(cache, tokenizer, chunk: int) -> None:
    """In a process of its own that dies before it reads the chunk-th chunk."""
    child = os.fork()
    if child == 0:
        taken, calls = building.take, 0

        def take(*arguments):
            nonlocal calls
            calls += 1
            if calls == chunk:
                os.kill(os.getpid(), signal.SIGKILL)
            return taken(*arguments)

        building.take = take
        try:
            table(cache, tokenizer)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


@pytest.mark.parametrize("kills", [(2,), (20,), (30, 12, 1)])
def test_a_killed_build_goes_on_and_ends_in_the_same_bytes(tmp_path, subwords, monkeypatch, kills):
    monkeypatch.setattr(building, "CHUNK_ROWS", 10)
    monkeypatch.setattr(building, "SAVE_TOKENS", 300)
    monkeypatch.setattr(building.os, "sched_getaffinity", lambda _: range(2))
    table(tmp_path / "whole", subwords)
    for chunk in kills:
        kill_while_building(tmp_path / "killed", subwords, chunk)
    chunks = []
    taken = building.take
    monkeypatch.setattr(building, "take", lambda *a: chunks.append(1) or taken(*a))
    table(tmp_path / "killed", subwords)
    assert bytes_of(tmp_path / "killed") == bytes_of(tmp_path / "whole")
    assert [p.name for p in (tmp_path / "killed" / "encoded").iterdir() if p.name.startswith(".")] == []
    if kills[0] >= 20:  # of 45 chunks and the end
        assert len(chunks) < 46 - 10, "it began anew"


def test_what_a_killed_build_left_is_not_trusted_if_it_is_cut_off(tmp_path, subwords, monkeypatch):
    monkeypatch.setattr(building, "CHUNK_ROWS", 10)
    monkeypatch.setattr(building, "SAVE_TOKENS", 300)
    kill_while_building(tmp_path / "killed", subwords, 30)
    (half,) = (p for p in (tmp_path / "killed" / "encoded").iterdir() if p.is_dir())
    (half / "tokens.bin").write_bytes(b"")
    table(tmp_path / "killed", subwords)
    table(tmp_path / "whole", subwords)
    assert bytes_of(tmp_path / "killed") == bytes_of(tmp_path / "whole")


def test_a_row_that_cannot_be_read_leaves_nothing(tmp_path, subwords, monkeypatch):
    monkeypatch.setattr(building, "CHUNK_ROWS", 10)
    monkeypatch.setattr(building, "SAVE_TOKENS", 10)

    def broken():
        yield from rows()
        raise DataError("line 451: not UTF-8")

    with pytest.raises(DataError, match="line 451"):
        building.build(tmp_path / "x", broken(), lambda row: (row["text"],), subwords, lambda: False)
    assert list(tmp_path.iterdir()) == []


def test_a_second_builder_waits_and_takes_what_the_first_made(tmp_path):
    lock, finished = tmp_path / ".building-x.lock", []

    def first(handle):
        time.sleep(0.5)
        finished.append(1)
        lock.unlink()
        handle.close()

    handle = open(lock, "w")  # noqa: SIM115
    fcntl.flock(handle, fcntl.LOCK_EX)
    thread = threading.Thread(target=first, args=(handle,))
    thread.start()

    def unread():
        raise AssertionError("it was built twice")
        yield

    building.build(tmp_path / "x", unread(), None, word_tokenizer(["a"]), lambda: bool(finished))
    thread.join()
    assert finished and list(tmp_path.iterdir()) == []


def test_only_what_was_left_long_ago_is_removed(tmp_path):
    for name, days in ((".building-old", 8), (".building-new", 1)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tokens.bin").write_bytes(b"x")
        for path in (tmp_path / name / "tokens.bin", tmp_path / name):
            os.utime(path, (time.time() - days * 86400,) * 2)
    building.remove_abandoned(Path(tmp_path))
    assert [p.name for p in tmp_path.iterdir()] == [".building-new"]

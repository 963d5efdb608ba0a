"""Encoded text on disk: read back as it was written, made anew where it is damaged, and a disk that refuses is a sentence."""

import errno

import numpy as np
import pytest

from tests.toy import Toy, word_tokenizer
from xlt import files
from xlt.data import building as module
from xlt.data.encode import encode
from xlt.errors import StorageError

WORDS = [f"w{i}" for i in range(9)]
ROWS = [{"text": "w1 w2 w3", "label": "b"}, {"text": "", "label": "a"}, {"text": "w8 w0", "label": "b"}]


def table(cache, rows=ROWS):
    data = Toy({("classification", "en", "train"): rows})
    tokenizer = word_tokenizer(WORDS)
    return encode(data, "classification", "en", "train", lambda row: (row["text"],), tokenizer, "hash", cache)


def test_rows_come_back(tmp_path):
    for _ in range(2):  # built, then from the cache
        found = table(tmp_path)
        assert [found.segment(i, 0).tolist() for i in range(3)] == [[6, 7, 8], [], [13, 5]]
        assert found.lengths.tolist() == [[3], [0], [2]]
        assert found.gold({"label": ["a", "b"]}).labels.tolist() == [1, 0, 1]


def test_other_rows_are_another_table(tmp_path):
    table(tmp_path)
    assert len(table(tmp_path, [*ROWS, ROWS[0]])) == 4


@pytest.mark.parametrize("name", ["tokens.bin", "offsets.bin", "labels.bin", "meta.json"])
@pytest.mark.parametrize("damage", ["cut off", "missing", "one bit"])
def test_a_damaged_table_is_made_anew(tmp_path, name, damage):
    expected = np.array(table(tmp_path).tokens)
    (path,) = (tmp_path / "encoded").glob(f"*/{name}")
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(content[:-1] if damage == "cut off" else bytes([content[0] ^ 1]) + content[1:])
    found = table(tmp_path)
    assert found.tokens.tolist() == expected.tolist() and found.gold({"label": ["a", "b"]}).labels.tolist() == [1, 0, 1]


def test_a_full_disk_leaves_nothing_that_looks_whole(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module.os, "rename", full)
        with pytest.raises(StorageError, match=r"No space left on device\); \d+ MB are free"):
            table(tmp_path)
    assert list((tmp_path / "encoded").iterdir()) == []
    assert len(table(tmp_path)) == 3


def test_a_disk_that_refuses_bytes_says_why(tmp_path):
    """The system's own refusal, through every library that writes."""
    resource = pytest.importorskip("resource")
    import torch
    from safetensors.torch import save_file

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    writers = [
        lambda: table(tmp_path, [{"text": "w1 " * 2000, "label": "a"}]),
        lambda: files.write_text(tmp_path / "x.json", "x" * 9000),
        lambda: files.write_folder(tmp_path / "f", lambda f: save_file({"x": torch.zeros(9000)}, f / "w.safetensors")),
        lambda: files.write_folder(tmp_path / "f", lambda f: word_tokenizer(map(str, range(999))).save_pretrained(f)),
    ]
    for write in writers:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
        try:
            with pytest.raises(StorageError, match="could not be written .*File too large"):
                write()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [p.name for p in tmp_path.iterdir()] == ["encoded"]

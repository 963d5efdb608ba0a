"""Sentences and vectors on disk: what is written in pieces is what is written at once, and each line knows where it stood."""

import gzip

import numpy as np
import pytest

from tests.toy import Toy
from xlt.data import sides
from xlt.data.faults import OnError
from xlt.data.readers import Format
from xlt.data.rows import View
from xlt.data.sides import placed, write_side
from xlt.data.sources import Files
from xlt.errors import DataError


def files(root, pattern):
    return Files(
        name="toy", view=View.text, root=str(root), pattern=pattern, format=Format.auto, columns={"text": "text"}, split_names={"train": "train"}, label_names=None,
        language_codes=None, align_on=None, pivot=None, streaming=False, row_counts=None, hub=None, hub_config=None, max_line=1000, on_error=OnError.stop,
    )  # fmt: skip


class Stopped(Exception):
    """Stands for the end of the process."""


def read(texts):
    return np.array([[len(t), sum(map(ord, t)) % 97] for t in texts], np.float32)


@pytest.mark.parametrize("kind", ["float32", "float16"])
def test_a_side_that_was_stopped_goes_on_and_ends_the_same(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(sides, "WINDOW", 7)
    texts = [f"wort {i} ü" for i in range(40)]
    data = Toy({("text", "de", "train"): [{"text": t} for t in [*texts[:9], " \t ", *texts[9:]]]})
    whole = write_side(tmp_path / "whole", data, "de", read, 2, kind, lambda n: None)
    calls = 0

    def failing(part):
        nonlocal calls
        calls += 1
        if calls == 4:
            raise Stopped
        return read(part)

    with pytest.raises(Stopped):
        write_side(tmp_path / "twice", data, "de", failing, 2, kind, lambda n: None)
    with open(tmp_path / "twice" / "vectors.bin", "ab") as file:
        file.write(b"half a window")
    told = []
    again = write_side(tmp_path / "twice", data, "de", read, 2, kind, told.append)
    assert told[0] == 21 and told[-1] == again.rows == whole.rows == 40
    for side in (whole, again):
        assert np.array_equal(side.vectors, read(texts).astype(kind))
        assert [text for _, text in side.lines(np.array([39, 0, 17]))] == [texts[39], texts[0], texts[17]]
    assert [place for place, _ in whole.lines(np.array([8, 9]))] == ["row 9", "row 11"], "the blank row has its number"


def test_places_are_path_and_line_over_all_shards(tmp_path):
    (tmp_path / "de-0.txt").write_text("eins\n\nzwei\n", encoding="utf-8")
    with gzip.open(tmp_path / "de-1.txt.gz", "wt", encoding="utf-8") as file:
        file.write("drei\n")
    data = files(tmp_path, "{root}/{lang}-*.txt")
    assert [(p, row["text"]) for p, row in placed(data, "text", "de", "train")] == [
        (f"{tmp_path}/de-0.txt:1", "eins"), (f"{tmp_path}/de-0.txt:3", "zwei"), (f"{tmp_path}/de-1.txt.gz:1", "drei")
    ]  # fmt: skip


def test_a_language_without_a_sentence_is_said(tmp_path):
    with pytest.raises(DataError, match="dataset toy: language de has no sentence to mine"):
        write_side(tmp_path, Toy({("text", "de", "train"): [{"text": " "}]}), "de", read, 2, "float32", lambda n: None)

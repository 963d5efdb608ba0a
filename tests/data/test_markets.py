"""A user's markets: names of items become their texts, every item of a catalogue is to be chosen among, and what is wrong is said with its line."""

import json

import pytest
from omegaconf import OmegaConf

from xlt.config.build import build_node
from xlt.config.compose import compose
from xlt.data.markets import with_catalogue
from xlt.errors import DataError


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def folder(tmp_path):
    for code, letter in (("en", "a"), ("de", "b")):
        write(tmp_path / code / "catalogue.jsonl", [{"id": i, "text": f"{letter}{i}"} for i in range(6)])
        write(tmp_path / code / "train.jsonl", [{"history": [0, 1], "next": 2}])
        write(tmp_path / code / "test.jsonl", [{"history": [0, 1], "next": 2}, {"history": [3], "next": 0}])
    return tmp_path


def markets(folder):
    cfg = compose("finetune", ["dataset=recommendation_files", f"dataset.root={folder}"], [])
    return build_node(OmegaConf.to_container(cfg.dataset, resolve=True), "dataset")


def test_names_become_texts_and_no_item_is_missing(folder):
    data = markets(folder)
    assert data.languages("recommendation") == ["de", "en"] and data.splits("recommendation", "de") == ["train", "test"]
    assert list(data.rows("recommendation", "de", "test")) == [
        {"id": 1, "history": ["b0", "b1"], "next": "b2", "candidates": ["b1", "b4"]},
        {"id": 2, "history": ["b3"], "next": "b0", "candidates": ["b3", "b5"]},
    ]
    assert list(data.rows("recommendation", "en", "train")) == [{"id": 1, "history": ["a0", "a1"], "next": "a2"}]


def test_the_fingerprint_is_of_users_and_items(folder):
    before = markets(folder).fingerprint("recommendation", "en", "test")
    write(folder / "en" / "catalogue.jsonl", [{"id": i, "text": f"c{i}"} for i in range(6)])
    assert markets(folder).fingerprint("recommendation", "en", "test") != before


def test_what_is_wrong_is_said_with_its_line(folder):
    write(folder / "en" / "test.jsonl", [{"history": [0], "next": 1}, {"history": [0], "next": 9}])
    with pytest.raises(DataError, match=r"test.jsonl line 2: item 9 is not in the catalogue of en; add it there"):
        markets(folder).rows("recommendation", "en", "test")
    write(folder / "en" / "test.jsonl", [{"history": [], "next": 1}])
    with pytest.raises(DataError, match=r"test.jsonl line 1: history is \[\] where a list of items is expected"):
        markets(folder).rows("recommendation", "en", "test")
    write(folder / "en" / "catalogue.jsonl", [{"id": 1, "text": "a"}, {"id": 1, "text": "b"}])
    with pytest.raises(DataError, match=r"catalogue.jsonl line 2: item 1 stands in the catalogue already"):
        markets(folder).rows("recommendation", "en", "train")
    (folder / "en" / "catalogue.jsonl").unlink()
    with pytest.raises(
        DataError, match="there are users in en and no catalogue; add its file by dataset.items.pattern"
    ):
        markets(folder).languages("recommendation")
    with pytest.raises(DataError, match="no view text"):
        markets(folder).users.languages("text")


def test_items_are_dealt_once_each():
    users = [{"next": "a"}, {"next": "b"}, {"next": "a"}]
    dealt = with_catalogue(users, ["a", "b", "c", "d", "e", "f", "c"])
    assert sorted(text for row in dealt for text in row["candidates"]) == ["c", "d", "e", "f"]

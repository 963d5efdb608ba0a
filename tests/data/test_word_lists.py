"""Concept lists as dictionaries: words of one concept translate each other, in every pair."""

import json

import pytest

from xlt.data.word_lists import WordLists
from xlt.errors import ConfigError, DataError


def write(folder, lists):
    for code, rows in lists.items():
        (folder / code).mkdir(parents=True)
        (folder / code / "all.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def lists(at, **changes):
    fields = {
        "name": "lists",
        "root": str(at),
        "pattern": "{root}/{lang}/all.jsonl",
        "id": "id",
        "words": "words",
        "pivot": "en",
        "max_line": 1000,
    }
    return WordLists(**fields | changes)


@pytest.fixture
def root(tmp_path):
    return write(
        tmp_path,
        {
            "en": [
                {"id": 1, "words": ["I", "1 sg."]},
                {"id": 2, "words": ["dog", "hound"]},
                {"id": 9, "words": ["ice"]},
            ],
            "de": [{"id": 2, "words": ["Hund"]}, {"id": 1, "words": ["ich"]}],
            "sw": [{"id": 2, "words": ["mbwa", "jibwa"]}],
        },
    )


def test_words_of_a_concept_translate_each_other(root):
    found = lists(root)
    assert found.views() == ("dictionary",) and found.languages("dictionary") == ["en-de", "en-sw"]
    assert found.splits("dictionary", "en-de") == ["test"]
    pairs = [(row["word"], row["translation"]) for row in found.rows("dictionary", "en-de", "test")]
    assert pairs == [("I", "ich"), ("dog", "Hund"), ("hound", "Hund")]  # not "1 sg.", which no table of words has
    assert len(list(found.rows("dictionary", "en-sw", "test"))) == 4
    assert lists(root, pivot=None).languages("dictionary") == ["de-en", "de-sw", "en-sw"]


def test_the_fingerprint_follows_both_files(root):
    before = lists(root).fingerprint("dictionary", "en-de", "test")
    assert before != lists(root).fingerprint("dictionary", "en-sw", "test")
    (root / "de/all.jsonl").write_text('{"id": 2, "words": ["Köter"]}\n')
    assert lists(root).fingerprint("dictionary", "en-de", "test") != before


def test_mistakes_are_sentences(root):
    with pytest.raises(ConfigError, match=r"dataset.pattern: no \{lang\} in it"):
        lists(root, pattern="{root}/all.jsonl")
    with pytest.raises(DataError, match="no folder is named"):
        lists("", root=None).languages("dictionary")
    with pytest.raises(DataError, match="dataset.pivot: dataset lists has no fr"):
        lists(root, pivot="fr").languages("dictionary")
    with pytest.raises(DataError, match="dataset lists has no en-fr"):
        list(lists(root).rows("dictionary", "en-fr", "test"))
    with pytest.raises(DataError, match=r"the columns id and terms \(a list\) are expected, and there are id, words"):
        list(lists(root, words="terms").rows("dictionary", "en-de", "test"))


def test_the_shipped_lists(shared_data):
    found = lists(shared_data / "swadesh")
    assert len(found.languages("dictionary")) == 32
    words = {row["word"] for row in found.rows("dictionary", "en-de", "test")}
    assert {"dog", "water", "sun"} <= words

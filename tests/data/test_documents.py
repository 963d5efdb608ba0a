"""Sentences put together to documents, in one language and across two, against the files of a user."""

import json
from dataclasses import replace

import pytest
from omegaconf import OmegaConf

from xlt.config.build import build_node
from xlt.config.compose import compose
from xlt.data.documents import Query
from xlt.errors import ConfigError, DataError

SPOKEN = {"en": "a", "de": "b", "sw": "c"}
DOCUMENTS = {"x": 3, "y": 2, "z": 1}


@pytest.fixture
def folder(tmp_path):
    """Three documents of three, two and one sentences; Swahili lacks a sentence of the first."""
    for code, letter in SPOKEN.items():
        (tmp_path / code).mkdir()
        rows = [{"id": f"{d}{i}", "doc": d, "text": f"{letter} {d}{i}"} for d, n in DOCUMENTS.items() for i in range(n)]
        rows = [row for row in rows if (code, row["id"]) != ("sw", "x1")]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        for split in ("train", "test"):
            (tmp_path / code / f"{split}.jsonl").write_text(text)
    return tmp_path


def documents(folder, *changes):
    cfg = compose("finetune", ["dataset=ntrex_documents", f"dataset.root={folder}", *changes], [])
    return build_node(OmegaConf.to_container(cfg.dataset, resolve=True), "dataset")


def test_a_title_finds_the_rest_of_its_document(folder):
    data = documents(folder)
    assert data.languages("retrieval") == ["de", "de-en", "en", "en-de", "en-sw", "sw", "sw-en"]
    assert data.splits("retrieval", "sw-en") == ["train", "test"]
    assert list(data.rows("retrieval", "en-de", "test")) == [
        {"id": "x", "query": "a x0", "positives": ["b x1 b x2"]},
        {"id": "y", "query": "a y0", "positives": ["b y1"]},
    ]
    assert [row["positives"] for row in data.rows("retrieval", "sw", "test")] == [["c x2"], ["c y1"]]


def test_a_sentence_finds_the_whole(folder):
    rows = list(documents(folder, "dataset.query=sentence").rows("retrieval", "en-sw", "test"))
    assert [(row["id"], row["query"]) for row in rows] == [(i, f"a {i}") for i in ("x0", "x2", "y0", "y1")]
    assert [row["positives"] for row in rows] == [["c x0 c x2"]] * 2 + [["c y0 c y1"]] * 2


def test_the_next_sentence_comes_after_those_before_it(folder):
    rows = list(documents(folder, "dataset.history=1").rows("recommendation", "de-en", "train"))
    assert [(row["history"], row["next"], row["candidates"]) for row in rows] == [
        (["b x0"], "a x1", ["a x0"]),
        (["b x1"], "a x2", []),
        (["b y0"], "a y1", ["a y0"]),
    ]


def test_what_cannot_be(folder):
    with pytest.raises(ConfigError, match="dataset.history: 0 is below 1"):
        documents(folder, "dataset.history=0")
    with pytest.raises(DataError, match="no view text; it has retrieval, recommendation"):
        documents(folder).languages("text")
    with pytest.raises(DataError, match="dataset.pivot: dataset ntrex_documents has no fi; it has de, en, sw"):
        documents(folder, "dataset.pivot=fi").languages("retrieval")
    with pytest.raises(DataError, match="dataset ntrex_documents has no de-sw"):
        documents(folder).splits("retrieval", "de-sw")
    for split in ("train", "test"):
        (folder / "en" / f"{split}.jsonl").write_text(json.dumps({"id": "x0", "doc": "x", "text": "t"}) + "\n")
    with pytest.raises(
        DataError, match="language en, split test: no document has two sentences; check dataset.sentences.columns.doc"
    ):
        list(documents(folder).rows("retrieval", "en", "test"))


def test_columns_that_tell_no_document():
    node = OmegaConf.to_container(compose("finetune", ["dataset=ntrex_documents"], []).dataset, resolve=True)
    del node["sentences"]["columns"]["doc"]
    with pytest.raises(ConfigError, match="dataset.sentences.columns: doc is not mapped"):
        build_node(node, "dataset")


def test_the_fingerprint_changes_with_what_decides_the_rows(folder):
    data = documents(folder)
    prints = {
        one.fingerprint(view, language, "test")
        for one in (data, replace(data, query=Query.sentence), replace(data, history=2))
        for view in ("retrieval", "recommendation")
        for language in ("en", "en-de", "de-en")
    }
    assert len(prints) == 18


def test_real_documents(shared_data):
    data = documents(shared_data / "ntrex")
    rows = list(data.rows("retrieval", "en-zh", "test"))
    assert len(rows) == len({row["id"] for row in rows}) > 30
    sentences = list(data.rows("recommendation", "en-zh", "test"))
    every = {row["next"] for row in sentences} | {text for row in sentences for text in row["candidates"]}
    assert len(sentences) + len(rows) == 585 >= len(every) > 560 and max(len(r["history"]) for r in sentences) == 5

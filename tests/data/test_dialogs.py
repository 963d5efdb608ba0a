"""Whole dialogs as rows: each turn of the second speaker after all that was said, and where a bad one stands."""

import json
from dataclasses import replace

import pytest
from omegaconf import OmegaConf

from xlt.config.build import build_node
from xlt.config.compose import compose
from xlt.errors import DataError

DIALOGS = [
    {"id": "a", "persona": ["p1", "p2"], "turns": [["u1", "r1"], ["u2", "r2"]]},
    {"id": "b", "persona": ["p3"], "turns": [["__SILENCE__", "r3"], ["u3", "r4"]]},
    {"id": "c", "persona": [], "turns": ["__SILENCE__", "r5", "u5", "r6", "u7"]},
]


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def dialogs(folder, *changes):
    cfg = compose("finetune", ["dataset=xpersona", f"dataset.root={folder}", *changes], [])
    return build_node(OmegaConf.to_container(cfg.dataset, resolve=True), "dataset")


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "en" / "dev.jsonl", DIALOGS)
    write(tmp_path / "it" / "test.jsonl", DIALOGS[:1])
    return tmp_path


def test_each_turn_of_the_second_speaker_is_a_row(folder):
    data = dialogs(folder)
    assert data.views() == ("dialog",) and data.labels() is None
    assert data.languages("dialog") == ["en", "it"] and data.splits("dialog", "it") == ["test"]
    found = [(r["id"], r["doc"], r["persona"], r["history"], r["response"]) for r in data.rows("dialog", "en", "dev")]
    assert found == [
        ("a-0", "a", ["p1", "p2"], ["u1"], "r1"),
        ("a-1", "a", ["p1", "p2"], ["u1", "r1", "u2"], "r2"),
        ("b-0", "b", ["p3"], [], "r3"),
        ("b-1", "b", ["p3"], ["r3", "u3"], "r4"),
        ("c-1", "c", [], ["r5", "u5"], "r6"),  # c-0 answers nothing
    ]
    spoken = dialogs(folder, "dataset.silence=null").rows("dialog", "en", "dev")
    assert [(r["id"], r["history"]) for r in spoken][4:] == [("c-0", ["__SILENCE__"]), ("c-1", ["__SILENCE__", "r5", "u5"])]  # fmt: skip


def test_dialogs_without_id_are_numbered_and_may_have_no_persona(folder):
    write(folder / "en" / "dev.jsonl", [{"turns": ["u1", "r1"]}, {"turns": ["u2", "r2", "u3", "r3"]}])
    data = dialogs(folder, "~dataset.conversations.columns.persona")
    assert list(data.rows("dialog", "en", "dev")) == [
        {"id": "1-0", "doc": 1, "history": ["u1"], "response": "r1"},
        {"id": "2-0", "doc": 2, "history": ["u2"], "response": "r2"},
        {"id": "2-1", "doc": 2, "history": ["u2", "r2", "u3"], "response": "r3"},
    ]


def test_a_row_is_where_its_dialog_is(folder):
    data = dialogs(folder)
    assert [data.locate("dialog", "en", "dev", i) for i in range(5)] == [
        f"{folder}/en/dev.jsonl line {line}" for line in (1, 1, 2, 2, 3)
    ]
    with pytest.raises(IndexError):
        data.locate("dialog", "en", "dev", 5)


def test_the_fingerprint_changes_with_what_decides_the_rows(folder):
    data = dialogs(folder)
    prints = {one.fingerprint("dialog", "en", "dev") for one in (data, replace(data, silence=None))}
    write(folder / "en" / "dev.jsonl", DIALOGS[:2])
    assert len(prints | {dialogs(folder).fingerprint("dialog", "en", "dev")}) == 3


@pytest.mark.parametrize(
    ("dialog", "sentence"),
    [
        ({"persona": [], "turns": []}, r"line 1: turns is \[\] where a list of strings is expected"),
        ({"persona": [], "turns": [["a", ""]]}, r"line 1: turns\[1\] is empty; remove the row, or fill it in"),
        ({"persona": [], "turns": [["a"], "b"]}, r"line 1: turns\[0\] is \['a'\] where a string is expected"),
        ({"persona": "p", "turns": ["a", "b"]}, "line 1: persona is 'p' where a list of strings is expected"),
        ({"persona": [], "turns": ["a"]}, "language en, split dev: no dialog has a turn that answers another; check dataset.conversations.columns.turns"),
    ],
)  # fmt: skip
def test_what_cannot_be(folder, dialog, sentence):
    write(folder / "en" / "dev.jsonl", [dialog])
    with pytest.raises(DataError, match=sentence):
        list(dialogs(folder).rows("dialog", "en", "dev"))


def test_other_views_and_splits(folder):
    with pytest.raises(DataError, match="dataset xpersona: no view text; it has dialog: choose another"):
        dialogs(folder).languages("text")
    with pytest.raises(DataError, match="no train split; it has dev"):
        dialogs(folder).rows("dialog", "en", "train")
    with pytest.raises(DataError, match="has no fr"):
        dialogs(folder).splits("dialog", "fr")


def test_real_dialogs(shared_data):
    """As many rows as there are answers: nobody was silent but at the beginning."""
    data = dialogs(shared_data / "xpersona")
    assert data.languages("dialog") == ["en", "fr", "id", "it", "ja", "zh"]
    counts = {"en": 3119, "fr": 1950, "id": 3120, "it": 1096, "ja": 2161, "zh": 1729}
    for code, count in counts.items():
        rows = list(data.rows("dialog", code, "test"))
        assert len(rows) == len({row["id"] for row in rows}) == count
        assert all("__SILENCE__" not in (*row["history"], row["response"]) for row in rows)
    dev = list(data.rows("dialog", "en", "dev"))
    assert len(dev) == 2911 and sum(not row["history"] for row in dev) == 400

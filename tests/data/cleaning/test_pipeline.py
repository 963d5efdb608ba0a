"""The pipeline as a whole: order, verdicts, counts, the cache, and what encoding sees of it."""

import errno
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from tests.toy import Toy, word_tokenizer
from xlt import signals
from xlt.data.cleaning import judging, pipeline, report
from xlt.data.cleaning.characters import Characters
from xlt.data.cleaning.duplicates import ExactDuplicates, NearDuplicates
from xlt.data.cleaning.filters import Form, Length, Normalise, Symbols
from xlt.data.cleaning.held_out import HeldOut
from xlt.data.cleaning.pipeline import Cleaning
from xlt.data.encode import encode
from xlt.errors import ConfigError, DataError, Interrupted, StorageError

LENGTH = Length(min_words=2, enough_letters=15, max_characters=None, letters_per_word=2, unspaced=[])
CHARACTERS = Characters(joiners=["Arab"], zero_width_spaces=[])
EXACT = ExactDuplicates(fold=True, across_languages=True)
HELD_OUT = HeldOut(min_line=50)
NEAR = NearDuplicates(ngram=3, bands=40, rows=2, threshold=0.6, across_languages=True)
STANDARD = [Normalise(form=Form.nfc), CHARACTERS, LENGTH, Symbols(max_share=0.4), HeldOut(min_line=50), EXACT, NEAR]


def cleaning(*filters, examples=2, **heldout):
    return Cleaning(filters=list(filters), heldout=heldout, language_model=None, examples=examples)


def toy(dev=("a held out line",), **train):
    rows = {
        ("text", code, "train"): [{"id": i, "text": t} for i, t in enumerate(texts)] for code, texts in train.items()
    }
    return Toy(rows | {("text", code, "dev"): [{"text": t} for t in dev] for code in train})


def texts(data, code, split="train"):
    return [row["text"] for row in data.rows("text", code, split)]


TRAIN = {
    "en": [
        "one clean line",
        "short",
        "A held-out LINE!",
        "One clean line.",
        "1234 56: 78",
        "a line that is nearly the same as another",
        "cafe\u0301 with\u200b marks",
        "a line that is nearly the same as an other",
    ],
    "de": ["ein sauberer Satz", "one CLEAN line", "\u200e", "ein  sauberer\tSatz", "noch ein anderer"],
}
KEPT = {
    "en": ["one clean line", "a line that is nearly the same as another", "café with marks"],
    "de": ["ein sauberer Satz", "noch ein anderer"],
}


def test_each_row_has_its_verdict(tmp_path):
    data, found = cleaning(*STANDARD).clean(toy(**TRAIN), ["en", "de"], tmp_path)
    assert {code: texts(data, code) for code in TRAIN} == KEPT
    en, de = found["languages"]["en"], found["languages"]["de"]
    none = dict.fromkeys(found["filters"], 0)
    assert en["removed"] == none | {
        "length": 1,
        "held_out": 1,
        "exact_duplicates": 1,
        "symbols": 1,
        "near_duplicates": 1,
    }
    assert de["removed"] == none | {"characters": 1, "exact_duplicates": 2}
    assert en["changed"] == {"normalise": 1, "characters": 1} and de["changed"] == {"normalise": 0, "characters": 1}
    assert en["examples"]["held_out"] == ["A held-out LINE!"] and de["examples"]["exact_duplicates"] == [
        "one CLEAN line",
        "ein sauberer Satz",
    ]
    for code, n in found["languages"].items():
        assert n["rows"] == len(TRAIN[code]) == n["kept"] + sum(n["removed"].values())
        assert n["characters"] == sum(map(len, TRAIN[code])) and n["kept_characters"] == sum(map(len, KEPT[code]))
    assert en["removed_characters"]["near_duplicates"] == len(TRAIN["en"][-1])
    assert found["held_out_lines"] == 1


@pytest.mark.parametrize("rows", [1, 3, 2048])
def test_chunks_change_nothing(tmp_path, monkeypatch, rows):
    expected = cleaning(*STANDARD).clean(toy(**TRAIN), ["en", "de"], tmp_path / "a")[1]
    monkeypatch.setattr(judging, "ROWS", rows)
    data, found = cleaning(*STANDARD).clean(toy(**TRAIN), ["en", "de"], tmp_path / "b")
    assert found == expected and texts(data, "en") == KEPT["en"]


def test_the_order_is_that_of_the_list(tmp_path):
    train = {"en": ["a b", "a  b", "a", "a"]}
    for filters, removed in (
        ([LENGTH, EXACT], {"length": 2, "exact_duplicates": 1}),
        ([EXACT, LENGTH], {"exact_duplicates": 2, "length": 1}),
        ([EXACT, LENGTH, EXACT], {"exact_duplicates": 2, "length": 1, "exact_duplicates_2": 0}),
        (
            [ExactDuplicates(fold=False, across_languages=True), CHARACTERS, EXACT],
            {"exact_duplicates": 1, "characters": 0, "exact_duplicates_2": 1},
        ),
        ([], {}),
        ([CHARACTERS], {"characters": 0}),
    ):
        data, found = cleaning(*filters).clean(toy(**train), ["en"], tmp_path)
        assert found["languages"]["en"]["removed"] == removed
        assert len(texts(data, "en")) == 4 - sum(removed.values()) == found["languages"]["en"]["kept"]


def test_the_language_named_first_keeps_what_both_have(tmp_path):
    data = toy(en=["the same"], de=["The same", "und mehr"])
    assert texts(cleaning(EXACT).clean(data, ["en", "de"], tmp_path)[0], "de") == ["und mehr"]
    assert texts(cleaning(EXACT).clean(data, ["de", "en"], tmp_path)[0], "de") == ["The same", "und mehr"]
    apart = ExactDuplicates(fold=True, across_languages=False)
    assert texts(cleaning(apart).clean(data, ["en", "de"], tmp_path)[0], "de") == ["The same", "und mehr"]


def test_dev_is_changed_and_keeps_its_rows(tmp_path):
    data = toy(dev=["cafe\u0301", "cafe\u0301", "\u200b"], en=["some text here"])
    clean, _ = cleaning(*STANDARD).clean(data, ["en"], tmp_path)
    assert texts(clean, "en", "dev") == ["café", "café", "\u200b"]
    assert [row["id"] for row in clean.rows("text", "en", "train")] == [0], "other columns stay"


def test_other_views_and_facts_are_the_sources(tmp_path):
    rows = {
        ("text", "en", "train"): [{"text": "a b"}],
        ("classification", "en", "train"): [{"text": "x\u200b", "label": "l"}],
    }
    data = Toy(rows, ["l"])
    clean, _ = cleaning(CHARACTERS).clean(data, ["en"], tmp_path)
    assert list(clean.rows("classification", "en", "train")) == rows["classification", "en", "train"]
    assert clean.fingerprint("classification", "en", "train") == data.fingerprint("classification", "en", "train")
    assert (clean.name, clean.views(), clean.labels()) == ("toy", ("classification", "text"), ["l"])
    assert clean.languages("text") == ["en"] and clean.splits("text", "en") == ["train"]
    with pytest.raises(DataError, match="dataset toy: de is not among the languages that were cleaned, en"):
        clean.rows("text", "de", "train")


def test_held_out_data_sets(tmp_path):
    tests = Toy(
        {
            ("classification", "xx", "test"): [{"text": "a b c", "label": "l"}],
            ("classification", "xx", "train"): [{"text": "d e f"}],
        }
    )
    data, found = cleaning(HeldOut(min_line=50), mine=tests).clean(toy(en=["A b, c", "d e f"]), ["en"], tmp_path)
    assert texts(data, "en") == ["d e f"] and found["languages"]["en"]["removed"] == {"held_out": 1}


def test_the_fingerprint_follows_all_that_decides(tmp_path):
    def prints(filters=(LENGTH, HELD_OUT), order=("en", "de"), dev=("x",), also=None, **train):
        data = toy(dev=dev, **{"en": ["a b"], "de": ["c d"]} | train)
        clean, _ = cleaning(*filters, **({"also": also} if also else {})).clean(data, list(order), tmp_path)
        return clean.fingerprint("text", "en", "train"), clean.fingerprint("text", "en", "dev")

    base = prints()
    assert prints() == base
    other = Length(min_words=1, enough_letters=15, max_characters=None, letters_per_word=2, unspaced=[])
    variants = [
        prints(filters=(other, HeldOut(min_line=50))),
        prints(filters=(HeldOut(min_line=50), LENGTH)),
        prints(order=("de", "en")),
        prints(order=("en",)),
        prints(dev=("y",)),
        prints(de=["c e"]),
        prints(also=Toy({("text", "fr", "test"): [{"text": "z"}]})),
    ]
    assert len({train for train, _ in [base, *variants]}) == 8
    assert prints(de=["c e"])[1] == base[1], "dev hangs on its own rows and the filters only"
    assert prints(filters=(other,))[1] != base[1]


def test_encoding_sees_the_clean_rows_and_caches_them_by_the_cleaning(tmp_path):
    tokenizer = word_tokenizer(["one", "two"])
    data = toy(en=["one two", "one", "two one", "one two"])

    def rows(data):
        table = encode(data, "text", "en", "train", lambda row: (row["text"],), tokenizer, "hash", tmp_path)
        return [table.segment(i, 0).tolist() for i in range(len(table))]

    assert rows(data) == [[5, 6], [5], [6, 5], [5, 6]]
    assert rows(cleaning(LENGTH).clean(data, ["en"], tmp_path)[0]) == [[5, 6], [6, 5], [5, 6]]
    assert rows(cleaning(LENGTH, EXACT).clean(data, ["en"], tmp_path)[0]) == [[5, 6], [6, 5]]
    assert len(list((tmp_path / "encoded").iterdir())) == 3
    assert rows(cleaning(LENGTH, EXACT).clean(data, ["en"], tmp_path)[0]) == [[5, 6], [6, 5]]
    assert len(list((tmp_path / "encoded").iterdir())) == 3


@dataclass(frozen=True, kw_only=True)
class Counting:
    """Keeps all; counts calls."""

    name: ClassVar[str] = "counting"
    changes: ClassVar[bool] = False
    calls: ClassVar[list] = []

    def apply(self, text, language):
        self.calls.append(text)
        return text


@pytest.mark.parametrize("damage", ["none", "verdicts.bin", "report.json", "cut"])
def test_verdicts_are_reached_once_and_anew_if_they_are_damaged(tmp_path, damage):
    Counting.calls.clear()
    data = toy(en=["a b", "c d"])
    cleaning(Counting()).clean(data, ["en"], tmp_path)
    (place,) = (tmp_path / "cleaned").iterdir()
    if damage == "cut":
        (place / "verdicts.bin").write_bytes(b"\0")
    elif damage != "none":
        (place / damage).unlink()
    clean, _ = cleaning(Counting()).clean(data, ["en"], tmp_path)
    assert texts(clean, "en") == ["a b", "c d"]
    assert len(Counting.calls) == (2 if damage == "none" else 4)


def test_a_full_disk_and_a_signal_leave_nothing_that_looks_whole(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    def stop(where):
        raise Interrupted(15, f"stopped {where}")

    data = toy(**TRAIN)
    for target, name, value, error in (
        (pipeline.os, "rename", full, StorageError),
        (signals, "stop_if_requested", stop, Interrupted),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(target, name, value)
            with pytest.raises(error):
                cleaning(*STANDARD).clean(data, ["en", "de"], tmp_path)
        assert list((tmp_path / "cleaned").iterdir()) == []
    assert texts(cleaning(*STANDARD).clean(data, ["en", "de"], tmp_path)[0], "en") == KEPT["en"]


def test_rules():
    with pytest.raises(ConfigError) as caught:
        Cleaning(filters=[3], heldout={"mine": {"a": 1}}, language_model=None, examples=-1)
    starts = ["cleaning.filters[0]: 3 is no filter", "cleaning.heldout.mine: {'a': 1} is no data set", "cleaning.examples: -1 is below 0", "cleaning.heldout: no filter reads it"]  # fmt: skip
    assert [p.split(";")[0] for p in caught.value.problems] == starts


def test_a_streamed_data_set_is_refused(tmp_path):
    data = toy(en=["a b"])
    data.streaming = True
    with pytest.raises(
        ConfigError, match="cleaning: toy is streamed, and a cleaning reads all of it before training begins"
    ):
        cleaning(LENGTH).clean(data, ["en"], tmp_path)


def test_the_table_says_what_the_report_holds(tmp_path):
    _, found = cleaning(*STANDARD).clean(toy(**TRAIN), ["en", "de"], tmp_path)
    title, head, lines = report.table(found)
    assert "1 held-out lines are guarded" in title
    assert head == ["language", "rows", "normalise*", "characters*", "characters", "length", "symbols", "held_out", "exact_duplicates", "near_duplicates", "kept", "of rows", "of characters"]  # fmt: skip
    assert lines[0] == ["en", "8", "1", "1", "0", "1", "1", "1", "1", "1", "3", "37.5%", f"{sum(map(len, KEPT['en'])) / sum(map(len, TRAIN['en'])):.1%}"]  # fmt: skip
    assert [line[0] for line in lines] == ["en", "de", "all"] and lines[2][1] == "13" and lines[2][10] == "5"
    assert "examples" not in report.summary(found)["languages"]["en"]


MEMORY = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.data.cleaning import test_pipeline as t
from xlt.data.cleaning import buckets
buckets.LIMIT = 1 << 16
class Data(t.Toy):
    def rows(self, view, language, split):
        return ({{"text": f"w{{(i * 7919) % 100003}} v{{(i * 104729) % 99991}} u{{i % 9973}} x{{i % 3}}"}} for i in range({rows}))
    def fingerprint(self, *key):
        return "f"
data = Data({{("text", "en", "train"): []}})
clean, report = t.cleaning(t.LENGTH, t.EXACT, t.NearDuplicates(ngram=5, bands=14, rows=8, threshold=0.8, across_languages=True)).clean(data, ["en"], Path({cache!r}))
print(report["languages"]["en"]["kept"], int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) // 1024)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_corpus(tmp_path):
    peaks = []
    for rows in (40_000, 320_000):
        code = MEMORY.format(root=str(Path(__file__).parents[3]), rows=rows, cache=str(tmp_path / str(rows)))
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            check=False,
        )
        assert done.returncode == 0, done.stderr
        kept, peak = map(int, done.stdout.split())
        assert 0.5 * rows < kept <= rows
        peaks.append(peak)
    assert peaks[1] < peaks[0] + 60 and peaks[1] < 500, f"MB: {peaks}"

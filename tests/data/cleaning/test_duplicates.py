"""Records on disk give what memory would; duplicates are those that a comparison of all with all finds."""

import random

import numpy as np
import pytest

from xlt.data.cleaning import buckets, duplicates, held_out
from xlt.data.cleaning.buckets import Records, groups
from xlt.data.cleaning.duplicates import ExactDuplicates, NearDuplicates
from xlt.data.cleaning.held_out import HeldOut, held_out_texts
from xlt.data.cleaning.minhash import caught
from xlt.errors import ConfigError, DataError

LIMITS = pytest.mark.parametrize("limit", [1 << 21, 40], ids=["memory", "disk"])


@pytest.mark.parametrize("limit", [1 << 20, 300, 7])
def test_records_come_back_by_key_in_the_order_of_adding(tmp_path, limit):
    draw = np.random.default_rng(0)
    keys = draw.integers(0, 2**64, 150, dtype=np.uint64)[draw.integers(0, 150, 1000)]
    keys[draw.random(1000) < 0.2] = keys[0]  # one key has more records than a block
    records = Records(tmp_path / "r", limit)
    for part in np.array_split(np.arange(1000), 13):
        records.add(keys[part], part)
    assert records.on_disk == (limit < 1000)
    seen, firsts = {}, {}
    for block_keys, values, first in groups(records):
        assert (np.diff(block_keys.astype(object)) >= 0).all()
        for key, value, beginning in zip(block_keys.tolist(), values.tolist(), first.tolist(), strict=True):
            seen.setdefault(key, []).append(value)
            firsts.setdefault(key, set()).add(beginning)
    wanted = {}
    for value, key in enumerate(keys.tolist()):
        wanted.setdefault(key, []).append(value)
    assert seen == wanted
    assert firsts == {key: {values[0]} for key, values in wanted.items()}


def run(spec, groups_of_texts, folder, chunk=17):
    """Row numbers that the search removes; groups_of_texts: one list for each language."""
    search, start = spec.search(folder / "search"), 0
    stream = []
    for group, texts in enumerate(groups_of_texts):
        for i in range(0, len(texts), chunk):
            part = texts[i : i + chunk]
            rows = start + np.arange(len(part))
            search.add(part, rows, group)
            stream.append((part, rows))
            start += len(part)
    wanted = search.wanted(start)
    if wanted is not None:
        for texts, rows in stream:
            if wanted[rows].any():
                search.look([t for t, w in zip(texts, wanted[rows], strict=True) if w], rows[wanted[rows] > 0])
    return sorted(int(row) for part in search.removed() for row in part)


@LIMITS
@pytest.mark.parametrize("fold", [True, False])
@pytest.mark.parametrize("across", [True, False])
def test_exact_duplicates(tmp_path, monkeypatch, limit, fold, across):
    monkeypatch.setattr(buckets, "LIMIT", limit)
    draw = random.Random(0)
    languages = [["".join(draw.choices("aAb.", k=draw.randrange(1, 5))) for _ in range(120)] for _ in range(3)]
    seen, wanted, row = set(), [], 0
    for group, texts in enumerate(languages):
        for text in texts:
            letters = "".join(c for c in text.lower() if c.isalpha()) if fold else text
            if fold:  # signs part words; a text of signs stands for itself
                letters = " ".join(text.lower().replace(".", " ").split()) or text
            key = (None if across else group, letters)
            if key in seen:
                wanted.append(row)
            seen.add(key)
            row += 1
    assert wanted
    assert run(ExactDuplicates(fold=fold, across_languages=across), languages, tmp_path) == wanted


def grams(text, n=4):
    text = text.ljust(n, "\0")
    return {text[i : i + n] for i in range(len(text) - n + 1)}


def similarity(a, b):
    return len(grams(a) & grams(b)) / len(grams(a) | grams(b))


def edited(draw, text, edits):
    letters = list(text)
    for _ in range(edits):
        letters[draw.randrange(len(letters))] = draw.choice("abcdefgh")
    return "".join(letters)


def families(draw, count):
    """Texts of which several are edits of one, in mixed order."""
    texts = []
    for _ in range(count):
        base = "".join(draw.choices("abcdefgh", k=draw.randrange(30, 90)))
        texts += [base, *(edited(draw, base, draw.randrange(1, 5)) for _ in range(draw.randrange(5)))]
    draw.shuffle(texts)
    return texts


@LIMITS
@pytest.mark.parametrize("across", [True, False])
def test_near_duplicates_are_those_of_a_comparison_of_all_with_all(tmp_path, monkeypatch, limit, across):
    """With so many small bands that every pair above the threshold is proposed (1 - 1e-13)."""
    monkeypatch.setattr(buckets, "LIMIT", limit)
    texts = families(random.Random(1), 60)
    languages = [texts[:100], texts[100:]]
    kept, wanted = [], []
    for row, text in enumerate(texts):
        group = None if across else row >= 100
        if any(g == group and similarity(text, other) >= 0.6 for g, other in kept):
            wanted.append(row)
        else:
            kept.append((group, text))
    assert len(wanted) > 30
    spec = NearDuplicates(ngram=4, bands=30, rows=1, threshold=0.6, across_languages=across)
    assert run(spec, languages, tmp_path) == wanted
    if limit == 40:
        assert len(list((tmp_path / "search" / "pairs").iterdir())) > 20, "no file holds most of the pairs"


def test_in_a_bucket_of_few_rows_each_is_compared_with_each(tmp_path, monkeypatch):
    """All rows in one bucket, of which the first is like none: the closed form speaks of pairs, so every pair has to be looked at."""
    monkeypatch.setattr(
        duplicates.minhash, "band_keys", lambda found, bands, salt: np.zeros((len(found), bands), np.uint64)
    )
    other, a, b = "completely unlike", "a line of text to be repeated", "something else is said here"
    texts = [other, a, b, f"{a}s", f"{b}s", "nothing of the kind", f"{a}!x", "no", f"{b} x"]
    assert len(texts) == duplicates.COMPARED + 1
    spec = NearDuplicates(ngram=4, bands=1, rows=1, threshold=0.6, across_languages=True)
    assert run(spec, [texts], tmp_path) == [3, 4, 6, 8]


def test_near_duplicates_are_found_with_the_probability_of_the_banding_and_none_beside(tmp_path):
    draw = random.Random(2)
    pairs = []
    for _ in range(1200):
        base = "".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=100))
        pairs.append((base, edited(draw, base, draw.randrange(1, 12))))
    spec = NearDuplicates(ngram=4, bands=14, rows=8, threshold=0.75, across_languages=True)
    removed = set(run(spec, [[text for pair in pairs for text in pair]], tmp_path, chunk=500))
    assert not [row for row in removed if row % 2 == 0], "of each pair the first stays"
    probabilities = []
    for i, (a, b) in enumerate(pairs):
        s = similarity(a, b)
        if s < 0.75:
            assert 2 * i + 1 not in removed, "precision is 1"
        else:
            probabilities.append(caught(s, 14, 8))
    expected = sum(probabilities)
    spread = sum(p * (1 - p) for p in probabilities) ** 0.5
    assert len(probabilities) > 300 and expected < 0.97 * len(probabilities)
    assert abs(len(removed) - expected) < 4 * spread


def test_long_texts_and_short_ones(tmp_path):
    long = "".join(random.Random(3).choices("abcdef ", k=300_000))
    spec = NearDuplicates(ngram=5, bands=14, rows=8, threshold=0.8, across_languages=True)
    assert run(spec, [["a", "b", long, "", "a!", "xyz", long[:-3000] + "x" * 3000, ""]], tmp_path) == [4, 6, 7]


def test_held_out_lines():
    guard, lines = HeldOut(min_line=12).guard(["A short one.", "First line here,\nsecond line there\nx", "Words"])
    assert lines == 5, "three texts and two lines; x is too short to count alone"
    for text in ("a SHORT one", "First line here!\nand more of the text", "words", "second line there"):
        assert guard(text, "en") is None
    for text in ("A short one and more", "x\nwhat follows x here", "Words\nand other words", "second line"):
        assert guard(text, "en") == text


class Parts:
    """Views without text: whatever column, it is guarded; words of a dictionary and the pairs of aligned text are not read."""

    def __init__(self, rows, also=()):
        self._rows, self._also = rows, also

    def views(self):
        return (*self._rows, *self._also)

    def languages(self, view):
        return ["en"]

    def splits(self, view, language):
        return ["train", "dev", "test"]

    def rows(self, view, language, split):
        assert view in self._rows and split != "train"
        return iter([self._rows[view]] if split == "test" else [])


def test_held_out_texts_of_all_views():
    data = Parts(
        {
            "qa": {"id": 1, "question": "q", "context": "c", "answers": {"text": ["c"], "answer_start": [0]}},
            "classification": {"text": "t", "text_pair": "p", "label": "l"},
            "tagging": {"tokens": ["a", "b"], "tags": ["O", "O"]},
            "retrieval": {"query": "r", "positives": ["s"]},
            "text": {"text": "u"},
            "multiple_choice": {"premise": "v", "choices": ["w", "x"], "label": 0},
            "dialog": {"history": ["y"], "response": "z"},
            "recommendation": {"history": [3, "i"], "next": 4},
        },
        also=("parallel", "dictionary"),
    )
    assert set(held_out_texts([data])) == {"q", "c", "t", "p", "a b", "r", "s", "u", *"vwxyzi"}
    assert set(held_out_texts([Parts({"parallel": {"source": "x", "target": "y"}})])) == {"x", "y"}


def test_too_many_held_out_lines(monkeypatch):
    monkeypatch.setattr(held_out, "MOST_HELD_OUT", 3)
    with pytest.raises(DataError, match=r"cleaning\.heldout: over 3 lines are to be kept out"):
        HeldOut(min_line=1).guard("abcd")


def test_rules():
    with pytest.raises(ConfigError) as caught_:
        NearDuplicates(ngram=0, bands=14, rows=-1, threshold=0, across_languages=True)
    assert [p.split(";")[0] for p in caught_.value.problems] == [
        "cleaning.filters: NearDuplicates.ngram: 0 is not above 0",
        "cleaning.filters: NearDuplicates.rows: -1 is not above 0",
        "cleaning.filters: NearDuplicates.threshold: 0 is not in (0, 1]",
    ]
    with pytest.raises(ConfigError, match=r"HeldOut\.min_line: 0 is not above 0"):
        HeldOut(min_line=0)

"""What is counted while the rows of one language and split are read, and what is wrong among them: ids twice, labels that contradict each other."""

from __future__ import annotations

import unicodedata
from collections import Counter

import numpy as np
import regex

from xlt.data.checks.shift import features
from xlt.data.cleaning import scripts
from xlt.data.faults import Collected, Fault

PATTERNS = {  # what nobody sees: counted, for it may be meant
    "control characters": regex.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]"),
    "line breaks inside": regex.compile("[\n\r\x0b\x0c\x85\u2028\u2029]"),
    "zero-width characters": regex.compile("[\u200b-\u200d\u2060\ufeff]"),
    "bidi controls": regex.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"),
    "variation selectors": regex.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]"),
    "private use": regex.compile(r"\p{Co}"),
}
CONFLICTS = "same text, other label"


class Tally:
    """Of one language and split. expected: pattern of the language's letters, None where its script is not known."""

    def __init__(self, found: Collected, expected: regex.Pattern | None, numbered: bool):
        self.notes: Counter[str] = Counter()
        self.labels: Counter[str] = Counter()
        self.label_of: dict = {}  # id -> label
        self.conflicts: list[str] = []
        self.letters = self.own_letters = 0
        self.tagged = False
        self.sides: list[tuple] = []
        self._found, self._expected, self._numbered = found, expected, numbered
        self._ids: dict = {}
        self._seen: dict[int, tuple[str, str]] = {}

    def __call__(self, place: str, row: dict) -> None:
        """Count one good row."""
        self._count_characters(row)
        self._count_labels(place, row)
        if isinstance(row.get("source"), str) and isinstance(row.get("target"), str):
            self.sides.append((features(row["source"]), features(row["target"])))
        if "id" in row and not self._numbered:
            if row["id"] in self._ids:
                what = f"id {row['id']!r} stands already at {self._ids[row['id']]}; give each row its own, or remove one of them"
                self._found(Fault(place, what, "id twice", row=row))
            self._ids.setdefault(row["id"], place)

    @property
    def sides_RSF(self) -> np.ndarray:
        """Of parallel rows: what tells whether they are translations, by side."""
        return np.array(self.sides)

    @property
    def share(self) -> float | None:
        """Of the letters, how many are of the language's script; None where there are too few to say."""
        return self.own_letters / self.letters if self._expected is not None and self.letters >= 100 else None

    def _count_characters(self, row: dict) -> None:
        texts = list(_texts(row))
        text = "\n".join(texts)
        if text.isascii() and text.isprintable():
            self.letters += (own := sum(map(str.isalpha, text)))
            self.own_letters += 0 if self._expected is None or not self._expected.search("a") else own
            return
        self.letters += scripts.letters(text)
        self.own_letters += scripts.count(self._expected, text) if self._expected is not None else 0
        for name, pattern in PATTERNS.items():
            self.notes[name] += any(pattern.search(each) for each in texts)
        if not unicodedata.is_normalized("NFC", text):
            self.notes["not NFC"] += 1
        if not text.isascii() and unicodedata.is_normalized("NFC", text) and not unicodedata.is_normalized("NFD", text):
            self.notes["NFC only"] += 1

    def _count_labels(self, place: str, row: dict) -> None:
        tags = row.get("tags") or row.get("source_tags") or ()
        self.labels.update(tags)
        self.tagged |= len(tags) > 0
        broken = sum(
            tag.startswith("I-") and before not in (f"B-{tag[2:]}", tag)
            for before, tag in zip(("O", *tags), tags, strict=False)
        )
        self.notes["I- without B-"] += broken > 0
        label = row.get("label")
        if not isinstance(label, str | int) or "tags" in row:
            return
        self.labels[str(label)] += 1
        if "id" in row:
            self.label_of.setdefault(row["id"], str(label))
        if "choices" in row:
            return
        key = scripts.key_of("\0".join(_texts(row)))
        before, there = self._seen.setdefault(key, (str(label), place))
        if before != str(label):
            self.notes[CONFLICTS] += 1
            self.conflicts.append(f"{place}: label {label!r}, and the same text at {there} has {before!r}")


def _texts(value):
    """All texts of a row but ids, labels and tags."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name not in ("id", "doc", "label", "labels", "tags", "source_tags", "target_tags", "alignment"):
                yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, str):
        yield value

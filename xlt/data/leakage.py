"""The leakage guard: rows to be scored whose sentence the model has learned from, in whatever language.

Two ways to know one: in a parallel data set, the same id; anywhere, the same text or nearly the same. Which data a model learned from is
found in `xlt.stages.protocols`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

import numpy as np

from xlt import signals
from xlt.data.cleaning import minhash
from xlt.data.cleaning.held_out import LISTS, TEXTS, listed
from xlt.data.cleaning.scripts import folded
from xlt.errors import ConfigError
from xlt.types import Dataset

CHUNK = 2048  # rows hashed together


class Action(str, Enum):
    """What is done about a row that leaked."""

    report = "report"  # it is counted
    drop = "drop"  # and not scored
    off = "off"  # nothing is looked for


@dataclass(frozen=True)
class Learned:
    """Rows a model learned from: the training split of these languages."""

    dataset: Dataset
    view: str
    languages: list[str]


@dataclass(frozen=True, kw_only=True)
class LeakageGuard:
    """Texts are compared folded (case, width, punctuation and white space make no difference), by the Jaccard similarity of their character
    `ngram`s: alike from `threshold` on. MinHash with `bands` bands of `rows` functions proposes the pairs, which are then checked exactly.
    """

    action: Action
    ngram: int
    bands: int
    rows: int
    threshold: float

    def __post_init__(self) -> None:
        problems = [
            f"leakage.{field}: {getattr(self, field)} is not above 0; give 1 or more"
            for field in ("ngram", "bands", "rows")
            if getattr(self, field) < 1
        ]
        if not 0 < self.threshold <= 1:
            problems.append(f"leakage.threshold: {self.threshold} is not in (0, 1]; give a Jaccard similarity")
        if problems:
            raise ConfigError(problems)

    def search(self, learned: list[Learned]) -> Search:
        """All of what was learned, read and indexed. In memory: about 8 bytes a band and row, and the texts."""
        return Search(self, learned)


class Search:
    """`find` says of rows whether they leaked."""

    def __init__(self, guard: LeakageGuard, learned: list[Learned]):
        self._guard = guard
        self._ids: dict[str, set] = {}
        for source in learned:
            self._ids.setdefault(source.dataset.name, set()).update(parallel_ids(source))
        rows = (row for s in learned for code in s.languages for row in s.dataset.rows(s.view, code, "train"))
        self._texts: list[str] = []
        keys = []
        for texts in _chunks(map(text_of, rows)):
            self._texts += texts
            keys.append(self._keys(texts))
        found = np.concatenate(keys) if keys else np.empty((0, guard.bands), np.uint64)
        order = np.argsort(found.ravel(), kind="stable")
        self._sorted, self._row_of = found.ravel()[order], order // guard.bands

    def by_id(self, dataset: Dataset) -> bool:
        """Whether ids say which rows of it leaked."""
        return align_on(dataset) is not None and bool(self._ids.get(dataset.name))

    def find(self, dataset: Dataset, view: str, language: str, split: str) -> dict[str, list[int]]:
        """Numbers of the rows that leaked, ascending. `id`: by their id; `text`: by their text. A row may be in both."""
        key, known = align_on(dataset), self._ids.get(dataset.name, set()) if self.by_id(dataset) else set()
        by_id, by_text, start = [], [], 0
        for rows in _chunks(dataset.rows(view, language, split)):
            by_id += [start + i for i, row in enumerate(rows) if row.get(key) in known]
            by_text += [start + i for i in self._alike([text_of(row) for row in rows])]
            start += len(rows)
        return {"id": by_id, "text": by_text}

    def _alike(self, texts: list[str]) -> Iterator[int]:
        keys_RB = self._keys(texts)
        left = np.searchsorted(self._sorted, keys_RB, side="left")
        right = np.searchsorted(self._sorted, keys_RB, side="right")
        for i in np.flatnonzero((left < right).any(1)).tolist():
            spans = [self._row_of[a:b] for a, b in zip(left[i], right[i], strict=True)]
            own = self._grams(texts[i])
            if any(self._near(own, self._texts[row]) for row in np.unique(np.concatenate(spans)).tolist()):
                yield i

    def _near(self, own: np.ndarray, text: str) -> bool:
        return minhash.jaccard(own, self._grams(text)) >= self._guard.threshold

    def _grams(self, text: str) -> np.ndarray:
        return np.unique(minhash.ngrams([text], self._guard.ngram)[0])

    def _keys(self, texts: list[str]) -> np.ndarray:
        guard = self._guard
        hashes, starts = minhash.ngrams(texts, guard.ngram)
        return minhash.band_keys(minhash.signatures(hashes, starts, guard.bands * guard.rows), guard.bands, 0)


def align_on(dataset: Dataset) -> str | None:
    """The column by which rows of a parallel data set are translations of each other; None of other data sets."""
    while hasattr(dataset, "source"):  # of a subset, or with translations
        dataset = dataset.source
    return getattr(dataset, "align_on", None)


def parallel_ids(learned: Learned) -> set:
    """The ids that were learned from, in a parallel data set. Empty where ids begin anew in each split, so that they say nothing.

    That they do shows in the learned language itself: a test row with a training row's id and another text.
    """
    key = align_on(learned.dataset)
    if key is None:
        return set()
    found = set()
    for language in learned.languages:
        texts = {row[key]: text_of(row) for row in learned.dataset.rows(learned.view, language, "train")}
        for split in learned.dataset.splits(learned.view, language):
            for row in learned.dataset.rows(learned.view, language, split):
                if row[key] in texts and texts[row[key]] != text_of(row):
                    return set()
        found |= texts.keys()
    return found


def text_of(row: dict) -> str:
    """All texts of a row as one, folded."""
    texts = [*(row[name] for name in TEXTS if row.get(name)), *listed(row, LISTS)]
    return folded("\n".join(texts or [" ".join(row.get("tokens", ()))]))


def _chunks(items: Iterable) -> Iterator[list]:
    chunk = []
    for item in items:
        chunk.append(item)
        if len(chunk) == CHUNK:
            signals.stop_if_requested("while looking for leaks; run the same command again")
            yield chunk
            chunk = []
    if chunk:
        yield chunk

"""The filters that look at a text beside others: those that occurred before, those much like one before.

Each row has a number, ascending in the order in which languages and rows are read; of texts that are alike the first stays. What has to be
compared lies on disk (`xlt.data.cleaning.buckets`), so memory does not grow with the corpus.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np

from xlt import signals
from xlt.data.cleaning import minhash
from xlt.data.cleaning.buckets import Records, groups
from xlt.data.cleaning.scripts import folded, key_of
from xlt.errors import ConfigError

COMPARED = 8  # rows before it in a bucket with which a row is compared, beside the bucket's first


@dataclass(frozen=True, kw_only=True)
class ExactDuplicates:
    """Of equal texts the first stays. fold: case, width, punctuation and white space make no difference (as in CCNet, Wenzek et al. 2020,
    section 3.1). across_languages: also where they stand in different languages, the one named first keeping it.
    """

    fold: bool
    across_languages: bool

    name: ClassVar[str] = "exact_duplicates"
    changes: ClassVar[bool] = False

    def search(self, folder: Path) -> ExactSearch:
        """An empty search; `folder` is its own to write in."""
        return ExactSearch(self, folder)


class ExactSearch:
    """Rows come by `add`; `removed` gives those that occurred before."""

    def __init__(self, spec: ExactDuplicates, folder: Path):
        self._spec, self._records = spec, Records(folder / "records")

    def add(self, texts: list[str], rows: np.ndarray, group: int) -> None:
        """rows: int64, ascending over all calls. group: the language's number."""
        salt = "" if self._spec.across_languages else f"{group}\0"
        keys = [key_of(salt + (folded(text) if self._spec.fold else text)) for text in texts]
        self._records.add(np.array(keys, np.uint64), rows)

    def wanted(self, total: int) -> np.ndarray | None:
        """No text is needed a second time."""
        return None

    def look(self, texts: list[str], rows: np.ndarray) -> None:
        """Not called."""

    def removed(self) -> Iterator[np.ndarray]:
        """Row numbers, in no order."""
        for _, rows, first in groups(self._records):
            signals.stop_if_requested("while comparing texts; run the same command again")
            yield rows[rows != first].astype(np.int64)


@dataclass(frozen=True, kw_only=True)
class NearDuplicates:
    """A text goes if a kept one before it has a Jaccard similarity of `threshold` or more, on character `ngram`s of the folded forms.

    MinHash with `bands` bands of `rows` hash functions proposes pairs, a pair of similarity s with probability 1-(1-s^rows)^bands; each is
    then checked exactly, so that nothing goes that is less alike (Lee et al. 2022, section 4.2 and appendix A, check theirs too).
    """

    ngram: int
    bands: int
    rows: int
    threshold: float
    across_languages: bool

    name: ClassVar[str] = "near_duplicates"
    changes: ClassVar[bool] = False

    def __post_init__(self):
        problems = [
            f"cleaning.filters: NearDuplicates.{field}: {value} is not above 0; give 1 or more"
            for field in ("ngram", "bands", "rows")
            if (value := getattr(self, field)) < 1
        ]
        if not 0 < self.threshold <= 1:
            problems.append(
                f"cleaning.filters: NearDuplicates.threshold: {self.threshold} is not in (0, 1]; give a Jaccard similarity"
            )
        if problems:
            raise ConfigError(problems)

    def search(self, folder: Path) -> NearSearch:
        """An empty search; `folder` is its own to write in."""
        return NearSearch(self, folder)


class NearSearch:
    """Rows come by `add`; then `wanted` says whose texts `look` has to see; then `removed` gives those that are like an earlier kept one."""

    def __init__(self, spec: NearDuplicates, folder: Path):
        self._spec, self._folder = spec, folder
        folder.mkdir(parents=True, exist_ok=True)
        self._records = Records(folder / "bands")
        self._spool = _Spool(folder)
        self._grams = lru_cache(maxsize=256)(self._grams_of)

    def add(self, texts: list[str], rows: np.ndarray, group: int) -> None:
        """rows: int64, ascending over all calls, below 2^32. group: the language's number."""
        spec = self._spec
        hashes, starts = minhash.ngrams(list(map(folded, texts)), spec.ngram)
        found = minhash.signatures(hashes, starts, spec.bands * spec.rows)
        keys = minhash.band_keys(found, spec.bands, 0 if spec.across_languages else 1 + group)
        self._records.add(keys.ravel(), np.repeat(rows, spec.bands))

    def wanted(self, total: int) -> np.ndarray | None:
        """uint8 (total,), on disk: 1 for rows that share a band with another."""
        self._total = total
        self._pairs = Records(self._folder / "pairs")
        marks = np.memmap(self._folder / "wanted", np.uint8, "w+", shape=(total,))
        for later, earlier in self._proposed():
            signals.stop_if_requested("while comparing texts; run the same command again")
            marks[later] = marks[earlier] = 1
            packed = np.unique((later << np.uint64(32) | earlier) << self._shift)
            self._pairs.add(packed, np.zeros(len(packed)))
        return marks

    def look(self, texts: list[str], rows: np.ndarray) -> None:
        """rows: ascending over all calls."""
        self._spool.add(list(map(folded, texts)), rows)

    def removed(self) -> Iterator[np.ndarray]:
        """Row numbers, ascending."""
        gone = np.memmap(self._folder / "gone", np.uint8, "w+", shape=(self._total,))
        self._spool.close()
        for blocks in self._pairs.parts():
            signals.stop_if_requested("while comparing texts; run the same command again")
            pairs = np.unique(np.concatenate([block[:, 0] for block in blocks])) >> self._shift
            found = []
            for later, earlier in zip(
                (pairs >> np.uint64(32)).tolist(), (pairs & np.uint64(2**32 - 1)).tolist(), strict=True
            ):
                if not gone[later] and not gone[earlier] and self._alike(later, earlier):
                    gone[later] = 1
                    found.append(later)
            yield np.array(found, np.int64)

    @property
    def _shift(self) -> np.uint64:
        """Rows take the top bits, by which records go to files."""
        return np.uint64(32 - max(self._total - 1, 1).bit_length())

    def _proposed(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for keys, rows, first in groups(self._records):
            later, earlier = [rows[rows != first]], [first[rows != first]]
            for back in range(1, COMPARED + 1):
                same = keys[back:] == keys[:-back]
                later.append(rows[back:][same])
                earlier.append(rows[:-back][same])
            yield np.concatenate(later), np.concatenate(earlier)

    def _alike(self, later: int, earlier: int) -> bool:
        a, b = self._grams(later), self._grams(earlier)
        if min(len(a), len(b)) < self._spec.threshold * max(len(a), len(b)):
            return False
        return minhash.jaccard(a, b) >= self._spec.threshold

    def _grams_of(self, row: int) -> np.ndarray:
        return np.unique(minhash.ngrams([self._spool[row]], self._spec.ngram)[0])


class _Spool:
    """Texts on disk by row number, added in ascending order."""

    def __init__(self, folder: Path):
        self._paths = [folder / name for name in ("texts", "ends", "rows")]
        self._files = [open(path, "wb") for path in self._paths]  # noqa: SIM115
        self._end = 0

    def add(self, texts: list[str], rows: np.ndarray) -> None:
        data = [text.encode("utf-8", "surrogatepass") for text in texts]
        ends = self._end + np.cumsum([len(d) for d in data], dtype=np.int64)
        for file, content in zip(
            self._files, (b"".join(data), ends.tobytes(), rows.astype(np.int64).tobytes()), strict=True
        ):
            file.write(content)
        self._end = int(ends[-1]) if len(ends) else self._end

    def close(self) -> None:
        for file in self._files:
            file.close()
        if self._end:
            self._ends, self._rows = (np.memmap(path, np.int64, "r") for path in self._paths[1:])
            self._texts = np.memmap(self._paths[0], np.uint8, "r")

    def __getitem__(self, row: int) -> str:
        i = int(np.searchsorted(self._rows, row))
        begin = int(self._ends[i - 1]) if i else 0
        return self._texts[begin : self._ends[i]].tobytes().decode("utf-8", "surrogatepass")

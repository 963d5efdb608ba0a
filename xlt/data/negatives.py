"""A table of sentence pairs in which each row has further segments: sentences of other rows that are nearly its translation."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from xlt.data.encode import Table


@dataclass(frozen=True)
class WithNegatives(Table):
    """Segments: source, target, then K sources that are near the target, then K targets that are near the source. neighbours: int64 (2, n, K), rows that these are
    taken from; -1: none, an empty segment."""

    neighbours: np.ndarray

    @classmethod
    def of(cls, table: Table, neighbours: np.ndarray) -> WithNegatives:
        """The same rows with their negatives."""
        same = {field.name: getattr(table, field.name) for field in fields(Table)}
        return cls(**{**same, "segments": 2 + 2 * neighbours.shape[2]}, neighbours=neighbours)

    def __len__(self) -> int:
        return self.neighbours.shape[1]

    @property
    def lengths(self) -> np.ndarray:
        """As `Table.lengths`."""
        pairs = np.diff(self.offsets).reshape(-1, 2)
        further = [np.where(rows >= 0, pairs[rows, side], 0) for side, rows in enumerate(self.neighbours)]
        return np.concatenate([pairs, *further], 1)

    def segment(self, row: int, which: int) -> np.ndarray:
        """Ids of one text of a row, or of one that is near it."""
        if which < 2:
            return self._text(row, which)
        side, place = divmod(which - 2, self.neighbours.shape[2])
        other = int(self.neighbours[side, row, place])
        return self._text(other, side) if other >= 0 else self.tokens[:0]

    def _text(self, row: int, side: int) -> np.ndarray:
        i = 2 * row + side
        return self.tokens[self.offsets[i] : self.offsets[i + 1]]


def numbers_of_texts(table: Table, side: int) -> np.ndarray:
    """int64 (n,): the same number for the same text."""
    known: dict[bytes, int] = {}
    each = (np.asarray(table.segment(row, side)).tobytes() for row in range(len(table)))
    return np.array([known.setdefault(text, len(known)) for text in each], np.int64)

"""What an objective notes of rows while they are encoded, on disk: one array a row and note, of any length, one after the other in a file.

A note holds whole numbers, floats, or names out of a set; names are stored as numbers, in the order in which they were met.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

Noted = dict[str, tuple[np.ndarray | list[str], np.ndarray]]  # note -> (entries of all rows, entries of each row)


@dataclass
class Note:
    """How far a note is written. shape: of one entry. size: entries. names: None where entries are numbers that stand for nothing."""

    dtype: str
    shape: list[int]
    size: int = 0
    names: list[str] | None = None
    numbers: dict[str, int] = field(default_factory=dict, repr=False, compare=False)

    def meta(self) -> dict:
        """As plain JSON."""
        return {"dtype": self.dtype, "shape": self.shape, "size": self.size, "names": self.names}

    def sizes(self, name: str, rows: int) -> dict[str, int]:
        """Bytes of its files."""
        each = np.dtype(self.dtype).itemsize * int(np.prod(self.shape))
        return {entries_of(name): self.size * each, offsets_of(name): (rows + 1) * 8}

    def bytes_of(self, entries: np.ndarray | list[str], counts: np.ndarray) -> tuple[bytes, bytes]:
        """What the next rows add to the two files."""
        if isinstance(entries, list):
            if not self.numbers:
                self.numbers = {name: i for i, name in enumerate(self.names)}
            entries = np.array([self.numbers.setdefault(x, len(self.numbers)) for x in entries], np.int32)
            self.names = list(self.numbers)
        ends = self.size + np.cumsum(counts)
        self.size += len(entries)
        return entries.astype(self.dtype).tobytes(), ends.astype(np.int64).tobytes()

    @classmethod
    def like(cls, entries: np.ndarray | list[str]) -> Note:
        """An empty one for entries of this kind."""
        if isinstance(entries, list):
            return cls("int32", [], names=[])
        return cls("float32" if entries.dtype.kind == "f" else "int32", list(entries.shape[1:]))


def entries_of(name: str) -> str:
    """The file of a note's entries."""
    return f"{name}.note.bin"


def offsets_of(name: str) -> str:
    """The file that says where each row's entries begin."""
    return f"{name}.offsets.bin"


def collect(rows: list[dict[str, np.ndarray | list[str]]]) -> Noted:
    """The notes of a few rows, each of which has the same ones."""
    found: Noted = {}
    for name in rows[0] if rows else ():
        each = [row[name] for row in rows]
        named = isinstance(each[0], list)
        entries = list(itertools.chain.from_iterable(each)) if named else np.concatenate(each)
        found[name] = (entries, np.fromiter(map(len, each), np.int64, len(each)))
    return found


@dataclass(frozen=True)
class Ragged:
    """One array a row, read when it is asked for. numbers: what each entry is exchanged for; None: it stays as it is."""

    entries: np.ndarray
    offsets: np.ndarray
    numbers: np.ndarray | None = None

    @classmethod
    def open(cls, folder: Path, name: str, note: Note) -> Ragged:
        """As it was written."""
        shape = (note.size, *note.shape)
        dtype = np.dtype(note.dtype)
        held = (
            np.memmap(folder / entries_of(name), dtype, "r", shape=shape) if np.prod(shape) else np.empty(shape, dtype)
        )
        return cls(held, np.memmap(folder / offsets_of(name), np.int64, "r"))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int | slice) -> np.ndarray | Ragged:
        if isinstance(row, slice):
            if row.start or row.step:
                raise IndexError("only the first rows can be cut off")
            return Ragged(self.entries, self.offsets[: len(range(len(self))[row]) + 1], self.numbers)
        if row >= len(self):
            raise IndexError(row)
        entries = np.asarray(self.entries[self.offsets[row] : self.offsets[row + 1]])
        return entries if self.numbers is None else self.numbers[entries]

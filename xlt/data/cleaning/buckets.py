"""Pairs of numbers (key, value) that are too many for memory, given back part by part in the order of the keys: a hash join on disk.

Records are kept in memory up to a limit; beyond it they go to files by the top bits of their key. Memory is bounded by the limit and by
the distinct keys of one file; disk by 16 bytes a record. Knows nothing of texts.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

LIMIT = 1 << 21  # records in memory: 32 MB, and sorting a block of them a few times that
BITS = 10  # 1024 files


class Records:
    """(key, value), uint64 each, in the order in which they were added."""

    def __init__(self, folder: Path, limit: int | None = None):
        self._folder, self._limit = folder, limit or LIMIT
        self._waiting: list[np.ndarray] = []
        self._count, self.on_disk = 0, False

    def add(self, keys: np.ndarray, values: np.ndarray) -> None:
        """Both (m,)."""
        self._waiting.append(np.stack([keys.astype(np.uint64), values.astype(np.uint64)], axis=1))
        self._count += len(keys)
        if self._count >= self._limit:
            self._spill()

    def parts(self) -> Iterator[Iterator[np.ndarray]]:
        """Parts of disjoint keys, in the order of the keys; each as blocks (m, 2) in the order of adding, of at most `limit` records."""
        if not self.on_disk:
            yield iter([self._taken()])
            return
        self._spill()
        for path in sorted(self._folder.iterdir()):
            yield self._blocks(path)

    def _blocks(self, path: Path) -> Iterator[np.ndarray]:
        with open(path, "rb") as file:
            while len(block := np.frombuffer(file.read(self._limit * 16), np.uint64)):
                yield block.reshape(-1, 2)

    def _taken(self) -> np.ndarray:
        block = np.concatenate(self._waiting) if self._waiting else np.empty((0, 2), np.uint64)
        self._waiting, self._count = [], 0
        return block

    def _spill(self) -> None:
        block = self._taken()
        self._folder.mkdir(parents=True, exist_ok=True)
        self.on_disk = True
        part = (block[:, 0] >> np.uint64(64 - BITS)).astype(np.int64)
        order = np.argsort(part, kind="stable")
        bounds = np.searchsorted(part[order], np.arange(2**BITS + 1))
        for i in np.flatnonzero(np.diff(bounds)):
            with open(self._folder / f"{i:04d}", "ab") as file:
                file.write(block[order[bounds[i] : bounds[i + 1]]].tobytes())


def groups(records: Records) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Blocks of (keys, values, first), each (m,) and sorted by key, then by order of adding; first: the value that was added first with this key.

    A key with more records than a block can hold goes on in the next block of its part.
    """
    for blocks in records.parts():
        known_keys = known_first = np.empty(0, np.uint64)
        for block in blocks:
            block = block[np.argsort(block[:, 0], kind="stable")]
            keys, values = block[:, 0], block[:, 1]
            distinct, at, back = np.unique(keys, return_index=True, return_inverse=True)
            first = values[at]
            if len(known_keys):
                place = np.minimum(np.searchsorted(known_keys, distinct), len(known_keys) - 1)
                first = np.where(known_keys[place] == distinct, known_first[place], first)
            yield keys, values, first[back]
            known_keys, index = np.unique(np.concatenate([known_keys, distinct]), return_index=True)
            known_first = np.concatenate([known_first, first])[index]

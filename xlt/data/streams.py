"""Rows of data sets that are read as they are needed: which of them make update k, when nobody has counted them.

What `xlt.data.plan` promises holds where it can: languages in whole numbers by their shares, rows of like length in a batch, windows that as a
whole are a random draw, and a run that goes on bit for bit. A stream cannot be asked for any update, though: it is read in order, and begins
again at a place that a checkpoint holds. Shuffling is of blocks: so many rows are read, and drawn in an order that depends on their place alone.
So a block can be made again, and no buffer is ever stored. Memory: a block per language, and a window.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from xlt import noise
from xlt.data.building import take
from xlt.data.plan import cut
from xlt.data.sampling import Shares
from xlt.errors import BadRow, DataError
from xlt.types import Rows

Opened = tuple[Iterator[dict], Callable[[], dict]]  # rows from a place on, and where those taken so far lead to


@dataclass(frozen=True)
class Place:
    """Where a block begins. epoch, row: of its first row; source: the same for the files; used: rows of the block already drawn."""

    epoch: int = 0
    row: int = 0
    source: dict | None = None
    used: int = 0


class Stream:
    """The endless encoded rows of one language. name: how a message calls it; key: of its noise; open: from a place of its files.

    block: rows that are shuffled together. max_length: tokens of a text that are kept; no objective reads more.
    """

    def __init__(self, name: str, key: np.uint64, open: Callable[[dict], Opened], texts: Callable[[dict], tuple[str, ...]],
                 encode: Callable[[list[str]], tuple[np.ndarray, np.ndarray]], block: int, max_length: int):  # fmt: skip
        self.name, self.key, self._open, self._texts, self._encode = name, key, open, texts, encode
        self.block, self.max_length = block, max_length
        self.seek(Place())

    def seek(self, place: Place) -> None:
        """Go on from `place`."""
        self.close()
        self.place, self._next = place, replace(place, used=0)
        self._rows: Iterator[dict] | None = None
        self._block: list[tuple[np.ndarray, ...]] = []
        if place.used:
            self._read()
            self.place = place

    def draw(self, count: int) -> list[tuple[tuple[np.ndarray, ...], int, int]]:
        """The next `count` rows: (ids of each text, row, epoch)."""
        drawn = []
        while len(drawn) < count:
            if self.place.used == len(self._block):
                self._read()
            used = min(count - len(drawn), len(self._block) - self.place.used)
            for i in self._order[self.place.used : self.place.used + used].tolist():
                drawn.append((self._block[i], self.place.row + i, self.place.epoch))
            self.place = replace(self.place, used=self.place.used + used)
        return drawn

    def close(self) -> None:
        """Let go of open files."""
        if getattr(self, "_rows", None) is not None:
            self._rows.close()
            self._rows = None

    def _read(self) -> None:
        """The next block, of this epoch or of the next."""
        for _ in range(2):
            self.place, self._block = self._next, []
            if self._rows is None:
                self._rows, self._where = self._open(self._next.source or {})
            while len(self._block) < self.block:
                try:
                    chunk = take(self._rows, self._texts, self.block - len(self._block))
                except BadRow as error:
                    row = self.place.row + len(self._block) + error.row + 1
                    raise DataError(f"{self.name}, row {row}: {error}") from None
                if not chunk.rows:
                    break
                self._block += self._encoded(chunk.texts)
            if len(self._block) == self.block:
                self._next = replace(self.place, row=self.place.row + self.block, source=self._where())
            else:  # the end of the text
                self.close()
                self._next = Place(self.place.epoch + 1)
            if self._block:
                key = noise.key(int(self.key), "block", self.place.epoch, self.place.row)
                self._order = noise.permutation(key, len(self._block))
                return
        raise DataError(f"{self.name}: no rows; fill the file, or leave the language out")

    def _encoded(self, parts: list[tuple[str, ...]]) -> list[tuple[np.ndarray, ...]]:
        ids, lengths = self._encode([text for part in parts for text in part])
        pieces = [piece[: self.max_length].copy() for piece in np.split(ids, np.cumsum(lengths)[:-1])]
        size = len(parts[0])
        return [tuple(pieces[i : i + size]) for i in range(0, len(pieces), size)]


class Streams:
    """The rows of every update, in order. streams: {language: Stream}.

    row_length: from the lengths of its texts, int64 (R, segments), what each row costs in a batch. remembered: windows whose beginning
    `position` can still tell.
    """

    def __init__(self, streams: dict[str, Stream], shares: Shares, seed: int, window: int, batch_size: int,
                 batch_tokens: int | None, row_length: Callable[[np.ndarray], np.ndarray], remembered: int):  # fmt: skip
        self.streams, self.shares, self.seed, self.window = streams, shares, seed, window
        self.batch_size, self.batch_tokens, self.row_length = batch_size, batch_tokens, row_length
        self.remembered = remembered
        self._phases = [float(noise.uniform(noise.key(seed, "phase", i))) for i in range(len(streams))]
        self._parts, self._taken = list(self._phases), [0] * len(streams)
        self._window, self._batches = -1, []
        self._places = {0: self._here()}

    def batch(self, step: int) -> Rows:
        """The rows of update `step` (from 0): that of the place sought, or one after those asked before."""
        while self._window < step // self.window:
            self._window += 1
            self._batches = self._next_window(self._window)
            self._places[self._window + 1] = self._here()
            for old in [index for index in self._places if index < self._window + 1 - self.remembered]:
                del self._places[old]
        if self._window > step // self.window:
            raise ValueError(f"update {step} lies before the window that is read")
        return self._batches[step % self.window]

    def position(self, step: int) -> dict:
        """What `seek` needs to go on with update `step`, as plain JSON."""
        index = step // self.window
        return {"window": index, **self._places[index]}

    def seek(self, position: dict) -> None:
        """Go on from what `position` said."""
        self._window, self._batches = position["window"] - 1, []
        self._parts, self._taken = list(position["parts"]), list(position["taken"])
        for language, stream in self.streams.items():
            stream.seek(Place(**position["streams"][language]))
        self._places = {position["window"]: self._here()}

    def close(self) -> None:
        """Let go of open files."""
        for stream in self.streams.values():
            stream.close()

    def _here(self) -> dict:
        places = {language: vars(stream.place) for language, stream in self.streams.items()}
        return {"parts": list(self._parts), "taken": list(self._taken), "streams": places}

    def _next_window(self, index: int) -> list[Rows]:
        shares = self.shares.at(index * self.window + self.window // 2)
        if self.batch_tokens is None:
            rows = self._draw(self.window * self.batch_size, shares)
            costs = self._costs(rows)
        else:  # nobody knows how long the rows are: some at a time, until they are enough
            rows, costs = [], np.empty(0, np.int64)
            while costs.sum() < self.window * self.batch_tokens:
                more = self._draw(self.window, shares)
                rows, costs = rows + more, np.concatenate([costs, self._costs(more)])
        pieces = cut(costs, self.window, self.batch_tokens is not None, self.seed, index)
        return [self._rows([rows[i] for i in piece.tolist()]) for piece in pieces]

    def _draw(self, count: int, shares: list[float]) -> list[tuple]:
        """The next `count` rows: whole numbers of each language, as in `xlt.data.cursors`. (language, ids, row, epoch) each."""
        rows, left, mass = [], count, 1.0
        final = max(j for j, share in enumerate(shares) if share > 0)
        for j, (language, stream) in enumerate(self.streams.items()):
            self._parts[j] += left * (shares[j] / mass if mass > shares[j] else 1.0)
            now = self._taken[j] + left if j == final else min(int(self._parts[j]), self._taken[j] + left)
            rows += [(language, *drawn) for drawn in stream.draw(now - self._taken[j])]
            left, self._taken[j], mass = left - (now - self._taken[j]), now, mass - shares[j]
        return rows

    def _costs(self, rows: list[tuple]) -> np.ndarray:
        return self.row_length(np.array([[len(ids) for ids in row[1]] for row in rows], np.int64))

    def _rows(self, rows: list[tuple]) -> Rows:
        languages, texts, numbers, epochs = zip(*rows, strict=True)
        keys = np.array([self.streams[language].key for language in languages], np.uint64)
        keys = noise.combine(noise.combine(keys, np.array(numbers)), np.array(epochs))
        return Rows([list(segment) for segment in zip(*texts, strict=True)], None, keys, list(languages))

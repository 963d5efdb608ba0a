"""Which rows make update k: a pure function of (lengths, shares, seed, k). Nothing is iterated, skipped or stored.

Updates are planned in windows of `window` updates. A window takes from each language the next rows of its endless shuffled
stream (epoch after epoch, each row once an epoch), sorts them by length, cuts them into batches and shuffles the batches.
So rows of a batch have like lengths (little padding), while a window as a whole is a random draw.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xlt import noise
from xlt.data.cursors import Cursors
from xlt.data.sampling import Shares


@dataclass(frozen=True)
class Draw:
    """Rows of one update: index of the stream (language), row in it, epoch of that stream. int64 (R,) each."""

    streams: np.ndarray
    rows: np.ndarray
    epochs: np.ndarray


class Plan:
    """The rows of every update.

    lengths: per stream, tokens (n_i,) that each row costs in a batch. shares: per stream, of the rows drawn; they sum to 1, and may change.
    batch_size: rows per update. batch_tokens: if given, batches hold about so many tokens instead.
    """

    def __init__(
        self,
        lengths: list[np.ndarray],
        shares: list[float] | Shares,
        seed: int,
        window: int,
        batch_size: int,
        batch_tokens: int | None = None,
    ):
        self.lengths, self.seed, self.window, self.batch_tokens = lengths, seed, window, batch_tokens
        means = [float(n.mean()) if len(n) else 0.0 for n in lengths]

        def rows_of(shares: list[float]) -> int:
            if batch_tokens is None:
                return window * batch_size
            mean = sum(q * n for q, n in zip(shares, means, strict=True) if q)
            return max(window, round(window * batch_tokens / mean))

        phases = [float(noise.uniform(noise.key(seed, "phase", i))) for i in range(len(lengths))]
        shares = shares if isinstance(shares, Shares) else Shares.fixed(shares)
        self.counts = Cursors(shares, rows_of, window, phases)
        self._orders: dict[int, tuple[int, np.ndarray]] = {}
        self._batches: tuple[int, list[Draw]] | None = None

    def batch(self, step: int) -> Draw:
        """The rows of update `step` (from 0)."""
        index = step // self.window
        if self._batches is None or self._batches[0] != index:
            self._batches = (index, self._cut(self._window(index), index))
        return self._batches[1][step % self.window]

    def cursors(self, drawn: int) -> list[int]:
        """How many of the first `drawn` rows come from each stream, where shares do not change (see `xlt.data.cursors`)."""
        return self.counts.drawn(drawn)

    def _window(self, index: int) -> Draw:
        begin, end = self.counts.at(index), self.counts.at(index + 1)
        parts = [self._stream(i, a, b) for i, (a, b) in enumerate(zip(begin, end, strict=True)) if b > a]
        return Draw(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))

    def _stream(self, i: int, begin: int, end: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        n = len(self.lengths[i])
        positions = np.arange(begin, end)
        epochs = positions // n
        rows = np.concatenate([self._order(i, int(e))[positions[epochs == e] % n] for e in np.unique(epochs)])
        return np.full(len(rows), i), rows, epochs

    def _order(self, i: int, epoch: int) -> np.ndarray:
        if self._orders.get(i, (None,))[0] != epoch:
            self._orders[i] = (epoch, noise.permutation(noise.key(self.seed, "order", i, epoch), len(self.lengths[i])))
        return self._orders[i][1]

    def _cut(self, draw: Draw, index: int) -> list[Draw]:
        lengths = np.empty(len(draw.rows), np.int64)
        for i in np.unique(draw.streams):
            mine = draw.streams == i
            lengths[mine] = self.lengths[i][draw.rows[mine]]
        pieces = cut(lengths, self.window, self.batch_tokens is not None, self.seed, index)
        return [Draw(draw.streams[p], draw.rows[p], draw.epochs[p]) for p in pieces]


def cut(lengths: np.ndarray, window: int, by_tokens: bool, seed: int, index: int) -> list[np.ndarray]:
    """The rows of window `index`, of `lengths` (R,), as `window` batches of like length: the numbers of the rows in each.

    by_tokens: batches hold about the same number of tokens, else of rows.
    """
    shuffled = noise.permutation(noise.key(seed, "window", index), len(lengths))
    order = shuffled if window == 1 else shuffled[np.argsort(lengths[shuffled], kind="stable")]
    weights = lengths[order].astype(np.float64) if by_tokens else np.ones(len(order))
    # A row belongs to the batch in which its middle falls, so that batches weigh the same.
    middles = np.cumsum(weights) - weights / 2
    batch_of = np.minimum((middles * window / weights.sum()).astype(np.int64), window - 1)
    bounds = np.searchsorted(batch_of, np.arange(window + 1))
    if (np.diff(bounds) == 0).any():  # a row longer than a whole batch would leave its neighbour empty
        bounds = np.arange(window + 1) * len(order) // window
    ranks = noise.permutation(noise.key(seed, "batches", index), window)
    return [order[bounds[b] : bounds[b + 1]] for b in ranks]


def like_lengths(lengths: np.ndarray, saved: int) -> list[np.ndarray]:
    """The rows, of `lengths` (R,), in the groups that cost least, if a group costs its rows padded to its longest and `saved` tokens: their numbers.

    Longest first, by dynamic programming over where the sorted rows are cut. One group where R is 0.
    """
    order = np.argsort(-lengths, kind="stable")
    longest, count = lengths[order].astype(np.int64), len(lengths)
    least, begin = np.zeros(count + 1, np.int64), np.zeros(count + 1, np.int64)  # of the first n rows
    for n in range(1, count + 1):
        costs = least[:n] + longest[:n] * np.arange(n, 0, -1) + saved  # the last group begins at each place before
        begin[n] = costs.argmin()
        least[n] = costs[begin[n]]
    groups, end = [], count
    while end:
        groups.append(order[begin[end] : end])
        end = int(begin[end])
    return groups[::-1] or [order]

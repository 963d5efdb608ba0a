"""How many of the first rows of a run come from each stream: whole numbers that sum up and never decrease, also while shares change.

Each stream in turn takes its part of what the ones before it left. A part of at most 1, summed and cut off, grows by no more than what is left
grows, so what is left for the others never shrinks. Where shares change, the sums are over the windows of the plan: made once, up to the window
from which nothing changes; from there on they are a product.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from xlt.data.sampling import Shares


class Cursors:
    """shares: per stream. rows_of(shares): rows of a window with these shares. window: updates in it. phases: per stream, in [0, 1)."""

    def __init__(self, shares: Shares, rows_of: Callable[[list[float]], int], window: int, phases: list[float]):
        self.window, self.phases = window, phases
        self.settled = -(-shares.settled // window)  # the first window from which nothing changes
        # of a window, the shares at its middle: so the sums follow the integral over the updates
        before = [shares.at(w * window + window // 2) for w in range(self.settled)]
        self.last = shares.at(max(shares.settled, self.settled * window))
        self.rows_last = rows_of(self.last)
        self._rows = np.array([rows_of(q) for q in before], np.int64)
        self._begins = np.concatenate([[0], np.cumsum(self._rows)])
        self._before = np.array(before, np.float64).reshape(self.settled, len(self.last))
        drawn = self._before.sum(0) + np.array(self.last) > 0
        self._final = int(np.flatnonzero(drawn)[-1])  # takes what is left, to the last row
        self._taken, self._parts = self._sum_up()

    def _sum_up(self) -> tuple[np.ndarray, np.ndarray]:
        """(rows taken, sums of parts) of each stream at the begin of each window that changes, (settled + 1, streams)."""
        shape = (self.settled + 1, len(self.last))
        taken, parts = np.zeros(shape, np.int64), np.zeros(shape)
        left, mass = self._begins.copy(), np.ones(self.settled)
        for j, phase in enumerate(self.phases):
            share = self._before[:, j]
            part = np.where(mass > share, share / np.maximum(mass, 1e-300), 1.0)
            parts[1:, j] = np.cumsum(part * np.diff(left))
            taken[:, j] = left if j == self._final else np.floor(parts[:, j] + phase)
            left, mass = left - taken[:, j], mass - share
        return taken, parts

    def begin(self, index: int) -> int:
        """Rows before window `index`."""
        if index <= self.settled:
            return int(self._begins[index])
        return int(self._begins[self.settled]) + (index - self.settled) * self.rows_last

    def at(self, index: int) -> list[int]:
        """Rows of each stream before window `index`."""
        return self._taken[index].tolist() if index < self.settled else self.drawn(self.begin(index))

    def drawn(self, rows: int) -> list[int]:
        """Rows of each stream among the first `rows`, which lie where nothing changes any more."""
        taken, left, mass = [], rows, 1.0
        left_before = int(self._begins[self.settled])
        for j, (share, phase) in enumerate(zip(self.last, self.phases, strict=True)):
            part = share / mass if mass > share else 1.0
            before, summed = int(self._taken[self.settled, j]), float(self._parts[self.settled, j])
            count = left if j == self._final else int(np.floor(summed + part * (left - left_before) + phase))
            taken.append(count)
            left, left_before, mass = left - count, left_before - before, mass - share
        return taken

    def expected(self, steps: int) -> list[float]:
        """Share of each stream in all rows of the first `steps` updates."""
        if not self.settled:
            return self.last
        whole = np.clip(steps - np.arange(self.settled) * self.window, 0, self.window) / self.window
        after = max(0, steps - self.settled * self.window) / self.window
        rows = (whole * self._rows) @ self._before + after * self.rows_last * np.array(self.last)
        return (rows / rows.sum()).tolist()

    def rows(self, steps: int) -> int:
        """Rows in the first `steps` updates, up to a window's rounding."""
        full, rest = divmod(steps, self.window)
        size = self._rows[full] if full < self.settled else self.rows_last
        return round(self.begin(full) + rest * int(size) / self.window)

    def steps(self, rows: float) -> int:
        """The fewest updates that draw `rows` rows."""
        full = int(np.searchsorted(self._begins, rows, "right")) - 1
        size = int(self._rows[full]) if full < self.settled else self.rows_last
        return full * self.window + int(np.ceil((rows - self.begin(full)) * self.window / size))

"""The k nearest of each row, gathered shard by shard: a part of the items is searched at a time, and what is kept does not depend on how they were cut.

For two sides that are too large for memory: it holds the vectors of one shard of each side, and k scores and places for every row of both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from xlt.alignment.index import Index, search_both

Vectors = Callable[[int, int], torch.Tensor]  # unit vectors of rows start to stop of a side, float32


@dataclass
class Nearest:
    """Of N rows the best k items seen so far: scores_NK float64, best first, and their places_NK; -inf and -1 where there are none yet."""

    scores: torch.Tensor
    places: torch.Tensor

    @classmethod
    def none(cls, rows: int, k: int) -> Nearest:
        """Before anything was searched."""
        return cls(torch.full((rows, k), -torch.inf, dtype=torch.float64), torch.full((rows, k), -1, dtype=torch.long))

    def add(self, rows: slice, scores_RT: torch.Tensor, places_RT: torch.Tensor) -> None:
        """What `rows` found among further items; of equal scores the lower place stays."""
        k = self.scores.shape[1]
        scores = torch.cat([self.scores[rows], scores_RT], 1)
        places = torch.cat([self.places[rows], places_RT], 1)
        by_place = places.argsort(dim=1, stable=True)
        order = scores.gather(1, by_place).sort(dim=1, descending=True, stable=True).indices[:, :k]
        chosen = by_place.gather(1, order)
        self.scores[rows], self.places[rows] = scores.gather(1, chosen), places.gather(1, chosen)


def shards(rows: int, size: int) -> Iterator[slice]:
    """Consecutive runs of `size` rows."""
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))


def search_shard(
    sources: slice, x: Vectors, y: Vectors, targets: int, size: int, k: int, forward: Nearest, backward: Nearest
) -> Iterator[int]:
    """Rows `sources` of x against all `targets` rows of y, `size` at a time, in both directions; yields how many products of two rows were taken.

    forward: of these rows alone, backward: of all rows of y.
    """
    x_RD = x(sources.start, sources.stop)
    index = Index(x_RD)
    for part in shards(targets, size):
        y_SD = y(part.start, part.stop)
        (scores_RT, places_RT), (scores_ST, places_ST) = search_both(index, Index(y_SD), k)
        forward.add(slice(0, len(x_RD)), scores_RT, places_RT + part.start)
        backward.add(part, scores_ST, places_ST + sources.start)
        yield len(x_RD) * len(y_SD)

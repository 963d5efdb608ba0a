"""The k largest scores of each row and column of a matrix that is never held whole: it is made tile by tile, and a tile is read while it lies in the cache.

To compare every score with the least of the k found so far costs as much as the product that made it. The largest of each group of GROUP scores costs a twentieth of
it, and the few groups that hold something large enough are opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isqrt

import torch

TILE = 2**22  # scores of a tile: 16 MB of float32
GROUP = 16  # scores of which the largest is looked at first


def tiles(x_ND: torch.Tensor, y_MD: torch.Tensor) -> Iterator[tuple[slice, slice, torch.Tensor]]:
    """(rows, columns, products) of x with y, a tile at a time; all columns of some rows, then the next rows.

    A product of a few rows with all of y would be half as fast.
    """
    width = max(1, min(len(y_MD), isqrt(4 * TILE)))
    height = max(1, TILE // width)
    for i in range(0, len(x_ND), height):
        rows = slice(i, min(i + height, len(x_ND)))
        for j in range(0, len(y_MD), width):
            columns = slice(j, min(j + width, len(y_MD)))
            yield rows, columns, x_ND[rows] @ y_MD[columns].T


class Largest:
    """values_NK and indices_NK of the k largest scores of each of N rows so far, best first; of equal ones the lower index. -inf and 0 where there are fewer.

    No score is NaN, and -inf is never among them.
    """

    def __init__(self, rows: int, k: int, like: torch.Tensor):
        self.values_NK = like.new_full((rows, k), -torch.inf)
        self.indices_NK = torch.zeros(rows, k, dtype=torch.long, device=like.device)

    def add(self, rows: slice, columns: slice, scores_RC: torch.Tensor) -> None:
        """Further scores of `rows`; columns of a row come in order."""
        self._add(self.values_NK[rows], self.indices_NK[rows], columns.start, scores_RC, 1)

    def add_transposed(self, rows: slice, columns: slice, scores_RC: torch.Tensor) -> None:
        """Further scores of `columns`, which are this object's rows."""
        self._add(self.values_NK[columns], self.indices_NK[columns], rows.start, scores_RC, 0)

    def _add(self, values_RK, indices_RK, first: int, scores: torch.Tensor, dim: int) -> None:
        """In place. dim: along which the scores of a row lie, from index `first` on."""
        k = values_RK.shape[1]
        least_R = values_RK[:, -1] if first else _bound(scores, k, dim)
        row_P, index_P, value_P = above(scores, least_R, dim)
        if not len(row_P):
            return
        row_U, slot_P, count_U = torch.unique_consecutive(row_P, return_inverse=True, return_counts=True)
        place_P = k + torch.arange(len(row_P), device=row_P.device) - (count_U.cumsum(0) - count_U)[slot_P]
        more = (0, int(count_U.max()))
        values = torch.nn.functional.pad(values_RK[row_U], more, value=-torch.inf)
        indices = torch.nn.functional.pad(indices_RK[row_U], more)
        values[slot_P, place_P], indices[slot_P, place_P] = value_P, index_P + first
        values, order = values.sort(dim=1, descending=True, stable=True)
        values_RK[row_U], indices_RK[row_U] = values[:, :k], indices.gather(1, order[:, :k])


def both_ways(x_ND: torch.Tensor, y_MD: torch.Tensor, k: int) -> tuple[Largest, Largest]:
    """Of each row of x the k largest products with rows of y (all, if there are fewer), and of each row of y those with rows of x, of one set of products."""
    of_x, of_y = Largest(len(x_ND), min(k, len(y_MD)), x_ND), Largest(len(y_MD), min(k, len(x_ND)), y_MD)
    for tile in tiles(x_ND, y_MD):
        of_x.add(*tile)
        of_y.add_transposed(*tile)
    return of_x, of_y


def _bound(scores: torch.Tensor, k: int, dim: int) -> torch.Tensor:
    """Of each row a number that k of its scores at least are above, and few more: the k-th largest of its groups' largest, or the next number below."""
    slots = scores.shape[dim] // GROUP
    if slots < k:
        return scores.new_full((scores.shape[1 - dim],), -torch.inf)
    largest = scores.narrow(dim, 0, slots * GROUP).unflatten(dim, (GROUP, slots)).amax(dim)
    least = largest.topk(k, dim=dim, sorted=False).values.amin(dim)
    return torch.nextafter(least, torch.full_like(least, -torch.inf))


def above(scores: torch.Tensor, least_R: torch.Tensor, dim: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(row_P, index_P, value_P) of the scores above the least of their row, by row, then by index. dim: along which the scores of a row lie."""
    size = scores.shape[dim]
    whole = size - size % GROUP
    parts = [_opened(scores.narrow(dim, 0, whole), least_R, dim, GROUP)] if whole else []
    if whole < size:
        row_P, index_P, value_P = _opened(scores.narrow(dim, whole, size - whole), least_R, dim, 1)
        parts.append((row_P, index_P + whole, value_P))
    row_P, index_P, value_P = (torch.cat(each) for each in zip(*parts, strict=True))
    order_P = (row_P * size + index_P).argsort()
    return row_P[order_P], index_P[order_P], value_P[order_P]


def _opened(scores: torch.Tensor, least_R: torch.Tensor, dim: int, group: int):
    """The same in no order. A group is every n-th score of a row, n the number of groups: so their maxima are taken of whole vectors."""
    slots = scores.shape[dim] // group
    hits = (scores.unflatten(dim, (group, slots)).amax(dim) > least_R.unsqueeze(dim)).nonzero(as_tuple=True)
    row_H1, slot_H1 = hits[1 - dim][:, None], hits[dim][:, None]
    index_HG = slot_H1 + slots * torch.arange(group, device=scores.device)
    values_HG = scores[row_H1, index_HG] if dim else scores[index_HG, row_H1]
    hit_P, place_P = (values_HG > least_R[row_H1]).nonzero(as_tuple=True)
    return row_H1[hit_P, 0], index_HG[hit_P, place_P], values_HG[hit_P, place_P]

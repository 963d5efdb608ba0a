"""Exact search by inner product: the same neighbours, in the same order, however many items are searched at a time. No approximate index.

Products in float32, whose last bits depend on the order of additions, only name candidates. These are scored again in float64, and taken where a bound on
float32's error proves that nothing better was left out; where it does not (many items are almost equally near), all items are scored in float64.
"""

from __future__ import annotations

import torch

from xlt.alignment.csls import best
from xlt.alignment.largest import both_ways

SPARE = 8  # candidates beyond those asked for: the more, the oftener the bound is enough
BLOCK = 2**23  # products in float64 held at once where all items are scored
PART = 2**19  # numbers of candidates and queries multiplied at once: 4 MB, which stay in the cache


class Index:
    """items_MD float32 in which to search by inner product; by cosine, if all are of length 1."""

    def __init__(self, items_MD: torch.Tensor):
        self.items_MD = items_MD.float().contiguous()
        self._longest = float(self.items_MD.norm(dim=1).max()) if len(items_MD) else 0.0

    def __len__(self) -> int:
        return len(self.items_MD)

    def search(self, queries_ND: torch.Tensor, top: int) -> tuple[torch.Tensor, torch.Tensor]:
        """(scores_NT float32, indices_NT): the `top` items (all, if there are fewer) of the largest inner products, best first; of equal ones the lower index."""
        scores_NT, indices_NT = self.search_exactly(queries_ND, top)
        return scores_NT.float(), indices_NT

    def search_exactly(self, queries_ND: torch.Tensor, top: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The same with scores_NT in float64: what is found in parts of the items can be merged to what is found in all of them."""
        top, queries_ND = min(top, len(self)), queries_ND.float().contiguous()
        if not top or not len(queries_ND):
            empty = (len(queries_ND), top)
            return queries_ND.new_empty(empty, dtype=torch.float64), torch.empty(
                empty, dtype=torch.long, device=queries_ND.device
            )
        return self._settled(queries_ND, best(queries_ND, self.items_MD, min(top + SPARE, len(self))), top)

    def _settled(
        self, queries_ND: torch.Tensor, found: tuple[torch.Tensor, torch.Tensor], top: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """search_exactly from the best products in float32 and their places: `top` and SPARE of them, or all."""
        found_NC, candidates_NC = found
        scores_NT, indices_NT = _ranked(self._exact(queries_ND, candidates_NC), candidates_NC, top)
        if candidates_NC.shape[1] < len(self):
            error_N = self._error(queries_ND, torch.float32)
            sure_N = scores_NT[:, -1] > found_NC.amin(1).double() + error_N
            unsure_K = (~sure_N).nonzero()[:, 0]
            for rows_K in unsure_K.split(max(1, BLOCK // (2 * len(self)))) if len(unsure_K) else ():
                scores_NT[rows_K], indices_NT[rows_K] = self._exhaustive(queries_ND[rows_K], top)
        return scores_NT, indices_NT

    def _exact(self, queries_ND: torch.Tensor, candidates_NC: torch.Tensor) -> torch.Tensor:
        """float64 scores_NC. Equal items have equal scores, for each is added up in the same order; a matrix product does not promise that."""
        scores_NC = torch.empty(candidates_NC.shape, dtype=torch.float64, device=candidates_NC.device)
        step = max(1, PART // max(1, candidates_NC.shape[1] * self.items_MD.shape[1]))
        for start in range(0, len(queries_ND), step):
            part = slice(start, start + step)
            products_KCD = self.items_MD[candidates_NC[part]].double() * queries_ND[part, None].double()
            scores_NC[part] = products_KCD.sum(-1)
        return scores_NC

    def _error(self, queries_ND: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """errors_N, float64: how far apart two sums of D products can be that should be equal, in whatever order they are added up (Higham 2002, section 3.1)."""
        width, epsilon = queries_ND.shape[1], torch.finfo(dtype).eps
        return 2 * (width + 1) * epsilon * self._longest * queries_ND.norm(dim=1).double()

    def _exhaustive(self, queries_KD: torch.Tensor, top: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The same from all items, whose products in float64 leave few candidates."""
        products_KM = queries_KD.double() @ self.items_MD.double().T
        least_K = products_KM.topk(top, dim=1).values[:, -1] - self._error(queries_KD, torch.float64)
        ranked = []
        for query_D, products_M, least in zip(queries_KD, products_KM, least_K, strict=True):
            candidates_1C = (products_M >= least).nonzero()[None, :, 0]
            ranked.append(_ranked(self._exact(query_D[None], candidates_1C), candidates_1C, top))
        return torch.cat([scores for scores, _ in ranked]), torch.cat([indices for _, indices in ranked])


def search_both(x: Index, y: Index, top: int) -> tuple[tuple[torch.Tensor, torch.Tensor], ...]:
    """(y.search_exactly(items of x, top), x.search_exactly(items of y, top)), of one set of products. Neither is empty."""
    found = both_ways(x.items_MD, y.items_MD, top + SPARE)
    best_of_x, best_of_y = ((each.values_NK, each.indices_NK) for each in found)
    return y._settled(x.items_MD, best_of_x, min(top, len(y))), x._settled(y.items_MD, best_of_y, min(top, len(x)))


def _ranked(scores_NC: torch.Tensor, candidates_NC: torch.Tensor, top: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The first `top` by score, then by index."""
    by_index_NC = candidates_NC.argsort(1)
    order_NC = scores_NC.gather(1, by_index_NC).sort(dim=1, descending=True, stable=True).indices
    chosen_NT = by_index_NC.gather(1, order_NC[:, :top])
    return scores_NC.gather(1, chosen_NT), candidates_NC.gather(1, chosen_NT)

"""Exact search by inner product: the same neighbours, in the same order, whether faiss finds them or torch does. No approximate index.

Both multiply in float32, whose last bits depend on the order of additions, so they only name candidates. These are scored again in float64, and taken where a
bound on float32's error proves that nothing better was left out; where it does not (many items are almost equally near), all items are scored in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch

from xlt.alignment.csls import BLOCK, blocks

SPARE = 8  # candidates beyond those asked for: the more, the oftener the bound is enough

Finder = Callable[[torch.Tensor, int], tuple[torch.Tensor, torch.Tensor]]


class Index:
    """items_MD float32 in which to search by inner product; by cosine, if all are of length 1."""

    def __init__(self, items_MD: torch.Tensor, backend: str | None = None):
        """backend: faiss or torch; None: faiss where it is installed and the items lie in the computer's own memory."""
        self.items_MD = items_MD.float().contiguous()
        self.backend = backend or ("faiss" if items_MD.device.type == "cpu" and has_faiss() else "torch")
        self._find = {"faiss": _faiss, "torch": _torch}[self.backend](self.items_MD)
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
        size = min(top + SPARE, len(self))
        found_NC, candidates_NC = self._find(queries_ND, size)
        scores_NT, indices_NT = _ranked(self._exact(queries_ND, candidates_NC), candidates_NC, top)
        if size < len(self):
            error_N = self._error(queries_ND, torch.float32)
            sure_N = scores_NT[:, -1] > found_NC.amin(1).double() + error_N
            unsure_K = (~sure_N).nonzero()[:, 0]
            for rows_K in unsure_K.split(max(1, BLOCK // (2 * len(self)))) if len(unsure_K) else ():
                scores_NT[rows_K], indices_NT[rows_K] = self._exhaustive(queries_ND[rows_K], top)
        return scores_NT, indices_NT

    def _exact(self, queries_ND: torch.Tensor, candidates_NC: torch.Tensor) -> torch.Tensor:
        """float64 scores_NC. Equal items have equal scores, for each is added up in the same order; a matrix product does not promise that."""
        scores_NC = torch.empty(candidates_NC.shape, dtype=torch.float64, device=candidates_NC.device)
        step = max(1, BLOCK // max(1, 2 * candidates_NC.shape[1] * self.items_MD.shape[1]))
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


@cache
def has_faiss() -> bool:
    """Whether it is installed."""
    try:
        import faiss  # noqa: F401
    except ImportError:
        return False
    return True


def _faiss(items_MD: torch.Tensor) -> Finder:
    import faiss

    index = faiss.IndexFlatIP(items_MD.shape[1])
    index.add(items_MD.numpy())

    def find(queries_ND: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        scores_NC, indices_NC = index.search(queries_ND.numpy(), size)
        return torch.from_numpy(scores_NC), torch.from_numpy(indices_NC)

    return find


def _torch(items_MD: torch.Tensor) -> Finder:
    def find(queries_ND: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        best = [products_KM.topk(size, dim=1) for _, products_KM in blocks(queries_ND, items_MD)]
        return torch.cat([each.values for each in best]), torch.cat([each.indices for each in best])

    return find


def _ranked(scores_NC: torch.Tensor, candidates_NC: torch.Tensor, top: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The first `top` by score, then by index."""
    by_index_NC = candidates_NC.argsort(1)
    order_NC = scores_NC.gather(1, by_index_NC).sort(dim=1, descending=True, stable=True).indices
    chosen_NT = by_index_NC.gather(1, order_NC[:, :top])
    return scores_NC.gather(1, chosen_NT), candidates_NC.gather(1, chosen_NT)

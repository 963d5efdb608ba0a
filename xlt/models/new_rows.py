"""How a new piece begins: as a mixture of old pieces. Each way gives weights over the old rows, which embeddings, outputs and biases then share.

mean: what the old tokenizer made of it. wechsel: its neighbours among old pieces, by vectors of words of two languages in one space (Minixhofer,
Paischer and Rekabsaz 2022). focus: sparsely, of old pieces that occur in the same text, by vectors of pieces (Dobler and de Melo 2023). Where the
last two know nothing of a piece, it begins as its mean, and where the old tokenizer knows nothing either, as the mean of all.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

_CHUNK = 256  # new pieces whose similarities to all old ones are in memory at once

Mixture = tuple[torch.Tensor, torch.Tensor]  # ids of old pieces, and their weights, which sum to 1


def random_rows(count: int, width: int, std: float, seed: int) -> torch.Tensor:
    """rows_KD ~ N(0, std^2), as transformers begins a table."""
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed)) * std


def mean_mixtures(parts: list[list[int]]) -> list[Mixture | None]:
    """Each part alike; None of a piece without parts."""
    return [(torch.tensor(p), torch.full((len(p),), 1 / len(p))) if p else None for p in parts]


def sparsemax(scores_MN: torch.Tensor) -> torch.Tensor:
    """The nearest point of the simplex to each row (Martins and Astudillo 2016, Algorithm 1): probabilities, most of them 0."""
    sorted_MN, _ = scores_MN.sort(1, descending=True)
    sums_MN = sorted_MN.cumsum(1)
    rank_N = torch.arange(1, scores_MN.shape[1] + 1, device=scores_MN.device)
    size_M1 = (1 + rank_N * sorted_MN > sums_MN).sum(1, keepdim=True)
    threshold_M1 = (sums_MN.gather(1, size_M1 - 1) - 1) / size_M1
    return (scores_MN - threshold_M1).clamp(min=0)


def focus_mixtures(new_KD: torch.Tensor, old_ND: torch.Tensor, old_ids_N: torch.Tensor) -> list[Mixture]:
    """Sparsemax of the cosines of new pieces' vectors to those of old ones (Dobler and de Melo 2023, section 3)."""
    new_KD, old_ND = F.normalize(new_KD, dim=1), F.normalize(old_ND, dim=1)
    found = []
    for chunk_CD in new_KD.split(_CHUNK):
        for weights_N in sparsemax(chunk_CD @ old_ND.T):
            kept = weights_N.nonzero().squeeze(1)
            found.append((old_ids_N[kept], weights_N[kept]))
    return found


def wechsel_mixtures(
    new_KD: torch.Tensor, old_ND: torch.Tensor, old_ids_N: torch.Tensor, neighbours: int, temperature: float
) -> list[Mixture]:
    """Softmax of cosine / temperature over the nearest old pieces (Minixhofer et al. 2022, section 3, equation 3)."""
    new_KD, old_ND = F.normalize(new_KD, dim=1), F.normalize(old_ND, dim=1)
    found = []
    for chunk_CD in new_KD.split(_CHUNK):
        cosines_CK, nearest_CK = (chunk_CD @ old_ND.T).topk(min(neighbours, len(old_ND)), 1)
        found += list(zip(old_ids_N[nearest_CK], (cosines_CK / temperature).softmax(1), strict=True))
    return found


def mixed(table_VD: torch.Tensor, mixtures: list[Mixture | None]) -> torch.Tensor:
    """rows_KD of the mixtures of old rows (of a vector: rows_K); the mean of all where there is none."""
    mean_D = table_VD.mean(0)
    return torch.stack(
        [mean_D if m is None else torch.tensordot(m[1].to(table_VD), table_VD[m[0]], 1) for m in mixtures]
    )


def piece_vectors(
    pieces_of_words: list[list[int]], counts_W: torch.Tensor, words_WD: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """(ids_N, vectors_ND) of the pieces in some words: the mean of the words' vectors, weighted by how often each occurs (Minixhofer et al. 2022,
    section 3, for vectors without n-grams)."""
    lengths_W = torch.tensor([len(p) for p in pieces_of_words])
    ids_P = torch.tensor([i for p in pieces_of_words for i in p])
    word_P = torch.arange(len(lengths_W)).repeat_interleave(lengths_W)
    ids_N, place_P = ids_P.unique(return_inverse=True)
    sums_ND = torch.zeros(len(ids_N), words_WD.shape[1]).index_add_(
        0, place_P, words_WD[word_P] * counts_W[word_P, None]
    )
    weight_N = torch.zeros(len(ids_N)).index_add_(0, place_P, counts_W[word_P])
    return ids_N, sums_ND / weight_N[:, None]

"""Word vectors from plain sentences, where a user has none: the truncated SVD of positive PMI. The same sentences give the same vectors."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

import numpy as np
import torch

from xlt.alignment.vectors import StaticVectors
from xlt.errors import DataError

SMOOTHING = 0.75  # of the context distribution (Levy et al. 2015, section 3.2)
SPECTRUM = 0.5  # power of the singular values (Levy et al. 2015, section 3.3)


def learn_vectors(sentences: Iterable[list[str]], width: int, max_vocab: int, window: int) -> StaticVectors:
    """Vectors of the max_vocab most frequent words: U S^1/2 of the truncated SVD of their positive PMI (Levy, Goldberg and Dagan 2015).

    A pair of words at distance d counts (window + 1 - d) / window. The same sentences give the same vectors. With fewer than `width` words
    the vectors are narrower. DataError if no two words stand together.
    """
    words, ids_T, sentence_T = _numbered(sentences, max_vocab)
    ppmi_VV = _ppmi(_cooccurrences(ids_T, sentence_T, len(words), window), len(words))
    if not ppmi_VV.values().numel():
        raise DataError(
            "there are no two words beside each other to learn vectors from; check that the data set has texts, and that they are split into words"
        )
    return StaticVectors(words, _left_vectors(ppmi_VV, min(width, len(words))))


def _numbered(sentences: Iterable[list[str]], max_vocab: int) -> tuple[list[str], np.ndarray, np.ndarray]:
    """(words by frequency, rank of each token or -1, number of its sentence); words of equal frequency in order of their letters."""
    seen: dict[str, int] = {}
    tokens, lengths = array("i"), []
    for sentence in sentences:
        tokens.extend([seen.setdefault(word, len(seen)) for word in sentence])
        lengths.append(len(sentence))
    tokens_T, every = np.asarray(tokens, np.int64), list(seen)
    counts = np.bincount(tokens_T, minlength=len(every))
    order = sorted(range(len(every)), key=lambda i: (-counts[i], every[i]))[:max_vocab]
    rank = np.full(len(every), -1)
    rank[order] = np.arange(len(order))
    return [every[i] for i in order], rank[tokens_T], np.repeat(np.arange(len(lengths)), lengths)


def _cooccurrences(
    ids_T: np.ndarray, sentence_T: np.ndarray, size: int, window: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(row, column, weight) of each pair of words that occurs, both ways round. Words out of the vocabulary keep their place."""
    keys, weights = np.empty(0, np.int64), np.empty(0)
    for distance in range(1, window + 1):
        left, right = ids_T[:-distance], ids_T[distance:]
        near = (sentence_T[:-distance] == sentence_T[distance:]) & (left >= 0) & (right >= 0)
        found = np.concatenate([left[near] * size + right[near], right[near] * size + left[near]])
        keys, place = np.unique(np.concatenate([keys, found]), return_inverse=True)
        weights = np.bincount(
            place, np.concatenate([weights, np.full(len(found), (window + 1 - distance) / window)]), len(keys)
        )
    return keys // size, keys % size, weights


def _ppmi(counts: tuple[np.ndarray, np.ndarray, np.ndarray], size: int) -> torch.Tensor:
    """Sparse max(0, log p(w, c) / (p(w) p(c)^smoothing)), rows w, columns c."""
    row, column, weight = counts
    word_V = np.bincount(row, weight, size)
    context_V = word_V**SMOOTHING
    pmi = np.log(weight * context_V.sum() / (word_V[row] * context_V[column]))
    kept = pmi > 0
    places = torch.from_numpy(np.stack([row[kept], column[kept]]))
    return torch.sparse_coo_tensor(places, torch.from_numpy(pmi[kept]), (size, size), check_invariants=False).coalesce()


def _left_vectors(matrix_VV: torch.Tensor, width: int) -> torch.Tensor:
    """U S^1/2 of the leading singular vectors, by subspace iteration from a fixed start (Halko et al. 2011, algorithms 4.4 and 5.1)."""
    size = len(matrix_VV)
    start = torch.randn(size, min(size, width + 20), generator=torch.Generator().manual_seed(0), dtype=matrix_VV.dtype)
    transposed_VV = matrix_VV.T.coalesce()
    q_VK = torch.linalg.qr(start).Q
    for _ in range(6):
        q_VK = torch.linalg.qr(matrix_VV @ torch.linalg.qr(transposed_VV @ q_VK).Q).Q
    u_KK, s_K, _ = torch.linalg.svd((transposed_VV @ q_VK).T, full_matrices=False)
    return ((q_VK @ u_KK)[:, :width] * s_K[:width] ** SPECTRUM).float().contiguous()

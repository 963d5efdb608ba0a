"""Word vectors of many languages from translations alone, in closed form: a word is the set of sentences that it occurs in.

Cross-lingual latent semantic indexing (Littman, Dumais and Landauer 1998) with the sentence's identity as the only context, the signal that Levy, Søgaard and
Goldberg 2017 found behind all alignment from sentences. A sentence and its translations are one column, so a word and its translation have like rows.
Knows no tokenizer and no model.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import torch

_OVERSAMPLING = 20  # Halko, Martinsson and Tropp 2011, section 4.2: 5 to 10 suffice; more costs little here


class Occurrences(NamedTuple):
    """Which word stands in which sentence, each (word, sentence, language) once. All int64 (K,). An id may be a word of several languages."""

    words: torch.Tensor
    sentences: torch.Tensor
    languages: torch.Tensor


def latent_semantics(
    seen: Occurrences, size: int, width: int, iterations: int, idf_power: float, seed: int
) -> torch.Tensor:
    """vectors_VD float32, V = `size`: unit vectors times the words' inverse document frequency to `idf_power`; zero where a word was never seen.

    The matrix of words and sentences is divided by the roots of its row and column sums (correspondence analysis; Dhillon 2001, section 4), then each word's
    mean over the sentences of its language is taken away: data sets cover different languages, and without this a word says first
    of all which of them it is from. Then a truncated SVD by `iterations` of subspace iteration from a random start drawn from `seed`.
    """
    count = int(seen.sentences.max()) + 1
    pairs = torch.unique(torch.stack([seen.words, seen.sentences]), dim=1)  # a word of two languages is there once
    of_word = torch.bincount(pairs[0], minlength=size).float()
    of_sentence = torch.bincount(pairs[1], minlength=count).float()

    def weight(words: torch.Tensor, sentences: torch.Tensor) -> torch.Tensor:
        return (of_word[words] * of_sentence[sentences]).rsqrt()

    spoken = torch.unique(torch.stack([seen.languages, seen.sentences]), dim=1)
    number = int(seen.languages.max()) + 1
    length = torch.bincount(spoken[0], minlength=number).float().clamp(min=1)
    shares = weight(seen.words, seen.sentences) / length[seen.languages]
    matrix_VS, matrix_SV = _both_ways(pairs[0], pairs[1], weight(*pairs), (size, count))
    means_VG, means_GV = _both_ways(seen.words, seen.languages, shares, (size, number))  # G: languages
    has_GS, has_SG = _both_ways(spoken[0], spoken[1], torch.ones(spoken.shape[1]), (number, count))

    def forward(x_SK: torch.Tensor) -> torch.Tensor:
        return matrix_VS @ x_SK - means_VG @ (has_GS @ x_SK)

    def backward(y_VK: torch.Tensor) -> torch.Tensor:
        return matrix_SV @ y_VK - has_SG @ (means_GV @ y_VK)

    rank = min(width + _OVERSAMPLING, size, count)
    start = torch.randn(count, rank, generator=torch.Generator().manual_seed(seed))
    basis_VK = torch.linalg.qr(forward(start))[0]
    for _ in range(iterations):
        basis_VK = torch.linalg.qr(forward(torch.linalg.qr(backward(basis_VK))[0]))[0]
    u_KK, s_K, _ = torch.linalg.svd(backward(basis_VK).T, full_matrices=False)
    kept = min(width, rank)
    vectors_VD = basis_VK @ (u_KK[:, :kept] * s_K[:kept])
    idf = (count / of_word.clamp(min=1)).log().pow(idf_power) * (of_word > 0)
    norms = vectors_VD.norm(dim=1)
    # a word whose row the centring makes zero (it is in every sentence) has rounding for a direction
    scale = torch.where(norms > 1e-6 * norms.max(), idf / norms.clamp(min=1e-30), 0.0)
    return torch.nn.functional.pad(vectors_VD * scale[:, None], (0, width - kept))


def _both_ways(
    rows: torch.Tensor, columns: torch.Tensor, values: torch.Tensor, shape: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """The matrix and its transpose, equal places summed in float64, which no order changes; by rows, which multiply several times faster than coordinates."""
    places = torch.stack([rows, columns])
    matrix = torch.sparse_coo_tensor(places, values.double(), shape, check_invariants=False).coalesce().float()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return matrix.to_sparse_csr(), matrix.t().coalesce().to_sparse_csr()

"""Word translation (bilingual lexicon induction): how often a right translation is among the k nearest words."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from xlt.alignment.csls import nearest, unit
from xlt.alignment.vectors import StaticVectors
from xlt.errors import DataError

RANKS = (1, 5, 10)
RETRIEVALS = {
    "nn": "cosine",
    "csls": "csls",
    "inverted_softmax": "inverted_softmax",
}  # name -> score of xlt.alignment.csls


def word_translation(
    source: StaticVectors,
    target: StaticVectors,
    gold: list[tuple[str, str]],
    csls_k: int,
    retrieval: Iterable[str] = ("nn", "csls"),
    softmax_beta: float = 30.0,
) -> dict[str, float]:
    """precision_at_k by each retrieval (nn_, csls_, inverted_softmax_) of mapped `source` against `target` (Conneau et al. 2018, section 3.1).

    All translations of a source word are one query, right if any of them is among the top k. A query without its word, or without all of its
    translations, in the vocabularies cannot be asked: it is left out of the precision and lowers `coverage`, the share of queries asked.
    DataError if none can be. CSLS and inverted softmax look at all words of both sides, so their cost grows with their product.
    """
    queries: dict[str, set[int]] = {}
    for word, translation in gold:
        row = target.row(translation)
        queries.setdefault(word, set()).update(() if row is None else (row,))
    asked = [(row, right) for word, right in queries.items() if right and (row := source.row(word)) is not None]
    if not asked:
        raise DataError(
            f"none of the {len(queries)} words to translate is among the {len(source.words)} source vectors with a translation among the "
            f"{len(target.words)} target vectors; check that languages, script and case agree"
        )
    x_ND, y_MD = unit(source.vectors), unit(target.vectors)
    queries_QD = x_ND[torch.tensor([row for row, _ in asked], device=x_ND.device)]
    scores = {"coverage": len(asked) / len(queries)}
    for name in retrieval:
        found = nearest(queries_QD, y_MD, max(RANKS), RETRIEVALS[name], csls_k, x_ND, softmax_beta)[1].tolist()
        for rank in RANKS:
            hits = sum(not right.isdisjoint(near[:rank]) for near, (_, right) in zip(found, asked, strict=True))
            scores[f"{name}_precision_at_{rank}"] = hits / len(asked)
    return scores

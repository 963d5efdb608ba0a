"""What the mappings of static word vectors share: the fields that all have, what they find, and how it is scored. No objective of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from xlt.alignment.bli import RANKS, RETRIEVALS, word_translation
from xlt.alignment.csls import mutual_nearest, nearest, unit
from xlt.alignment.pipeline import Maps
from xlt.alignment.procrustes import NORMALISATIONS, normalise
from xlt.alignment.vectors import StaticVectors
from xlt.errors import DataError, suggest

Pairs = list[tuple[str, str]]
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Solution:
    """maps: of the normalised vectors of both sides, rows as x @ map.T. source, target: mapped. facts: for metrics.json.

    converged: whether an unsupervised search found the other language; None: it was not a search.
    """

    maps: Maps
    source: StaticVectors
    target: StaticVectors
    facts: dict[str, Any] = field(default_factory=dict)
    converged: bool | None = None


def problems(objective) -> list[str]:
    """What is wrong with the fields that all have."""
    found = [
        f"objective.normalisation: {n!r} is not one of {', '.join(NORMALISATIONS)}"
        for n in objective.normalisation
        if n not in NORMALISATIONS
    ]
    found += [
        f"objective.retrieval: there is no {name}; {suggest(name, RETRIEVALS)}"
        for name in objective.retrieval
        if name not in RETRIEVALS
    ]
    if not objective.retrieval:
        found.append(f"objective.retrieval: [] finds nothing; give one or several of {', '.join(RETRIEVALS)}")
    for name in ("max_vocab", "max_rank", "csls_k", "width", "window", "softmax_beta"):
        if getattr(objective, name) <= 0:
            found.append(f"objective.{name}: {getattr(objective, name)} is not above 0")
    if objective.vectors is not None and "{lang}" not in objective.vectors:
        found.append(
            f"objective.vectors: {objective.vectors!r} has no {{lang}}, so both languages would read one file; write for example wiki.{{lang}}.vec"
        )
    return found


def metric(objective) -> str:
    """The score that counts: precision at 1 by the first retrieval."""
    return f"{objective.retrieval[0]}_precision_at_1"


def higher_is_better(objective) -> dict[str, bool]:
    """All scores are shares of right answers."""
    return {f"{how}_precision_at_{rank}": True for how in objective.retrieval for rank in RANKS} | {"coverage": True}


def score(objective, mapped: StaticVectors, target: StaticVectors, gold: Pairs) -> dict[str, float]:
    """Word translation on held-out pairs: precision at 1, 5 and 10 by each retrieval, and coverage."""
    return word_translation(mapped, target, gold, objective.csls_k, objective.retrieval, objective.softmax_beta)


def induced(objective, mapped: StaticVectors, target: StaticVectors) -> list[tuple[str, str, float]]:
    """(word, translation, score) of the pairs that choose each other among the max_rank most frequent words, best first; scores of the first retrieval."""
    x, y = unit(mapped.vectors[: objective.max_rank]), unit(target.vectors[: objective.max_rank])
    how, k, beta = RETRIEVALS[objective.retrieval[0]], objective.csls_k, objective.softmax_beta
    scores_N1, forward_N1 = nearest(x, y, 1, how, k, beta=beta)
    backward_M1 = nearest(y, x, 1, how, k, beta=beta)[1]
    mutual_P = (backward_M1[forward_N1[:, 0], 0] == torch.arange(len(x), device=x.device)).nonzero()[:, 0]
    order_P = mutual_P[scores_N1[mutual_P, 0].sort(descending=True, stable=True).indices]
    found = zip(order_P.tolist(), forward_N1[order_P, 0].tolist(), scores_N1[order_P, 0].tolist(), strict=True)
    return [(mapped.words[i], target.words[j], value) for i, j, value in found]


def normalised(objective, source: StaticVectors, target: StaticVectors) -> tuple[torch.Tensor, torch.Tensor]:
    """(x_ND, y_MD). DataError if their widths differ."""
    widths = source.vectors.shape[1], target.vectors.shape[1]
    if widths[0] != widths[1]:
        raise DataError(
            f"the source vectors have {widths[0]} numbers a word and the target vectors {widths[1]}; an orthogonal map needs equal widths"
        )
    return normalise(source.vectors, objective.normalisation), normalise(target.vectors, objective.normalisation)


def rows_of(source: StaticVectors, target: StaticVectors, pairs: Pairs) -> tuple[torch.Tensor, torch.Tensor]:
    """(i_P, j_P) of the pairs with both words among the vectors. DataError if there are none."""
    found = [(source.row(a), target.row(b)) for a, b in pairs]
    found = [(i, j) for i, j in found if i is not None and j is not None]
    if not found:
        raise DataError(
            f"none of the {len(pairs)} pairs of the dictionary has both words among the vectors ({len(source.words)} and {len(target.words)} words); check that languages, script and case agree"
        )
    i_P, j_P = torch.tensor(found, device=source.vectors.device).T
    return i_P, j_P


def solved(
    maps: Maps, source: StaticVectors, target: StaticVectors, spaces: tuple[torch.Tensor, torch.Tensor], **rest
) -> Solution:
    """The solution that the maps of the normalised spaces are. Orthogonality is told, for it is what keeps the geometry of the source."""
    x_ND, y_MD = spaces
    w_DD = maps.source.double()
    eye_DD = torch.eye(len(w_DD), dtype=w_DD.dtype, device=w_DD.device)
    deviation = (w_DD @ w_DD.T - eye_DD).abs().max().item()
    unmoved = torch.equal(maps.target, torch.eye(len(maps.target), dtype=maps.target.dtype, device=maps.target.device))
    rest["facts"] = rest.get("facts", {}) | {"orthogonality": deviation}
    tables = (
        StaticVectors(source.words, x_ND @ maps.source.T),
        StaticVectors(target.words, y_MD if unmoved else y_MD @ maps.target.T),
    )
    return Solution(maps, *tables, **rest)


def mutual(w_DD: torch.Tensor, x_ND: torch.Tensor, y_MD: torch.Tensor, max_rank: int, k: int):
    """(i_P, j_P) of the max_rank most frequent words that are each other's CSLS neighbours under W."""
    return mutual_nearest(unit(x_ND[:max_rank] @ w_DD.T), unit(y_MD[:max_rank]), k)[:2]

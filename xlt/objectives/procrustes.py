"""Mapping one language's static word vectors onto another's from a dictionary: solved, not trained (see `xlt.alignment.procrustes`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from xlt.alignment.bli import RANKS, word_translation
from xlt.alignment.procrustes import NORMALISATIONS, normalise, procrustes, refine
from xlt.alignment.vectors import StaticVectors
from xlt.errors import ConfigError, DataError


@dataclass(frozen=True, kw_only=True)
class Procrustes:
    """vectors: path of the .vec files with {lang}; null: vectors are learned from the text of the data set.

    normalisation: of both spaces, before mapping. refinements: rounds of self-made dictionaries. width, window: of learned vectors.
    """

    vectors: str | None
    max_vocab: int
    normalisation: list[str]
    refinements: int
    max_rank: int
    csls_k: int
    width: int
    window: int

    kind: ClassVar[str] = "solver"
    view: ClassVar[str] = "dictionary"
    metric: ClassVar[str] = "csls_precision_at_1"

    def __post_init__(self):
        problems = [
            f"objective.normalisation: {n!r} is not one of {', '.join(NORMALISATIONS)}"
            for n in self.normalisation
            if n not in NORMALISATIONS
        ]
        for name in ("max_vocab", "max_rank", "csls_k", "width", "window"):
            if getattr(self, name) <= 0:
                problems.append(f"objective.{name}: {getattr(self, name)} is not above 0")
        if self.refinements < 0:
            problems.append(
                f"objective.refinements: {self.refinements} is below 0; 0 keeps the map of the given dictionary"
            )
        if self.vectors is not None and "{lang}" not in self.vectors:
            problems.append(
                f"objective.vectors: {self.vectors!r} has no {{lang}}, so both languages would read one file; write for example wiki.{{lang}}.vec"
            )
        if problems:
            raise ConfigError(problems)

    @property
    def higher_is_better(self) -> dict[str, bool]:
        """All scores are shares of right answers."""
        return {f"{how}_precision_at_{rank}": True for how in ("nn", "csls") for rank in RANKS} | {"coverage": True}

    def solve(
        self, source: StaticVectors, target: StaticVectors, pairs: list[tuple[str, str]]
    ) -> tuple[torch.Tensor, StaticVectors, StaticVectors, dict]:
        """(W_DD, mapped source, normalised target, facts). DataError if widths differ or no pair has both words among the vectors."""
        widths = source.vectors.shape[1], target.vectors.shape[1]
        if widths[0] != widths[1]:
            raise DataError(
                f"the source vectors have {widths[0]} numbers a word and the target vectors {widths[1]}; an orthogonal map needs equal widths"
            )
        x_ND, y_MD = normalise(source.vectors, self.normalisation), normalise(target.vectors, self.normalisation)
        found = [(source.row(a), target.row(b)) for a, b in pairs]
        found = [(i, j) for i, j in found if i is not None and j is not None]
        if not found:
            raise DataError(
                f"none of the {len(pairs)} pairs of the dictionary has both words among the vectors ({len(source.words)} and {len(target.words)} words); check that languages, script and case agree"
            )
        i_P, j_P = torch.tensor(found, device=x_ND.device).T
        start_DD = procrustes(x_ND[i_P], y_MD[j_P])
        w_DD, history = refine(start_DD, x_ND, y_MD, self.refinements, self.max_rank, self.csls_k)
        facts = {"pairs_used": len(found), "pairs_given": len(pairs), "criterion": history}
        return w_DD, StaticVectors(source.words, x_ND @ w_DD.T), StaticVectors(target.words, y_MD), facts

    def score(self, mapped: StaticVectors, target: StaticVectors, gold: list[tuple[str, str]]) -> dict[str, float]:
        """Word translation on held-out pairs: precision at 1, 5 and 10 by nearest neighbour and CSLS, and coverage."""
        return word_translation(mapped, target, gold, self.csls_k)

"""Mapping one language's static word vectors onto another's from a dictionary, in closed form (see `xlt.alignment.procrustes` and `xlt.alignment.pipeline`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from xlt.alignment.pipeline import ORTHOGONAL, Maps, Steps, linear_maps
from xlt.alignment.procrustes import procrustes, refine
from xlt.alignment.vectors import StaticVectors
from xlt.errors import ConfigError
from xlt.objectives import word_mapping
from xlt.objectives.word_mapping import Pairs, Solution, Tell


@dataclass(frozen=True, kw_only=True)
class Procrustes:
    """vectors: path of the .vec files with {lang}; null: vectors are learned from the text of the data set (width, window).

    hub: language into whose space all others are mapped; null: each pair has its own. normalisation: of both spaces, before mapping. whiten to
    dewhiten_target: `xlt.alignment.pipeline.Steps`. refinements: rounds of self-made dictionaries among the max_rank most frequent words.
    retrieval: how translations are found; the first counts.
    """

    vectors: str | None
    max_vocab: int
    hub: str | None
    normalisation: list[str]
    whiten: bool
    reweight_source: float
    reweight_target: float
    dewhiten_source: str | None
    dewhiten_target: str | None
    refinements: int
    max_rank: int
    retrieval: list[str]
    csls_k: int
    softmax_beta: float
    width: int
    window: int

    kind: ClassVar[str] = "solver"
    view: ClassVar[str] = "dictionary"
    metric = property(word_mapping.metric)
    higher_is_better = property(word_mapping.higher_is_better)
    score, induced = word_mapping.score, word_mapping.induced

    def __post_init__(self):
        problems = word_mapping.problems(self) + self.steps.problems()
        if self.refinements < 0:
            problems.append(
                f"objective.refinements: {self.refinements} is below 0; 0 keeps the map of the given dictionary"
            )
        if problems:
            raise ConfigError(problems)

    @property
    def steps(self) -> Steps:
        """The pipeline's."""
        return Steps(
            self.whiten, self.reweight_source, self.reweight_target, self.dewhiten_source, self.dewhiten_target
        )

    def solve(self, source: StaticVectors, target: StaticVectors, pairs: Pairs, seed: int, tell: Tell) -> Solution:
        """DataError if widths differ or no pair has both words among the vectors."""
        x_ND, y_MD = word_mapping.normalised(self, source, target)
        i_P, j_P = word_mapping.rows_of(source, target, pairs)
        used = len(i_P)
        start_DD = procrustes(x_ND[i_P], y_MD[j_P])
        w_DD, history = refine(start_DD, x_ND, y_MD, self.refinements, self.max_rank, self.csls_k)
        if self.steps == ORTHOGONAL:
            maps = Maps(w_DD, torch.eye(len(w_DD), dtype=w_DD.dtype, device=w_DD.device))
        else:
            if self.refinements:
                i_P, j_P = word_mapping.mutual(w_DD, x_ND, y_MD, self.max_rank, self.csls_k)
            maps = linear_maps(x_ND[i_P], y_MD[j_P], self.steps)
        facts = {"pairs_used": used, "pairs_given": len(pairs), "criterion": history}
        return word_mapping.solved(maps, source, target, (x_ND, y_MD), facts=facts)

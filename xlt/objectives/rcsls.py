"""Mapping word vectors by relaxed CSLS: the map is trained, from a dictionary, on the criterion that retrieves translations (see `xlt.alignment.rcsls`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from xlt.alignment.csls import unit
from xlt.alignment.pipeline import Maps
from xlt.alignment.procrustes import procrustes
from xlt.alignment.rcsls import Constraint, train
from xlt.alignment.vectors import StaticVectors
from xlt.errors import ConfigError
from xlt.objectives import word_mapping
from xlt.objectives.word_mapping import Pairs, Solution, Tell


@dataclass(frozen=True, kw_only=True)
class RelaxedCSLS:
    """rounds: gradient steps, of `rate` until one makes the loss larger. constraint: on the map after each. negatives: most frequent words of both sides among
    which neighbours are sought. The rest as in `xlt.objectives.procrustes`."""

    vectors: str | None
    max_vocab: int
    hub: str | None
    normalisation: list[str]
    constraint: Constraint
    rate: float
    rounds: int
    negatives: int
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
        problems = word_mapping.problems(self)
        for name in ("rate", "rounds", "negatives"):
            if getattr(self, name) <= 0:
                problems.append(f"objective.{name}: {getattr(self, name)} is not above 0")
        if problems:
            raise ConfigError(problems)

    def solve(self, source: StaticVectors, target: StaticVectors, pairs: Pairs, seed: int, tell: Tell) -> Solution:
        """DataError if widths differ or no pair has both words among the vectors."""
        x_ND, y_MD = word_mapping.normalised(self, source, target)
        i_P, j_P = word_mapping.rows_of(source, target, pairs)
        x, y = unit(x_ND), unit(y_MD)
        spaces = x[: self.negatives], y[: self.negatives]
        start_DD = procrustes(x[i_P], y[j_P])
        w_DD, history = train(
            start_DD, (x[i_P], y[j_P]), spaces, self.csls_k, self.rate, self.rounds, self.constraint, tell
        )
        maps = Maps(w_DD, torch.eye(len(w_DD), dtype=w_DD.dtype, device=w_DD.device))
        facts = {"pairs_used": len(i_P), "pairs_given": len(pairs), "loss": history}
        return word_mapping.solved(maps, source, target, (x_ND, y_MD), facts=facts)

"""Mapping word vectors from a tiny dictionary, from words spelled alike or from nothing: a map and its dictionary improve each other (see
`xlt.alignment.self_learning`), and the last dictionary goes through the pipeline of `xlt.alignment.pipeline`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

import torch

from xlt.alignment.pipeline import Steps, linear_maps
from xlt.alignment.self_learning import Pace, learn, similarity_start
from xlt.alignment.vectors import StaticVectors
from xlt.errors import ConfigError, DataError
from xlt.objectives import word_mapping, word_search
from xlt.objectives.word_mapping import Pairs, Solution, Tell

_NUMERAL = re.compile(r"\d+")


class Start(str, Enum):
    """Of what the first dictionary is made. dictionary: the data set's; identical: words that both spell alike; numerals: those of digits alone; similarity:
    words whose similarities to their own language's words are distributed alike (unsupervised)."""

    dictionary = "dictionary"
    identical = "identical"
    numerals = "numerals"
    similarity = "similarity"


@dataclass(frozen=True, kw_only=True)
class SelfLearning:
    """start: see `Start`. seeds: pairs of the dictionary that are used, the first ones whose words have vectors; null: all. start_words: most frequent words
    among which similarity looks. keep to rounds: `xlt.alignment.self_learning.Pace`. restarts: attempts, of which the best is kept. The rest as in
    `xlt.objectives.procrustes`."""

    vectors: str | None
    max_vocab: int
    hub: str | None
    normalisation: list[str]
    start: Start
    seeds: int | None
    start_words: int
    keep: float
    factor: float
    stale: int
    threshold: float
    cutoff: int
    rounds: int
    restarts: int
    whiten: bool
    reweight_source: float
    reweight_target: float
    dewhiten_source: str | None
    dewhiten_target: str | None
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
        problems = word_mapping.problems(self) + word_search.problems(self) + self.steps.problems()
        for name in ("start_words", "cutoff", "rounds"):
            if getattr(self, name) <= 0:
                problems.append(f"objective.{name}: {getattr(self, name)} is not above 0")
        if not 0 < self.keep < 1:
            problems.append(
                f"objective.keep: {self.keep} is not between 0 and 1; with 1 all attempts would be the same"
            )
        if self.factor <= 1:
            problems.append(f"objective.factor: {self.factor} is not above 1, so keep would never grow to 1")
        if self.stale < 0 or self.threshold < 0:
            problems.append(f"objective: stale {self.stale} and threshold {self.threshold} must be at least 0")
        if self.seeds is not None and self.seeds <= 0:
            problems.append(f"objective.seeds: {self.seeds} is not above 0; null takes the whole dictionary")
        if problems:
            raise ConfigError(problems)

    @property
    def needs_dictionary(self) -> bool:
        """Whether it learns from one."""
        return self.start is Start.dictionary

    @property
    def steps(self) -> Steps:
        """The pipeline's."""
        return Steps(
            self.whiten, self.reweight_source, self.reweight_target, self.dewhiten_source, self.dewhiten_target
        )

    def solve(self, source: StaticVectors, target: StaticVectors, pairs: Pairs, seed: int, tell: Tell) -> Solution:
        """DataError if widths differ, or there is nothing to start from."""
        x_ND, y_MD = word_mapping.normalised(self, source, target)
        first = None if self.start is Start.similarity else self._first(source, target, pairs)
        pace = Pace(self.keep, self.factor, self.stale, self.threshold, self.cutoff, self.rounds)

        def attempt(of: int, kept_N: torch.Tensor):
            x = x_ND[kept_N]
            if first is None:
                i_P, j_P = similarity_start(x, y_MD, self.start_words, self.csls_k, self.normalisation)
            else:
                i_P, j_P = torch.searchsorted(kept_N, first[0]), first[1]
                i_P, j_P = i_P.clamp(max=len(kept_N) - 1), j_P
                there_P = kept_N[i_P] == first[0]
                i_P, j_P = i_P[there_P], j_P[there_P]
            learned = learn(x, y_MD, i_P, j_P, pace, self.csls_k, of, tell)
            return (
                learned,
                learned.w,
                {"rounds": len(learned.objective), "ended": learned.ended, "similarity": learned.objective[-1]},
            )

        never = first[0].tolist() if self.start is Start.dictionary else []
        learned, kept_N, facts, converged = word_search.search(
            x_ND, y_MD, attempt, self.restarts, self.cutoff, never, self.csls_k, seed, tell
        )
        maps = linear_maps(x_ND[kept_N][learned.i], y_MD[learned.j], self.steps)
        facts |= {"start": self.start.value, "pairs_used": 0 if first is None else len(first[0])}
        return word_mapping.solved(maps, source, target, (x_ND, y_MD), facts=facts, converged=converged)

    def _first(self, source: StaticVectors, target: StaticVectors, pairs: Pairs) -> tuple[torch.Tensor, torch.Tensor]:
        """(i_P, j_P), i in rising order."""
        if self.start is Start.dictionary:
            i_P, j_P = word_mapping.rows_of(source, target, pairs)
            i_P, j_P = i_P[: self.seeds], j_P[: self.seeds]
        else:
            numerals = self.start is Start.numerals
            alike = [w for w in source.words if w in target.rows and (not numerals or _NUMERAL.fullmatch(w))]
            if not alike:
                raise DataError(
                    f"objective.start: {self.start.value}, and no {'numeral' if numerals else 'word'} is spelled alike on both sides; give a dictionary with "
                    "objective.start=dictionary, or take objective.start=similarity"
                )
            i_P, j_P = torch.tensor([(source.rows[w], target.rows[w]) for w in alike], device=source.vectors.device).T
        order_P = i_P.argsort(stable=True)
        return i_P[order_P], j_P[order_P]

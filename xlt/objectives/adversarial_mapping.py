"""Mapping word vectors without a dictionary: adversarial training, then refinement on self-made dictionaries (see `xlt.alignment.adversarial`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from xlt.alignment.adversarial import Game, play, random_rotation
from xlt.alignment.pipeline import Maps
from xlt.alignment.procrustes import refine
from xlt.alignment.vectors import StaticVectors
from xlt.errors import ConfigError
from xlt.objectives import word_mapping, word_search
from xlt.objectives.word_mapping import Pairs, Solution, Tell

_COUNTS = ("epochs", "steps", "batch_size", "hidden", "discriminator_steps", "frequent")
_SHARES = ("input_dropout", "smoothing", "map_beta")
_RATES = ("rate", "decay", "shrink", "least")


@dataclass(frozen=True, kw_only=True)
class AdversarialMapping:
    """epochs to least: `xlt.alignment.adversarial.Game` (map_beta is its beta). refinements: as in `xlt.objectives.procrustes`. restarts: attempts, of which
    the best is kept. The rest as in `xlt.objectives.procrustes`."""

    vectors: str | None
    max_vocab: int
    hub: str | None
    normalisation: list[str]
    epochs: int
    steps: int
    batch_size: int
    hidden: int
    input_dropout: float
    smoothing: float
    discriminator_steps: int
    frequent: int
    map_beta: float
    rate: float
    decay: float
    shrink: float
    least: float
    restarts: int
    refinements: int
    max_rank: int
    retrieval: list[str]
    csls_k: int
    softmax_beta: float
    width: int
    window: int

    kind: ClassVar[str] = "solver"
    view: ClassVar[str] = "dictionary"
    needs_dictionary: ClassVar[bool] = False
    metric = property(word_mapping.metric)
    higher_is_better = property(word_mapping.higher_is_better)
    score, induced = word_mapping.score, word_mapping.induced

    def __post_init__(self):
        problems = word_mapping.problems(self) + word_search.problems(self)
        for name in (*_COUNTS, *_RATES):
            if getattr(self, name) <= 0:
                problems.append(f"objective.{name}: {getattr(self, name)} is not above 0")
        for name in _SHARES:
            if not 0 <= getattr(self, name) < 1:
                problems.append(f"objective.{name}: {getattr(self, name)} is not in [0, 1)")
        for name in ("decay", "shrink"):
            if getattr(self, name) > 1:
                problems.append(f"objective.{name}: {getattr(self, name)} is above 1, so the rate would grow")
        if self.refinements < 0:
            problems.append(f"objective.refinements: {self.refinements} is below 0; 0 keeps the adversarial map")
        if problems:
            raise ConfigError(problems)

    @property
    def game(self) -> Game:
        """What is played."""
        return Game(
            epochs=self.epochs, steps=self.steps, batch_size=self.batch_size, hidden=self.hidden, input_dropout=self.input_dropout,
            smoothing=self.smoothing, discriminator_steps=self.discriminator_steps, frequent=self.frequent, beta=self.map_beta, rate=self.rate,
            decay=self.decay, shrink=self.shrink, least=self.least,
        )  # fmt: skip

    def solve(self, source: StaticVectors, target: StaticVectors, pairs: Pairs, seed: int, tell: Tell) -> Solution:
        """pairs are not read. DataError if widths differ."""
        x_ND, y_MD = word_mapping.normalised(self, source, target)

        def attempt(of: int, kept_N: torch.Tensor):
            x = x_ND[kept_N]
            # MUSE begins with the identity; attempts that all begin alike would agree where none has moved far
            start_DD = random_rotation(x.shape[1], of, x)
            w_DD, played = play(start_DD, x, y_MD, self.game, self.csls_k, of, tell)
            w_DD, refined = refine(w_DD, x, y_MD, self.refinements, self.max_rank, self.csls_k)
            return w_DD, w_DD, {"adversarial": played, "refined": refined}

        w_DD, _, facts, converged = word_search.search(
            x_ND, y_MD, attempt, self.restarts, self.max_rank, [], self.csls_k, seed, tell
        )
        maps = Maps(w_DD, torch.eye(len(w_DD), dtype=w_DD.dtype, device=w_DD.device))
        return word_mapping.solved(maps, source, target, (x_ND, y_MD), facts=facts, converged=converged)

"""The states of an encoder as it is, turned so that all languages have the space of one: Procrustes on anchors, for every layer, in closed form.

Anchors are words, each the mean of its states in all of its contexts, with a dictionary (Schuster et al. 2019, section 3), or translated sentences, which need none
(Aldarmaki and Diab 2019, section 3.2). `language_means` takes away the mean of each language and turns nothing (Libovicky et al. 2020, section 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar

import torch

from xlt.alignment.anchors import Turned, turn_onto
from xlt.errors import ConfigError
from xlt.models.pooling import Pool
from xlt.objectives import sentence_pairs


class Anchors(str, Enum):
    """What is known to mean the same."""

    sentences = "sentences"
    words = "words"


@dataclass(frozen=True, kw_only=True)
class ContextualProcrustes:
    """hub: the language whose space it becomes. center: take the means of both sides away first. rows: of each pair (words: of each language's text), the first so many;
    null: all. dictionary: of words, a data set that has a dictionary view. min_count: contexts of a word that is an anchor. pool: of sentences.
    """

    anchors: Anchors
    hub: str
    center: bool
    rows: int | None
    dictionary: Any
    min_count: int
    pool: Pool

    kind: ClassVar[str] = "solver"
    head: ClassVar[str] = "encoder"
    layer: ClassVar[int | None] = None
    metric: ClassVar[str] = "accuracy"
    higher_is_better: ClassVar[dict[str, bool]] = sentence_pairs.RETRIEVAL

    def __post_init__(self):
        problems = [
            f"objective.{name}: {value} is below 1"
            for name, value in (("rows", self.rows), ("min_count", self.min_count))
            if value is not None and value < 1
        ]
        if self.anchors is Anchors.words and not hasattr(self.dictionary, "views"):
            problems.append(
                "objective.dictionary: words are anchors only with translations of them; choose a data set with dataset@objective.dictionary=bli, or "
                "objective.anchors=sentences"
            )
        if problems:
            raise ConfigError(problems)

    @property
    def view(self) -> str:
        """Translated sentences, or the text that words stand in."""
        return "parallel" if self.anchors is Anchors.sentences else "text"

    texts, modules, row_length = sentence_pairs.texts, sentence_pairs.modules, sentence_pairs.row_length
    collate, predict, score = sentence_pairs.collate, sentence_pairs.predict, sentence_pairs.score
    statistics = sentence_pairs.statistics

    def solve_space(self, hub: str, anchors: dict[str, tuple[torch.Tensor, torch.Tensor]]) -> Turned:
        """From the anchors of each language and the hub's own (see `xlt.alignment.anchors`)."""
        return turn_onto(hub, anchors, self.center)

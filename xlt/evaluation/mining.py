"""What `xlt mine` is asked for, which of the pairs that were put together it keeps, and how these are scored where the true ones are known."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar

import torch

from xlt.alignment import mining
from xlt.alignment.mining import Margin, Matching, Pairs
from xlt.errors import ConfigError
from xlt.models.pooling import Pool
from xlt.objectives.plain_text import modules as no_modules

HIGHER_IS_BETTER = {"f1": True, "precision": True, "recall": True}


class Kind(str, Enum):
    """How a number of a vector is kept on disk."""

    float32 = "float32"
    float16 = "float16"


@dataclass(frozen=True, kw_only=True)
class Mining:
    """margin, k, matching: see `xlt.alignment.mining`. threshold: a pair is kept from this score on; top: of what then is left, this share, the best first;
    null: no limit. remove_means: take the mean of each language away first. shard_size: sentences of a side whose vectors are in memory at once.
    keep_vectors: leave them in the run directory.
    """

    margin: Margin
    k: int
    matching: Matching
    threshold: float | None
    top: float | None
    pool: Pool
    layer: int | None
    remove_means: bool
    shard_size: int
    vectors: Kind
    keep_vectors: bool

    head: ClassVar[str] = "encoder"
    modules = no_modules

    def __post_init__(self):
        problems = []
        if self.k < 1:
            problems.append(f"mining.k: {self.k} is below 1; Artetxe and Schwenk 2019 take 4")
        if self.top is not None and not 0 < self.top <= 1:
            problems.append(f"mining.top: {self.top} is not in (0, 1]; give the share of the pairs to keep, or null")
        if self.layer is not None and self.layer < 0:
            problems.append(f"mining.layer: {self.layer} is below 0; 0 is the embeddings, null the last layer")
        if self.shard_size < 1:
            problems.append(f"mining.shard_size: {self.shard_size} is not above 0; 100000 is usual")
        if problems:
            raise ConfigError(problems)

    def kept(self, pairs: Pairs) -> int:
        """How many of the pairs, best first, stay."""
        above = len(pairs.scores) if self.threshold is None else int((pairs.scores >= self.threshold).sum())
        return above if self.top is None else round(self.top * above)


def against(pairs: Pairs, right_P: torch.Tensor, kept: int, true: int) -> dict[str, Any]:
    """{precision, recall, f1} of the first `kept` pairs against `true` true ones, and {threshold, precision, recall, f1} where F1 would have been best."""
    at_best = mining.fit_threshold(pairs.scores, right_P, true)
    best = mining.scores(right_P[pairs.scores >= at_best], true)
    return {**mining.scores(right_P[:kept], true)._asdict(), "best": {"threshold": at_best, **best._asdict()}}

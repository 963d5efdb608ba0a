"""The mean of each language's sentences is taken away from the states of an encoder as it is, at every layer: what a language has of its own lies mostly in it.

Libovicky, Rosa and Fraser 2020, section 3 ("centering"). It needs text alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from xlt.errors import ConfigError
from xlt.models.pooling import Pool
from xlt.objectives import plain_text


@dataclass(frozen=True, kw_only=True)
class LanguageMeans:
    """rows: of each language's text, the first so many; null: all. pool: how a sentence becomes a vector."""

    rows: int | None
    pool: Pool

    kind: ClassVar[str] = "solver"
    view: ClassVar[str] = "text"
    head: ClassVar[str] = "encoder"
    layer: ClassVar[int | None] = None
    removes_means: ClassVar[bool] = True
    metric: ClassVar[str] = "accuracy"
    higher_is_better: ClassVar[dict[str, bool]] = {"accuracy": True}

    def __post_init__(self):
        if self.rows is not None and self.rows < 1:
            raise ConfigError(f"objective.rows: {self.rows} is below 1; null takes all")

    texts, modules, row_length = plain_text.texts, plain_text.modules, plain_text.row_length

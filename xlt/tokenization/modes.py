"""What `xlt tokenize` can do: learn a tokenizer, report on some that exist, trim one with its model, or extend it. Settings only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from xlt.errors import ConfigError


class Init(str, Enum):
    """How the rows of new pieces begin (see `xlt.models.new_rows`)."""

    random = "random"
    mean = "mean"
    wechsel = "wechsel"
    focus = "focus"


@dataclass(frozen=True, kw_only=True)
class Learn:
    """From text; the tokenizer group says what. folder: below runs/<name>."""

    folder: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """tokenizers: side by side; none: the one of the tokenizer group. pivot: language of the parallel text whose other side parity is measured
    against; null: no parity. rows: of a language or pair; null: all."""

    folder: str
    tokenizers: list[str]
    pivot: str | None
    split: str | None
    rows: int | None

    def __post_init__(self):
        _positive(self, "rows")
        if self.split not in (None, "train", "dev", "test"):
            raise ConfigError(f"mode.split: {self.split} is none of train, dev, test; null takes what a language has")


@dataclass(frozen=True, kw_only=True)
class Trim:
    """min_count: occurrences that keep a piece; above 1, text that was counted may be encoded otherwise. rows: of a language; null: all."""

    folder: str
    min_count: int
    rows: int | None

    def __post_init__(self):
        _positive(self, "min_count", "rows")


@dataclass(frozen=True, kw_only=True)
class Extend:
    """pieces: added at most. alpha, sample, max_repeats: how sentences are drawn from several languages, as in learning. character_coverage: of
    SentencePiece. mixture: share of the new pieces' unigram model in the mixture of both, in (0, 1).

    vectors, source, neighbours, temperature: of init=wechsel; width, window, epochs, min_count: of
    init=focus.
    """

    folder: str
    pieces: int
    alpha: float
    sample: int | None
    max_repeats: int
    character_coverage: float
    mixture: float
    init: Init
    vectors: str | None
    source: str | None
    neighbours: int
    temperature: float
    width: int
    window: int
    epochs: int
    min_count: int

    def __post_init__(self):
        _positive(self, "pieces", "sample", "max_repeats", "neighbours", "temperature")
        _positive(self, "width", "window", "epochs", "min_count")
        if not 0 < self.mixture < 1:
            raise ConfigError(f"mode.mixture: {self.mixture} is not between 0 and 1; 0.5 weighs both models alike")
        if not 0 < self.character_coverage <= 1:
            raise ConfigError(f"mode.character_coverage: {self.character_coverage} is not in (0, 1]; XLM-R has 0.9995")
        if self.init is Init.wechsel and (self.vectors is None or self.source is None):
            raise ConfigError(
                "mode.vectors, mode.source: init=wechsel reads word vectors of an old and the new language in one space; give the run directory of "
                "xlt align objective=procrustes, and the old language"
            )
        if self.init is not Init.wechsel and self.vectors is not None:
            raise ConfigError(f"mode.vectors: init={self.init.value} would not read them; set mode.init=wechsel")


def _positive(mode, *names: str) -> None:
    if wrong := [
        f"mode.{n}: {v} is not above 0; give more" for n in names if (v := getattr(mode, n)) is not None and v <= 0
    ]:
        raise ConfigError(wrong)

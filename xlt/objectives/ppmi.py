"""Static word vectors from counts: the truncated SVD of positive PMI (see `xlt.alignment.cooccurrences`). Of small corpora better than skip-gram, and needs nothing
but torch (Levy, Goldberg and Dagan 2015)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar

from xlt.alignment.cooccurrences import learn_vectors
from xlt.alignment.vectors import StaticVectors
from xlt.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class PPMI:
    """width: numbers a vector. window: words to either side that count, near ones more. max_vocab: most frequent words. joint: one space of all languages' text."""

    joint: bool
    width: int
    window: int
    max_vocab: int

    kind: ClassVar[str] = "words"
    view: ClassVar[str] = "text"
    metric: ClassVar[str] = "coverage"
    higher_is_better: ClassVar[dict[str, bool]] = {"coverage": True}

    def __post_init__(self):
        if problems := [
            f"objective.{name}: {getattr(self, name)} is not above 0"
            for name in ("width", "window", "max_vocab")
            if getattr(self, name) <= 0
        ]:
            raise ConfigError(problems)

    def require(self) -> None:
        """Nothing that may be missing."""

    def learn(
        self, sentences: Callable[[], Iterable[list[str]]], seed: int, tell: Callable[[str], None]
    ) -> tuple[StaticVectors, dict[str, float]]:
        """(vectors, facts). sentences: the words of each, anew at each call. The seed decides nothing: there is nothing random in it."""
        table = learn_vectors(sentences(), self.width, self.max_vocab, self.window)
        tokens = known = 0
        for sentence in sentences():
            tokens += len(sentence)
            known += sum(word in table.rows for word in sentence)
        return table, {"words": len(table.words), "tokens": tokens, "coverage": known / max(tokens, 1)}

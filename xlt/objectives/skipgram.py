"""Static word vectors learned from text by skip-gram or CBOW with negative sampling, with or without subwords: gensim's Word2Vec and FastText.

Mikolov et al. 2013; Bojanowski, Grave, Joulin and Mikolov 2017. Knows words only; it needs no tokenizer and trains no encoder.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch

from xlt.alignment.vectors import StaticVectors
from xlt.errors import ConfigError, DataError

_COUNTS = ("width", "window", "min_count", "max_vocab", "negatives", "epochs", "workers", "min_ngram", "buckets")


@dataclass(frozen=True, kw_only=True)
class SkipGram:
    """subwords: a word is the sum of its character n-grams of min_ngram to max_ngram letters, in `buckets` (FastText); else a vector of its own (Word2Vec).

    cbow: predict a word from its neighbours instead. joint: one space learned from the text of all languages. workers: threads; more than one are faster and
    give other vectors each time. subsample: threshold above which frequent words are skipped at random.
    """

    subwords: bool
    cbow: bool
    joint: bool
    width: int
    window: int
    min_count: int
    max_vocab: int
    negatives: int
    epochs: int
    learning_rate: float
    subsample: float
    min_ngram: int
    max_ngram: int
    buckets: int
    workers: int

    kind: ClassVar[str] = "words"
    view: ClassVar[str] = "text"
    metric: ClassVar[str] = "coverage"
    higher_is_better: ClassVar[dict[str, bool]] = {"coverage": True}

    def __post_init__(self):
        problems = [
            f"objective.{name}: {getattr(self, name)} is not above 0" for name in _COUNTS if getattr(self, name) <= 0
        ]
        if self.max_ngram < self.min_ngram:
            problems.append(f"objective.max_ngram: {self.max_ngram} is below min_ngram {self.min_ngram}")
        if self.learning_rate <= 0 or self.subsample < 0:
            problems.append(
                f"objective: learning_rate {self.learning_rate} must be above 0 and subsample {self.subsample} at least 0"
            )
        if problems:
            raise ConfigError(problems)

    def require(self) -> None:
        """ConfigError with the remedy if gensim is not installed."""
        require_gensim()

    def learn(
        self, sentences: Callable[[], Iterable[list[str]]], seed: int, tell: Callable[[str], None]
    ) -> tuple[StaticVectors, dict[str, float]]:
        """(vectors of the max_vocab words that occur min_count times, facts). sentences: the words of each, anew at each call; what `epochs` passes read.

        DataError if no word is frequent enough; ConfigError if gensim is missing.
        """
        require_gensim()
        from gensim.models import FastText, Word2Vec
        from gensim.models.callbacks import CallbackAny2Vec

        logging.getLogger("gensim").setLevel(logging.ERROR)

        class Epochs(CallbackAny2Vec):
            done = 0

            def on_epoch_end(self, model) -> None:
                self.done += 1
                tell(f"epoch {self.done} of {model.epochs}")

        subwords = {"min_n": self.min_ngram, "max_n": self.max_ngram, "bucket": self.buckets} if self.subwords else {}
        model = (FastText if self.subwords else Word2Vec)(
            vector_size=self.width, window=self.window, min_count=self.min_count, max_final_vocab=self.max_vocab, sg=0 if self.cbow else 1,
            negative=self.negatives, epochs=self.epochs, alpha=self.learning_rate, sample=self.subsample, workers=self.workers, seed=seed, **subwords,
        )  # fmt: skip
        model.build_vocab(_Anew(sentences))
        if not len(model.wv):
            raise DataError(
                f"no word occurs {self.min_count} times, so there is nothing to learn vectors from; lower objective.min_count, or give more text"
            )
        model.train(_Anew(sentences), total_examples=model.corpus_count, epochs=model.epochs, callbacks=[Epochs()])
        counts = sum(model.wv.get_vecattr(word, "count") for word in model.wv.index_to_key)
        facts = {
            "words": len(model.wv),
            "tokens": model.corpus_total_words,
            "coverage": counts / model.corpus_total_words,
        }
        return StaticVectors(list(model.wv.index_to_key), torch.from_numpy(model.wv.vectors.copy())), facts


class _Anew:
    """gensim iterates a corpus once for the vocabulary and once for each epoch."""

    def __init__(self, sentences: Callable[[], Iterable[list[str]]]):
        self.sentences = sentences

    def __iter__(self):
        return iter(self.sentences())


def require_gensim(who: str = "objective: SkipGram learns word vectors") -> None:
    """ConfigError with the remedy if it is not installed. who: the setting, and what it does, as the message begins."""
    try:
        import gensim  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"{who} with gensim, which is not installed here; pip install 'xlt[static-embeddings]'"
        ) from error

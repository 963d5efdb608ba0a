"""How a text is spoiled for a model that repairs it: mBART's text infilling and sentence permutation, and the word noise of unsupervised translation.

Both are functions from token ids and a key to token ids. Words and sentences are told by the look of their tokens (`xlt.surface`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xlt import noise
from xlt.errors import ConfigError
from xlt.objectives.spans import draw_spans, poisson
from xlt.vocabulary import Vocabulary


@dataclass(frozen=True, kw_only=True)
class TextInfilling:
    """Runs of words, Poisson(mean_span) long, become one mask each until `rate` of the words is hidden; a run of no word is a mask too many
    (Lewis et al. 2020, section 2.2; Liu et al. 2020, section 2.2). Before that, the order of the sentences is drawn anew."""

    rate: float
    mean_span: float
    permute_sentences: bool

    def __post_init__(self):
        if not 0 <= self.rate < 1:
            raise ConfigError(f"objective.noise.rate: {self.rate} is not in [0, 1); mBART has 0.35")
        if self.mean_span <= 0:
            raise ConfigError(f"objective.noise.mean_span: {self.mean_span} is not above 0; mBART has 3.5")

    def spoil(self, texts: list[np.ndarray], keys_B: np.ndarray, vocabulary: Vocabulary) -> list[np.ndarray]:
        """The noised ids of each text."""
        mask = np.array([vocabulary.require_mask("denoising")])
        if self.permute_sentences:
            keys = noise.combine(keys_B, 1 << 34)
            texts = [permute_sentences(ids, key, vocabulary) for ids, key in zip(texts, keys, strict=True)]
        starts = [word_offsets(ids, vocabulary) for ids in texts]
        words_B = np.array([len(s) - 1 for s in starts])
        spans = draw_spans(words_B, noise.combine(keys_B, 1 << 35), self.rate, poisson(self.mean_span))
        bounds = np.searchsorted(spans.region_S, np.arange(len(texts) + 1))
        noised = []
        for row, (ids, offsets) in enumerate(zip(texts, starts, strict=True)):
            parts, at = [], 0
            for s in range(bounds[row], bounds[row + 1]):
                start, length = spans.start_S[s], spans.length_S[s]
                parts += [ids[offsets[at] : offsets[start]], mask]
                at = start + length
            noised.append(np.concatenate([*parts, ids[offsets[at] :]]))
        return noised


@dataclass(frozen=True, kw_only=True)
class WordNoise:
    """Words are shuffled so that none moves more than `shuffle` places, left out with probability `dropout` (one is kept), and hidden, each token a mask,
    with probability `blank` (Lample et al. 2018, section 2.3; the blank: Lample et al. 2018b and XLM's code)."""

    shuffle: int
    dropout: float
    blank: float

    def __post_init__(self):
        if self.shuffle < 0:
            raise ConfigError(
                f"objective.noise.shuffle: {self.shuffle} is below 0; Lample et al. have 3, and 0 keeps the order"
            )
        for name in ("dropout", "blank"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(
                    f"objective.noise.{name}: {getattr(self, name)} is not in [0, 1); Lample et al. have 0.1"
                )

    def spoil(self, texts: list[np.ndarray], keys_B: np.ndarray, vocabulary: Vocabulary) -> list[np.ndarray]:
        """The noised ids of each text."""
        mask = vocabulary.require_mask("denoising") if self.blank else None
        starts = [word_offsets(ids, vocabulary) for ids in texts]
        words = np.arange(max((len(s) - 1 for s in starts), default=0))
        luck = [noise.uniform(noise.combine(noise.combine(keys_B, 1 << at)[:, None], words)) for at in (36, 37, 38)]
        rows = zip(texts, starts, *luck, strict=True)
        return [self._one(ids, offsets, [u[: len(offsets) - 1] for u in own], mask) for ids, offsets, *own in rows]

    def _one(self, ids: np.ndarray, offsets: np.ndarray, luck: list[np.ndarray], mask: int | None) -> np.ndarray:
        order_luck_W, drop_luck_W, blank_luck_W = luck
        # i + U(0, k + 1), sorted: a word is passed only by those less than k + 1 away (section 2.3)
        order_W = np.argsort(np.arange(len(order_luck_W)) + order_luck_W * (self.shuffle + 1), kind="stable")
        kept_W = drop_luck_W >= self.dropout
        if len(kept_W) and not kept_W.any():
            kept_W[np.argmax(drop_luck_W)] = True
        order_K = order_W[kept_W[order_W]]
        start_K, size_K = offsets[order_K], offsets[order_K + 1] - offsets[order_K]
        spoiled = ids[np.repeat(start_K - (size_K.cumsum() - size_K), size_K) + np.arange(int(size_K.sum()))]
        if mask is not None:
            spoiled[np.repeat(blank_luck_W[order_K] < self.blank, size_K)] = mask
        return spoiled


def word_offsets(ids: np.ndarray, vocabulary: Vocabulary) -> np.ndarray:
    """int64 (words + 1,): where each word begins, and the text's length."""
    opens = vocabulary.starts_word[ids].copy()
    opens[:1] = True
    return np.append(np.flatnonzero(opens), len(ids))


def permute_sentences(ids: np.ndarray, key: np.uint64, vocabulary: Vocabulary) -> np.ndarray:
    """The same sentences in an order drawn uniformly. One ends at a full stop (of any script) that is followed by the beginning of a word."""
    opens = np.zeros(len(ids), bool)
    opens[1:] = (
        vocabulary.ends_sentence[ids[:-1]] & vocabulary.starts_word[ids[1:]] & vocabulary.begins_sentence[ids[1:]]
    )
    sentences = np.split(ids, np.flatnonzero(opens))
    return np.concatenate([sentences[i] for i in noise.permutation(key, len(sentences))])

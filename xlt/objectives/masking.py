"""Which tokens a masked language model hides, and what stands in their place. A token's fate depends on its row's key and its place, never on the batch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from xlt import noise
from xlt.errors import ConfigError
from xlt.objectives.spans import draw_spans, geometric, share
from xlt.vocabulary import Vocabulary


class Unit(str, Enum):
    """What is hidden together: single tokens (BERT), whole words (BERT's whole-word masking), or runs of words (SpanBERT)."""

    token = "token"
    word = "word"
    span = "span"


@dataclass(frozen=True, kw_only=True)
class Masking:
    """mask_rate of the tokens (of the words, for words and spans) is chosen. Of the chosen, mask_share become <mask>, random_share a random token, and
    the rest stay: drawn per token, but once for a whole span (Joshi et al. 2020, section 3.1).

    span_p, span_longest: geometric lengths of spans, in words. frequency_power: a token is chosen with weight 1/frequency^power; 0 switches it off.
    """

    mask_rate: float
    mask_share: float
    random_share: float
    unit: Unit
    span_p: float
    span_longest: int
    frequency_power: float

    def __post_init__(self):
        problems = []
        if not 0 < self.mask_rate < 1:
            problems.append(f"objective.mask_rate: {self.mask_rate} is not in (0, 1); BERT has 0.15")
        if self.mask_share < 0 or self.random_share < 0 or self.mask_share + self.random_share > 1:
            problems.append(
                f"objective.mask_share + objective.random_share: {self.mask_share} + {self.random_share} is not in [0, 1]; BERT has 0.8 + 0.1"
            )
        if not 0 < self.span_p < 1:
            problems.append(f"objective.span_p: {self.span_p} is not in (0, 1); SpanBERT has 0.2")
        if self.span_longest < 1:
            problems.append(f"objective.span_longest: {self.span_longest} is below 1; SpanBERT has 10")
        if self.frequency_power < 0:
            problems.append(f"objective.frequency_power: {self.frequency_power} is below 0; XLM has 0.5, and 0 is off")
        if self.frequency_power > 0 and self.unit is not Unit.token:
            problems.append(
                f"objective.frequency_power: {self.frequency_power} chooses single tokens, but objective.unit is {self.unit.value}; set one of them back (0, token)"
            )
        if problems:
            raise ConfigError(problems)

    @property
    def reads_counts(self) -> bool:
        """Whether `vocabulary.counts` is needed."""
        return self.frequency_power > 0

    def corrupt(
        self, ids_BL: np.ndarray, keys_B: np.ndarray, vocabulary: Vocabulary, sides_BL: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """(noised ids_BL, chosen bool BL). sides_BL: 0 or 1, the text of a pair that a token belongs to; no word or span crosses from one to the other."""
        mask = vocabulary.require_mask("masked_lm")
        keys_BL = noise.combine(keys_B[:, None], np.arange(ids_BL.shape[1], dtype=np.uint64))
        ordinary_BL = ~vocabulary.is_special(ids_BL)
        fate_BL = noise.uniform(noise.combine(keys_BL, 1))
        if self.frequency_power > 0:
            chosen_BL = self._rare(ids_BL, keys_B, keys_BL, ordinary_BL, vocabulary)
        elif self.unit is Unit.token:
            chosen_BL = (noise.uniform(keys_BL) < self.mask_rate) & ordinary_BL
        else:
            chosen_BL, first_BL = self._whole(ids_BL, keys_B, ordinary_BL, sides_BL, vocabulary)
            if self.unit is Unit.span:
                fate_BL = np.take_along_axis(fate_BL, first_BL, 1)
        random_BL = (noise.uniform(noise.combine(keys_BL, 2)) * vocabulary.size).astype(np.int64)
        swap_BL = chosen_BL & (fate_BL >= self.mask_share) & (fate_BL < self.mask_share + self.random_share)
        noised_BL = np.where(chosen_BL & (fate_BL < self.mask_share), mask, ids_BL)
        return np.where(swap_BL, random_BL, noised_BL), chosen_BL

    def _rare(self, ids_BL, keys_B, keys_BL, ordinary_BL, vocabulary: Vocabulary) -> np.ndarray:
        """chosen bool BL: mask_rate of each row without replacement, with weight 1/frequency^power (Lample and Conneau 2019, section 3.3).

        Weighted sampling by exponential races: the smallest of E/w (Efraimidis and Spirakis 2006).
        """
        frequency_BL = np.maximum(vocabulary.counts[ids_BL], 1).astype(np.float64)
        race_BL = -np.log1p(-noise.uniform(keys_BL)) * frequency_BL**self.frequency_power
        rank_BL = np.where(ordinary_BL, race_BL, np.inf).argsort(1, kind="stable").argsort(1, kind="stable")
        wanted_B = share(ordinary_BL.sum(1), noise.combine(keys_B, 1 << 32), self.mask_rate)
        return (rank_BL < wanted_B[:, None]) & ordinary_BL

    def _whole(self, ids_BL, keys_B, ordinary_BL, sides_BL, vocabulary: Vocabulary) -> tuple[np.ndarray, np.ndarray]:
        """(chosen bool BL, first_BL: place of the first token of the chosen word or span). Texts of a pair are regions of their own."""
        sides_BL = np.zeros_like(ids_BL) if sides_BL is None else sides_BL
        regions = 2 * len(ids_BL)
        row_E, place_E = np.nonzero(ordinary_BL)
        region_E = 2 * row_E + sides_BL[row_E, place_E]
        opens_E = vocabulary.starts_word[ids_BL[row_E, place_E]].copy()
        opens_E[1:] |= (region_E[1:] != region_E[:-1]) | (place_E[1:] != place_E[:-1] + 1)
        opens_E[:1] = True
        word_E = opens_E.cumsum() - 1  # counted over the whole batch
        words_R = np.bincount(region_E[opens_E], minlength=regions)
        begin_R = words_R.cumsum() - words_R
        keys_R = noise.combine(np.repeat(keys_B, 2), (1 << 33) + np.arange(regions) % 2)
        if self.unit is Unit.word:
            of_W = np.repeat(np.arange(regions), words_R)
            lucky_W = noise.uniform(noise.combine(keys_R[of_W], np.arange(len(of_W)) - begin_R[of_W])) < self.mask_rate
            span_W = np.where(lucky_W, np.arange(len(of_W)), -1)
        else:
            spans = draw_spans(words_R, keys_R, self.mask_rate, geometric(self.span_p, self.span_longest))
            span_W = np.full(int(words_R.sum()), -1)
            inside = np.arange(int(spans.length_S.sum())) - np.repeat(
                spans.length_S.cumsum() - spans.length_S, spans.length_S
            )
            span_W[np.repeat(begin_R[spans.region_S] + spans.start_S, spans.length_S) + inside] = np.repeat(
                np.arange(len(spans.length_S)), spans.length_S
            )
        span_E = span_W[word_E]
        chosen_BL, first_BL = np.zeros(ids_BL.shape, bool), np.zeros(ids_BL.shape, np.int64)
        chosen_BL[row_E, place_E] = span_E >= 0
        begins_E = np.flatnonzero(np.diff(span_E, prepend=-2) != 0)
        first_BL[row_E, place_E] = place_E[begins_E[np.searchsorted(begins_E, np.arange(len(place_E)), "right") - 1]]
        return chosen_BL, first_BL

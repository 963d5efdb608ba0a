"""Random spans of words: how many words, in runs how long, and where. Shared by span masking and text infilling; knows no token.

The words to hide are a fixed share of each region (a sentence, or one side of a pair), as in SpanBERT (Joshi et al. 2020, section 3.1) and BART (Lewis et al.
2020, section 2.2). Runs are drawn until that share is spent, the last one cut; then runs and the words between them are put in an order that is uniform among
all orders. So no draw is rejected, each run has the length that was drawn, and all of it is a function of the region's key.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from xlt import noise

Lengths = Callable[[np.ndarray], np.ndarray]  # uniform numbers in [0, 1) -> lengths of the same shape


@dataclass(frozen=True)
class Spans:
    """S runs, in the order of region and place. length 0: nothing is hidden, but something may be inserted before word `start`."""

    region_S: np.ndarray
    start_S: np.ndarray
    length_S: np.ndarray


def draw_spans(words_R: np.ndarray, keys_R: np.ndarray, rate: float, lengths: Lengths) -> Spans:
    """Runs that hide `rate` of the words of each of R regions: rate * words of them, rounded up or down at random so that the mean is exact."""
    budget_R = share(words_R, keys_R, rate)
    size, drawn_RT = 8, np.zeros((len(words_R), 0), np.int64)
    while (drawn_RT.sum(1) < budget_R).any():
        drawn_RT = lengths(noise.uniform(noise.combine(noise.combine(keys_R, 1)[:, None], np.arange(size))))
        size *= 2
    before_RT = drawn_RT.cumsum(1) - drawn_RT
    used_RT = before_RT < budget_R[:, None]
    length_S = np.minimum(drawn_RT, budget_R[:, None] - before_RT)[used_RT]

    spans_R = used_RT.sum(1)
    slots_R = words_R - budget_R + spans_R  # a slot holds a run, or a word that stays
    places = np.arange(int(slots_R.max(initial=0)))
    luck_RP = noise.uniform(noise.combine(noise.combine(keys_R, 2)[:, None], places))
    order_RP = np.argsort(np.where(places < slots_R[:, None], luck_RP, 2.0), axis=1, kind="stable")
    is_span_RP = np.zeros(luck_RP.shape, bool)
    np.put_along_axis(is_span_RP, order_RP, places < spans_R[:, None], axis=1)
    sizes_RP = (places < slots_R[:, None]).astype(np.int64)
    sizes_RP[is_span_RP] = length_S
    start_RP = sizes_RP.cumsum(1) - sizes_RP
    return Spans(np.nonzero(is_span_RP)[0], start_RP[is_span_RP], length_S)


def share(units_R: np.ndarray, keys_R: np.ndarray, rate: float) -> np.ndarray:
    """int64 R: rate * units, rounded at random so that its mean is exact."""
    return np.floor(rate * units_R + noise.uniform(noise.combine(keys_R, 0))).astype(np.int64)


@cache
def geometric(p: float, longest: int) -> Lengths:
    """Lengths 1..longest with P(n) proportional to p (1-p)^(n-1); SpanBERT's has p = 0.2, longest 10 and mean 3.8."""
    weights = p * (1 - p) ** np.arange(longest)
    return _inverse(weights / weights.sum(), 1)


@cache
def poisson(mean: float) -> Lengths:
    """Lengths 0, 1, ... with P(n) = e^-mean mean^n / n!; mBART's has mean 3.5."""
    longest = int(mean + 20 * math.sqrt(mean) + 20)  # less than 1e-16 lies beyond
    return _inverse(np.array([math.exp(n * math.log(mean) - mean - math.lgamma(n + 1)) for n in range(longest)]), 0)


def _inverse(probabilities: np.ndarray, first: int) -> Lengths:
    bounds = probabilities.cumsum()
    last = len(bounds) - 1  # the sum may end below 1 by a rounding
    return lambda uniform: first + np.minimum(np.searchsorted(bounds, uniform, side="right"), last)

"""Random spans against their definitions: lengths by chi-square, shares exactly, places uniform among all orders."""

import math
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from xlt import noise
from xlt.objectives.spans import draw_spans, geometric, poisson, share

KEYS = noise.combine(noise.key("spans"), np.arange(200_000))


def fits(counts, expected):
    """Chi-square of observed counts against expected ones, bins of less than 10 expected joined to the last."""
    counts, expected = np.asarray(counts, float), np.asarray(expected, float)
    few = expected < 10
    if few.any():
        counts = np.append(counts[~few], counts[few].sum())
        expected = np.append(expected[~few], expected[few].sum())
    assert len(expected) > 1
    return stats.chisquare(counts, expected * counts.sum() / expected.sum()).pvalue


@pytest.mark.parametrize("p, longest", [(0.2, 10), (0.5, 4), (0.9, 1)])
def test_geometric_lengths(p, longest):
    lengths = geometric(p, longest)(noise.uniform(KEYS))
    assert lengths.min() == 1 and lengths.max() <= longest
    weights = [p * (1 - p) ** (n - 1) for n in range(1, longest + 1)]
    if longest > 1:
        assert fits(np.bincount(lengths, minlength=longest + 1)[1:], weights / np.sum(weights) * len(KEYS)) > 1e-3
    if (p, longest) == (0.2, 10):
        assert lengths.mean() == pytest.approx(3.8, abs=0.02)  # Joshi et al. 2020, section 3.1


@pytest.mark.parametrize("mean", [3.5, 0.4, 12.0])
def test_poisson_lengths(mean):
    lengths = poisson(mean)(noise.uniform(KEYS))
    expected = stats.poisson(mean).pmf(np.arange(lengths.max() + 1)) * len(KEYS)
    assert fits(np.bincount(lengths), expected) > 1e-3
    assert poisson(mean)(np.array([1 - 2**-53])) < mean + 20 * math.sqrt(mean) + 20


def test_the_share_is_rounded_at_random_with_an_exact_mean():
    found = share(np.full(len(KEYS), 5), KEYS, 0.35)
    assert set(found) == {1, 2}
    assert stats.binomtest(int((found == 2).sum()), len(KEYS), 0.75).pvalue > 1e-3


@pytest.mark.parametrize("lengths, mean", [(geometric(0.2, 10), None), (poisson(3.5), 3.5)])
def test_spans_are_apart_and_hide_the_share(lengths, mean):
    words_R = np.random.default_rng(0).integers(0, 60, 3000)
    spans = draw_spans(words_R, KEYS[:3000], 0.35, lengths)
    hidden_R = np.bincount(spans.region_S, weights=spans.length_S, minlength=3000)
    np.testing.assert_array_equal(hidden_R, share(words_R, KEYS[:3000], 0.35))
    end_S = spans.start_S + spans.length_S
    assert (end_S <= words_R[spans.region_S]).all() and spans.start_S.min() >= 0
    same = spans.region_S[1:] == spans.region_S[:-1]
    assert (spans.start_S[1:] >= end_S[:-1])[same].all()
    assert same.sum() > 5000
    assert ((spans.length_S == 0).sum() > 100) == (mean is not None)


def test_drawn_lengths_are_kept_whole_but_the_last():
    """Of a long region, the lengths in order of place have the distribution they were drawn from: nothing is rejected, only one in a region is cut."""
    spans = draw_spans(np.full(400, 2000), KEYS[:400], 0.15, geometric(0.2, 10))
    counts = np.bincount(spans.length_S, minlength=11)[1:]
    weights = 0.8 ** np.arange(10)
    assert len(spans.length_S) > 30_000
    # 1 of 79 spans is cut, so counts are near the drawn ones, in total variation
    assert np.abs(counts / counts.sum() - weights / weights.sum()).sum() / 2 < 0.012


def test_places_are_uniform_among_all_orders():
    """Two spans of one word among five words: every one of the ten pairs of places equally often."""
    spans = draw_spans(np.full(20_000, 5), KEYS[:20_000], 0.4, lambda u: np.ones(u.shape, np.int64))
    pairs = spans.start_S.reshape(-1, 2)
    found = [int(((pairs == pair).all(1)).sum()) for pair in combinations(range(5), 2)]
    assert sum(found) == 20_000
    assert stats.chisquare(found).pvalue > 1e-3


def test_a_long_span_stands_anywhere_equally_often():
    spans = draw_spans(np.full(20_000, 9), KEYS[:20_000], 3 / 9, lambda u: np.full(u.shape, 7))
    whole = spans.start_S[spans.length_S == 3]
    assert len(whole) > 19_000
    assert stats.chisquare(np.bincount(whole, minlength=7)).pvalue > 1e-3


def test_a_region_does_not_depend_on_the_others():
    words_R = np.array([3, 500, 0, 40, 12])
    whole = draw_spans(words_R, KEYS[:5], 0.35, poisson(3.5))
    for r in range(5):
        alone = draw_spans(words_R[r : r + 1], KEYS[r : r + 1], 0.35, poisson(3.5))
        of = whole.region_S == r
        assert alone.start_S.tolist() == whole.start_S[of].tolist()
        assert alone.length_S.tolist() == whole.length_S[of].tolist()

"""Scores of labels and numbers against scikit-learn and scipy, and those that are made of sums over rows against any resample of the rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import f1_score, ndcg_score

from xlt import metrics


def labels(rows, names, density, seed):
    random = np.random.default_rng(seed)
    return random.random((rows, names)) < density


@pytest.mark.parametrize("density", [0.02, 0.3, 0.9])
@pytest.mark.parametrize("seed", range(4))
def test_f1_of_labels_is_scikit_learns(density, seed):
    """At 0.02 of 7 rows some labels are in neither gold nor predictions."""
    guess, truth = labels(7, 9, density, seed), labels(7, 9, density, seed + 100)
    assert (density > 0.1) or ((guess | truth).sum(0) == 0).any(), "the case is there"
    if (guess | truth).any():
        expected = f1_score(truth, guess, average="macro", zero_division=np.nan)
        assert metrics.label_sums(guess, truth).score == pytest.approx(expected, abs=1e-6)
        expected = f1_score(truth, guess, average="micro", zero_division=0)
        assert metrics.micro_sums(guess, truth).score == pytest.approx(expected, abs=1e-6)


def test_f1_of_no_labels_at_all():
    none = np.zeros((3, 4), bool)
    assert metrics.label_sums(none, none).score == metrics.micro_sums(none, none).score == 0


few = st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=2, max_size=30)
many = st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), min_size=2, max_size=30)


@given(few)
def test_correlations_are_scipys_with_ties(pairs):
    a, b = np.array(pairs, float).T
    defined = len(set(a)) > 1 and len(set(b)) > 1
    for ours, theirs in ((metrics.spearman(a, b), stats.spearmanr), (metrics.pearson_sums(a, b).score, stats.pearsonr)):
        assert ours == (pytest.approx(theirs(a, b).statistic, abs=1e-6) if defined else 0)


@given(many.filter(lambda pairs: all(np.ptp(side) > 1 for side in np.array(pairs).T)))
def test_correlations_are_scipys(pairs):
    a, b = np.array(pairs).T
    assert metrics.spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-6)
    assert metrics.pearson_sums(a, b).score == pytest.approx(stats.pearsonr(a, b).statistic, abs=1e-6)


def test_a_correlation_does_not_lose_digits_far_from_nought():
    random = np.random.default_rng(0)
    a = random.random(200)
    b = a + random.random(200)
    expected = stats.pearsonr(a, b).statistic
    assert metrics.pearson_sums(a + 1e6, b + 1e6).score == pytest.approx(expected, abs=1e-6)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=30))
def test_spearman_of_places_is_scipys(pairs):
    a, b = np.array(pairs).T
    defined = len(set(a)) > 1 and len(set(b)) > 1
    expected = pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-6) if defined else 0
    assert metrics.place_sums(a, b, 5).score == expected


def test_a_resample_of_sums_is_the_score_of_the_resampled_rows():
    random = np.random.default_rng(1)
    a, b = random.integers(0, 4, 40), random.integers(0, 4, 40)
    x, y = random.normal(size=40) + 50, random.normal(size=40)
    for _ in range(20):
        rows = random.integers(0, 40, 40)
        weights = np.bincount(rows, minlength=40).astype(float)
        for sums, again in (
            (metrics.place_sums(a, b, 4), stats.spearmanr(a[rows], b[rows])),
            (metrics.pearson_sums(x, y), stats.pearsonr(x[rows], y[rows])),
        ):
            assert metrics.FORMULAS[sums.formula](weights @ sums.each) == pytest.approx(again.statistic, abs=1e-6)


def test_gain_is_the_grade():
    """By hand: 2 first and 3 second, of 3, 2, 0; and equal predictions in any order."""
    ideal = 3 + 2 / np.log2(3)
    assert metrics.graded_ndcg(np.array([0.9, 0.8, 0.1]), np.array([2, 3, 0])) == pytest.approx(
        (2 + 3 / np.log2(3)) / ideal
    )
    assert metrics.graded_ndcg(np.ones(2), np.array([1, 0])) == pytest.approx((1 + 1 / np.log2(3)) / 2)
    assert metrics.graded_ndcg(np.ones(2), np.zeros(2, int)) == 0
    random = np.random.default_rng(2)
    for _ in range(20):
        grades, said = random.integers(0, 5, 8), random.integers(0, 3, 8).astype(float)
        assert metrics.graded_ndcg(said, grades) == pytest.approx(ndcg_score(grades[None], said[None]), abs=1e-6)

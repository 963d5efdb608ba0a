"""Two runs compared: p-values by hand and by the definition of Holm's correction, and nothing changes but signs when the runs change places."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlt import metrics
from xlt.evaluation.comparison import compare, holm, p_value
from xlt.evaluation.statistics import Statistics


def run(figures):
    """{language: figures of its rows}, whose ids are their numbers."""
    return {
        code: Statistics.of(code, [{"id": i} for i in range(len(each))], {"accuracy": np.asarray(each, float)})
        for code, each in figures.items()
    }


def some(seed, *means):
    random = np.random.default_rng(seed)
    return run({code: random.random(120) < mean for code, mean in zip(("de", "en", "sw"), means, strict=True)})


def compared(first, second, draws=500):
    return compare(first, second, "accuracy", ["en"], draws, 1, 0.95)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_is_the_closed_test_of_bonferroni(p):
    """A hypothesis is rejected when every set of hypotheses with it in it is (Marcus, Peritz and Gabriel 1976)."""
    indices = range(len(p))
    sets = [s for n in range(1, len(p) + 1) for s in itertools.combinations(indices, n)]
    closed = [max(min(1.0, len(s) * min(p[i] for i in s)) for s in sets if of in s) for of in indices]
    assert holm(p) == pytest.approx(closed)


def test_holm_as_it_is_printed():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02]) and holm([]) == []


def test_p_is_the_share_of_draws_as_far_from_the_difference_as_it_from_zero():
    assert p_value(np.array([0.1, 0.2, 0.3, 0.4, np.nan]), 0.1) == pytest.approx((1 + 3) / (1 + 4))
    assert p_value(np.array([0.1, 0.3 - 0.2]), 0.1 / 3) == pytest.approx(1.0)
    assert p_value(np.zeros(9), 0.0) == 1.0 and p_value(np.full(9, 0.5), 0.5) == pytest.approx(0.1)


def test_two_runs_that_change_places_change_signs_only():
    first, second = [some(1, 0.6, 0.8, 0.5), some(2, 0.6, 0.8, 0.5)], [some(3, 0.5, 0.8, 0.3)]
    (by, means), (back, means_back) = compared(first, second), compared(second, first)
    for name, d in {**by, **means}.items():
        other = {**back, **means_back}[name]
        assert (d.first, d.second, d.p, d.holm) == (other.second, other.first, other.p, other.holm)
        assert d.interval == pytest.approx([-end for end in reversed(other.interval)]) and d.size == -other.size


def test_what_differs_and_what_does_not_and_the_means():
    first, second = some(1, 0.9, 0.8, 0.5), some(1, 0.5, 0.8, 0.5)
    by, means = compared([first], [second])
    assert by["de"].holm < 0.05 and by["de"].interval[0] > 0.2
    assert by["en"].size == 0 and by["en"].p == by["en"].holm == 1 and by["en"].interval == [0, 0]
    assert means.keys() == {"source mean", "target mean"} and means["source mean"].size == 0
    scores = [np.mean([s[c].sums["accuracy"].score for c in ("de", "sw")]) for s in (first, second)]
    assert (means["target mean"].first, means["target mean"].second) == pytest.approx(scores)
    assert means["target mean"].holm is None


def test_a_score_of_corpus_counts_is_compared_as_such():
    gold = np.arange(90) % 3
    guesses = [np.where(np.arange(90) % 7 < 3, 0, gold), gold]
    runs = [{"de": Statistics.of("de", [{}] * 90, {"f": metrics.class_sums(g, gold, 3)})} for g in guesses]
    by, _ = compare(runs[:1], runs[1:], "f", [], 200, 1, 0.95)
    assert by["de"].first == pytest.approx(metrics.macro_f1(guesses[0], gold)) and by["de"].second == 1


def test_seeds_are_averaged():
    by, _ = compared([some(1, 0.6, 0.8, 0.5), some(2, 0.6, 0.8, 0.5)], [some(3, 0.5, 0.8, 0.3)])
    scores = [some(seed, 0.6, 0.8, 0.5)["sw"].sums["accuracy"].score for seed in (1, 2)]
    assert by["sw"].first == pytest.approx(sum(scores) / 2)


def test_languages_that_one_has_not_are_left_out_and_other_rows_refused():
    first, second = some(1, 0.5, 0.5, 0.5), some(2, 0.5, 0.5, 0.5)
    del second["sw"]
    assert compared([first], [second], 20)[0].keys() == {"de", "en"}
    with pytest.raises(ValueError, match="de: the runs were scored on other rows"):
        compared([first], [run({"de": [1, 0]})], 20)


@pytest.mark.slow
def test_of_runs_that_are_alike_five_in_a_hundred_look_different():
    random, wrong = np.random.default_rng(2), 0
    for _ in range(400):
        hard = random.normal(size=200)
        first, second = (run({"de": hard + random.normal(size=200) < 0.3}) for _ in "ab")
        wrong += compared([first], [second], 400)[0]["de"].p < 0.05
    assert 0.02 < wrong / 400 < 0.085

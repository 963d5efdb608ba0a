"""q = p^alpha / sum p^alpha, against its closed form."""

import numpy as np
import pytest

from xlt.data.sampling import alpha_shares, language_shares, share_table, unimax, weight_shares
from xlt.errors import ConfigError

SIZES = {"en": 900, "sw": 100}


def test_alpha_one_keeps_and_alpha_zero_levels():
    assert language_shares(SIZES, 1.0) == pytest.approx({"en": 0.9, "sw": 0.1})
    assert language_shares(SIZES, 0.0) == pytest.approx({"en": 0.5, "sw": 0.5})


def test_alpha_between_is_the_formula():
    a, b = 0.9**0.3, 0.1**0.3
    assert language_shares(SIZES, 0.3) == pytest.approx({"en": a / (a + b), "sw": b / (a + b)})


def test_an_empty_language_is_never_drawn_even_at_alpha_zero():
    assert language_shares({"en": 3, "xx": 0}, 0.0) == {"en": 1.0, "xx": 0.0}
    with pytest.raises(ConfigError, match="none of xx has a row"):
        language_shares({"xx": 0}, 0.3)


def test_the_table_counts_epochs_and_tokens():
    line = share_table(SIZES, {"en": 9000, "sw": 500}, {"en": 0.75, "sw": 0.25}, drawn_rows=1200)[1]
    assert (line.language, line.epochs, line.tokens_drawn) == ("sw", 3.0, 1500.0)


def test_unimax_by_hand():
    """Budget 100, cap 2, from the smallest: 100 / 4 = 25 > 2 * 5, so 10; 90 / 3 = 30 > 2 * 12, so 24; 66 / 2 = 33 < 2 * 40, so 33; 33 / 1."""
    sizes = {"en": 1000, "sw": 5, "de": 40, "qu": 12}
    assert unimax(sizes, 100, 2) == {"en": 33.0, "sw": 10.0, "de": 33.0, "qu": 24.0}
    assert list(unimax(sizes, 100, 2)) == list(sizes)


@pytest.mark.parametrize("seed", range(20))
def test_unimax_has_the_properties_that_define_it(seed):
    """Nobody is over the cap; the budget is spent if the caps allow; whoever is below the cap has as much as the one who has most."""
    draw = np.random.default_rng(seed)
    sizes = {f"l{i}": float(n) for i, n in enumerate(draw.lognormal(3, 2, 12))}
    cap, budget = float(draw.uniform(0.5, 5)), float(draw.uniform(0.05, 1.5)) * sum(sizes.values())
    given = unimax(sizes, budget, cap)
    assert all(given[code] <= cap * n * (1 + 1e-12) for code, n in sizes.items())
    assert sum(given.values()) == pytest.approx(min(budget, cap * sum(sizes.values())))
    most = max(given.values())
    assert all(given[code] == pytest.approx(most) for code, n in sizes.items() if given[code] < cap * n * (1 - 1e-9))


def test_unimax_is_uniform_where_no_cap_is_reached_and_leaves_out_the_empty():
    assert unimax({"en": 900, "sw": 100, "xx": 0}, 150, 1) == {"en": 75.0, "sw": 75.0, "xx": 0.0}


def test_alpha_may_move_between_points():
    shares = alpha_shares(SIZES, "0:0,10:1")
    for step, alpha in ((0, 0.0), (5, 0.5), (10, 1.0), (99, 1.0)):
        assert shares.at(step) == pytest.approx(list(language_shares(SIZES, alpha).values()))
    assert shares.settled == 10 and alpha_shares(SIZES, 0.3).settled == 0
    assert alpha_shares(SIZES, 0.3).at(7) == list(language_shares(SIZES, 0.3).values())


def test_weights_are_of_the_languages_that_are_drawn():
    assert weight_shares(SIZES, {"sw": 3, "en": 1}) == {"en": 0.25, "sw": 0.75}
    with pytest.raises(ConfigError, match="train.weights: sw has none; name each of en, sw"):
        weight_shares(SIZES, {"en": 1})
    with pytest.raises(ConfigError, match="train.weights: fr is not drawn from"):
        weight_shares(SIZES, {"en": 1, "sw": 1, "fr": 1})
    with pytest.raises(ConfigError, match="train.weights: xx has rows to draw"):
        weight_shares({"en": 1, "xx": 0}, {"en": 1, "xx": 1})

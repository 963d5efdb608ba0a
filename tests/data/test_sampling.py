"""q = p^alpha / sum p^alpha, against its closed form."""

import pytest

from xlt.data.sampling import language_shares, share_table
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

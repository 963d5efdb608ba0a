"""What train.sampling names is what is drawn, and what cannot be drawn is said."""

from dataclasses import replace

import pytest

from xlt.config import schema
from xlt.data.sampling import language_shares
from xlt.errors import ConfigError
from xlt.stages.drawing import shares_of, title_of

ROWS = {"en": 900, "de": 90, "sw": 10}
TOKENS = {"en": 9000, "de": 1800, "sw": 50}


def train(**changes):
    base = schema.Train(
        steps=100, epochs=None, batch_size=5, batch_tokens=None, sampling=schema.Sampling.alpha, alpha=0.3, epoch_cap=2.0, weights=None, replay=None
    )  # fmt: skip
    return replace(base, **changes)


def test_alpha_is_the_default():
    assert shares_of(train(), ROWS, TOKENS).at(0) == list(language_shares(ROWS, 0.3).values())
    assert title_of(train()) == "languages drawn with p^0.3"


def test_unimax_in_rows():
    """500 rows: sw 2 * 10 = 20, of the 480 left de 2 * 90 = 180, and en the 300 left."""
    found = shares_of(train(sampling=schema.Sampling.unimax), ROWS, TOKENS).at(0)
    assert found == pytest.approx([300 / 500, 180 / 500, 20 / 500])


def test_unimax_in_tokens_caps_the_passes_over_each_text():
    """5000 tokens: sw 2 * 50 = 100; (5000 - 100) / 2 = 2450 each for de and en, which is 2450 / 1800 and 2450 / 9000 passes."""
    settings = train(sampling=schema.Sampling.unimax, batch_tokens=50)
    shares = dict(zip(ROWS, shares_of(settings, ROWS, TOKENS).at(0), strict=True))
    mean = sum(q * TOKENS[code] / ROWS[code] for code, q in shares.items())
    rows_drawn = 5000 / mean
    passes = {code: q * rows_drawn / ROWS[code] for code, q in shares.items()}
    assert passes == pytest.approx({"sw": 2.0, "de": 2450 / 1800, "en": 2450 / 9000})


def test_more_than_the_caps_allow_is_said():
    settings = train(sampling=schema.Sampling.unimax, epochs=3.0, epoch_cap=2.0)
    with pytest.raises(
        ConfigError, match="2 passes there are 2,000 rows to draw, and the run draws 3,000; .*epoch_cap to 3.00"
    ):
        shares_of(settings, ROWS, TOKENS)


def test_weights():
    settings = train(sampling=schema.Sampling.weights, weights={"en": 1, "de": 1, "sw": 2})
    assert shares_of(settings, ROWS, TOKENS).at(0) == [0.25, 0.25, 0.5]

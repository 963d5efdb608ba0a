"""XLM's points over the updates: read as printed, and the values between them."""

import numpy as np
import pytest

from xlt.schedules import Piecewise


@pytest.mark.parametrize("value", [1, 0.5, "0.5", "1e-2", 0])
def test_a_number_is_constant(value):
    schedule = Piecewise.read(value)
    assert [schedule(step) for step in (0, 7, 10**7)] == [float(value)] * 3


@pytest.mark.parametrize(
    ("step", "value"),
    [(0, 1.0), (50_000, 0.55), (100_000, 0.1), (200_000, 0.05), (299_999, 0.1 / 200_000), (300_000, 0.0), (10**7, 0.0)],
)
def test_xlms_example(step, value):
    """lambda_ae of its README: from 1 to 0.1 over 100000 updates, then to 0 at 300000."""
    assert Piecewise.read("0:1,100000:0.1,300000:0")(step) == pytest.approx(value, abs=1e-12)


def test_a_warm_up_and_what_is_outside_the_points():
    schedule = Piecewise.read("10:0, 20:1")
    assert [schedule(step) for step in (0, 10, 15, 20, 30)] == [0, 0, 0.5, 1, 1]
    assert schedule.over(np.arange(31)).tolist() == [schedule(step) for step in range(31)]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("lots", "'lots' is not a number"),
        ("0:1,5", "'5' is not UPDATE:VALUE"),
        ("0:1,0.5:2", "'0.5:2' is not UPDATE:VALUE"),
        ("0:1,-5:2", "'-5:2' is not UPDATE:VALUE"),
        ("0:1,5:x", "'x' is not a number"),
        ("0:1,5:2,5:3", "the updates 0, 5, 5 do not rise"),
        ("5:1,3:2", "the updates 5, 3 do not rise"),
        ("nan", "nan is not a finite number"),
        ("", "'' is not a number"),
        ("0:", "'' is not a number"),
    ],
)
def test_what_cannot_be_read_says_why(value, why):
    with pytest.raises(ValueError, match=f"^{why}$"):
        Piecewise.read(value)

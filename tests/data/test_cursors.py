"""Rows of each stream: whole, summing up, never fewer, and as many as the shares say, also while these change."""

import numpy as np
import pytest

from xlt.data.cursors import Cursors
from xlt.data.plan import Plan
from xlt.data.sampling import Shares, alpha_shares

SIZES = {"en": 90_000, "de": 9000, "sw": 900, "xx": 0, "qu": 60}
PHASES = [0.2, 0.9, 0.0, 0.5, 0.7]


def make(alpha, window=4, size=96):
    return Cursors(alpha_shares(SIZES, alpha), lambda _: size, window, PHASES)


def shares_over(alpha, steps):
    return np.array([alpha_shares(SIZES, alpha).at(step) for step in range(steps)])


@pytest.mark.parametrize("alpha", ["0.3", "0:0.3,400:0.7", "0:0,100:1,200:0,201:0.5", "37:1,900:0"])
def test_whole_numbers_that_sum_up_and_never_decrease(alpha):
    cursors = make(alpha)
    counts = np.array([cursors.at(index) for index in range(400)])
    assert counts.dtype == np.int64 and (counts[0] == 0).all()
    assert counts.sum(1).tolist() == [cursors.begin(index) for index in range(400)]
    assert (np.diff(counts, axis=0) >= 0).all()
    assert (counts[:, 3] == 0).all(), "a language without rows was drawn"


@pytest.mark.parametrize("alpha", ["0:0.3,400:0.7", "0:0,100:1,200:0,201:0.5"])
@pytest.mark.parametrize("steps", [40, 400, 1600])
def test_what_is_drawn_is_the_integral_of_the_shares(alpha, steps):
    cursors = make(alpha)
    wanted = shares_over(alpha, steps).sum(0) * 96 / 4
    found = np.array(cursors.at(steps // 4))
    # each stream's count is off by one at most for each before it, and by the rectangle's error of a window
    assert np.abs(found - wanted).max() <= len(SIZES) + 96
    assert np.abs(found - wanted).max() <= len(SIZES) + 0.002 * wanted.sum()
    assert np.array(cursors.expected(steps)) == pytest.approx(wanted / wanted.sum(), abs=0.006)


def test_fixed_shares_are_those_of_the_closed_form():
    """Each in turn floor(part * left + phase), as runs before there were schedules."""
    shares = alpha_shares(SIZES, 0.3).at(0)
    cursors = make(0.3)
    for rows in (0, 1, 17, 96, 12_345, 10**9 + 7):
        taken, left, mass = [], rows, 1.0
        for share, phase in zip(shares, PHASES, strict=True):
            part = share / mass if mass > share else 1.0
            taken.append(left if part >= 1.0 else int(np.floor(part * left + phase)))
            left, mass = left - taken[-1], mass - share
        assert cursors.drawn(rows) == taken


def test_the_last_window_that_changes_meets_the_first_that_does_not():
    cursors = make("0:0.3,400:0.7")
    assert cursors.settled == 100
    assert cursors.drawn(cursors.begin(100)) == cursors._taken[100].tolist()


def test_any_update_of_a_changing_plan_can_be_asked_first():
    lengths = [np.random.default_rng(i).integers(4, 60, n) for i, n in enumerate((300, 80, 20))]
    sizes = {"en": 300, "de": 80, "sw": 20}

    def plan():
        return Plan(lengths, alpha_shares(sizes, "0:1,60:0"), seed=3, window=8, batch_size=1, batch_tokens=500)

    forward = plan()
    batches = [forward.batch(step) for step in range(120)]
    for step in (119, 3, 64, 63, 0):
        again = plan().batch(step)
        assert np.array_equal(again.rows, batches[step].rows) and np.array_equal(again.streams, batches[step].streams)
    early = np.concatenate([b.streams for b in batches[:16]])
    late = np.concatenate([b.streams for b in batches[80:]])
    assert (early == 0).mean() > 0.6 and (late == 0).mean() < 0.4


def test_budgets_of_tokens_hold_while_shares_move_from_short_rows_to_long_ones():
    lengths = [np.full(500, 10), np.full(500, 100)]
    shares = Shares(lambda step: [1 - min(step, 80) / 80, min(step, 80) / 80], settled=80)
    plan = Plan(lengths, shares, seed=1, window=8, batch_size=1, batch_tokens=1000)
    tokens = [
        sum(int(lengths[s][r]) for s, r in zip(d.streams, d.rows, strict=True)) for d in map(plan.batch, range(160))
    ]
    assert np.mean(tokens) == pytest.approx(1000, rel=0.03) and max(tokens) < 1300 and min(tokens) > 700
    drawn = plan.counts.rows(160)
    assert plan.counts.steps(drawn) in (159, 160, 161)
    assert plan.counts.rows(80) == plan.counts.begin(10)

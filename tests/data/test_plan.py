"""The plan is a pure function of the update; shares, epochs and lengths come out as defined."""

import itertools

import numpy as np
import pytest

from xlt.data.plan import Plan, like_lengths


def lengths(rng, *sizes):
    return [rng.integers(4, 60, n) for n in sizes]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def make(rng, **changes):
    arguments = {
        "lengths": lengths(rng, 100, 37, 11),
        "shares": [0.6, 0.3, 0.1],
        "seed": 3,
        "window": 5,
        "batch_size": 8,
    }
    return Plan(**{**arguments, **changes})


def same(a, b):
    return all(
        np.array_equal(x, y) for x, y in zip((a.streams, a.rows, a.epochs), (b.streams, b.rows, b.epochs), strict=True)
    )


def test_any_update_can_be_asked_first(rng):
    table = lengths(rng, 100, 37, 11)
    forward = make(rng, lengths=table)
    batches = [forward.batch(step) for step in range(40)]
    for step in (39, 0, 17, 16, 38):
        assert same(make(rng, lengths=table).batch(step), batches[step])


def test_another_seed_is_another_order(rng):
    table = lengths(rng, 100, 37, 11)
    assert not same(make(rng, lengths=table).batch(0), make(rng, lengths=table, seed=4).batch(0))


def test_every_batch_has_batch_size_rows(rng):
    plan = make(rng)
    assert {len(plan.batch(step).rows) for step in range(60)} == {8}


def test_each_row_is_drawn_once_an_epoch(rng):
    plan = make(rng, lengths=lengths(rng, 40), shares=[1.0])
    rows = np.concatenate([plan.batch(step).rows for step in range(10)])  # 80 rows: two epochs of 40, windows of 40
    epochs = np.concatenate([plan.batch(step).epochs for step in range(10)])
    assert sorted(rows[epochs == 0]) == sorted(rows[epochs == 1]) == list(range(40))
    assert list(rows[epochs == 0]) != list(rows[epochs == 1])


def test_cursors_are_whole_monotone_and_close_to_their_share():
    shares = [0.5, 0.25, 0.2, 0.04, 0.01]
    plan = Plan([np.full(9, 5)] * 5, shares, seed=1, window=4, batch_size=3)
    previous = [0] * 5
    for drawn in range(0, 4000, 3):
        cursors = plan.cursors(drawn)
        assert sum(cursors) == drawn
        assert all(now >= before for now, before in zip(cursors, previous, strict=True))
        assert max(abs(c - q * drawn) for c, q in zip(cursors, shares, strict=True)) < len(shares)
        previous = cursors


def test_a_stream_without_share_is_never_drawn(rng):
    plan = make(rng, shares=[0.7, 0.3, 0.0])
    assert 2 not in np.concatenate([plan.batch(step).streams for step in range(50)])


def test_token_budget_gives_batches_of_like_size_and_like_length(rng):
    table = lengths(rng, 3000, 2000)
    plan = Plan(table, [0.5, 0.5], seed=1, window=32, batch_size=1, batch_tokens=600)
    sizes, spreads = [], []
    for step in range(64):
        draw = plan.batch(step)
        own = np.array([table[s][r] for s, r in zip(draw.streams, draw.rows, strict=True)])
        sizes.append(own.sum())
        spreads.append(own.max() - own.min())
    assert min(sizes) > 0.8 * 600 and max(sizes) < 1.2 * 600 and abs(np.mean(sizes) - 600) < 30
    assert np.mean(spreads) < 5


def test_window_one_is_random_length(rng):
    table = lengths(rng, 3000)
    plan = Plan(table, [1.0], seed=1, window=1, batch_size=32)
    spreads = [np.ptp(table[0][plan.batch(step).rows]) for step in range(20)]
    assert np.mean(spreads) > 40


def test_no_batch_is_empty_when_a_row_exceeds_the_budget():
    plan = Plan([np.array([500, 3, 3, 3])], [1.0], seed=1, window=4, batch_size=1, batch_tokens=100)
    assert all(len(plan.batch(step).rows) for step in range(40))


@pytest.mark.parametrize("saved", [1, 5, 20, 1000])
def test_groups_of_like_length_cost_least_of_all_ways_to_cut(rng, saved):
    for _ in range(8):
        lengths = rng.integers(1, 30, 9)
        found = like_lengths(lengths, saved)
        assert sorted(np.concatenate(found)) == list(range(9))
        cost = sum(int(lengths[g].max()) * len(g) + saved for g in found)
        ordered = sorted(lengths.tolist(), reverse=True)
        ways = ([0, *places, 9] for k in range(9) for places in itertools.combinations(range(1, 9), k))
        best = min(sum(ordered[a] * (b - a) + saved for a, b in itertools.pairwise(way)) for way in ways)
        assert cost == best
    assert len(like_lengths(lengths, 1000)) == 1


def test_no_rows_are_one_empty_group():
    (group,) = like_lengths(np.zeros(0, np.int64), 5)
    assert len(group) == 0

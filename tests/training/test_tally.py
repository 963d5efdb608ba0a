"""Training losses for the log: means over updates, by part, weight and language, and that they survive a checkpoint."""

import json

import pytest

from xlt.training import tally
from xlt.types import Batch


def batch(count, part="", weight=1.0, languages=()):
    return Batch({}, count=count, tokens=0, rows=len(languages), part=part, weight=weight, languages=languages)


def add(sums, window, losses, rows):
    tally.add(sums, window, tally.counts_of(window), losses, rows)


def test_one_part_is_the_sum_over_the_count():
    sums = {}
    add(sums, [batch(2), batch(3)], [1.0, 5.0], [[], []])
    add(sums, [batch(5)], [4.0], [[]])
    assert tally.means(sums) == {"loss": 1.0}
    assert tally.note(tally.means(sums)) == "loss 1.0000"


def test_languages_are_rows_summed_by_their_counts():
    sums = {}
    add(sums, [batch(6, languages=("en", "de", "en"))], [9.0], [[[4.0, 2.0], [3.0, 3.0], [2.0, 1.0]]])
    add(sums, [batch(3, languages=("en", "sw"))], [6.0], [[[6.0, 3.0], [0.0, 0.0]]])
    assert tally.means(sums) == {"loss": 15 / 9, "languages": {"de": 1.0, "en": 12 / 6}}


def test_the_order_of_parts_in_a_checkpoint_changes_no_bit():
    sums = {}
    window = [batch(3, name, weight) for name, weight in (("c", 0.1), ("a", 0.7), ("b", 1e-17))]
    add(sums, window, [0.3, 1.1, 1e16], [[], [], []])
    turned = json.loads(json.dumps(sums, sort_keys=True))
    assert list(turned["parts"]) != list(sums["parts"])
    assert json.dumps(tally.means(turned)) == json.dumps(tally.means(sums))


def test_a_mixture_is_the_weighted_mean_of_each_update():
    """Two updates by hand: 1 * 10/5 + 0.5 * 6/2, then 1 * 4/4 alone."""
    sums = {}
    first = [batch(2, "a"), batch(3, "a"), batch(2, "b", 0.5)]
    assert tally.counts_of(first) == {"a": 5, "b": 2}
    add(sums, first, [3.0, 7.0, 6.0], [[], [], []])
    add(sums, [batch(4, "a")], [4.0], [[]])
    means = tally.means(json.loads(json.dumps(sums)))
    assert means["loss"] == pytest.approx((2 + 1.5 + 1) / 2)
    assert means["parts"] == {"a": {"weight": 1.0, "loss": 14 / 9}, "b": {"weight": 0.5, "loss": 3.0}}
    assert tally.note(means) == "loss 2.2500  a 1.5556  b 3.0000"


def test_nothing_counted_is_no_division_by_zero():
    sums = {}
    add(sums, [batch(0, languages=("en",))], [0.0], [[[0.0, 0.0]]])
    assert tally.means(sums) == {"loss": 0.0}


def test_rows_counted_by_two_processes_are_those_counted_by_one():
    window = [batch(2, "a", languages=("en", "de")), batch(3, "a", languages=("en",)), batch(2, "b", 0.5, ("sw",))]
    losses, rows = [3.0, 7.0, 6.0], [[[1.0, 1.0], [2.0, 1.0]], [[7.0, 3.0]], [[6.0, 2.0]]]
    counts = tally.counts_of(window)
    whole, first, second = {}, {}, {}
    for _ in range(2):
        tally.add(whole, window, counts, losses, rows)
        tally.add(first, window[:1], counts, losses[:1], rows[:1])
        tally.add(second, window[1:], counts, losses[1:], rows[1:])
    assert tally.added([tally.counts_of(window[:1]), tally.counts_of(window[1:])]) == counts
    assert tally.means(tally.joined([first, second])) == tally.means(whole)
    assert tally.joined([tally.joined([first, second]), {}]) == tally.joined([first, second])

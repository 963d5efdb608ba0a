"""Word translation on an example small enough to score by hand."""

import pytest
import torch

from xlt.alignment.bli import word_translation
from xlt.alignment.vectors import StaticVectors
from xlt.errors import DataError

AXES = torch.eye(6)
SOURCE = StaticVectors(
    ["dog", "cat", "bank", "see", "German"],
    torch.stack([AXES[0], AXES[1], 0.8 * AXES[2] + 0.6 * AXES[3], AXES[4], AXES[5]]),
)
TARGET = StaticVectors(["hund", "katze", "ufer", "bank", "meer", "deutsch"], AXES)


def test_by_hand():
    gold = [
        ("dog", "hund"),  # nearest: right at 1
        ("cat", "meer"),  # not nearest, and 5 of 6 target words are tied behind katze: right at 5 and 10
        ("bank", "bank"),  # two translations are one query, either will do: ufer is nearest
        ("bank", "ufer"),
        ("german", "Deutsch"),  # no row of this case: "german" is not there at all, Deutsch is by its small letters
        ("see", "sehen"),  # no translation in the vocabulary
        ("see", "blicken"),
        ("fish", "hund"),  # no source word
    ]
    scores = word_translation(SOURCE, TARGET, gold, csls_k=2)
    assert scores["coverage"] == pytest.approx(3 / 6)
    assert scores["nn_precision_at_1"] == pytest.approx(2 / 3)
    assert scores["nn_precision_at_5"] == scores["nn_precision_at_10"] == 1.0
    assert set(scores) == {"coverage"} | {f"{how}_precision_at_{k}" for how in ("nn", "csls") for k in (1, 5, 10)}
    assert all(type(value) is float for value in scores.values())


def test_every_translation_counts_and_order_does_not():
    one = [("bank", "bank")]
    both = [("bank", "bank"), ("bank", "ufer")]
    assert word_translation(SOURCE, TARGET, one, 2)["nn_precision_at_1"] == 0.0  # ufer is nearer
    assert word_translation(SOURCE, TARGET, both, 2)["nn_precision_at_1"] == 1.0
    assert word_translation(SOURCE, TARGET, both[::-1], 2)["nn_precision_at_1"] == 1.0


def test_words_that_differ_in_case_only_are_two_queries():
    source = StaticVectors(["may"], AXES[:1])
    scores = word_translation(source, TARGET, [("may", "hund"), ("May", "katze")], 1)
    assert scores["coverage"] == 1.0 and scores["nn_precision_at_1"] == 0.5


def test_nothing_to_ask_is_an_error_not_a_zero():
    with pytest.raises(
        DataError,
        match="none of the 1 words to translate is among the 5 source vectors with a translation among the 6 target vectors; check",
    ):
        word_translation(SOURCE, TARGET, [("fish", "fisch")], 2)

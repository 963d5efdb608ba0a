"""Tags carried along links: one hand-made case for each rule."""

import numpy as np
import pytest

from xlt.alignment.projection import fill_words, project_spans, project_words, spans


def linked(text, strengths=None):
    pairs = np.array([tuple(map(int, item.split("-"))) for item in text.split()], np.int64).reshape(-1, 2)
    return pairs, np.array(strengths or [1.0] * len(pairs), np.float32)


def carry(tags, text, size, max_gap=1, strengths=None):
    found, carried = project_spans(tags.split(), *linked(text, strengths), size, max_gap)
    return " ".join(found), carried


def test_spans_of_tags():
    assert spans(["B-PER", "I-PER", "O", "B-LOC", "B-LOC", "I-LOC"]) == [(0, 2, "PER"), (3, 4, "LOC"), (4, 6, "LOC")]
    assert spans(["O"]) == []


@pytest.mark.parametrize(
    "tags, text, size, wanted, carried",
    [
        ("O B-PER I-PER", "0-2 1-0 2-1", 3, "B-PER I-PER O", 1),  # another order
        ("B-PER I-PER", "0-1 1-0", 2, "B-PER I-PER", 1),  # swapped inside: it begins where the span does
        ("B-LOC O", "1-1", 3, "O O O", 0),  # a span without links is lost
        ("B-LOC", "0-0 0-2", 3, "B-LOC I-LOC I-LOC", 1),  # one unlinked word between is inside
        ("B-LOC O", "0-0 1-1 0-2", 3, "B-LOC I-LOC I-LOC", 1),  # also one that another word is linked to
        ("B-PER B-LOC", "0-0 1-1", 2, "B-PER B-LOC", 2),  # neighbours stay two
        ("B-PER O B-PER", "0-1 2-2", 4, "O B-PER B-PER O", 2),
        ("O O", "0-0 1-1", 2, "O O", 0),
    ],
)
def test_spans_are_from_the_first_to_the_last_linked_word(tags, text, size, wanted, carried):
    assert carry(tags, text, size) == (wanted, carried)


def test_a_far_word_is_cut_off_unless_gaps_are_allowed():
    tags, text = "B-PER I-PER", "0-0 1-1 1-5"
    assert carry(tags, text, 6) == ("B-PER I-PER O O O O", 1), "two links weigh more than one"
    assert carry(tags, text, 6, strengths=[0.2, 0.2, 0.9]) == ("O O O O O B-PER", 1), "unless it is stronger"
    assert carry(tags, text, 6, max_gap=3) == ("B-PER" + " I-PER" * 5, 1)
    assert carry(tags, text, 6, max_gap=2) == ("B-PER I-PER O O O O", 1), "three words lie between"
    assert carry(tags, text, 6, max_gap=None) == ("B-PER" + " I-PER" * 5, 1)
    assert carry("B-PER", "0-0 0-2", 3, max_gap=0) == ("B-PER O O", 1), "of equals the first"


def test_the_stronger_of_two_spans_has_the_words_that_both_claim():
    tags, text = "B-PER I-PER O B-LOC", "0-0 1-1 3-1 3-2"
    assert carry(tags, text, 3, strengths=[0.9, 0.9, 0.4, 0.4]) == ("B-PER I-PER B-LOC", 2)
    assert carry(tags, text, 3, strengths=[0.3, 0.3, 0.9, 0.9]) == ("B-PER B-LOC I-LOC", 2)


def test_a_span_whose_words_are_all_taken_is_lost():
    assert carry("B-PER I-PER B-LOC", "0-0 1-1 2-1", 2) == ("B-PER I-PER", 1)


def test_of_a_span_around_another_the_heavier_side_is_left():
    text, strengths = "0-0 0-3 0-4 1-1 1-2", [0.2, 0.2, 0.2, 0.9, 0.9]
    assert carry("B-LOC B-PER", text, 5, max_gap=2, strengths=strengths) == ("O B-PER I-PER B-LOC I-LOC", 2)


def test_what_is_left_of_a_span_begins_and_ends_with_words_of_its_own():
    """Word 2 lies inside LOC (1..3) without a link; when PER takes word 1, LOC is word 3 alone."""
    text, strengths = "0-1 0-3 1-0 1-1", [0.3, 0.3, 0.9, 0.9]
    assert carry("B-LOC B-PER", text, 4, strengths=strengths) == ("B-PER I-PER O B-LOC", 2)


def test_each_word_has_the_tag_of_its_strongest_link():
    tags = ["DET", "NOUN", "VERB"]
    found = project_words(tags, *linked("0-0 1-0 2-2", [0.3, 0.8, 0.5]), 4)
    assert found == ["NOUN", None, "VERB", None]
    assert project_words(tags, *linked("2-0 1-0"), 1) == ["NOUN"], "of equals the first word"


def test_words_without_tag_have_that_of_their_like():
    sentences = [
        (["Das", "Haus"], ["DET", "NOUN"]),
        (["das", "steht"], ["PRON", None]),
        (["das", "Haus", "Haus"], ["DET", "PROPN", None]),
        (["Das", "x"], [None, "X"]),
    ]
    assert fill_words(sentences, "X") == [["DET", "NOUN"], ["PRON", "X"], ["DET", "PROPN", "NOUN"], ["DET", "X"]]

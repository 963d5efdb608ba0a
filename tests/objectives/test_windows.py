"""Windows on long texts: no token is lost, none is judged twice, each is judged where it sees most, and they cost what was said."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.toy import word_tokenizer
from xlt import noise
from xlt.errors import ConfigError
from xlt.objectives import windows
from xlt.types import Rows
from xlt.vocabulary import Vocabulary

VOCABULARIES = [Vocabulary.of(word_tokenizer([f"w{i}" for i in range(300)], kind)) for kind in ("xlm-r", "bert")]
SHAPES = st.integers(1, 12).flatmap(lambda room: st.tuples(st.just(room), st.integers(0, room - 1)))


@given(st.integers(0, 80), SHAPES)
def test_every_token_is_in_a_window_and_windows_are_full(length, shape):
    room, overlap = shape
    begins = windows.begins(length, room, overlap)
    covered = np.concatenate([np.arange(b, min(b + room, length)) for b in begins])
    assert set(covered) == set(range(length))
    assert (np.diff(begins) > 0).all() and (np.diff(begins) <= room - overlap).all()
    assert begins[0] == 0 and begins[-1] == max(length - room, 0)


def context(token: int, begin: int, end: int, length: int) -> int:
    """Tokens between `token` and the nearer side on which a window begin..end hides something; the definition, one token at a time."""
    if not begin <= token < end:
        return -1
    left = token - begin if begin > 0 else length
    right = end - 1 - token if end < length else length
    return min(left, right)


@given(st.integers(1, 80), SHAPES)
def test_a_token_is_judged_where_it_sees_most(length, shape):
    room, overlap = shape
    begins = windows.begins(length, room, overlap)
    found = windows.judges(np.arange(length), begins, length, room)
    for token in range(length):
        sights = [context(token, b, min(b + room, length), length) for b in begins.tolist()]
        assert sights[found[token]] == max(sights) >= 0 and found[token] == sights.index(max(sights))
        if len(begins) > 1:
            assert max(sights) >= overlap // 2 or overlap == 0, "half of the overlap is seen on either side"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 60), min_size=1, max_size=5), st.integers(1, 12), st.floats(0, 0.999), st.sampled_from(VOCABULARIES), st.randoms())  # fmt: skip
def test_no_token_is_lost_or_doubled_and_the_cost_is_as_said(lengths, room, overlap, vocabulary, random):
    max_length = room + vocabulary.overhead(1)
    texts = [np.array([random.randrange(5, 305) for _ in range(n)], np.int64) for n in lengths]
    places = [np.array(sorted(random.sample(range(n), random.randint(0, n))), np.int64) for n in lengths]
    keys = noise.combine(noise.key(0), np.arange(len(texts)))
    rows = Rows([texts], None, keys, ["en"] * len(texts))
    cut = windows.cut(rows, places, vocabulary, max_length, overlap)
    ids_WL = cut.tensors["input_ids"].numpy()
    assert ids_WL.shape[1] <= max_length
    assert ids_WL.flatten()[cut.where_M.numpy()].tolist() == [int(t[p]) for t, at in zip(texts, places) for p in at]  # noqa: B905
    assert cut.row_M.tolist() == [i for i, at in enumerate(places) for _ in at]
    assert len(set(cut.where_M.tolist())) == len(cut.where_M), "a token was judged twice"
    assert cut.tokens == windows.costs(np.array(lengths), vocabulary, max_length, overlap).sum()
    assert [ids_WL[first, len(vocabulary.prefix) :][: min(n, room)].tolist() for first, n in zip(cut.first_B.tolist(), lengths, strict=True)] == [t[:room].tolist() for t in texts]  # fmt: skip


def test_what_leaves_no_step_is_refused():
    with pytest.raises(
        ConfigError, match="train.max_length: 2 has room for no token beside the 2 special ones; raise it"
    ):
        windows.shape(VOCABULARIES[0], 2, 0.25)
    for overlap in (-0.1, 1.0):
        with pytest.raises(ConfigError, match=rf"objective.overlap: {overlap} is not in \[0, 1\)"):
            windows.check_overlap(overlap)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 60)), min_size=1, max_size=4), st.integers(1, 6), st.integers(1, 12),
    st.floats(0, 0.999), st.sampled_from(VOCABULARIES), st.randoms(),
)  # fmt: skip
def test_no_token_of_a_second_text_is_lost(lengths, first_length, room, overlap, vocabulary, random):
    """Each is in a window behind its row's first text, and has one window of its own; the first text is cut; the cost is as said."""
    max_length = room + first_length + vocabulary.overhead(2)
    first, second = (
        [np.array([random.randrange(5, 305) for _ in range(pair[side])], np.int64) for pair in lengths]
        for side in (0, 1)
    )
    keys = noise.combine(noise.key(0), np.arange(len(lengths)))
    rows = Rows([first, second], None, keys, ["en"] * len(lengths))
    cut = windows.cut_second(rows, first_length, vocabulary, max_length, overlap)
    ids_WL, seen = cut.tensors["input_ids"].numpy(), [set() for _ in lengths]
    assert ids_WL.shape[1] <= max_length and (np.diff(cut.row_W) >= 0).all()
    each = zip(cut.row_W.tolist(), cut.begin_W.tolist(), cut.column_W.tolist(), cut.size_W.tolist(), strict=True)
    for w, (row, begin, column, size) in enumerate(each):
        head, part = first[row][:first_length], second[row][begin : begin + size]
        expected = [*vocabulary.prefix, *head, *vocabulary.between, *part, *vocabulary.suffix]
        assert ids_WL[w, : len(expected)].tolist() == expected and (ids_WL[w, len(expected) :] == vocabulary.pad).all()
        assert ids_WL[w, column : column + size].tolist() == part.tolist()
        if vocabulary.pair_types:
            kinds = cut.tensors["token_type_ids"][w].tolist()
            assert kinds == [int(column <= i < len(expected)) for i in range(len(kinds))]
        seen[row] |= set(range(begin, begin + size))
        for token in np.flatnonzero(cut.judges[row] == w):
            assert begin <= token < begin + size
    assert seen == [set(range(n)) for _, n in lengths]
    assert [len(judge) for judge in cut.judges] == [n for _, n in lengths]
    questions, contexts = (
        np.array([min(pair[0], first_length) for pair in lengths]),
        np.array([n for _, n in lengths]),
    )
    costs = windows.pair_costs(questions, contexts, vocabulary, max_length, overlap)
    assert cut.tokens == costs.sum()
    counts = np.bincount(cut.row_W, minlength=len(lengths))
    assert (costs == counts * (np.minimum(contexts, max_length - vocabulary.overhead(2) - questions) + questions + vocabulary.overhead(2))).all()  # fmt: skip


def test_a_question_that_leaves_no_room_is_refused():
    sentence = "train.max_length: 9 has room for no token of a context beside 5 of its question and the 4 special ones; raise it, or lower objective.question_length"
    with pytest.raises(ConfigError, match=sentence):
        windows.room_beside(np.array([1, 5]), VOCABULARIES[0], 9)

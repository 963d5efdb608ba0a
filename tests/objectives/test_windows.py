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

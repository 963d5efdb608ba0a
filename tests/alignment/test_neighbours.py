"""Search shard by shard finds what one search of everything finds, bit for bit."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xlt.alignment import mining
from xlt.alignment.csls import unit
from xlt.alignment.index import Index
from xlt.alignment.mining import Margin, Matching
from xlt.alignment.neighbours import Nearest, search_shard, shards


def gathered(x, y, k, size):
    """(forward, backward) over shards of `size` rows."""
    backward, forward = Nearest.none(len(y), min(k, len(x))), []
    products = 0
    for rows in shards(len(x), size):
        near = Nearest.none(rows.stop - rows.start, min(k, len(y)))
        for n in search_shard(rows, lambda a, b: x[a:b], lambda a, b: y[a:b], len(y), size, k, near, backward):
            products += n
        forward.append(near)
    assert products == len(x) * len(y)
    scores, places = (torch.cat([getattr(f, name) for f in forward]) for name in ("scores", "places"))
    return Nearest(scores, places), backward


def side(rows, seed, distinct):
    """Few different vectors, so that many scores are equal."""
    rng = np.random.default_rng(seed)
    return unit(torch.from_numpy(rng.normal(size=(distinct, 5)).astype(np.float32)))[rng.integers(0, distinct, rows)]


@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(1, 6),
    st.integers(1, 45),
    st.integers(1, 40),
    st.integers(0, 2**30),
)
@settings(max_examples=120)
def test_the_size_of_shards_changes_nothing(n, m, k, size, distinct, seed):
    x, y = side(n, seed, distinct), side(m, seed + 1, distinct)
    forward, backward = gathered(x, y, k, size)
    for near, (queries, items) in ((forward, (x, y)), (backward, (y, x))):
        scores, places = Index(items).search_exactly(queries, k)
        assert torch.equal(near.scores, scores) and torch.equal(near.places, places)
        cosine = queries.double().numpy() @ items.double().numpy().T
        order = np.argsort(-cosine.round(12), axis=1, kind="stable")[:, :k]
        assert near.scores.numpy() == pytest.approx(np.take_along_axis(cosine, order, 1), abs=1e-12)


@given(
    st.integers(1, 30),
    st.integers(1, 30),
    st.integers(1, 31),
    st.sampled_from(Margin),
    st.sampled_from(Matching),
    st.integers(0, 2**30),
)
@settings(max_examples=100)
def test_pairs_are_those_of_one_search_and_one_to_one(n, m, size, margin, matching, seed):
    x, y = (
        torch.from_numpy(np.random.default_rng(seed + i).uniform(0.1, 1, (rows, 6)).astype(np.float32))
        for i, rows in enumerate((n, m))
    )
    forward, backward = gathered(unit(x), unit(y), 4, size)
    pairs = mining.put_together(
        (forward.scores.float(), forward.places), (backward.scores.float(), backward.places), margin, matching
    )
    whole = mining.mine(x, y, 4, margin, matching)
    assert all(torch.equal(a, b) for a, b in zip(pairs, whole, strict=True))
    assert len(set(pairs.source.tolist())) == len(set(pairs.target.tolist())) == len(pairs.scores)
    assert (pairs.scores[1:] <= pairs.scores[:-1]).all()

"""Search against a full sort in float64 and against faiss, with ties made on purpose."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from xlt.alignment.index import Index, search_both


def brute_force(queries, items, top):
    """Best first, of equal ones the lower index."""
    scores = queries.double().numpy() @ items.double().numpy().T
    order = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    return np.take_along_axis(scores, order, 1), order


whole_numbers = st.integers(1, 30).flatmap(
    lambda n: st.tuples(
        arrays.arrays(np.float32, (5, 3), elements=st.integers(-2, 2)),
        arrays.arrays(np.float32, (n, 3), elements=st.integers(-2, 2)),
        st.integers(1, 35),
    )
)


@given(whole_numbers)
@settings(max_examples=60, deadline=None)
def test_ties_go_to_the_lowest_index(case):
    queries, items, top = (torch.from_numpy(case[0]), torch.from_numpy(case[1]), case[2])
    scores, found = Index(items).search(queries, top)
    wanted, order = brute_force(queries, items, top)
    assert found.tolist() == order.tolist()
    assert scores.tolist() == wanted.tolist()


@pytest.mark.parametrize("spread", [1.0, 1e-4])
def test_the_neighbours_are_those_of_float64(spread):
    """Also where all cosines are so near to 1 that float32 cannot tell them apart: vectors of an encoder that was never trained."""
    generator = torch.Generator().manual_seed(0)
    items = torch.nn.functional.normalize(1 + spread * torch.randn(700, 48, generator=generator), dim=1)
    items[300:320] = items[7]
    queries = items[:50]
    _, order = brute_force(queries, items, 12)
    assert Index(items).search(queries, 12)[1].tolist() == order.tolist()


def test_faiss_finds_the_same():
    faiss = pytest.importorskip("faiss", reason="faiss is not installed")
    items = torch.nn.functional.normalize(torch.randn(700, 48, generator=torch.Generator().manual_seed(0)), dim=1)
    theirs = faiss.IndexFlatIP(48)
    theirs.add(items.numpy())
    scores, found = Index(items).search(items[:50], 12)
    wanted, order = theirs.search(items[:50].numpy(), 12)
    assert found.tolist() == order.tolist()
    torch.testing.assert_close(scores, torch.from_numpy(wanted))


@given(whole_numbers)
@settings(max_examples=60, deadline=None)
def test_both_directions_of_one_set_of_products(case):
    x, y, top = Index(torch.from_numpy(case[0])), Index(torch.from_numpy(case[1])), case[2]
    for found, wanted in zip(
        search_both(x, y, top), (y.search_exactly(x.items_MD, top), x.search_exactly(y.items_MD, top)), strict=True
    ):
        assert torch.equal(found[0], wanted[0])
        assert torch.equal(found[1], wanted[1])


def test_what_is_empty_or_small():
    items = torch.eye(3)
    assert Index(items).search(torch.empty(0, 3), 2)[1].shape == (0, 2)
    assert Index(items).search(items[:1], 9)[1].tolist() == [[0, 1, 2]]
    assert Index(items).search(items[:1], 0)[0].shape == (1, 0)

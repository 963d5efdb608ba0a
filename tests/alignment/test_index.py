"""Search against a full sort in float64, by either back end, with ties made on purpose."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from xlt.alignment import index
from xlt.alignment.index import Index

BACKENDS = [
    "torch",
    pytest.param("faiss", marks=pytest.mark.skipif(not index.has_faiss(), reason="faiss is not installed")),
]


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


@pytest.mark.parametrize("backend", BACKENDS)
@given(whole_numbers)
@settings(max_examples=60, deadline=None)
def test_ties_go_to_the_lowest_index(backend, case):
    queries, items, top = (torch.from_numpy(case[0]), torch.from_numpy(case[1]), case[2])
    scores, found = Index(items, backend).search(queries, top)
    wanted, order = brute_force(queries, items, top)
    assert found.tolist() == order.tolist()
    assert scores.tolist() == wanted.tolist()


@pytest.mark.parametrize("spread", [1.0, 1e-4])
def test_both_back_ends_name_the_same_neighbours(spread):
    """Also where all cosines are so near to 1 that float32 cannot tell them apart: vectors of an encoder that was never trained."""
    generator = torch.Generator().manual_seed(0)
    items = torch.nn.functional.normalize(1 + spread * torch.randn(700, 48, generator=generator), dim=1)
    items[300:320] = items[7]
    queries = items[:50]
    _, order = brute_force(queries, items, 12)
    for backend in ["torch", *(["faiss"] if index.has_faiss() else [])]:
        assert Index(items, backend).search(queries, 12)[1].tolist() == order.tolist(), backend


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_empty_or_small(backend):
    items = torch.eye(3)
    assert Index(items, backend).search(torch.empty(0, 3), 2)[1].shape == (0, 2)
    assert Index(items, backend).search(items[:1], 9)[1].tolist() == [[0, 1, 2]]
    assert Index(items, backend).search(items[:1], 0)[0].shape == (1, 0)


def test_faiss_is_taken_where_it_is_installed(monkeypatch):
    monkeypatch.setattr(index, "has_faiss", lambda: False)
    assert Index(torch.eye(2)).backend == "torch"
    monkeypatch.undo()
    assert Index(torch.eye(2)).backend == ("faiss" if index.has_faiss() else "torch")

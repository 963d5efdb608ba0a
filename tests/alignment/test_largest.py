"""The k largest of rows and columns against a full sort, with ties made on purpose and tiles of all sizes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from xlt.alignment import largest
from xlt.alignment.largest import Largest, above, tiles

factors = st.tuples(st.integers(1, 70), st.integers(1, 70)).flatmap(
    lambda size: st.tuples(
        arrays.arrays(np.float32, (size[0], 2), elements=st.integers(-3, 3)),
        arrays.arrays(np.float32, (size[1], 2), elements=st.integers(-3, 3)),
        st.integers(1, 6),
        st.sampled_from([1, 7, 64, 400, 2**22]),
    )
)


def sorted_rows(scores: np.ndarray, k: int):
    """Best first, of equal ones the lower index; -inf and 0 where there are fewer."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    values = np.take_along_axis(scores, order, 1)
    lacking = ((0, 0), (0, k - order.shape[1]))
    return np.pad(values, lacking, constant_values=-np.inf), np.pad(order, lacking)


@given(factors)
@settings(max_examples=150, deadline=None)
def test_rows_and_columns_are_those_of_a_full_sort(case):
    x, y, k, size = torch.from_numpy(case[0]), torch.from_numpy(case[1]), case[2], case[3]
    of_x, of_y = Largest(len(x), k, x), Largest(len(y), k, y)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(largest, "TILE", size)
        for tile in tiles(x, y):
            of_x.add(*tile)
            of_y.add_transposed(*tile)
    products = (x @ y.T).numpy()
    for found, scores in ((of_x, products), (of_y, products.T)):
        values, order = sorted_rows(scores, k)
        assert found.values_NK.tolist() == values.tolist()
        assert found.indices_NK.tolist() == order.tolist()


@pytest.mark.parametrize(("rows", "columns"), [(5, 3), (16, 16), (40, 50), (33, 31)])
def test_scores_above_a_number_of_each_row(rows, columns):
    scores = torch.randn(rows, columns, generator=torch.Generator().manual_seed(0))
    least = torch.linspace(-1, 3, rows)
    for dim, matrix in ((1, scores), (0, scores.T.contiguous())):
        row, column, value = above(matrix, least, dim)
        assert list(zip(row.tolist(), column.tolist(), strict=True)) == [
            tuple(place) for place in (scores > least[:, None]).nonzero().tolist()
        ]
        assert torch.equal(value, scores[row, column])


def test_fewer_than_k():
    found = Largest(1, 2, torch.zeros(1))
    found.add(slice(0, 1), slice(0, 3), torch.tensor([[-torch.inf, -torch.inf, 0.5]]))
    assert found.values_NK.tolist() == [[0.5, -torch.inf]]
    assert found.indices_NK.tolist() == [[2, 0]]

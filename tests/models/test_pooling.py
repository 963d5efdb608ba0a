"""From the states of a sentence's tokens to one vector, against the definition."""

import pytest
import torch

from xlt.models.pooling import Pool, pool

HIDDEN_BLD = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
MASK_BL = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 0, 1, 1, 0]])


@pytest.mark.parametrize(
    ("how", "places"),
    [(Pool.first, [[0], [0], [0]]), (Pool.last, [[4], [1], [3]]), (Pool.mean, [range(5), [0, 1], [2, 3]])],
)
def test_masked_rows(how, places):
    expected_BD = torch.stack([HIDDEN_BLD[row, list(chosen)].mean(0) for row, chosen in enumerate(places)])
    torch.testing.assert_close(pool(HIDDEN_BLD, MASK_BL, how), expected_BD)


@pytest.mark.parametrize("how", Pool)
def test_no_mask_means_that_all_are_there(how):
    assert torch.allclose(pool(HIDDEN_BLD, None, how), pool(HIDDEN_BLD, torch.ones(3, 5), how))

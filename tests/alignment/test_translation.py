"""Rows of length 1 and their gradient against autograd's own; one update against Adagrad's formula."""

import torch
from torch.nn import functional as F

from xlt.alignment.translation import Translation, adagrad, scaled


def test_the_gradient_of_scaled_rows():
    x = torch.randn(7, 5, dtype=torch.float64, requires_grad=True)
    assert torch.equal(scaled(x), F.normalize(x))
    assert torch.autograd.gradcheck(scaled, x)


def test_an_update_is_adagrads():
    module = Translation(4, 2, 3, False, torch.Generator().manual_seed(0))
    before = module.entities.detach().clone()
    optimizer, sums = adagrad(module, 0.5, 0.1), torch.full((4, 3), 0.1)
    for seed in (1, 2):
        gradient = torch.randn(4, 3, generator=torch.Generator().manual_seed(seed))
        module.entities.grad = gradient
        optimizer.step()
        sums += gradient.square()
        before -= 0.5 * gradient / (sums.sqrt() + 1e-10)
    torch.testing.assert_close(module.entities.detach(), before)

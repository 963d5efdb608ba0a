"""The pipeline of linear maps against its steps carried out one after the other on the vectors, and against Procrustes where all are left out."""

import pytest
import torch

from tests.alignment.spaces import gaussian, noisy_copy, realistic
from xlt.alignment.csls import unit
from xlt.alignment.pipeline import ORTHOGONAL, Steps, linear_maps
from xlt.alignment.procrustes import procrustes
from xlt.errors import DataError


def pairs(d=12):
    x = realistic(200, d, dtype=torch.float64)
    return x, noisy_copy(x, 0.5)[0]


def step_by_step(x, y, steps):
    """Artetxe et al. 2018, section 3: steps 1 to 4 on the rows themselves; whitening by Cholesky, which differs from (X^T X)^(-1/2) by a rotation only."""
    white_x, white_y = torch.eye(x.shape[1], dtype=x.dtype), torch.eye(x.shape[1], dtype=x.dtype)
    if steps.whiten:
        u, s, vt = torch.linalg.svd(x, full_matrices=False)
        white_x = vt.T @ torch.diag(1 / s) @ vt
        u, s, vt = torch.linalg.svd(y, full_matrices=False)
        white_y = vt.T @ torch.diag(1 / s) @ vt
    x1, y1 = x @ white_x, y @ white_y
    u, s, vt = torch.linalg.svd(x1.T @ y1)
    x2, y2 = x1 @ u, y1 @ vt.T
    x3, y3 = x2 * s**steps.reweight_source, y2 * s**steps.reweight_target
    back = {"source": u.T @ torch.linalg.inv(white_x) @ u, "target": vt @ torch.linalg.inv(white_y) @ vt.T}
    if steps.dewhiten_source:
        x3 = x3 @ back[steps.dewhiten_source]
    if steps.dewhiten_target:
        y3 = y3 @ back[steps.dewhiten_target]
    return x3, y3


@pytest.mark.parametrize(
    "steps",
    [
        Steps(False, 0.0, 0.0, None, None),
        Steps(False, 0.0, 1.0, None, None),
        Steps(True, 0.0, 0.0, None, None),
        Steps(True, 0.5, 0.5, "source", "target"),
        Steps(True, 0.0, 1.0, "source", "target"),
        Steps(True, 1.0, 0.0, "target", "target"),
    ],
    ids=str,
)
def test_maps_are_the_steps_in_one(steps):
    x, y = pairs()
    maps = linear_maps(x, y, steps)
    x_steps, y_steps = step_by_step(x, y, steps)
    ours = unit(x @ maps.source.T) @ unit(y @ maps.target.T).T
    torch.testing.assert_close(ours, unit(x_steps) @ unit(y_steps).T, atol=1e-8, rtol=0)


def test_without_steps_it_is_procrustes_and_the_target_stays():
    x, y = pairs()
    maps = linear_maps(x, y, ORTHOGONAL)
    torch.testing.assert_close(maps.source, procrustes(x, y), atol=1e-10, rtol=0)
    assert torch.equal(maps.target, torch.eye(12, dtype=torch.float64))


def test_whitening_and_de_whitening_alone_is_orthogonal_and_recovers_a_rotation():
    x = realistic(200, 12, dtype=torch.float64)
    y, w = noisy_copy(x, 0.0)
    maps = linear_maps(x, y, Steps(True, 0.0, 0.0, "source", "target"))
    torch.testing.assert_close(maps.source, w, atol=1e-6, rtol=0)
    assert (maps.source @ maps.source.T - torch.eye(12)).abs().max() < 1e-6


def test_whitened_rows_have_no_correlation():
    x, y = pairs()
    maps = linear_maps(x, y, Steps(True, 0.0, 0.0, None, None))
    torch.testing.assert_close(
        (x @ maps.source.T).T @ (x @ maps.source.T), torch.eye(12, dtype=torch.float64), atol=1e-8, rtol=0
    )


def test_too_few_words_to_whiten_is_a_sentence():
    with pytest.raises(
        DataError,
        match="whitening needs more independent words than the 12 numbers of a vector, and the dictionary's 5 pairs",
    ):
        linear_maps(gaussian(5, 12), gaussian(5, 12), Steps(True, 0.0, 0.0, None, None))

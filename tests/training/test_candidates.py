"""Kept weights: which stay, that their mean is the arithmetic mean, and what is said of weights that are damaged or of another model."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from xlt.errors import ConfigError, DataError
from xlt.training.candidates import Candidates


def model(seed: int = 0, width: int = 3) -> nn.Module:
    """A layer, another tied to it, a normalisation with its counter."""
    torch.manual_seed(seed)
    made = nn.ModuleDict({"a": nn.Linear(width, width), "b": nn.Linear(width, width), "norm": nn.BatchNorm1d(width)})
    made["b"].weight = made["a"].weight
    return made


@pytest.mark.parametrize("keep, stay", [(2, [30, 40]), (None, [10, 20, 30, 40]), (0, []), (9, [10, 20, 30, 40])])
def test_the_last_ones_stay(tmp_path, keep, stay):
    candidates = Candidates(tmp_path / "candidates", keep)
    for step in (10, 20, 30, 40):
        candidates.save(step, model())
    assert candidates.steps() == stay


def test_those_after_the_step_of_a_resumed_run_do_not_count(tmp_path):
    """Killed after 40 and resumed at 15, it makes 20, 30 and 40 again; in the end there are those of a run that was left alone."""
    candidates = Candidates(tmp_path, 2)
    for step in (10, 20, 30, 40, 20, 30, 40, 50):
        candidates.save(step, model())
    assert candidates.steps() == [40, 50]


def test_the_mean_is_the_arithmetic_mean_of_each_weight(tmp_path):
    candidates, counted = Candidates(tmp_path), model()
    for step in (1, 2, 3):
        one = model(step)
        one["norm"].num_batches_tracked += 10 * step
        candidates.save(step, one)
    assert candidates.load_mean(counted) == [1, 2, 3]
    each = [load_file(tmp_path / f"step-0000000{step}" / "weights.safetensors") for step in (1, 2, 3)]
    assert "a.weight" in each[0] and "b.weight" not in each[0]
    state = counted.state_dict()
    for name in each[0].keys() - {"norm.num_batches_tracked"}:
        expected = np.mean([weights[name].numpy().astype(np.float64) for weights in each], axis=0).astype(np.float32)
        np.testing.assert_array_equal(state[name].numpy(), expected)
    assert state["norm.num_batches_tracked"] == 30
    assert counted["b"].weight is counted["a"].weight


def test_the_mean_of_one_is_that_one(tmp_path):
    candidates, one, other = Candidates(tmp_path), model(1), model(2)
    candidates.save(5, one)
    assert candidates.load_mean(other) == [5]
    assert all(torch.equal(weight, other.state_dict()[name]) for name, weight in one.state_dict().items())


def test_damaged_weights_are_not_used(tmp_path):
    candidates = Candidates(tmp_path)
    candidates.save(7, model())
    (tmp_path / "step-00000007" / "weights.safetensors").write_bytes(b"")
    with pytest.raises(DataError, match=r"step-00000007: weights.safetensors has 0 bytes where \d+ were written; fine"):
        candidates.load(7, model())


def test_weights_of_another_model_are_refused(tmp_path):
    candidates = Candidates(tmp_path)
    candidates.save(7, model())
    with pytest.raises(ConfigError, match=r"not those of this model \(first difference: a\.\w+\); fine-tune anew"):
        candidates.load(7, model(width=4))

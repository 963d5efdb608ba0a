"""A checkpoint is whole or absent: damage of every kind is noticed, the one before it is used, and none at all is exit 78."""

import json
import shutil

import pytest
import torch

from xlt import files
from xlt.errors import CannotResume, StorageError
from xlt.training.checkpoint import MOMENTS, WEIGHTS, Checkpoints
from xlt.training.optimizer import adamw


def model_and_optimizer(seed=0):
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 2))
    optimizer = adamw(model, (0.9, 0.98), 1e-8, 0.01)
    for group in optimizer.param_groups:
        group["lr"] = 0.1
    return model, optimizer


def update(model, optimizer):
    model(torch.ones(3, 4)).square().sum().backward()
    optimizer.step()
    optimizer.zero_grad()


@pytest.fixture
def saved(tmp_path):
    said = []
    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=2, say=said.append)
    model, optimizer = model_and_optimizer()
    for step in (1, 2, 3):
        update(model, optimizer)
        checkpoints.save(step, model, optimizer, {"step": step}, chosen=None)
    return checkpoints, model, optimizer, said


def test_what_is_loaded_goes_on_as_what_was_saved(saved):
    checkpoints, model, optimizer, _ = saved
    other, other_optimizer = model_and_optimizer(seed=9)
    for group in other_optimizer.param_groups:
        group["lr"] = 0.1
    assert checkpoints.load(checkpoints.newest(), other, other_optimizer) == {"step": 3}
    update(model, optimizer)
    update(other, other_optimizer)
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_newest_and_the_chosen_stay(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2, say=print)
    model, optimizer = model_and_optimizer()
    for step in range(1, 6):
        checkpoints.save(step, model, optimizer, {}, chosen=1)
    assert checkpoints.steps() == [1, 4, 5]


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGE = {
    "a flipped bit in the weights": lambda p: flip(p / WEIGHTS),
    "a flipped bit in the moments": lambda p: flip(p / MOMENTS),
    "a truncated file": lambda p: (p / WEIGHTS).write_bytes((p / WEIGHTS).read_bytes()[:-5]),
    "a missing file": lambda p: (p / MOMENTS).unlink(),
    "no manifest": lambda p: (p / files.MANIFEST).unlink(),
    "a torn manifest": lambda p: (p / files.MANIFEST).write_text("{"),
    "an edited state": lambda p: (p / "state.json").write_text(json.dumps({"step": 2})),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_noticed_and_the_one_before_is_used(saved, kind):
    checkpoints, *_, said = saved
    DAMAGE[kind](checkpoints.path(3))
    assert checkpoints.newest() == 2
    assert len(said) == 1 and "step-00000003 is not used" in said[0]
    assert checkpoints.newest() == 2, "the rejected one was set aside"


def test_none_whole_is_an_error_and_none_at_all_a_fresh_start(saved, tmp_path):
    checkpoints, *_ = saved
    for step in checkpoints.steps():
        flip(checkpoints.path(step) / WEIGHTS)
    with pytest.raises(CannotResume, match="none of its 2 checkpoints can be used"):
        checkpoints.newest()
    assert Checkpoints(tmp_path / "nothing", 2, print).newest() is None


def test_what_a_killed_writer_left_is_removed(saved):
    checkpoints, *_ = saved
    (checkpoints.folder / ".tmp-step-00000004-1").mkdir()
    assert checkpoints.newest() == 3
    assert not list(checkpoints.folder.glob(".tmp-*"))


def test_none_whole_stays_an_error_at_the_next_try(saved):
    checkpoints, *_ = saved
    for step in checkpoints.steps():
        flip(checkpoints.path(step) / WEIGHTS)
    for _ in range(2):
        with pytest.raises(CannotResume):
            checkpoints.newest()


def test_a_damaged_chosen_one_is_noticed_before_hours_are_spent(tmp_path):
    said = []
    checkpoints = Checkpoints(tmp_path, keep=2, say=said.append)
    model, optimizer = model_and_optimizer()
    for step in range(1, 6):
        checkpoints.save(step, model, optimizer, {"best_step": 1}, chosen=1)
    flip(checkpoints.path(1) / WEIGHTS)
    with pytest.raises(CannotResume, match="none of its 3 checkpoints can be used"):
        checkpoints.newest()
    assert "the chosen checkpoint step-00000001 cannot be used" in said[0]


def test_the_old_stay_where_the_new_one_cannot_be_written(saved, monkeypatch):
    checkpoints, model, optimizer, _ = saved

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(StorageError, match="MB are free there"):
        checkpoints.save(4, model, optimizer, {"step": 4}, chosen=None)
    assert checkpoints.steps() == [2, 3] and checkpoints.newest() == 3
    assert sorted(p.name for p in checkpoints.folder.iterdir()) == ["step-00000002", "step-00000003"]


def test_a_checkpoint_damaged_after_the_start_is_not_loaded(saved):
    checkpoints, model, *_ = saved
    flip(checkpoints.path(2) / WEIGHTS)
    with pytest.raises(CannotResume, match="is damaged"):
        checkpoints.load(2, model, None)


def test_a_checkpoint_of_another_run_is_not_used(tmp_path):
    said, (model, optimizer) = [], model_and_optimizer()
    for run, step in (("other", 9), ("own", 2), (None, 1)):
        Checkpoints(tmp_path, 9, print, of=run).save(step, model, optimizer, {"step": step}, chosen=None)
    assert Checkpoints(tmp_path, 9, print, of="other").newest() == 9
    own = Checkpoints(tmp_path, 9, said.append, of="own")
    assert own.newest() == 2 and own.load(2, model, optimizer) == {"step": 2}
    assert said == [f"checkpoint {own.path(9)} is not used: it is of another run"]
    shutil.rmtree(own.path(2))
    assert own.newest() == 1, "an older version did not say whose it was"

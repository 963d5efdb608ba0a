"""The run directory: one process at a time, nothing overwritten, nothing resumed that was asked differently."""

import fcntl
import json

import pytest

from xlt import files
from xlt.errors import CannotResume, DataError, RunInUse, StorageError
from xlt.run import Finished, RunDirectory, digest

CONFIG = {"seed": 1, "run": {"name": "a"}, "train": {"steps": 10, "learning_rate": 1e-5}, "hardware": {"threads": 1}}


def opened(path, config=CONFIG, overwrite=False):
    run = RunDirectory.open(path, "pretrain", config, overwrite)
    run._handle.close()  # what the end of the process does
    return run


def test_a_second_process_is_refused(tmp_path):
    run = RunDirectory.open(tmp_path / "r", "pretrain", CONFIG, False)
    with pytest.raises(RunInUse, match="another process is working there"):
        RunDirectory.open(tmp_path / "r", "pretrain", CONFIG, False)
    fcntl.flock(run._handle, fcntl.LOCK_UN)


def test_the_same_command_resumes_an_unfinished_run(tmp_path):
    assert not opened(tmp_path / "r").resumed
    assert opened(tmp_path / "r").resumed


def test_another_config_is_not_resumed_and_named(tmp_path):
    opened(tmp_path / "r")
    with pytest.raises(CannotResume, match=r"train.learning_rate was 1e-05, is 0.1.*run.overwrite=true"):
        opened(tmp_path / "r", {**CONFIG, "train": {"steps": 10, "learning_rate": 0.1}})


def test_hardware_may_change_between_two_halves(tmp_path):
    opened(tmp_path / "r")
    assert opened(tmp_path / "r", {**CONFIG, "hardware": {"threads": 2}}).resumed


def test_a_finished_run_is_kept_unless_overwritten(tmp_path):
    opened(tmp_path / "r").finish({})
    with pytest.raises(Finished, match="is finished"):
        opened(tmp_path / "r")
    again = opened(tmp_path / "r", overwrite=True)
    assert not again.resumed and not (tmp_path / "r" / "metrics.json").exists()
    assert opened(tmp_path / "r", overwrite=True).resumed, "an interrupted run goes on, overwrite or not"


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(CannotResume, match="thesis.tex"):
        opened(tmp_path, overwrite=True)
    assert (tmp_path / "thesis.tex").exists()


def test_changed_data_is_not_resumed(tmp_path):
    opened(tmp_path / "r").record({"data": {"mono/en/train": "abc"}})
    with pytest.raises(CannotResume, match="data.mono/en/train is not what it was"):
        opened(tmp_path / "r").record({"data": {"mono/en/train": "abd"}})


def test_metrics_are_the_same_bytes_and_never_nan(tmp_path):
    opened(tmp_path / "a").finish({"b": 1.0, "a": {"y": 0.1, "x": 2}})
    opened(tmp_path / "b").finish({"a": {"x": 2, "y": 0.1}, "b": 1.0})
    assert (tmp_path / "a" / "metrics.json").read_bytes() == (tmp_path / "b" / "metrics.json").read_bytes()
    assert json.loads((tmp_path / "a" / "metrics.json").read_text())["schema"] == 1
    with pytest.raises(ValueError):
        opened(tmp_path / "c").finish({"x": float("nan")})
    assert not (tmp_path / "c" / "metrics.json").exists()


def test_digest_ignores_order():
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1}) != digest({"a": 1, "b": 3})


def test_a_folder_is_whole_or_absent(tmp_path):
    def fails(folder):
        (folder / "half").write_text("x")
        raise OSError(28, "No space left on device")

    with pytest.raises(StorageError, match=r"could not be written \(No space left on device\); \d+ MB are free there"):
        files.write_folder(tmp_path / "model", fails)
    assert list(tmp_path.iterdir()) == []


def test_verify_names_the_damaged_file(tmp_path):
    files.write_folder(tmp_path / "model", lambda folder: (folder / "config.json").write_text("{}"))
    assert files.verify(tmp_path / "model") is None
    (tmp_path / "model" / "config.json").write_text("[]")
    assert "config.json is damaged" in files.verify(tmp_path / "model")
    from xlt.models.build import locate

    with pytest.raises(DataError, match="config.json is damaged"):
        locate(str(tmp_path))

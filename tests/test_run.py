"""The run directory: one process at a time, nothing overwritten, nothing resumed that was asked differently."""

import contextlib
import fcntl
import json
import os
from pathlib import Path

import pytest

from xlt import files
from xlt.errors import CannotResume, DataError, RunInUse, StorageError
from xlt.run import Finished, RunDirectory, digest, parent_lineage

CONFIG = {"seed": 1, "run": {"name": "a"}, "train": {"steps": 10, "learning_rate": 1e-5}, "hardware": {"threads": 1}}


def opened(path, config=CONFIG, overwrite=False):
    run = RunDirectory.open(path, "pretrain", config, overwrite)
    run._handle.close()  # what the end of the process does
    return run


def begun(path, config=CONFIG, lineage=None):
    """A run that was interrupted after it began to work."""
    run = opened(path, config)
    run.record(lineage or {})
    (path / "metrics.jsonl").touch()
    return run


def test_a_second_process_is_refused(tmp_path):
    run = RunDirectory.open(tmp_path / "r", "pretrain", CONFIG, False)
    with pytest.raises(RunInUse, match="another process is working there"):
        RunDirectory.open(tmp_path / "r", "pretrain", CONFIG, False)
    fcntl.flock(run._handle, fcntl.LOCK_UN)


def test_the_same_command_resumes_an_unfinished_run(tmp_path):
    assert not begun(tmp_path / "r").resumed
    assert opened(tmp_path / "r").resumed


def test_a_run_refused_before_it_began_may_be_asked_differently(tmp_path):
    opened(tmp_path / "r").record({"data": "abc"})
    again = opened(tmp_path / "r", {**CONFIG, "train": {"steps": 20}})
    again.record({"data": "abd"})
    assert not again.resumed and "steps: 20" in (tmp_path / "r" / "config.yaml").read_text()


def test_another_config_is_not_resumed_and_named(tmp_path):
    begun(tmp_path / "r")
    with pytest.raises(CannotResume, match=r"train.learning_rate was 1e-05, is 0.1.*run.overwrite=true"):
        opened(tmp_path / "r", {**CONFIG, "train": {"steps": 10, "learning_rate": 0.1}})


@pytest.mark.parametrize("key, value", [("nonfinite", "stop"), ("new", None)])
def test_a_run_of_a_version_without_a_key_goes_on_as_it_began(tmp_path, key, value):
    begun(tmp_path / "r")
    now = {**CONFIG, "train": {**CONFIG["train"], key: value}}
    again = opened(tmp_path / "r", now)
    again.record({})
    assert again.resumed
    with pytest.raises(CannotResume, match=rf"train.{key} was null, is \"other\""):
        opened(tmp_path / "r", {**CONFIG, "train": {**CONFIG["train"], key: "other"}})


def test_a_config_that_was_edited_in_the_run_directory_is_noticed(tmp_path):
    begun(tmp_path / "r")
    asked = tmp_path / "r" / "config.yaml"
    asked.write_text(asked.read_text().replace("steps: 10", "steps: 20"))
    again = opened(tmp_path / "r", {**CONFIG, "train": {**CONFIG["train"], "steps": 20}})
    with pytest.raises(CannotResume, match="config is not what it was when the run began"):
        again.record({})


def test_hardware_may_change_between_two_halves(tmp_path):
    begun(tmp_path / "r")
    assert opened(tmp_path / "r", {**CONFIG, "hardware": {"threads": 2}}).resumed


def test_a_finished_run_is_kept_unless_overwritten(tmp_path):
    opened(tmp_path / "r").finish({})
    with pytest.raises(Finished, match="is finished"):
        opened(tmp_path / "r")
    again = opened(tmp_path / "r", overwrite=True)
    assert not again.resumed and not (tmp_path / "r" / "metrics.json").exists()


def test_overwrite_removes_an_interrupted_run_too(tmp_path):
    begun(tmp_path / "r", lineage={"data": "abc"})
    again = opened(tmp_path / "r", overwrite=True)
    again.record({"data": "abd"})
    assert not again.resumed and not (tmp_path / "r" / "metrics.jsonl").exists()


def test_removal_that_is_killed_never_looks_finished_or_foreign(tmp_path, monkeypatch):
    begun(tmp_path / "r").finish({})
    removed = []
    unlink = Path.unlink
    monkeypatch.setattr(Path, "unlink", lambda p, **k: (removed.append(p.name), unlink(p, **k)))
    opened(tmp_path / "r", overwrite=True)
    removed = [name for name in removed if not name.startswith(".")]
    assert removed[0] == "metrics.json" and removed[-1] == "config.yaml"


def test_a_file_system_without_locks_is_not_called_in_use(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(StorageError, match="No locks available"):
        RunDirectory.open(tmp_path / "r", "pretrain", CONFIG, False)


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(CannotResume, match="thesis.tex"):
        opened(tmp_path, overwrite=True)
    assert (tmp_path / "thesis.tex").exists()


def test_changed_data_is_not_resumed(tmp_path):
    begun(tmp_path / "r", lineage={"data": {"mono/en/train": "abc"}})
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


def test_a_folder_that_is_replaced_is_never_lost(tmp_path, monkeypatch):
    """Killed at each of the system calls of a replacement, the next look finds the old folder or the new one, whole."""

    class Killed(BaseException):
        pass

    for fatal in range(1, 6):
        place = tmp_path / str(fatal) / "step"
        files.write_folder(place, lambda folder: (folder / "x").write_text("old"))
        left = fatal

        def dying(call):
            def wrapper(*args, **kwargs):
                nonlocal left
                left -= 1
                if left == 0:
                    raise Killed
                return call(*args, **kwargs)

            return wrapper

        with monkeypatch.context() as patch:
            patch.setattr(os, "rename", dying(os.rename))
            patch.setattr(files.shutil, "rmtree", dying(files.shutil.rmtree))
            patch.setattr(files, "_flush", dying(files._flush))
            with contextlib.suppress(Killed):
                files.write_folder(place, lambda folder: (folder / "x").write_text("new"))
        files.remove_leftovers(place.parent)
        assert files.verify(place) is None and (place / "x").read_text() in ("old", "new")
        assert [p.name for p in place.parent.iterdir()] == ["step"]


def test_verify_names_the_damaged_file(tmp_path):
    files.write_folder(tmp_path / "model", lambda folder: (folder / "config.json").write_text("{}"))
    assert files.verify(tmp_path / "model") is None
    (tmp_path / "model" / "config.json").write_text("[]")
    assert "config.json is damaged" in files.verify(tmp_path / "model")
    from xlt.models.build import locate

    with pytest.raises(DataError, match="config.json is damaged"):
        locate(str(tmp_path))


def test_lineage_knows_the_parents_files_however_it_is_named(tmp_path):
    place = tmp_path / "run" / "model"
    files.write_folder(place, lambda folder: (folder / "config.json").write_text("{}"))
    digests = {parent_lineage(str(p))["files"] for p in (tmp_path / "run", place)}
    assert digests == {files.sha256(place / files.MANIFEST)}
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "config.json").write_text("{}")
    before = parent_lineage(str(foreign))["files"]
    (foreign / "config.json").write_text("[]")
    assert before is not None and parent_lineage(str(foreign))["files"] != before
    assert parent_lineage(None) is None

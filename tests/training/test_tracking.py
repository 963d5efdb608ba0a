"""metrics.jsonl and its mirrors, and what a person sees: plain lines in a file, a bar on a terminal."""

import json
import os
import pty
import re
import select
import subprocess
import sys
from importlib.util import find_spec

import pytest

from xlt.errors import ConfigError, StorageError
from xlt.training import tracking
from xlt.training.progress import duration
from xlt.training.tracking import MetricsLog, check_trackers


def steps(path):
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


def test_lines_that_will_be_written_again_are_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path, 0)
    for step in (2, 4, 6, 8):
        log.write(step, {"loss": 1.0})
    MetricsLog(path, 5)
    assert steps(path) == [2, 4]
    with open(path, "a") as file:
        file.write('{"step": 6, "lo')  # killed within a line
    MetricsLog(path, 8)
    assert steps(path) == [2, 4]


def test_a_validation_that_is_still_due_is_dropped_and_the_loss_beside_it_stays(tmp_path):
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path, 0)
    log.write(4, {"loss": 1.0})
    log.write(4, {"validation": {"loss": {"en": 1.0}}})
    MetricsLog(path, 4, unvalidated=False)
    assert steps(path) == [4, 4]
    MetricsLog(path, 4, unvalidated=True)
    assert "loss" in json.loads(path.read_text()) and "validation" not in json.loads(path.read_text())


def test_killed_while_lines_are_dropped_none_is_lost(tmp_path, monkeypatch):
    path = tmp_path / "metrics.jsonl"
    MetricsLog(path, 0).write(1, {"loss": 1.0})
    monkeypatch.setattr("xlt.files.os.replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        MetricsLog(path, 1)
    assert steps(path) == [1]


def test_a_full_disk_is_said_in_a_sentence(tmp_path):
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    log = MetricsLog(tmp_path / "metrics.jsonl", 0)
    log.path.unlink()
    log.path.symlink_to("/dev/full")
    with pytest.raises(StorageError, match=r"No space left on device\); \d+ MB are free"):
        log.write(1, {"loss": 1.0})


def test_a_tracker_that_is_missing_or_unknown(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        ConfigError, match=r"wandb is not installed; run pip install 'xlt\[tracking\]', or choose"
    ) as error:
        check_trackers(["wandb"])
    assert len(error.value.problems) == 1
    with pytest.raises(ConfigError, match="'excel' is not one of tensorboard, wandb"):
        check_trackers(["excel"])


def test_what_the_mirrors_are_given(tmp_path):
    class Accelerator:
        trackers, got = ["one"], []

        def log(self, values, step):
            self.got.append((step, values))

    MetricsLog(tmp_path / "m.jsonl", 0, accelerator=Accelerator()).write(
        3, {"validation": {"f1": {"en": 0.5}}, "chosen": True}
    )
    assert Accelerator.got == [(3, {"validation/f1/en": 0.5, "chosen": True})]


@pytest.mark.skipif(find_spec("tensorboard") is None, reason="tensorboard is not installed")
def test_tensorboard_writes_events(tmp_path):
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True, log_with=tracking.check_trackers(["tensorboard"]), project_dir=tmp_path)
    accelerator.init_trackers("xlt")
    MetricsLog(tmp_path / "m.jsonl", 0, accelerator=accelerator).write(1, {"loss": 0.25})
    accelerator.end_training()
    (events,) = tmp_path.rglob("events.out.tfevents.*")
    assert b"loss" in events.read_bytes()


SHOW = """
from xlt.training.progress import Screen
screen = Screen()
with screen.counting("training", 4, 1):
    for step in (2, 3):
        screen.advance(step, f"loss {step}.5000  1,234 tokens/s")
    screen.say("validated")
    END
"""


def test_plain_lines_without_a_terminal():
    shown = subprocess.run(
        [sys.executable, "-c", SHOW.replace("END", "")], capture_output=True, text=True, check=True
    ).stdout
    lines = shown.splitlines()
    assert re.fullmatch(r"step 2/4  loss 2\.5000  1,234 tokens/s  left \d+:\d\d", lines[0])
    assert lines[2] == "validated" and "\x1b" not in shown


@pytest.mark.parametrize("end", ["", "raise SystemExit(3)"])
def test_a_bar_on_a_terminal_which_is_tidy_however_it_ends(end):
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "150"}
    environment.pop("NO_COLOR", None)
    with subprocess.Popen(
        [sys.executable, "-c", SHOW.replace("END", end)], stdout=theirs, stderr=theirs, env=environment
    ) as process:
        shown = b""
        while process.poll() is None or select.select([ours], [], [], 0.1)[0]:
            if select.select([ours], [], [], 0.1)[0]:
                shown += os.read(ours, 65536)
    os.close(theirs)
    os.close(ours)
    text = shown.decode()
    assert process.returncode == (3 if end else 0)
    assert "training" in text and "━" in text and "3/4" in text and "loss 3.5000  1,234 tokens/s" in text
    assert "validated" in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l"), "the cursor is shown again"


def test_durations():
    assert [duration(s) for s in (0.4, 61, 3723)] == ["0:00", "1:01", "1:02:03"]

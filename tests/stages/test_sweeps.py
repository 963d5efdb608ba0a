"""Sweeps as real processes: whatever ends a job ends no other, and the same command, run again, runs what is missing."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from xlt.training.launch import result_of

pytestmark = pytest.mark.slow
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(Path(__file__).resolve().parents[2])}  # fmt: skip
TASK = ["finetune", "dataset=demo", "tokenizer.path=runs/t/tokenize", "languages.source=[en]", "model=tiny"]
PACE = ["train.epochs=null", "train.steps=12", "train.batch_size=8", "train.save_every=2", "train.eval_every=6", "train.eval_rows=8"]  # fmt: skip
ODD = '''
"""A data set that ends its process in a way of its own, as long as there is no file `well`."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

from xlt.data.demo import Demo


@dataclass(frozen=True, kw_only=True)
class Odd(Demo):
    how: str

    def rows(self, view, language, split):
        if Path("well").exists():
            return super().rows(view, language, split)
        if self.how == "raises":
            raise ValueError("odd")
        if self.how == "exits":
            os._exit(5)
        if self.how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "full":
            bytearray(1 << 60)
        return super().rows(view, language, split)
'''


ODDLY = ["dataset=odd", "-m", "--config-dir", "conf", "--plugin", "odd_data"]


def make_odd(folder):
    """Let `xlt ... ODDLY` find that data set."""
    (folder / "well").unlink(missing_ok=True)
    (folder / "odd_data.py").write_text(ODD, encoding="utf-8")
    (folder / "conf/dataset").mkdir(parents=True, exist_ok=True)
    preset = "defaults: [demo]\n_target_: odd_data.Odd\nname: odd\nhow: calm\n"
    (folder / "conf/dataset/odd.yaml").write_text(preset, encoding="utf-8")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a tokenizer."""
    folder = tmp_path_factory.mktemp("sweeps")
    answer = ended(
        begun(folder, "tokenize", "dataset=demo", "run.name=t", "tokenizer.vocab_size=1500", "languages.train=[en,sw]")
    )
    assert answer.code == 0, answer.said
    return folder


def begun(folder, *argv):
    """`xlt argv` in a session of its own; what it and its jobs print lies in said.txt."""
    with open(folder / "said.txt", "w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "xlt", *argv],
            cwd=folder,
            env=ENVIRONMENT,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    return SimpleNamespace(process=process, folder=folder)


def ended(command, seconds=300):
    code = command.process.wait(seconds)
    return SimpleNamespace(code=code, said=(command.folder / "said.txt").read_text())


def job_of(command, name) -> int:
    """The process of the job that writes to a run of that name, once it has a checkpoint."""
    folder = command.folder / "runs" / name / "finetune" / "checkpoints"
    until = time.monotonic() + 120
    while not list(folder.glob("step-*")):
        assert command.process.poll() is None and time.monotonic() < until, (command.folder / "said.txt").read_text()
        time.sleep(0.02)
    found = {}
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if f"run.name={name}".encode() in line.read_bytes().split(b"\0"):
                found[int(line.parent.name)] = parent_of(int(line.parent.name))
        except OSError:  # it ended meanwhile
            continue
    return next(pid for pid, parent in found.items() if parent not in found)  # a loader's process has the same words


def parent_of(pid) -> int:
    return int(re.search(r"^PPid:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)[1])


def outcomes(folder, name):
    """Of each finished job: its scores, and its weights."""
    found = {}
    for file in sorted((folder / "runs" / name).glob("*/finetune/metrics.json")):
        run, scores = file.parent, json.loads(file.read_text())["results"]
        found[run.parent.name] = (scores, (run / "model" / "model.safetensors").read_bytes())
    return found


def gone(pid, seconds=10):
    until = time.monotonic() + seconds
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < until, f"{pid} is left"
        time.sleep(0.05)


def test_a_killed_job_is_all_that_a_second_start_runs(place, monkeypatch):
    """Two models, three seeds; the end is that of a sweep that was left alone, bit by bit."""
    sweep = [*TASK, *PACE, "-m", "seed=1,2,3", "model.layers=1,2"]
    whole = ended(begun(place, *sweep, "run.name=whole"))
    assert whole.code == 0, whole.said
    command = begun(place, *sweep, "run.name=struck")
    os.kill(job_of(command, "struck/seed-2_model.layers-1"), signal.SIGKILL)
    struck = ended(command)
    assert struck.code == 137, struck.said
    assert "this job was ended by SIGKILL" in struck.said
    assert (
        "5 of 6 jobs are finished. Run the same command again: only these are run\n  job 3: seed=2 model.layers=1: SIGKILL (exit code 137)\n"
        in struck.said
    )
    finished = {p: p.stat().st_mtime_ns for p in (place / "runs/struck").glob("*/finetune/metrics.json")}
    assert len(finished) == 5
    again = ended(begun(place, *sweep, "run.name=struck"))
    assert again.code == 0 and again.said.count("is finished; see") == 5, again.said
    assert all(p.stat().st_mtime_ns == then for p, then in finished.items())
    assert outcomes(place, "struck") == outcomes(place, "whole") and len(outcomes(place, "whole")) == 6
    monkeypatch.setitem(ENVIRONMENT, "PYTHONPROFILEIMPORTTIME", "1")
    third = ended(begun(place, *sweep, "run.name=struck"))
    assert third.code == 0 and third.said.count("is finished; see") == 6, third.said
    assert "| xlt.config.compose" in re.sub(" +", " ", third.said) and "torch" not in third.said
    monkeypatch.undo()
    other = ended(begun(place, *sweep, "run.name=struck", "train.weight_decay=0.3", "seed=1,2", "model.layers=1"))
    assert other.code == 78 and other.said.count("train.weight_decay was") == 2, other.said


def test_jobs_end_in_every_way_and_the_others_finish(place):
    make_odd(place)
    command = [*TASK, *PACE, "run.name=odd", "dataset.how=calm,raises,exits,killed,full,quiet", *ODDLY]
    first = ended(begun(place, *command))
    why = {"raises": "exit code 1", "exits": "exit code 5", "killed": "SIGKILL (exit code 137)", "full": "exit code 71"}
    assert first.code == 1, first.said
    assert "2 of 6 jobs are finished" in first.said and "ValueError: odd" in first.said, first.said
    for how, what in why.items():
        assert re.search(rf"^  job \d: dataset.how={how}: {re.escape(what)}$", first.said, re.MULTILINE), first.said
    assert list(outcomes(place, "odd")) == ["dataset.how-calm", "dataset.how-quiet"]
    (place / "well").touch()
    again = ended(begun(place, *command))
    assert again.code == 0 and again.said.count("is finished; see") == 2, again.said
    alone = ended(begun(place, *TASK, *PACE, "run.name=single/alone", *(word for word in ODDLY if word != "-m")))
    assert alone.code == 0, alone.said
    single = outcomes(place, "single")["alone"]
    assert len(found := outcomes(place, "odd")) == 6 and all(outcome == single for outcome in found.values())


def test_jobs_of_several_processes(place):
    """Each job begins its own; what its stage returned reaches the sweep, for a search."""
    answer = ended(
        begun(place, *TASK, *PACE, "hardware=ddp", "hardware.device=cpu", "run.name=ranks", "-m", "seed=1,2")
    )
    assert answer.code == 0, answer.said
    for name, (scores, _) in outcomes(place, "ranks").items():
        assert result_of(place / "runs/ranks" / name / "finetune") == scores["demo"]["accuracy"]["en"]
        assert json.loads((place / "runs/ranks" / name / "finetune/manifest.json").read_text())["processes"] == 2


@pytest.mark.parametrize("signum, code", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_stops_the_sweep_and_its_job_saves(place, signum, code):
    name = f"told-{code}"
    command = begun(place, *TASK, *PACE, "train.steps=4000", f"run.name={name}", "-m", "seed=1,2")
    job = job_of(command, f"{name}/seed-1")
    command.process.send_signal(signum)
    began = time.monotonic()
    answer = ended(command, 30)
    assert (answer.code, time.monotonic() - began < 10) == (code, True), answer.said
    assert "in a sweep; run the same command again to go on" in answer.said
    gone(job)
    assert not (place / "runs" / name / "seed-2").exists()


def test_a_job_ends_when_its_sweep_is_killed(place):
    command = begun(place, *TASK, *PACE, "train.steps=4000", "run.name=orphan", "-m", "seed=1,2")
    job = job_of(command, "orphan/seed-1")
    command.process.kill()
    command.process.wait(10)
    gone(job)

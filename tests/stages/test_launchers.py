"""Sweeps through Hydra's launchers and a search with Optuna, where these are installed (extras sweep and optuna): the promises are those of a plain sweep."""

import os
import re
import signal
from pathlib import Path

import pytest

from tests.stages.test_sweeps import ODDLY, PACE, TASK, begun, ended, gone, job_of, make_odd, outcomes, parent_of, place  # noqa: F401  a fixture

pytestmark = pytest.mark.slow
LONG = [*TASK, *PACE, "train.steps=4000", "-m"]
TWO = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]


@pytest.fixture
def joblib():
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="hydra-joblib-launcher is not installed")


def test_two_jobs_at_a_time_of_which_one_is_killed(place, joblib):  # noqa: F811
    sweep = [*TASK, *PACE, "-m", *TWO, "seed=1,2,3"]
    command = begun(place, *sweep, "train.steps=200", "run.name=two")
    jobs = [job_of(command, f"two/seed-{seed}") for seed in (1, 2)]
    os.kill(jobs[1], signal.SIGKILL)
    assert Path(f"/proc/{jobs[0]}").exists(), "they did not run at the same time"
    struck = ended(command)
    assert struck.code == 137, struck.said
    told = "2 of 3 jobs are finished. Run the same command again: only these are run\n  job 2: seed=2: SIGKILL (exit code 137)\n"
    assert told in struck.said
    finished = {p: p.stat().st_mtime_ns for p in (place / "runs/two").glob("*/finetune/metrics.json")}
    again = ended(begun(place, *sweep, "train.steps=200", "run.name=two"))
    assert again.code == 0 and again.said.count("is finished; see") == 2, again.said
    assert all(p.stat().st_mtime_ns == then for p, then in finished.items())
    alone = ended(begun(place, *TASK, *PACE, "train.steps=200", "seed=2", "run.name=one/alone"))
    assert alone.code == 0, alone.said
    assert outcomes(place, "one")["alone"] == outcomes(place, "two")["seed-2"]


@pytest.mark.parametrize("signum, code", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_reaches_the_jobs_of_every_process(place, joblib, signum, code):  # noqa: F811
    name = f"both-{code}"
    command = begun(place, *LONG, *TWO, "seed=1,2,3", f"run.name={name}")
    jobs = [job_of(command, f"{name}/seed-{seed}") for seed in (1, 2)]
    command.process.send_signal(signum)
    answer = ended(command, 60)
    assert answer.code == code, answer.said
    for job in jobs:
        gone(job)
    assert answer.said.count("stopped by") >= 2 and not (place / "runs" / name / "seed-3").exists()


def test_no_job_outlives_a_sweep_that_is_killed(place, joblib):  # noqa: F811
    command = begun(place, *LONG, *TWO, "seed=1,2,3", "run.name=lost")
    jobs = [job_of(command, f"lost/seed-{seed}") for seed in (1, 2)]
    workers = [parent_of(job) for job in jobs]
    command.process.kill()
    command.process.wait(10)
    for process in (*jobs, *workers):
        gone(process, 20)
    assert not (place / "runs/lost/seed-3").exists()


def test_a_submitted_job_that_makes_room_goes_on_where_it_was(place):  # noqa: F811
    """Slurm sends SIGUSR2 before it takes a job's machine; submitit has the job queued again. Here its executor for this machine does."""
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="hydra-submitit-launcher is not installed")
    sweep = [*TASK, *PACE, "train.steps=300", "-m", "hydra/launcher=submitit_local", "seed=1,2"]
    command = begun(place, *sweep, "run.name=room")
    job = job_of(command, "room/seed-1")
    worker = parent_of(job)
    for process in (worker, job):
        os.kill(process, signal.SIGUSR2)
    gone(job, 30)
    assert (answer := ended(command)).code == 0, answer.said
    logs = "".join(file.read_text() for file in (place / "runs").rglob("*_log.*"))
    assert logs.count("checkpoint saved, run the same command again") == 1, "it did not save what it had"
    alone = ended(begun(place, *TASK, *PACE, "train.steps=300", "seed=1", "run.name=roomy/alone"))
    assert alone.code == 0, alone.said
    found = outcomes(place, "room")
    assert len(found) == 2 and found["seed-1"] == outcomes(place, "roomy")["alone"]


def test_a_search_knows_what_its_jobs_scored(place):  # noqa: F811
    """A second start hears it from the run directories; where every job failed, that is what is told."""
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper", reason="hydra-optuna-sweeper is not installed")
    make_odd(place)
    search = ["hydra/sweeper=optuna", "+hydra.sweeper.sampler.seed=1", "hydra.sweeper.n_trials=2", "hydra.sweeper.n_jobs=1", "hydra.sweeper.direction=maximize"]  # fmt: skip
    command = [*TASK, *PACE, *search, "train.learning_rate=interval(1e-4,1e-2)"]
    said = []
    for _ in range(2):
        answer = ended(begun(place, *command, "run.name=search", *ODDLY))
        assert answer.code == 0, answer.said
        said.append(answer.said.count("is finished; see"))
        found = (place / "runs/optimization_results.yaml").read_text()
        scores = [by["odd"]["accuracy"]["en"] for by, _ in outcomes(place, "search").values()]
        assert len(scores) == 2 and float(re.search(r"best_value: (\S+)", found)[1]) == max(scores)
        (place / "runs/optimization_results.yaml").unlink()
    assert said == [0, 2]
    failed = ended(begun(place, *command, "dataset.how=raises", "run.name=hopeless", *ODDLY))
    assert failed.code == 1 and "0 of 2 jobs are finished" in failed.said, failed.said
    assert failed.said.count("ValueError: odd") == 2 and "the sweeper gave up after jobs had failed" in failed.said

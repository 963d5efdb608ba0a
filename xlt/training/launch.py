"""Starting processes that run `xlt`: those of one run, with torch.distributed's elastic agent, and a job of a sweep by itself.

The agent is what torchrun is: it watches the processes of a run, ends the others when one dies, starts all anew if asked, and lets several nodes meet. Each runs
the same command; what they do together is in `xlt.processes`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from xlt import files, processes
from xlt.errors import Interrupted, XltError

RESULT = "XLT_RESULT"  # names the file in which the first process leaves what its stage returned
STARTER = "XLT_STARTER"  # the process id of the sweep that started this job, or of the agent
APART = True  # whether each job of a sweep has a process of its own; tests that replace a stage have it run in theirs
IN_SWEEP = "in a sweep; run the same command again to go on"
SHUTDOWN = 30  # seconds between the request to stop and the end by force: long enough to save a checkpoint


class Ended(XltError):
    """A process ended the run. It has said why, if it could."""

    def __init__(self, exit_code: int, sentence: str | None):
        super().__init__(sentence or "")
        self.exit_code, self.silent = exit_code, sentence is None


def needed(hardware) -> bool:
    """Whether processes have to be started: several are asked for, and this is none of them. hardware: of `xlt.config.schema`, here and below."""
    return hardware.processes * hardware.nodes > 1 and not processes.launched()


def join(hardware) -> None:
    """Meet the other processes of this run, if a launcher started any."""
    import torch

    cuda = hardware.device.value != "cpu" and torch.cuda.is_available()
    processes.join("nccl" if cuda else "gloo", hardware.timeout)


def start(hardware, command: list[str]) -> float | None:
    """Run `xlt COMMAND` in all processes of this node; returns what the stage returned. Ended with the exit code of the process that failed first."""
    from torch.distributed.elastic.multiprocessing.api import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    with tempfile.TemporaryDirectory(prefix="xlt-") as folder:
        result = Path(folder) / "result"
        outer = os.environ.get(RESULT)
        os.environ[RESULT], os.environ[STARTER] = str(result), str(os.getpid())
        # by default all attempts share one store, and a process that begins again may read where the others were before, and be refused there
        os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
        if hardware.threads is None:
            os.environ["OMP_NUM_THREADS"] = str(max(1, len(os.sched_getaffinity(0)) // hardware.processes))
        config = LaunchConfig(
            min_nodes=hardware.nodes,
            max_nodes=hardware.nodes,
            nproc_per_node=hardware.processes,
            rdzv_backend="c10d",
            rdzv_endpoint=hardware.rendezvous or "localhost:0",
            run_id=hardware.job,
            max_restarts=hardware.restarts,
            logs_specs=DefaultLogsSpecs(log_dir=folder),
            shutdown_timeout=SHUTDOWN,
        )
        try:
            elastic_launch(config, sys.executable)("-m", "xlt", *command)
        except SignalException as stopped:
            raise Ended(128 + int(stopped.sigval), None) from stopped
        except ChildFailedError as failed:
            raise _ended(failed, hardware) from failed
        finally:
            os.environ.pop(STARTER)
            os.environ.pop(RESULT)
            if outer is not None:  # a sweep waits for it
                os.environ[RESULT] = outer
        return _left(result)


def apart(command: list[str], directory: str, stopped: Callable[[], int | None]) -> float | None:
    """Run `xlt COMMAND`, a job of a sweep, in a process of its own, so that whatever ends it ends no other; returns what the stage returned.

    directory: of the run, where that is kept for a later start of the sweep. stopped: the signal that asks the sweep to stop, or None.
    Ended with its exit code if it fails, Interrupted if it was to stop: the job is told, and saves before it ends.
    """
    environment = {**os.environ, RESULT: os.path.abspath(_result(directory)), STARTER: str(os.getpid())}
    # in a session of its own: a terminal's Ctrl-C would reach it beside the signal that is passed on, and a second signal ends it without saving
    process = subprocess.Popen([sys.executable, "-m", "xlt", *command], env=environment, start_new_session=True)
    try:
        code = _waited(process, stopped)
    except BaseException:  # a launcher's signal: it saves before its process group is cleared away
        process.terminate()
        process.wait(SHUTDOWN)
        raise
    if signum := stopped():
        raise Interrupted(signum, f"stopped by {signal.Signals(signum).name} {IN_SWEEP}")
    if code < 0:
        memory = ", by the system perhaps for want of memory" if code == -signal.SIGKILL else ""
        raise Ended(128 - code, f"this job was ended by {signal.Signals(-code).name}{memory}")
    if code:
        raise Ended(code, None)
    return result_of(directory)


def _waited(process: subprocess.Popen, stopped: Callable[[], int | None]) -> int:
    """Its exit code; a signal that comes meanwhile is passed on, once."""
    told = False
    while True:
        try:
            return process.wait(0.1)
        except subprocess.TimeoutExpired:
            if not told and (signum := stopped()):
                process.send_signal(signum)
                told = True


def _result(directory: str) -> Path:
    return Path(directory) / ".result"


def result_of(directory: str) -> float | None:
    """What a finished job of a sweep returned."""
    return _left(_result(directory))


def _left(place: Path) -> float | None:
    return float(place.read_text()) if place.exists() else None


def end_with_starter() -> None:
    """If a sweep or an agent started this process, have it stopped as by SIGTERM when that is no more, however it ended. On Linux; elsewhere it runs to its end."""
    starter = os.environ.pop(STARTER, None)
    if starter is None or not sys.platform.startswith("linux"):
        return
    import ctypes

    # Slurm sends it to every process of a job that is to make room; it is meant for the launcher, which then stops this one
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    pr_set_pdeathsig = 1  # prctl(2)
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != int(starter):  # it ended before it could be watched
        os.kill(os.getpid(), signal.SIGTERM)


def leave_result(value: float | None) -> None:
    """Tell the process that started this one what the stage returned."""
    place = os.environ.get(RESULT)
    if place and processes.leads() and value is not None:
        files.write_text(Path(place), repr(float(value)))


def _ended(failed, hardware) -> Ended:
    number, failure = failed.get_first_failure()
    if failure.exitcode > 0:  # it told why
        return Ended(failure.exitcode, None)
    name = signal.Signals(-failure.exitcode).name
    told = (
        f"hardware.processes: process {number} of {hardware.processes * hardware.nodes} was ended by {name}, so the others were stopped; run the same command "
        "again to go on from the last checkpoint, or set hardware.restarts to have that done"
    )
    return Ended(128 - failure.exitcode, told)

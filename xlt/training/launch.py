"""Starting a run's processes with torch.distributed's elastic agent, which is what torchrun is: it watches them, ends the others when one dies, starts all anew
if asked, and lets several nodes meet. Each process runs the same command; what they do together is in `xlt.processes`."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from pathlib import Path

from xlt import processes
from xlt.errors import XltError

RESULT = "XLT_RESULT"  # names the file in which the first process leaves what its stage returned
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
        os.environ[RESULT] = str(result)
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
            os.environ.pop(RESULT)
        return float(result.read_text()) if result.exists() else None


def leave_result(value: float | None) -> None:
    """Tell the process that started this one what the stage returned."""
    place = os.environ.get(RESULT)
    if place and processes.leads() and value is not None:
        Path(place).write_text(repr(float(value)))


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

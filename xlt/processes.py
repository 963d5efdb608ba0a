"""The processes that work on one run together: which of them this is, and how they agree. One process is the ordinary case, and costs nothing.

Knows nothing of models or rows. What all say at once goes over a group of its own on the CPU, gradients over the run's default group: the timeout of both ends a run with a
process that hangs. What the first one does for all goes over a third, which waits as long as it needs, to read its data for example.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

from xlt import signals
from xlt.errors import ConfigError, Interrupted, XltError

T = TypeVar("T")

PATIENCE = timedelta(days=7)  # of those that wait for the first one
_talk = None  # the group over which what the first process did goes
_council = None  # that over which each says something


def launched() -> bool:
    """Whether a launcher (ours, torchrun, accelerate launch) started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ


def rank() -> int:
    """Number of this process, from 0."""
    return int(os.environ["RANK"]) if launched() else 0


def world() -> int:
    """How many processes there are."""
    return int(os.environ["WORLD_SIZE"]) if launched() else 1


def leads() -> bool:
    """Whether this is the first process, the one that writes and speaks."""
    return rank() == 0


def join(backend: str, timeout: float) -> None:
    """Meet the other processes. backend: gloo or nccl. timeout: seconds after which a process that does not answer ends the run.

    ConfigError if the others cannot be reached.
    """
    global _talk, _council
    if not launched() or _talk is not None:
        return
    from torch import distributed

    if backend == "nccl":
        import torch

        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    try:
        distributed.init_process_group(backend, timeout=timedelta(seconds=timeout), **_store(timeout))
        _talk = distributed.new_group(backend="gloo", timeout=PATIENCE)
        _council = distributed.new_group(backend="gloo", timeout=timedelta(seconds=timeout))
    except (RuntimeError, ValueError) as error:
        where = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
        raise ConfigError(
            f"hardware.processes: process {rank()} of {world()} does not reach the others at {where} ({str(error).strip().splitlines()[0]}); check "
            "that each node was started with the same command, and that no firewall stands between them"
        ) from error


def _store(timeout: float) -> dict[str, Any]:
    """Where the processes find each other: of a torchrun on one node that shares its own store, a place for each attempt, since what an earlier one left there leads
    nowhere. (Nodes count their attempts by themselves, so theirs cannot be told apart here.)"""
    shared = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True" and os.environ.get("GROUP_WORLD_SIZE") == "1"
    if not shared:
        return {}
    from torch import distributed

    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    store = distributed.TCPStore(address, port, world(), is_master=False, timeout=timedelta(seconds=timeout))
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    return {"store": distributed.PrefixStore(f"attempt {attempt}", store), "rank": rank(), "world_size": world()}


def leave() -> None:
    """Part in good order; a process that ends without it makes the others complain."""
    global _talk, _council
    if _talk is not None:
        from torch import distributed

        distributed.destroy_process_group()
        _talk = _council = None


def gather(value: T) -> list[T]:
    """What each process says, in their order. Every process has to call it."""
    if _talk is None:
        return [value]
    from torch import distributed

    found: list[Any] = [None] * world()
    distributed.all_gather_object(found, value, group=_council)
    return found


def first(work: Callable[[], T]) -> T:
    """work() of the first process alone, for all. What it raises is raised in all of them, and told by the first one only."""
    if _talk is None:
        return work()
    from torch import distributed

    answer: list[Any] = [None]
    raised = None
    if leads():
        try:
            answer[0] = (True, work())
        except Exception as error:
            raised, answer[0] = error, (False, (getattr(error, "exit_code", 1), str(error)))
    distributed.broadcast_object_list(answer, src=0, group=_talk)
    if raised is not None:
        raise raised
    done, value = answer[0]
    if not done:
        raise Elsewhere(*value)
    return value


def in_turn(work: Callable[[], T]) -> T:
    """work() of every process, of the first one before the others: it fills caches that they read."""
    if _talk is None:
        return work()
    kept: list[T] = []
    first(lambda: kept.append(work()))  # the others wait here
    return kept[0] if leads() else work()


def agreed(error: XltError) -> XltError:
    """An error that all processes raise at once: only the first one tells it."""
    error.silent = not leads()
    return error


def stop_if_requested(where: str) -> None:
    """As `xlt.signals.stop_if_requested`, in all processes if a signal reached one. Every process has to call it."""
    if signum := max(number or 0 for number in gather(signals.requested())):
        raise agreed(Interrupted(signum, f"stopped by {signal.Signals(signum).name} {where}"))


class Elsewhere(XltError):
    """The first process failed and has said why; this one ends with the same exit code and says nothing."""

    def __init__(self, exit_code: int, message: str):
        super().__init__(message)
        self.exit_code, self.silent = exit_code, True

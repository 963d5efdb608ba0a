"""SIGTERM and SIGINT as a polite request: long work asks `requested()` between two units and saves before it leaves.

The second signal ends the process at once, without saving. Threads and child processes are not touched.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

from xlt.errors import Interrupted

T = TypeVar("T")

_received: int | None = None
_tell: Callable[[int], None] | None = None


def install() -> None:
    """Listen from now on. Called by the command line before anything slow is imported."""
    signal.signal(signal.SIGTERM, _receive)
    signal.signal(signal.SIGINT, _receive)


def requested() -> int | None:
    """Number of the signal that asked to stop, or None."""
    return _received


def tell(listener: Callable[[int], None] | None) -> None:
    """Have listener(number) called when the first signal comes: what this process waits for may not ask."""
    global _tell
    _tell = listener


def stop_if_requested(where: str) -> None:
    """Interrupted, if a signal came. `where` completes the sentence "stopped by SIGTERM ..."."""
    if _received is not None:
        raise Interrupted(_received, f"stopped by {signal.Signals(_received).name} {where}")


def interruptible(work: Callable[[], T], where: str) -> T:
    """The result of work(), which may be one long call of C++ code: there Python would see a signal only when it is over, so it runs in a
    thread while this one listens. After a signal it is abandoned; it must not be half-way through writing a file then."""
    result: Future[T] = Future()

    def run() -> None:
        try:
            result.set_result(work())
        except BaseException as error:
            result.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    while not wait([result], timeout=0.2).done:
        stop_if_requested(where)
    stop_if_requested(where)
    return result.result()


def _receive(signum: int, _frame) -> None:
    global _received
    if _received is not None:
        os._exit(128 + signum)
    _received = signum
    if _tell is not None:
        _tell(signum)

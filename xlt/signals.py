"""SIGTERM and SIGINT as a polite request: long work asks `requested()` between two units and saves before it leaves.

The second signal ends the process at once, without saving. Threads and child processes are not touched.
"""

from __future__ import annotations

import os
import signal

from xlt.errors import Interrupted

_received: int | None = None


def install() -> None:
    """Listen from now on. Called by the command line before anything slow is imported."""
    signal.signal(signal.SIGTERM, _receive)
    signal.signal(signal.SIGINT, _receive)


def requested() -> int | None:
    """Number of the signal that asked to stop, or None."""
    return _received


def stop_if_requested(where: str) -> None:
    """Interrupted, if a signal came. `where` completes the sentence "stopped by SIGTERM ..."."""
    if _received is not None:
        raise Interrupted(_received, f"stopped by {signal.Signals(_received).name} {where}")


def _receive(signum: int, _frame) -> None:
    global _received
    if _received is not None:
        os._exit(128 + signum)
    _received = signum

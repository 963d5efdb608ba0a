"""Every way in which xlt says no: one sentence for the user, and the exit code the shell sees.

An error carries its own sentence (path, value, remedy); `xlt.cli` only prints it. Exit codes are documented in the README.
"""

from __future__ import annotations

import difflib
import signal
from collections.abc import Iterable


def suggest(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: the one that was probably meant, else all there are."""
    known = list(known)
    near = difflib.get_close_matches(str(name), known, 1)
    return (
        f"did you mean {near[0]}?"
        if near
        else f"there {'is' if len(known) == 1 else 'are'} {', '.join(known) or 'none'}"
    )


class XltError(Exception):
    """Base of all errors whose text is meant for the user. Not raised itself."""

    exit_code = 2


class ConfigError(XltError):
    """The config is wrong. Holds every problem found, one sentence each, so that one run shows them all."""

    def __init__(self, problems: list[str] | str):
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))


class DataError(XltError):
    """An input file or row is not what the config says it is."""


class BadRow(ValueError):
    """What is wrong with a row, without its place: whoever knows path and line adds them. kind: by which such faults are counted."""

    row = 0  # its number, from 0, as far as it is known

    def __init__(self, sentence: str, kind: str = "value"):
        super().__init__(sentence)
        self.kind = kind


class NotConverged(XltError):
    """The run finished but did not reach its aim, for example an alignment that did not converge."""

    exit_code = 3


class StorageError(XltError):
    """The disk refused: full, read-only, or an I/O error."""

    exit_code = 74


class RunInUse(XltError):
    """Another process holds the run directory."""

    exit_code = 75


class NonFinite(XltError):
    """Loss or gradient is NaN or infinite; nothing was updated with it."""

    exit_code = 76


class CannotResume(XltError):
    """Nothing valid to resume from, or what would be resumed does not match what was asked for."""

    exit_code = 78


class Interrupted(XltError):
    """A signal asked the run to stop; what was promised to be saved is saved."""

    def __init__(self, signum: int, sentence: str):
        super().__init__(sentence)
        self.exit_code = 128 + signum
        self.signal = signal.Signals(signum)

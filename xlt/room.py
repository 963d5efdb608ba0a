"""When an allocator refuses: what that looks like, and the same work in smaller parts. Knows no models."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

from xlt import processes
from xlt.errors import ConfigError

T = TypeVar("T")

_FULL = re.compile(r"DefaultCPUAllocator|not enough memory|out of memory", re.IGNORECASE)


def is_full(error: BaseException) -> bool:
    """Whether it is an allocator's refusal: torch.OutOfMemoryError of a GPU, or a plain RuntimeError of the CPU's."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and bool(_FULL.search(str(error))))


def reason(error: BaseException) -> str:
    """The first line of what the allocator says."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


class Parts:
    """Batches that were too large for the memory once are worked off in as many parts from then on. key: of the config, what to lower to begin so."""

    def __init__(self, key: str):
        self.key, self.count = key, 1

    def work(self, function: Callable[[Sequence], T], rows: Sequence) -> list[T]:
        """[function(part), ...] of consecutive parts of `rows`, of all of them at once where there is room.

        ConfigError if a single row has no room, and where several processes would no longer do as many parts as each other.
        """
        while True:
            size = max(1, -(-len(rows) // self.count))
            try:
                return [function(rows[start : start + size]) for start in range(0, len(rows), size)]
            except (RuntimeError, MemoryError) as error:
                if not is_full(error):
                    raise
                told = reason(error)
            # the error is let go of here: its traceback holds the tensors that have no room
            if size == 1 or processes.world() > 1:
                rows_told = "a single row" if size == 1 else f"{size} rows"
                remedy = "take a smaller model, or hardware.precision=bf16" if size == 1 else "lower it"
                raise ConfigError(f"{self.key}: no room for {rows_told} at a time ({told}); {remedy}")
            self.count *= 2
            print(
                f"xlt: no room for {size} rows at a time: in {self.count} parts from now on, with the same result; a lower {self.key} says so from the beginning",
                file=sys.stderr,
                flush=True,
            )

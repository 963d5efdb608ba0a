"""What happens when a forward or backward pass has no room: the same rows are computed again in smaller batches, in the same update. Knows batches, not models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import torch

from xlt import processes
from xlt.errors import ConfigError
from xlt.room import is_full, reason
from xlt.types import Batch

T = TypeVar("T")


def size_of(batch: Batch) -> int:
    """Rows that are computed at a time."""
    return batch.rows if batch.piece is None else min(batch.piece, batch.rows)


def fitting(window: list[Batch], most: int | None) -> list[Batch]:
    """The same rows in batches of `most` at a time (None: as they are). A sum of losses does not depend on it."""
    if most is None:
        return window
    cut: list[Batch] = []
    for batch in window:
        parts = [batch] if size_of(batch) <= most or batch.recut is None else batch.recut(most)
        cut += [replace(part, part=batch.part, weight=batch.weight) for part in parts]
    return cut


def in_room(
    work: Callable[[list[Batch]], T],
    window: list[Batch],
    most: int | None,
    undo: Callable[[], Any],
    tell: Callable[[str], Any],
) -> tuple[T, list[Batch], int | None]:
    """(work(window), the window as it was computed, rows at a time from now on). After a refusal, undo() takes back what was done, and half the rows are tried.

    ConfigError where a single row has no room, or the batch cannot be cut; and with several processes, whose exchanges would no longer meet.
    """
    while True:
        window = fitting(window, most)
        try:
            return work(window), window, most
        except (RuntimeError, MemoryError) as error:
            if not is_full(error):
                raise
            told = reason(error)
        # the error is let go of here: its traceback holds the tensors that have no room
        undo()
        largest = max(size_of(batch) for batch in window)
        _refuse_where_nothing_helps(window, largest, told)
        most = largest // 2
        tell(
            f"no room for {largest} rows at a time: computing {most} from now on, with the same result; hardware.micro_batch_size={most} says so from the beginning"
        )


def update(optimizer: torch.optim.Optimizer) -> None:
    """optimizer.step(). ConfigError where its moments, which the first update makes, have no room."""
    try:
        optimizer.step()
    except (RuntimeError, MemoryError) as error:
        if not is_full(error):
            raise
        numbers = sum(p.numel() for group in optimizer.param_groups for p in group["params"] if p.grad is not None)
        raise ConfigError(
            f"model: no room for the optimizer's two moments of {numbers:,} parameters, {8 * numbers:,} bytes ({reason(error)}); take a smaller "
            "model, an adapter (adapter=lora), train.freeze, or hardware=fsdp; the last checkpoint, if there is one, is good"
        ) from error


def _refuse_where_nothing_helps(window: list[Batch], largest: int, told: str) -> None:
    if processes.world() > 1:
        raise ConfigError(
            f"hardware.micro_batch_size: no room for {largest} rows at a time in process {processes.rank()} ({told}); set it to {max(1, largest // 2)}, and run the "
            "same command again"
        )
    if largest == 1:
        longest = max(window, key=lambda batch: batch.tokens / batch.rows)
        codes, numbers = dict.fromkeys(longest.languages), longest.numbers
        row = f" (row {numbers[0]})" if longest.rows == 1 and numbers else ""
        what = (
            f"the longest has {longest.tokens} tokens, {', '.join(codes)}{row}"
            if longest.rows == 1
            else f"there are {longest.rows} with {longest.tokens} tokens, {', '.join(codes)}"
        )
        raise ConfigError(
            f"train.max_length: no room for rows one at a time; {what} ({told}); lower it, take a smaller model, or hardware.precision=bf16"
        )
    if any(batch.recut is None for batch in window if size_of(batch) == largest):
        raise ConfigError(
            f"train.batch_size: no room for an update of {largest} rows, whose loss is of all of them at once ({told}); lower train.batch_size, or set hardware.micro_batch_size where "
            "the objective can be encoded in pieces"
        )

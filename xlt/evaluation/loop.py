"""The only prediction loop: all rows of a table once, in batches of like length under a token budget, outputs in the rows' order."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from xlt import processes
from xlt.data.encode import Table, gather
from xlt.errors import NonFinite
from xlt.room import Parts
from xlt.types import Gold, Objective, Outputs
from xlt.vocabulary import Vocabulary

EVAL_SEED = 0  # noise of a validation (masked positions) is the same at every step of every run


@torch.no_grad()
def predict(
    model,
    objective: Objective,
    table: Table,
    gold: Gold,
    vocabulary: Vocabulary,
    max_length: int,
    budget: int,
    accelerator,
    rows: int | None = None,
) -> dict[str, Outputs]:
    """Outputs of `objective.predict` for the first `rows` rows (None: all): an array, or one for each row. budget: padded tokens per forward pass.

    NonFinite if an output is not a number: argmax over NaN would be scored as if it were a prediction.
    """
    model.eval()
    chosen = np.arange(len(table) if rows is None else min(rows, len(table)))
    lengths = objective.row_length(table.lengths[chosen], vocabulary, max_length)
    order = chosen[np.argsort(-lengths, kind="stable")]  # longest first: what does not fit in memory fails at once
    parts: dict[str, list[Outputs]] = {}
    mine, spare = share(list(budgeted(order, lengths[order], budget)))
    room = Parts("hardware.eval_tokens")

    def outputs(batch_rows: np.ndarray) -> dict[str, Outputs]:
        zeros = np.zeros(len(batch_rows), np.int64)
        drawn = gather([table], zeros, batch_rows, zeros, EVAL_SEED, [gold])
        batch = objective.collate(drawn, vocabulary, max_length).to(accelerator.device)
        batch = replace(batch, languages=tuple(drawn.languages))
        found = model(objective.predict, batch)
        return {n: [o.cpu().numpy() for o in x] if isinstance(x, list) else x.cpu().numpy() for n, x in found.items()}

    for batch_rows in mine:
        processes.stop_if_requested("while scoring; run the same command again to go on")
        found = room.work(outputs, batch_rows)
        for name in found[0]:
            parts.setdefault(name, []).append(_side_by_side([part[name] for part in found]))
    parts = in_order({name: outputs[: len(mine) - spare] for name, outputs in parts.items()})
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    joined = {name: _joined(outputs, back) for name, outputs in parts.items()}
    if broken := [name for name, output in joined.items() if not _finite(output)]:
        raise NonFinite(
            f"{table.dataset}, {table.language}, {table.split}: the model's {broken[0]} are NaN or infinite, so no score would mean anything; "
            "its weights have run away: train it with a lower train.learning_rate or more train.warmup"
        )
    return joined


def _side_by_side(parts: list[Outputs]) -> Outputs:
    """The outputs of the parts of a batch as the batch's."""
    if len(parts) == 1:
        return parts[0]
    return list(itertools.chain.from_iterable(parts)) if isinstance(parts[0], list) else np.concatenate(parts)


def share(batches: list[np.ndarray]) -> tuple[list[np.ndarray], int]:
    """(the batches of this process, how many of them at the end are there only because every process computes as many: a sharded model needs all)."""
    world, own = processes.world(), batches[processes.rank() :: processes.world()]
    spare = -(-len(batches) // world) - len(own)
    return own + batches[:spare], spare


def in_order(parts: dict[str, list[Outputs]]) -> dict[str, list[Outputs]]:
    """The outputs of the batches of all processes, dealt out as `share` does, in the batches' order."""
    each = processes.gather(parts)
    if len(each) == 1:
        return parts
    return {
        name: [o for turn in itertools.zip_longest(*(p.get(name, []) for p in each)) for o in turn if o is not None]
        for name in each[0]
    }


def _joined(outputs: list[Outputs], back: np.ndarray) -> Outputs:
    """The outputs of all batches as one, in the rows' order. back: where each row stands among them."""
    if isinstance(outputs[0], list):
        each = list(itertools.chain.from_iterable(outputs))
        if len(each) != len(back):
            raise ValueError(f"{len(each)} outputs for {len(back)} rows")
        return [each[i] for i in back.tolist()]
    return np.concatenate(outputs)[back]


def _finite(output: Outputs) -> bool:
    """Whether all of it is numbers."""
    return all(np.isfinite(o).all() for o in output) if isinstance(output, list) else bool(np.isfinite(output).all())


def budgeted(order: np.ndarray, lengths: np.ndarray, budget: int) -> Iterator[np.ndarray]:
    """Consecutive runs of `order` (longest first) whose padded size stays within `budget` tokens; one row at least."""
    start = 0
    while start < len(order):
        size = max(1, budget // max(int(lengths[start]), 1))
        yield order[start : start + size]
        start += size

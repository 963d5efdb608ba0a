"""Two sides on disk -> pairs: shards are searched one after the other, each is saved when it is done, and an interrupted search goes on with the next."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from xlt import files, signals
from xlt.alignment import mining
from xlt.alignment.csls import unit
from xlt.alignment.mining import Pairs
from xlt.alignment.neighbours import Nearest, Vectors, search_shard, shards
from xlt.data.sides import Side
from xlt.evaluation.mining import Mining


def search(first: Side, second: Side, spec: Mining, folder: Path, advance: Callable[[int], None]) -> Pairs:
    """All pairs that margin and matching put together, best first. Shards of the first language that an interrupted run has searched are taken from `folder`.

    advance: is told how many products of two vectors are done.
    """
    x, y = vectors_of(first, spec.remove_means), vectors_of(second, spec.remove_means)
    known = max(
        (int(p.stem.partition("-")[2]) for p in folder.glob("backward-*.npz")), default=-1
    )  # the last shard that was searched
    backward = (
        _load(folder / f"backward-{known}.npz") if known >= 0 else Nearest.none(second.rows, min(spec.k, first.rows))
    )
    near, done = [], 0
    for number, rows in enumerate(shards(first.rows, spec.shard_size)):
        forward = Nearest.none(rows.stop - rows.start, min(spec.k, second.rows))
        here = folder / f"forward-{number}.npz"
        if number <= known:
            forward = _load(here)
            done += (rows.stop - rows.start) * second.rows
        else:
            for products in search_shard(rows, x, y, second.rows, spec.shard_size, spec.k, forward, backward):
                signals.stop_if_requested("while searching; run the same command again to go on")
                done += products
                advance(done)
            _save(here, forward)
            _save(folder / f"backward-{number}.npz", backward)
            (folder / f"backward-{number - 1}.npz").unlink(missing_ok=True)
        near.append(forward)
    near_NK = torch.cat([f.scores for f in near]).float(), torch.cat([f.places for f in near])
    near_MK = backward.scores.float(), backward.places
    return mining.put_together(near_NK, near_MK, spec.margin, spec.matching)


def vectors_of(side: Side, remove_mean: bool) -> Vectors:
    """What gives rows of a side as unit vectors, less their mean if that is asked for."""
    held, mean_D = side.vectors, 0.0
    if remove_mean:
        sums = [held[part].sum(0, dtype=np.float64) for part in shards(side.rows, 4096)]
        mean_D = (sum(sums) / side.rows).astype(np.float32)

    def rows(start: int, stop: int) -> torch.Tensor:
        return unit(torch.from_numpy(held[start:stop].astype(np.float32) - mean_D))

    return rows


def _save(path: Path, nearest: Nearest) -> None:
    content = io.BytesIO()
    np.savez(content, scores=nearest.scores.numpy(), places=nearest.places.numpy())
    files.write_bytes(path, content.getvalue())


def _load(path: Path) -> Nearest:
    with np.load(path) as saved:
        return Nearest(torch.from_numpy(saved["scores"]), torch.from_numpy(saved["places"]))

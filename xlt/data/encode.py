"""From rows to token ids on disk: one memory-mapped table per (data set, language, split), cached by content and tokenizer.

How a table is built is in `xlt.data.building`; it is renamed into the cache when it is whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xlt import files, noise
from xlt.data.building import build
from xlt.errors import DataError
from xlt.types import Dataset, Rows

FORMAT = 1


@dataclass(frozen=True)
class Table:
    """Encoded rows of one language and split. n rows of s segments.

    tokens: all ids one after the other. offsets: int64 (n*s + 1,), where each segment begins. labels: names, or None; label_of: int32 (n,).
    """

    dataset: str
    language: str
    split: str
    segments: int
    tokens: np.ndarray
    offsets: np.ndarray
    labels: list[str] | None
    label_of: np.ndarray | None
    fingerprint: str

    def __len__(self) -> int:
        return (len(self.offsets) - 1) // self.segments

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each segment, int64 (n, s), special tokens not counted."""
        return np.diff(self.offsets).reshape(-1, self.segments)

    def segment(self, row: int, which: int) -> np.ndarray:
        """Ids of one text of a row."""
        i = row * self.segments + which
        return self.tokens[self.offsets[i] : self.offsets[i + 1]]

    def labels_as(self, names: list[str]) -> np.ndarray:
        """Label of each row as its index in `names`. DataError if a label is not among them."""
        unknown = sorted(set(self.labels) - set(names))
        if unknown:
            row = int(np.flatnonzero(np.isin(self.label_of, [self.labels.index(u) for u in unknown]))[0])
            raise DataError(
                f"dataset {self.dataset}, language {self.language}, split {self.split}, row {row + 1}: label {unknown[0]!r} is not one of those "
                f"the model knows ({', '.join(names)}); map or remove such rows, or declare all labels in dataset.label_names before fine-tuning"
            )
        return np.array([names.index(name) for name in self.labels], np.int64)[self.label_of]


def gather(
    tables: list[Table],
    streams: np.ndarray,
    rows: np.ndarray,
    epochs: np.ndarray,
    seed: int,
    labels: list[np.ndarray] | None,
) -> Rows:
    """The rows (R,) of `tables[streams]`. labels: per table, int64 (n,)."""
    picked = list(zip(streams.tolist(), rows.tolist(), strict=True))
    bases = [noise.key(seed, t.dataset, t.language, t.split) for t in tables]
    keys = np.array([bases[s] for s in streams.tolist()], np.uint64)
    return Rows(
        segments=[[tables[s].segment(r, i) for s, r in picked] for i in range(tables[0].segments)],
        labels=None if labels is None else np.array([labels[s][r] for s, r in picked], np.int64),
        keys=noise.combine(noise.combine(keys, rows), epochs),
        languages=[tables[s].language for s, _ in picked],
    )


def encode(
    dataset: Dataset,
    view: str,
    language: str,
    split: str,
    texts: Callable[[dict], tuple[str, ...]],
    tokenizer,
    tokenizer_hash: str,
    cache: Path,
) -> Table:
    """The table of one language and split, from the cache or built now. DataError if the split has no row."""
    fingerprint = dataset.fingerprint(view, language, split)
    # objectives may take one or both texts of the same row, and one that needs a text the rows have not says so here
    segments = next((len(texts(row)) for row in dataset.rows(view, language, split)), 0)
    name = hashlib.sha256(
        json.dumps([FORMAT, fingerprint, view, language, split, tokenizer_hash, segments]).encode()
    ).hexdigest()[:32]
    place = cache / "encoded" / name
    if (meta := _whole(place)) is None:
        with files.disk(place):
            build(place, dataset.rows(view, language, split), texts, tokenizer, lambda: _whole(place) is not None)
        meta = json.loads((place / "meta.json").read_text())
    if meta["rows"] == 0:
        raise DataError(
            f"dataset {dataset.name}: language {language}, split {split} has no rows; check dataset.root, or leave the language out"
        )
    label_of = np.fromfile(place / "labels.bin", np.int32) if meta["labels"] else None
    return Table(
        dataset=dataset.name,
        language=language,
        split=split,
        segments=meta["segments"],
        tokens=np.memmap(place / "tokens.bin", meta["dtype"], "r") if meta["tokens"] else np.empty(0, meta["dtype"]),
        offsets=np.memmap(place / "offsets.bin", np.int64, "r"),
        labels=meta["labels"],
        label_of=label_of,
        fingerprint=fingerprint,
    )


def _whole(place: Path) -> dict | None:
    """What is known of a table in the cache; None if it is not there or its files do not have the sizes they should have."""
    try:
        meta = json.loads((place / "meta.json").read_text())
        sizes = {
            "tokens.bin": meta["tokens"] * np.dtype(meta["dtype"]).itemsize,
            "offsets.bin": (meta["rows"] * meta["segments"] + 1) * 8,
            "labels.bin": meta["rows"] * 4 if meta["labels"] else 0,
        }
        return meta if all((place / name).stat().st_size == size for name, size in sizes.items()) else None
    except (OSError, ValueError, KeyError):
        return None

"""From rows to token ids on disk: one memory-mapped table per (data set, language, split), cached by content and tokenizer.

Text is read as a stream and written as a stream, so memory does not grow with the corpus. A table is renamed into the cache when it is
whole; two processes that build the same one both end with a valid table.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from xlt import files, noise, signals
from xlt.errors import DataError
from xlt.types import Dataset, Rows

CHUNK = 2048  # rows per call of the tokenizer: enough to keep its threads busy, few enough to answer a signal
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
            _build(place, dataset.rows(view, language, split), texts, tokenizer)
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


def _build(place: Path, rows: Iterator[dict], texts: Callable[[dict], tuple[str, ...]], tokenizer) -> None:
    dtype = np.uint16 if len(tokenizer) <= 2**16 else np.int32
    place.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=place.parent, prefix=".building-"))
    count, end, segments, names = 0, 0, 1, {}
    try:
        with (
            open(aside / "tokens.bin", "wb") as tokens,
            open(aside / "offsets.bin", "wb") as offsets,
            open(aside / "labels.bin", "wb") as labels,
        ):
            offsets.write(np.zeros(1, np.int64).tobytes())
            while chunk := list(islice(rows, CHUNK)):
                signals.stop_if_requested("while encoding text; nothing was lost, run the same command again")
                parts = [texts(row) for row in chunk]
                segments = len(parts[0])
                ids = tokenizer(
                    [t for row in parts for t in row],
                    add_special_tokens=False,
                    return_attention_mask=False,
                    verbose=False,
                )["input_ids"]
                lengths = np.fromiter(map(len, ids), np.int64, len(ids))
                tokens.write(np.fromiter((i for row in ids for i in row), dtype, int(lengths.sum())).tobytes())
                offsets.write((end + np.cumsum(lengths)).tobytes())  # tofile would hide why a disk refuses
                if "label" in chunk[0]:
                    labels.write(
                        np.array([names.setdefault(row["label"], len(names)) for row in chunk], np.int32).tobytes()
                    )
                count, end = count + len(chunk), end + int(lengths.sum())
        meta = {
            "rows": count,
            "segments": segments,
            "tokens": end,
            "dtype": np.dtype(dtype).name,
            "labels": list(names) or None,
        }
        (aside / "meta.json").write_text(json.dumps(meta))
        if _whole(place) is None:
            shutil.rmtree(place, ignore_errors=True)
        try:
            os.rename(aside, place)
        except OSError:
            if _whole(place) is None:  # else another process was first with the same table
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)

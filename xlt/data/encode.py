"""From rows to token ids on disk: one memory-mapped table per (data set, language, split), cached by content and tokenizer.

How a table is built is in `xlt.data.building`; it is renamed into the cache when it is whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from xlt import files, noise
from xlt.data.building import Annotate, Done, Texts, build
from xlt.data.notes import Ragged
from xlt.errors import BadRow, DataError
from xlt.types import Dataset, Gold, Rows

FORMAT = 3


@dataclass(frozen=True)
class Table:
    """Encoded rows of one language and split. n rows of s segments.

    tokens: all ids one after the other. offsets: int64 (n*s + 1,), where each segment begins. labels: names, or None; label_of: int32 (n,).
    notes: what the objective noted of each row; note_names: of those that are names, which. read: the rows anew. where: place of a row in its file.
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
    notes: dict[str, Ragged]
    note_names: dict[str, list[str]]
    read: Callable[[], Iterator[dict]]
    where: Callable[[int], str]

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

    def met(self, name: str) -> list[str] | None:
        """The names that occur in it of a note, or as the rows' `label`; None if its rows have none."""
        return self.labels if name == "label" else self.note_names.get(name)

    def gold(self, names: dict[str, list[str]]) -> Gold:
        """What its rows should be predicted as; names: the closed sets that the model knows, by note (or `label`).

        DataError for a name that is not in its set, where a row has one.
        """
        numbers = {name: self._numbers(name, known) for name, known in names.items()}
        notes = {
            name: Ragged(note.entries, note.offsets, numbers.get(name, note.numbers))
            for name, note in self.notes.items()
        }
        labels = numbers["label"][self.label_of] if "label" in names else None
        return Gold(labels, names, notes, len(self), self.read, self.language)

    def _numbers(self, name: str, known: list[str]) -> np.ndarray:
        """Of each name in the table, its number in `known`."""
        met = self.met(name)
        if met is None:
            raise DataError(
                f"dataset {self.dataset}, language {self.language}, split {self.split}: its rows have no {name}, so nothing can be scored"
            )
        index = {each: i for i, each in enumerate(known)}
        if unknown := sorted(set(met) - set(known)):
            which, row = met.index(unknown[0]), 0
            if name == "label":
                row = int(np.flatnonzero(self.label_of == which)[0])
            else:
                entry = int(np.flatnonzero(self.notes[name].entries == which)[0])
                row = int(np.searchsorted(self.notes[name].offsets, entry, side="right")) - 1
            raise DataError(
                f"{self.where(row)}: {name} {unknown[0]!r} is not one of those the model knows ({', '.join(known)}); map or remove such rows, "
                "or declare all of them in dataset.label_names before fine-tuning"
            )
        return np.array([index[each] for each in met], np.int64)


def gather(
    tables: list[Table],
    streams: np.ndarray,
    rows: np.ndarray,
    epochs: np.ndarray,
    seed: int,
    golds: list[Gold] | None,
) -> Rows:
    """The rows (R,) of `tables[streams]`. golds: of each table, where the objective wants labels or notes."""
    picked = list(zip(streams.tolist(), rows.tolist(), strict=True))
    bases = [noise.key(seed, t.dataset, t.language, t.split) for t in tables]
    keys = np.array([bases[s] for s in streams.tolist()], np.uint64)
    labelled = golds is not None and golds[0].labels is not None
    return Rows(
        segments=[[tables[s].segment(r, i) for s, r in picked] for i in range(tables[0].segments)],
        labels=np.array([golds[s].labels[r] for s, r in picked], np.int64) if labelled else None,
        keys=noise.combine(noise.combine(keys, rows), epochs),
        languages=[tables[s].language for s, _ in picked],
        notes={name: [golds[s].notes[name][r] for s, r in picked] for name in (golds[0].notes if golds else ())},
        numbers=rows,
    )


def encode(
    dataset: Dataset,
    view: str,
    language: str,
    split: str,
    texts: Texts,
    tokenizer,
    tokenizer_hash: str,
    cache: Path,
    annotate: Annotate | None = None,
    annotation: str = "",
) -> Table:
    """The table of one language and split, from the cache or built now. DataError if the split has no row, or one that cannot be encoded.

    annotate: what is noted of each row; annotation: what tells it from other functions that note something.
    """
    read, where = partial(dataset.rows, view, language, split), partial(_where, dataset, view, language, split)
    fingerprint = dataset.fingerprint(view, language, split)
    try:
        # objectives may take different texts of the same rows, and one that needs a text the rows have not says so here
        probe = next((texts(row) for row in read()), ())
        identity = [FORMAT, fingerprint, view, language, split, tokenizer_hash, probe, annotation]
        place = cache / "encoded" / hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:32]
        if (done := _whole(place)) is None:
            with files.disk(place):
                build(place, read(), texts, tokenizer, lambda: _whole(place) is not None, annotate)
            done = Done.read(place / "meta.json", exact=True)
    except BadRow as error:
        raise DataError(f"{where(error.row)}: {error}") from None
    if done.rows == 0:
        raise DataError(
            f"dataset {dataset.name}: language {language}, split {split} has no rows; check dataset.root, or leave the language out"
        )
    return Table(
        dataset=dataset.name,
        language=language,
        split=split,
        segments=done.segments,
        tokens=np.memmap(place / "tokens.bin", done.dtype, "r") if done.tokens else np.empty(0, done.dtype),
        offsets=np.memmap(place / "offsets.bin", np.int64, "r"),
        labels=done.labels or None,
        label_of=np.fromfile(place / "labels.bin", np.int32) if done.labels else None,
        fingerprint=fingerprint,
        notes={name: Ragged.open(place, name, note) for name, note in done.notes.items()},
        note_names={name: note.names for name, note in done.notes.items() if note.names is not None},
        read=read,
        where=where,
    )


def _whole(place: Path) -> Done | None:
    """What is known of a table in the cache; None if it is not there, or a byte of its files is not what was written."""
    done = Done.read(place / "meta.json", exact=True)
    return done if done is not None and done.digests == done.digests_in(place) else None


def _where(dataset: Dataset, view: str, language: str, split: str, row: int) -> str:
    """The place of a row, for a message."""
    if hasattr(dataset, "locate"):
        return dataset.locate(view, language, split, row)
    return f"dataset {dataset.name}, language {language}, split {split}, row {row + 1}"

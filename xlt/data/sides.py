"""One side of two monolingual texts on disk: its sentences, where each stands, and its vectors, written in windows so that a killed run goes on.

What is in a window depends on the rows alone, not on memory or shards, so each sentence is always read in the same company and gets the same vector.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xlt import files
from xlt.errors import DataError
from xlt.types import Dataset

WINDOW = 4096  # sentences that are read together, sorted by length
_STATE, _VECTORS, _LINES, _ENDS = "state.json", "vectors.bin", "lines.bin", "ends.bin"

Read = Callable[[list[str]], np.ndarray]  # from sentences to their vectors (n, D)


@dataclass(frozen=True)
class Side:
    """rows sentences of one language with vectors of `width` numbers, kept as `kind` (float32 or float16) in `folder`."""

    folder: Path
    rows: int
    width: int
    kind: str

    @property
    def vectors(self) -> np.ndarray:
        """(rows, width), on disk."""
        if not self.rows:
            return np.empty((0, self.width), self.kind)
        return np.memmap(self.folder / _VECTORS, self.kind, "r", shape=(self.rows, self.width))

    def lines(self, numbers: np.ndarray) -> Iterator[tuple[str, str]]:
        """(place, text) of these sentences, in this order."""
        ends = np.fromfile(self.folder / _ENDS, np.int64)
        with open(self.folder / _LINES, "rb") as file:
            for i in numbers.tolist():
                begin = int(ends[i - 1]) if i else 0
                file.seek(begin)
                place, _, text = file.read(int(ends[i]) - begin).decode("utf-8", "surrogatepass").partition("\t")
                yield place, text


def placed(dataset: Dataset, view: str, language: str, split: str) -> Iterator[tuple[str, dict]]:
    """Rows and where each stands, "PATH:LINE" where the data set knows, else "row NUMBER", from 1."""
    if hasattr(dataset, "placed"):
        return dataset.placed(view, language, split)
    return ((f"row {number}", row) for number, row in enumerate(dataset.rows(view, language, split), 1))


def write_side(
    folder: Path, dataset: Dataset, language: str, read: Read, width: int, kind: str, done: Callable[[int], None]
) -> Side:
    """The sentences of the training text; what an interrupted run has written is kept. done: is told how many rows there are so far.

    DataError for a language without a sentence.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = _state(folder)
    rows = state["rows"]
    done(rows)
    if not state["whole"]:
        found = ((place, _one_line(row["text"])) for place, row in placed(dataset, "text", language, "train"))
        waiting = itertools.islice(((place, text) for place, text in found if text), rows, None)
        while window := list(itertools.islice(waiting, WINDOW)):
            _append(folder, state, window, read([text for _, text in window]), kind)
            done(state["rows"])
        if not state["rows"]:
            raise DataError(f"dataset {dataset.name}: language {language} has no sentence to mine; fill its file")
        state["whole"] = True
        files.write_json(folder / _STATE, state)
    return Side(folder, state["rows"], width, kind)


def _one_line(text: str) -> str:
    """Without tabs and line ends, which separate cells and rows of what is written."""
    return " ".join(text.split())


def _state(folder: Path) -> dict:
    """How far it was written. What a killed run had begun after that is cut off."""
    path = folder / _STATE
    state = json.loads(path.read_text()) if path.is_file() else {"rows": 0, "whole": False, "bytes": {}}
    for name in (_VECTORS, _LINES, _ENDS):
        with open(folder / name, "ab") as file:
            file.truncate(state["bytes"].get(name, 0))
    return state


def _append(folder: Path, state: dict, lines: list[tuple[str, str]], vectors_ND: np.ndarray, kind: str) -> None:
    data = [f"{place}\t{text}".encode("utf-8", "surrogatepass") for place, text in lines]
    ends = state["bytes"].get(_LINES, 0) + np.cumsum([len(d) for d in data], dtype=np.int64)
    contents = {_VECTORS: vectors_ND.astype(kind).tobytes(), _LINES: b"".join(data), _ENDS: ends.tobytes()}
    for name, content in contents.items():
        with files.disk(folder / name), open(folder / name, "ab") as file:
            file.write(content)
        state["bytes"][name] = state["bytes"].get(name, 0) + len(content)
    state["rows"] += len(lines)
    files.write_json(folder / _STATE, state)

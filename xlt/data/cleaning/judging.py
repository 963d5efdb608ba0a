"""Verdicts: the corpus is read once up to each filter that compares texts, once more for the candidates of near duplicates, and once at the
end to count what the last of these removed. Texts are streamed; a pass holds one chunk of them.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from xlt import signals
from xlt.data.cleaning.held_out import held_out_texts
from xlt.types import Dataset

ROWS, CHARACTERS = 2048, 1 << 20  # of a chunk, at most (or one text)
SHOWN = 200  # characters of an example


def chunks(rows: Iterable[dict]) -> Iterator[list[dict]]:
    """Rows in lists that fit well into memory, in order."""
    chunk, size = [], 0
    for row in rows:
        chunk.append(row)
        size += len(row["text"])
        if len(chunk) == ROWS or size >= CHARACTERS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def changed(filters: Iterable[Any], text: str, language: str) -> str:
    """The text as those of the filters that change texts leave it."""
    for f in filters:
        if f.changes:
            text = f.apply(text, language)
    return text


class Judging:
    """One cleaning under way. A verdict is a byte: the number, from 1, of the filter that removed a row, or 0.

    guarded: data sets whose dev and test texts are held out.
    """

    def __init__(self, cleaning: Any, dataset: Dataset, languages: list[str], guarded: list[Dataset]):
        self._filters, self._names, self._examples = cleaning.working, cleaning.names, cleaning.examples
        self._dataset, self._languages, self._guarded = dataset, languages, guarded
        self._held_out_lines = 0

    def run(self, verdicts: Path, scratch: Path) -> dict:
        """Write `verdicts`, one byte for each row of all languages in their order; returns the report. scratch: a folder to work in."""
        self._verdicts = verdicts
        self._counts = {code: self._zeros() for code in self._languages}
        self._judges = [self._judge(f) for f in self._filters]
        begin = 0
        for at in [i for i, f in enumerate(self._filters) if hasattr(f, "search")]:
            search = self._filters[at].search(scratch / str(at))
            self._pass(begin, at, search)
            found = self._written()
            if (wanted := search.wanted(len(found))) is not None:
                self._look(at, search, found, wanted)
            for rows in search.removed():
                found[rows] = at + 1
            shutil.rmtree(scratch, ignore_errors=True)
            begin = at + 1
        self._pass(begin, len(self._filters), None)
        unknown = {
            n: [c for c in self._languages if not f.judges(c)]
            for n, f in zip(self._names, self._filters, strict=True)
            if hasattr(f, "judges")
        }
        return {
            "filters": self._names,
            "held_out_lines": self._held_out_lines,
            "not_judged": {name: codes for name, codes in unknown.items() if codes},
            "languages": self._counts,
        }

    def _zeros(self) -> dict:
        counts = {"rows": 0, "characters": 0, "kept": 0, "kept_characters": 0}
        per_filter = {key: dict.fromkeys(self._names, 0) for key in ("removed", "removed_characters")}
        changed = {n: 0 for n, f in zip(self._names, self._filters, strict=True) if f.changes}
        return counts | per_filter | {"changed": changed, "examples": {}}

    def _judge(self, f: Any) -> Callable[[str, str], str | None] | None:
        if hasattr(f, "guard"):
            judge, lines = f.guard(held_out_texts(self._guarded))
            self._held_out_lines += lines
            return judge
        return getattr(f, "apply", None)

    def _pass(self, begin: int, end: int, search: Any | None) -> None:
        """Read the corpus: filters begin..end-1 judge the rows that are left; what stays is given to `search`, or at the end counted.

        What the search before `begin` removed is counted too, now that its texts are seen.
        """
        first, last, start = begin == 0, search is None, 0
        with open(self._verdicts, "wb" if first else "r+b") as file:
            for group, language in enumerate(self._languages):
                for chunk in chunks(self._dataset.rows("text", language, "train")):
                    signals.stop_if_requested("while cleaning text; run the same command again")
                    before = bytes(len(chunk)) if first else file.read(len(chunk))
                    texts, found = self._judged([row["text"] for row in chunk], before, language, begin, end)
                    if not first:
                        file.seek(start)
                    file.write(found)
                    left = [i for i, verdict in enumerate(found) if not verdict]
                    if search is not None and left:
                        search.add([texts[i] for i in left], start + np.array(left, np.int64), group)
                    counts = self._counts[language]
                    counts["rows"] += len(chunk) * first
                    counts["characters"] += sum(len(row["text"]) for row in chunk) * first
                    counts["kept"] += len(left) * last
                    counts["kept_characters"] += sum(len(texts[i]) for i in left) * last
                    start += len(chunk)

    def _judged(self, texts: list[str], before: bytes, language: str, begin: int, end: int) -> tuple[list[str], bytes]:
        """(texts as changed so far, verdicts) of a chunk."""
        found = bytearray(before)
        for i, verdict in enumerate(before):
            if verdict == begin and begin:
                self._count(begin - 1, language, self._changed(texts[i], language, begin - 1))
            if verdict:
                continue
            text = self._changed(texts[i], language, begin)
            for k in range(begin, end):
                after = self._judges[k](text, language)
                if not after:
                    self._count(k, language, text)
                    found[i] = k + 1
                    break
                if after is not text and after != text:
                    self._counts[language]["changed"][self._names[k]] += 1
                    text = after
            texts[i] = text
        return texts, bytes(found)

    def _look(self, at: int, search: Any, verdicts: np.ndarray, wanted: np.ndarray) -> None:
        """Give `search` the texts it wants to see again."""
        start = 0
        for language in self._languages:
            for chunk in chunks(self._dataset.rows("text", language, "train")):
                signals.stop_if_requested("while cleaning text; run the same command again")
                span = slice(start, start + len(chunk))
                again = np.flatnonzero(wanted[span] & (verdicts[span] == 0))
                if len(again):
                    search.look([self._changed(chunk[i]["text"], language, at) for i in again], start + again)
                start += len(chunk)

    def _changed(self, text: str, language: str, upto: int) -> str:
        return changed(self._filters[:upto], text, language)

    def _count(self, k: int, language: str, text: str) -> None:
        counts, name = self._counts[language], self._names[k]
        counts["removed"][name] += 1
        counts["removed_characters"][name] += len(text)
        shown = counts["examples"].setdefault(name, [])
        if len(shown) < self._examples:
            shown.append(text if len(text) <= SHOWN else text[:SHOWN] + "...")

    def _written(self) -> np.ndarray:
        size = self._verdicts.stat().st_size
        return np.memmap(self._verdicts, np.uint8, "r+") if size else np.empty(0, np.uint8)

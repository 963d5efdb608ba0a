"""The files of a data set as a store: which languages and splits lie on disk, and their raw rows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path

from xlt.data import patterns, readers
from xlt.data.faults import Found, refuse
from xlt.data.readers import NUMBERED, Format
from xlt.errors import DataError

SKETCH = 1 << 20  # bytes of either end of a file


class Folder:
    """All files that match a pattern, found once."""

    def __init__(
        self,
        root: str | None,
        pattern: str,
        splits: list[str],
        codes: list[str] | None,
        format: Format,
        header: bool,
        max_line: int,
    ):
        self.format, self.header, self.max_line = format, header, max_line
        self.sided = "side" in patterns.holes(pattern)
        self.tables: dict[str, dict[str, dict[str | None, list[Path]]]] = {}  # language -> split -> side -> files
        for (language, split, side), paths in patterns.find(root, pattern, splits).items():
            self.tables.setdefault(language or codes[0], {}).setdefault(split or splits[0], {})[side] = paths

    def languages(self) -> list[str]:
        """Codes or pairs."""
        return sorted(self.tables)

    def splits(self, language: str) -> set[str]:
        """The files' own names of them."""
        return set(self.tables[language])

    def files(self, language: str, split: str) -> list[Path]:
        """In the order in which they are read. DataError if one side of a pair is missing."""
        if "+" in split:
            return [path for name in split.split("+") for path in self.files(language, name)]
        sides = self.tables[language][split]
        if not self.sided:
            return sides[None]
        wanted = language.split("-")
        missing = [side for side in wanted if len(sides.get(side, [])) != 1]
        if missing:
            there = ", ".join(str(p) for paths in sides.values() for p in paths)
            raise DataError(
                f"{there}: a pair needs exactly one file for {missing[0]} beside it; add it, or correct dataset.pattern"
            )
        return [sides[side][0] for side in wanted]

    def raw(self, language: str, split: str, found: Found = refuse) -> Iterator[tuple[str, dict | None]]:
        """Place ("PATH line 7") and raw row; None for a faulty one, if `found` lets it pass."""
        return self.stream(language, split, {}, found)[0]

    def stream(
        self, language: str, split: str, at: dict, found: Found = refuse
    ) -> tuple[Iterator[tuple[str, dict | None]], Callable[[], dict]]:
        """The same from a place on, and the function that says which place the rows taken so far lead to. {}: the beginning."""
        where = {"file": at.get("file", 0), "rows": at.get("rows", 0)}

        def rows() -> Iterator[tuple[str, dict | None]]:
            tables = self._tables(language, split, found)
            for number in range(where["file"], len(tables)):
                name, table = tables[number]
                for place, row in islice(table(), where["rows"], None):  # to read over rows is quick
                    where["rows"] += 1
                    yield f"{name} {place}", row
                where.update(file=number + 1, rows=0)

        return rows(), lambda: dict(where)

    def identity(self, language: str, split: str) -> list:
        """What tells these files from others without reading them whole: sizes, times, and some of the bytes."""
        return [_sketch(path) for path in self.files(language, split)]

    def _tables(self, language: str, split: str, found: Found) -> list[tuple[str, Callable[[], Iterator]]]:
        """Name of each file (or pair of files), and what reads it: place in it and raw row."""
        if "+" in split:
            return [table for name in split.split("+") for table in self._tables(language, name, found)]
        paths = self.files(language, split)
        if self.sided:

            def pairs() -> Iterator[tuple[str, dict | None]]:
                return ((f"line {number}", row) for number, row in readers.moses(*paths, self.max_line, found))

            return [(f"{paths[0]} and {paths[1].name}", pairs)]

        def one(path: Path) -> Iterator[tuple[str, dict | None]]:
            format = readers.format_of(path) if self.format is Format.auto else self.format
            unit = "row" if format in NUMBERED else "line"
            rows = readers.read(path, format, self.header, self.max_line, found)
            return ((f"{unit} {number}", row) for number, row in rows)

        return [(str(path), partial(one, path)) for path in paths]


def _sketch(path: Path) -> list:
    state = path.stat()
    with open(path, "rb") as file:
        head = file.read(SKETCH)
        file.seek(max(0, state.st_size - SKETCH))
        return [path.name, state.st_size, state.st_mtime_ns, hashlib.sha256(head + file.read(SKETCH)).hexdigest()]

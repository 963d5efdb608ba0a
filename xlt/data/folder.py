"""The files of a data set as a store: which languages and splits lie on disk, and their raw rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from xlt.data import patterns, readers
from xlt.data.readers import NUMBERED, Format
from xlt.errors import DataError


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

    def raw(self, language: str, split: str) -> Iterator[tuple[str, dict]]:
        """Place ("PATH line 7") and raw row."""
        paths = self.files(language, split)
        if self.sided:
            yield from (
                (f"{paths[0]} and {paths[1].name} line {number}", row)
                for number, row in readers.moses(*paths, self.max_line)
            )
            return
        for path in paths:
            format = readers.format_of(path) if self.format is Format.auto else self.format
            unit = "row" if format in NUMBERED else "line"
            for number, row in readers.read(path, format, self.header, self.max_line):
                yield f"{path} {unit} {number}", row

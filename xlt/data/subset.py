"""A data set of which only some rows are read: those drawn for a few-shot run, or those that a guard left."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

from xlt.types import Dataset

Place = tuple[str, str, str]  # view, language, split


@dataclass(frozen=True)
class Subset:
    """`source`, but of each place in `kept` only the rows of those numbers (from 0, ascending)."""

    source: Dataset
    kept: dict[Place, list[int]]

    @property
    def name(self) -> str:
        """The source's."""
        return self.source.name

    def views(self) -> tuple[str, ...]:
        """The source's."""
        return self.source.views()

    def languages(self, view: str) -> list[str]:
        """The source's."""
        return self.source.languages(view)

    def splits(self, view: str, language: str) -> list[str]:
        """The source's."""
        return self.source.splits(view, language)

    def labels(self) -> list[str] | None:
        """The source's."""
        return self.source.labels()

    def rows(self, view: str, language: str, split: str) -> Iterator[dict]:
        """Those kept, in the source's order."""
        rows = self.source.rows(view, language, split)
        kept = self.kept.get((view, language, split))
        if kept is None:
            return rows
        chosen = set(kept)
        return (row for number, row in enumerate(rows) if number in chosen)

    def locate(self, view: str, language: str, split: str, number: int) -> str:
        """Where the row of that number (among those kept) stands in the source."""
        kept = self.kept.get((view, language, split))
        number = number if kept is None else kept[number]
        if hasattr(self.source, "locate"):
            return self.source.locate(view, language, split, number)
        return f"dataset {self.name}, language {language}, split {split}, row {number + 1}"

    def fingerprint(self, view: str, language: str, split: str) -> str:
        """The source's, with the numbers in it where rows are left out."""
        below, kept = self.source.fingerprint(view, language, split), self.kept.get((view, language, split))
        return below if kept is None else hashlib.sha256(json.dumps([below, kept]).encode()).hexdigest()

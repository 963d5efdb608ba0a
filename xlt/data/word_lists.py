"""Lists of concepts, one file a language, as dictionaries: words of the same concept translate each other. For tests only, so the one split is `test`."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from xlt import files
from xlt.data.folder import Folder
from xlt.data.readers import Format
from xlt.data.sources import unknown_language
from xlt.errors import ConfigError, DataError


@dataclass(frozen=True, kw_only=True)
class WordLists:
    """pattern: of the files, with {root} and {lang}; their rows hold the concept in the column `id` and a list of its words in `words`.

    pivot: language that all pairs begin with; null: all pairs of two languages. Words of several tokens are left out: a table of words has none of them.
    """

    name: str
    root: str | None
    pattern: str
    id: str
    words: str
    pivot: str | None
    max_line: int

    def __post_init__(self) -> None:
        if "{lang}" not in self.pattern:
            raise ConfigError("dataset.pattern: no {lang} in it; add one")

    @cached_property
    def _store(self) -> Folder:
        if self.root is None and "{root}" in self.pattern:
            raise DataError(f"dataset {self.name}: no folder is named, and it is not on the hub; give dataset.root=DIR")
        return Folder(self.root, self.pattern, ["all"], None, Format.auto, True, self.max_line)

    def views(self) -> tuple[str, ...]:
        """Dictionaries only."""
        return ("dictionary",)

    def labels(self) -> list[str] | None:
        """There are none."""
        return None

    def languages(self, view: str) -> list[str]:
        """Pairs."""
        codes = self._store.languages()
        if self.pivot is None:
            return ["-".join(pair) for pair in itertools.combinations(codes, 2)]
        if self.pivot not in codes:
            raise unknown_language("dataset.pivot", self.name, self.pivot, codes)
        return [f"{self.pivot}-{other}" for other in codes if other != self.pivot]

    def splits(self, view: str, language: str) -> list[str]:
        """test."""
        return ["test"]

    def rows(self, view: str, language: str, split: str) -> Iterator[dict]:
        """word and translation: every word of a concept with every one of the other language's."""
        source, target = (self._concepts(side) for side in self._sides(language))
        for concept, words in source.items():
            for word, translation in itertools.product(words, target.get(concept, [])):
                yield {"word": word, "translation": translation}

    def locate(self, view: str, language: str, split: str, number: int) -> str:
        """The file of the first language; a row is made of two."""
        return str(self._store.files(self._sides(language)[0], "all")[0])

    def fingerprint(self, view: str, language: str, split: str) -> str:
        """Of both files."""
        sides = [files.sha256(path) for side in self._sides(language) for path in self._store.files(side, "all")]
        return hashlib.sha256("\n".join([*sides, self.id, self.words]).encode()).hexdigest()

    def _sides(self, language: str) -> list[str]:
        codes = self._store.languages()
        for a, b in itertools.permutations(codes, 2):
            if f"{a}-{b}" == language:
                return [a, b]
        raise unknown_language("language", self.name, language, self.languages("dictionary"))

    def _concepts(self, language: str) -> dict[object, list[str]]:
        found: dict[object, list[str]] = {}
        for place, row in self._store.raw(language, "all"):
            if self.id not in row or not isinstance(row.get(self.words), list):
                raise DataError(
                    f"{place}: the columns {self.id} and {self.words} (a list) are expected, and there are {', '.join(row)}; correct dataset.id or dataset.words"
                )
            found[row[self.id]] = [word for word in row[self.words] if len(word.split()) == 1]
        return found

"""A data set some of whose rows are given translations: training data translated into a target language, or test data translated into the source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from xlt.types import Dataset


@dataclass(frozen=True)
class Translated:
    """`source`, but the `moved` splits of each language that `translations` has come from there, and from nowhere else.

    So the untranslated dev rows of a language that is learned from translations are never read in their place.
    """

    source: Dataset
    translations: Dataset
    moved: tuple[str, ...]

    @property
    def name(self) -> str:
        """The source's: the task is the same."""
        return self.source.name

    def views(self) -> tuple[str, ...]:
        """The source's."""
        return self.source.views()

    def languages(self, view: str) -> list[str]:
        """The union, sorted."""
        return sorted({*self.source.languages(view), *self.covered(view)})

    def covered(self, view: str) -> list[str]:
        """Languages of which there are translations."""
        return self.translations.languages(view) if view in self.translations.views() else []

    def splits(self, view: str, language: str) -> list[str]:
        """Of a language with translations, the moved splits are those that the translations have."""
        covered = language in self.covered(view)
        there = [s for s in self.translations.splits(view, language) if s in self.moved] if covered else []
        own = self.source.splits(view, language) if language in self.source.languages(view) else []
        return there + [s for s in own if not (covered and s in self.moved)]

    def labels(self) -> list[str] | None:
        """The source's."""
        return self.source.labels()

    def rows(self, view: str, language: str, split: str) -> Iterator[dict]:
        """Of the one or the other."""
        return self._of(view, language, split).rows(view, language, split)

    def locate(self, view: str, language: str, split: str, number: int) -> str:
        """Where the row of that number (from 0) stands."""
        data = self._of(view, language, split)
        if hasattr(data, "locate"):
            return data.locate(view, language, split, number)
        return f"dataset {data.name}, language {language}, split {split}, row {number + 1}"

    def fingerprint(self, view: str, language: str, split: str) -> str:
        """Of the one or the other."""
        return self._of(view, language, split).fingerprint(view, language, split)

    def _of(self, view: str, language: str, split: str) -> Dataset:
        return self.translations if split in self.moved and language in self.covered(view) else self.source

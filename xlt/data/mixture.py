"""Several data sets as one, for example sentences of Tatoeba and of NTREX to align on. It reads no file itself."""

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from xlt.data.sources import unknown_language
from xlt.errors import ConfigError, DataError


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """Several data sets as one: the union of their languages, with the rows of the first part, then of the next."""

    name: str
    root: str | None  # for the parts' interpolations in YAML; not read here
    parts: dict[str, Any]  # data sets by name

    def __post_init__(self) -> None:
        if not self.parts:
            raise ConfigError("dataset.parts: a mixture needs at least one data set; add `defaults: [NAME@parts.NAME]`")
        if strange := [part for part, data in self.parts.items() if not hasattr(data, "views")]:
            raise ConfigError(
                [
                    f"dataset.parts.{part}: {self.name} has no such part, so its fields alone do not make one; leave it out (`~dataset.parts.{part}`), or add "
                    f"`defaults: [{part}@parts.{part}]`"
                    for part in strange
                ]
            )

    def views(self) -> tuple[str, ...]:
        """All views of any part."""
        return tuple(dict.fromkeys(view for part in self.parts.values() for view in part.views()))

    def languages(self, view: str) -> list[str]:
        """The union, sorted."""
        return sorted({language for part in self._with(view) for language in part.languages(view)})

    def splits(self, view: str, language: str) -> list[str]:
        """The union, in the order of the first part that has one."""
        return list(
            dict.fromkeys(split for part in self._with(view, language) for split in part.splits(view, language))
        )

    def rows(self, view: str, language: str, split: str) -> Iterator[dict]:
        """The parts' rows, one part after the other."""
        return itertools.chain.from_iterable(
            part.rows(view, language, split) for part in self._holding(view, language, split)
        )

    def locate(self, view: str, language: str, split: str, number: int) -> str:
        """Where the row of that number (from 0) stands."""
        for part in self._holding(view, language, split):
            count = sum(1 for _ in itertools.islice(part.rows(view, language, split), number + 1))
            if count > number:
                return part.locate(view, language, split, number)
            number -= count
        raise IndexError(number)

    def labels(self) -> list[str] | None:
        """The union of the declared sets; None if a part declares none."""
        sets = [part.labels() for part in self.parts.values()]
        return None if None in sets else list(dict.fromkeys(itertools.chain.from_iterable(sets)))

    def fingerprint(self, view: str, language: str, split: str) -> str:
        """Hash of the parts' fingerprints."""
        digests = [part.fingerprint(view, language, split) for part in self._holding(view, language, split)]
        return hashlib.sha256("\n".join(digests).encode()).hexdigest()

    def _with(self, view: str, language: str | None = None) -> list[Any]:
        parts = [part for part in self.parts.values() if view in part.views()]
        if not parts:
            raise DataError(
                f"dataset {self.name}: no view {view}; it has {', '.join(self.views())}: choose another objective or "
                "dataset"
            )
        if language is None:
            return parts
        offered = {id(part): part.languages(view) for part in parts}
        having = [part for part in parts if language in offered[id(part)]]
        if not having:
            union = sorted(set(itertools.chain.from_iterable(offered.values())))
            raise unknown_language("language", self.name, language, union)
        return having

    def _holding(self, view: str, language: str, split: str) -> list[Any]:
        parts = [part for part in self._with(view, language) if split in part.splits(view, language)]
        if not parts:
            raise DataError(
                f"dataset {self.name}, language {language}: no {split} split; it has "
                f"{', '.join(self.splits(view, language))}: choose one of them"
            )
        return parts

"""Markets: a catalogue of items in each language, and readers or customers who took some of them, as rows with the items' texts. It reads no file itself.

Items have names in the files, so that a text stands there once. Every item of a market is to be chosen among: those that no row of a split takes next are dealt
to its rows as `candidates`, where it means nothing which row has which.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from xlt.data.rows import View
from xlt.data.sources import unknown_language
from xlt.errors import DataError

CATALOGUE = "test"  # the one split of the items


@dataclass(frozen=True, kw_only=True)
class Markets:
    """users: a data set of recommendation whose history and next are names of items. items: one of text whose id is the name, one file a language."""

    name: str
    root: str | None  # for the interpolations in YAML; not read here
    users: Any
    items: Any

    def views(self) -> tuple[str, ...]:
        """One."""
        return (View.recommendation.value,)

    def labels(self) -> None:
        """There are none."""
        return None

    def languages(self, view: str) -> list[str]:
        """Of users. DataError for one without catalogue."""
        codes, known = self.users.languages(view), self.items.languages("text")
        for code in codes:
            if code not in known:
                raise DataError(
                    f"dataset {self.name}: there are users in {code} and no catalogue; add its file by dataset.items.pattern ({self.items.pattern})"
                )
        return codes

    def splits(self, view: str, language: str) -> list[str]:
        """Of users."""
        if language not in self.languages(view):
            raise unknown_language("language", self.name, language, self.languages(view))
        return self.users.splits(view, language)

    def rows(self, view: str, language: str, split: str) -> Iterator[dict]:
        """In the file's order."""
        self.splits(view, language)
        items = self._items(language)
        users = list(self._users(view, language, split, items))
        return iter(users if split == "train" else with_catalogue(users, list(items.values())))

    def locate(self, view: str, language: str, split: str, number: int) -> str:
        """Where the row of that number stands."""
        return self.users.locate(view, language, split, number)

    def fingerprint(self, view: str, language: str, split: str) -> str:
        """Of users and items."""
        digests = self.users.fingerprint(view, language, split), self.items.fingerprint("text", language, CATALOGUE)
        return hashlib.sha256("\n".join(digests).encode()).hexdigest()

    def _items(self, language: str) -> dict[Any, str]:
        texts: dict[Any, str] = {}
        for number, row in enumerate(self.items.rows("text", language, CATALOGUE)):
            if row["id"] in texts:
                place = self.items.locate("text", language, CATALOGUE, number)
                raise DataError(f"{place}: item {row['id']!r} stands in the catalogue already; give each its own id")
            texts[row["id"]] = row["text"]
        return texts

    def _users(self, view: str, language: str, split: str, items: dict[Any, str]) -> Iterator[dict]:
        for number, row in enumerate(self.users.rows(view, language, split)):
            names = [*row["history"], row["next"]]
            if missing := [name for name in names if name not in items]:
                place = self.users.locate(view, language, split, number)
                raise DataError(
                    f"{place}: item {missing[0]!r} is not in the catalogue of {language}; add it there, or remove the row"
                )
            *history, following = (items[name] for name in names)
            yield {**row, "history": history, "next": following}


def with_catalogue(users: list[dict], items: list[str]) -> list[dict]:
    """The rows with those items dealt to them as `candidates` that no row takes next."""
    taken = {row["next"] for row in users}
    rest = [text for text in dict.fromkeys(items) if text not in taken]
    return [{**row, "candidates": rest[i :: len(users)]} for i, row in enumerate(users)]

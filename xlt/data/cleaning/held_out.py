"""What must not be trained on: the dev and test texts of the data set itself, and of those that cleaning.heldout names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from xlt.data.cleaning.scripts import folded, key_of
from xlt.errors import ConfigError, DataError
from xlt.types import Dataset

MOST_HELD_OUT = 4_000_000  # lines, about 0.4 GB
TEXTS = ("text", "text_pair", "source", "target", "context", "question", "query", "premise", "response")
LISTS = ("choices", "history")  # of texts; of a user's history of items, those that are


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """No text of the dev and test splits is trained on: compared is the folded form, of the whole text, and of each of its lines that has
    `min_line` characters or more (so a heading that two articles share removes neither). What is quoted inside a line is not found.
    """

    min_line: int

    name: ClassVar[str] = "held_out"
    changes: ClassVar[bool] = False

    def __post_init__(self):
        if self.min_line < 1:
            raise ConfigError(f"cleaning.filters: HeldOut.min_line: {self.min_line} is not above 0; give 1 or more")

    def guard(self, texts: Iterable[str]) -> tuple[Callable[[str, str], str | None], int]:
        """(text, language) -> the text, or None if it is among `texts`; and how many lines are guarded. DataError if they are too many."""
        known: set[int] = set()
        for text in texts:
            known.update(self._keys(text))
            if len(known) > MOST_HELD_OUT:
                raise DataError(
                    f"cleaning.heldout: over {MOST_HELD_OUT:,} lines are to be kept out of training, more than memory holds; name fewer data sets"
                )
        return lambda text, language: None if any(key in known for key in self._keys(text)) else text, len(known)

    def _keys(self, text: str) -> Iterator[int]:
        yield key_of(folded(text))
        if "\n" in text:
            for line in map(folded, text.split("\n")):
                if len(line) >= self.min_line:
                    yield key_of(line)


def held_out(datasets: Iterable[Dataset]) -> Iterator[tuple[Dataset, str, str, str]]:
    """(data set, view, language, split) of every dev and test split, in all views and languages."""
    for data in datasets:
        for view in data.views():
            # words are no texts; and where there is a view `text`, the texts of aligned pairs are in it
            if view == "dictionary" or (view == "parallel" and "text" in data.views()):
                continue
            for language in data.languages(view):
                yield from ((data, view, language, split) for split in data.splits(view, language) if split != "train")


def held_out_texts(datasets: Iterable[Dataset]) -> Iterator[str]:
    """Every text of those splits, of whatever column."""
    for data, view, language, split in held_out(datasets):
        for row in data.rows(view, language, split):
            yield from (row[name] for name in TEXTS if name in row)
            yield from listed(row, ("positives", *LISTS))
            if "tokens" in row:
                yield " ".join(row["tokens"])


def listed(row: dict, columns: Iterable[str]) -> Iterator[str]:
    """The texts in those columns of a row that are lists."""
    return (text for name in columns for text in row.get(name, ()) if isinstance(text, str))

"""What a value of dataset.split_names means: which tables, or which rows of them, are one of our splits.

`dev|validation`: the first of those that are there. `train+dev`: the rows of both. `dev[:80%]`, `dev[80%:]`, `dev[100:300]`: some rows of a table, by
percent or by number, as `datasets.load_dataset(split=...)` cuts them (a percentage is rounded to the nearest row), so what is cut at one place leaves no
row out and has none twice. `test.{lang}`: a table for each language. `en:train`: a table of English alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from xlt.data import patterns
from xlt.errors import ConfigError, DataError

_TERM = re.compile(r"(?:(?P<only>[A-Za-z0-9_-]+):)?(?P<name>[^\[\]|+:]+)(?P<slice>\[.*\])?")
_SLICE = re.compile(r"\[(\d+%?)?:(\d+%?)?\]")


@dataclass(frozen=True)
class Term:
    """Rows of one table. only: the language that it is of. start, stop: as they are written, "80%" or "100"; None: the end."""

    name: str
    only: str | None = None
    start: str | None = None
    stop: str | None = None

    @property
    def sliced(self) -> bool:
        """Whether it is only some of the rows."""
        return self.start is not None or self.stop is not None

    @property
    def written(self) -> str:
        """As in the config."""
        return f"{self.name}[{self.start or ''}:{self.stop or ''}]" if self.sliced else self.name

    def bounds(self, rows: int) -> tuple[int, int]:
        """(first row, the one after the last) of a table of so many. DataError if it has not that many, or none would be left between them."""
        first, last = (_row(at, rows, end) for at, end in ((self.start, 0), (self.stop, rows)))
        if max(first, last) > rows or first > last:
            raise DataError(f"{self.written}: there are {rows} rows; correct dataset.split_names")
        return first, last


def parse(key: str, value: str | None) -> list[list[Term]]:
    """The alternatives, each a sum of terms; [] for none. ConfigError if it is written otherwise."""
    return [[_term(key, term) for term in each.split("+")] for each in value.split("|")] if value else []


def choose(alternatives: list[list[Term]], language: str, there: set[str]) -> list[Term] | None:
    """The first whose tables of the language are all there; None if there is none."""
    for terms in alternatives:
        filled = [Term(patterns.fill(t.name, language), t.only, t.start, t.stop) for t in terms]
        if all(t.name in there and t.only in (None, language) for t in filled):
            return filled
    return None


def _term(key: str, text: str) -> Term:
    match = _TERM.fullmatch(text)
    if match is None or (match["slice"] and not _SLICE.fullmatch(match["slice"])):
        raise ConfigError(
            f"{key}: {text!r} is no split; write its name, and if only some rows are meant [FROM:TO] after it, in whole numbers or percent (dev[:80%])"
        )
    ends = _SLICE.fullmatch(match["slice"]).groups() if match["slice"] else (None, None)
    percent = [int(end[:-1]) for end in ends if end and end.endswith("%")]
    if any(p > 100 for p in percent) or (len(percent) == 2 and percent[0] > percent[1]):
        raise ConfigError(f"{key}: {text!r} begins after it ends, or goes beyond 100%; correct it")
    return Term(match["name"], match["only"], *ends)


def _row(at: str | None, rows: int, end: int) -> int:
    if at is None:
        return end
    return round(int(at[:-1]) * rows / 100) if at.endswith("%") else int(at)

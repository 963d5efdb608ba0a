"""What is wrong with a line or row of a file: one fault with its place, and the collecting of many, so that one command shows them all.

Readers hand each fault to a function. `refuse` raises it, and the first one ends the reading; a `Collected` notes it, and the reader goes on
with the next row (it yields None in the place of the faulty one, so that numbers and cuts by number stay what they are).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from enum import Enum

from xlt.errors import DataError

SHOWN = 20  # faults that are told in full; of the others their number
LONGEST = 2000  # characters of a faulty row that are kept beside its fault
_PLACE = re.compile(r"(?P<path>.*) (?:line|row) (?P<line>\d+)", re.DOTALL)


class OnError(str, Enum):
    """What is done about a faulty row."""

    stop = "stop"  # nothing is read until it is repaired
    quarantine = "quarantine"  # it is set aside, counted, and written to a file


class Fault(DataError):
    """One faulty line or row. place: "PATH line 7". what: the fault and its remedy. kind: by which faults are counted.

    column: from 1; characters of the line, or bytes where it is not text. row: what stands there.
    """

    def __init__(self, place: str, what: str, kind: str, column: int | None = None, unit: str = "column", row=None):
        self.place, self.what, self.kind, self.column, self.row = place, what, kind, column, row
        at = {"column": f" column {column}", "byte": f", byte {column}"}[unit] if column is not None else ""
        super().__init__(f"{place}{at}: {what}")

    def record(self) -> dict:
        """Path, line, column, kind, sentence and (cut) row, as JSON holds them."""
        found = _PLACE.fullmatch(self.place)
        row = self.row if isinstance(self.row, str) else json.dumps(self.row, ensure_ascii=False, default=str)
        return {
            "path": found["path"] if found else self.place,
            "line": int(found["line"]) if found else None,
            "column": self.column,
            "kind": self.kind,
            "what": self.what,
            "row": None if self.row is None else row[:LONGEST],
        }


Found = Callable[[Fault], None]


def refuse(fault: Fault) -> None:
    """The first fault ends the reading."""
    raise fault


class Collected:
    """Faults of one reading. first: the first `keep` of them; counts: of each kind, how many; ended: what made it end before the end, if anything."""

    def __init__(self, keep: int | None = SHOWN):
        self.first: list[Fault] = []
        self.counts: Counter[str] = Counter()
        self.rows = 0  # that were good
        self.ended: DataError | None = None
        self._keep = keep

    def __bool__(self) -> bool:
        return True

    def __call__(self, fault: Fault) -> None:
        self.counts[fault.kind] += 1
        if self._keep is None or len(self.first) < self._keep:
            self.first.append(fault)

    @property
    def total(self) -> int:
        """All faults."""
        return sum(self.counts.values())

    def sentences(self, advice: bool = True) -> list[str]:
        """The first faults, one a line, and where there are several how many of each kind. advice: also how to go on without them."""
        if (
            not self.rows and len(self.counts) == 1 and self.total > 1 and self.ended is None
        ):  # the file is at fault, not a row
            return [f"{self.first[0]} (and so with all {self.total:,} rows)"]
        told = [str(fault) for fault in self.first[:SHOWN]]
        if self.ended is not None:
            told.append(str(self.ended))
        if self.total > 1:
            kinds = ", ".join(f"{kind}: {count:,}" for kind, count in self.counts.most_common())
            more = f", of which the first {SHOWN} are told" if self.total > SHOWN else ""
            told.append(
                f"{self.total:,} faulty rows{more} ({kinds})"
                + advice * "; repair them, or set dataset.on_error=quarantine to go on without them"
            )
        return told

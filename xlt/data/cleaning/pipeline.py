"""A list of filters as a choice in conf/cleaning, and the data set that they leave. How verdicts are reached is in `xlt.data.cleaning.judging`.

What is kept of a cleaning is one byte a row: which filter removed it, or 0. So clean text is not stored a second time; it costs its changes
again when it is read.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import tempfile
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from xlt import files
from xlt.data.cleaning.held_out import HeldOut, held_out
from xlt.data.cleaning.judging import Judging, changed, chunks
from xlt.data.sides import placed
from xlt.errors import ConfigError, DataError
from xlt.types import Dataset

FORMAT = 1
first = itemgetter(0)


@dataclass(frozen=True, kw_only=True)
class Cleaning:
    """The filters, in the order in which they work."""

    filters: list[Any]
    heldout: dict[str, Any]  # data sets whose dev and test texts are kept out too, by name; HeldOut reads them
    language_model: str | None  # for interpolations in YAML; not read here
    examples: int  # removed texts that the report shows per filter and language

    def __post_init__(self):
        problems = [
            f"cleaning.filters[{i}]: {f!r} is no filter; give a node with _target_: xlt.data.cleaning.filters.NAME"
            for i, f in enumerate(self.filters)
            if not hasattr(f, "changes")
        ]
        problems += [
            f"cleaning.heldout.{name}: {data!r} is no data set; add one with +dataset@cleaning.heldout.{name}={name}"
            for name, data in self.heldout.items()
            if not hasattr(data, "rows")
        ]
        if self.examples < 0:
            problems.append(f"cleaning.examples: {self.examples} is below 0; give 0 or more")
        if len(self.filters) > 254:
            problems.append(f"cleaning.filters: {len(self.filters)} are more than 254; give fewer")
        if self.heldout and not any(isinstance(f, HeldOut) for f in self.filters):
            problems.append("cleaning.heldout: no filter reads it; add HeldOut to cleaning.filters, or leave it empty")
        if problems:
            raise ConfigError(problems)

    @cached_property
    def working(self) -> list[Any]:
        """Filters that are not off."""
        return [f for f in self.filters if not getattr(f, "off", False)]

    @property
    def names(self) -> list[str]:
        """One for each working filter; the second of a kind is KIND_2."""
        kinds = [f.name for f in self.working]
        return [f"{k}_{kinds[:i].count(k) + 1}" if k in kinds[:i] else k for i, k in enumerate(kinds)]

    def digest(self) -> str:
        """Changes with whatever may change a verdict or a text: numbers, order, models, version of Unicode."""
        described = [[type(f).__qualname__, dataclasses.asdict(f)] for f in self.working]
        models = [files.sha256(Path(f.model)) for f in self.working if hasattr(f, "model")]
        return _hash([FORMAT, unicodedata.unidata_version, described, models])

    def clean(self, dataset: Dataset, languages: list[str], cache: Path) -> tuple[CleanText, dict]:
        """(`dataset` with the text of `languages` cleaned, the report), from the cache or worked out now.

        Of texts that are alike, the one whose language comes first in `languages` stays. ConfigError for a data set that is streamed.
        """
        if getattr(dataset, "streaming", False):
            raise ConfigError(
                f"cleaning: {dataset.name} is streamed, and a cleaning reads all of it before training begins; set dataset.streaming=false, or "
                "choose cleaning=none"
            )
        guarded = [dataset, *self.heldout.values()] if any(isinstance(f, HeldOut) for f in self.working) else []
        read = [data.fingerprint(view, code, split) for data, view, code, split in held_out(guarded)]
        read += [dataset.fingerprint("text", code, "train") for code in languages]
        identity = _hash([self.digest(), self.examples, languages, read])
        place = cache / "cleaned" / identity[:32]
        if not _whole(place):
            with files.disk(place):
                _build(place, Judging(self, dataset, languages, guarded))
        report = json.loads((place / "report.json").read_text(encoding="utf-8"))
        begins = np.cumsum([0, *(report["languages"][code]["rows"] for code in languages)]).tolist()
        spans = {code: (begins[i], begins[i + 1]) for i, code in enumerate(languages)}
        return CleanText(dataset, self, place / "verdicts.bin", spans, identity), report


@dataclass(frozen=True)
class CleanText:
    """A data set like `source`, its training text judged and changed; the text of dev and test is changed only, being what is measured on.

    spans: of each cleaned language, its rows among `verdicts`. identity: hash of all that the verdicts hang on.
    """

    source: Dataset
    cleaning: Cleaning
    verdicts: Path
    spans: dict[str, tuple[int, int]]
    identity: str

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
        """Of training text, what was kept. DataError for a language that was not cleaned."""
        if view == "text" and split == "train":
            if language not in self.spans:
                raise DataError(
                    f"dataset {self.name}: {language} is not among the languages that were cleaned, {', '.join(self.spans)}"
                )
            return self._kept(language)
        rows = self.source.rows(view, language, split)
        return (
            rows
            if view != "text"
            else (row | {"text": self._changed(row["text"], language) or row["text"]} for row in rows)
        )

    def placed(self, view: str, language: str, split: str) -> Iterator[tuple[str, dict]]:
        """The same rows, each with where it stands in the source."""
        if view != "text" or split != "train":
            yield from zip(
                map(first, placed(self.source, view, language, split)), self.rows(view, language, split), strict=True
            )
            return
        with open(self.verdicts, "rb") as file:
            file.seek(self.spans[language][0])
            for place, row in placed(self.source, view, language, split):
                if not file.read(1)[0]:
                    yield place, row | {"text": self._changed(row["text"], language)}

    def fingerprint(self, view: str, language: str, split: str) -> str:
        """Of text, with the cleaning in it."""
        below = self.source.fingerprint(view, language, split)
        return (
            below if view != "text" else _hash([below, self.identity if split == "train" else self.cleaning.digest()])
        )

    def _kept(self, language: str) -> Iterator[dict]:
        with open(self.verdicts, "rb") as file:
            file.seek(self.spans[language][0])
            for chunk in chunks(self.source.rows("text", language, "train")):
                for row, verdict in zip(chunk, file.read(len(chunk)), strict=True):
                    if not verdict:
                        yield row | {"text": self._changed(row["text"], language)}

    def _changed(self, text: str, language: str) -> str:
        return changed(self.cleaning.working, text, language)


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _whole(place: Path) -> bool:
    try:
        report = json.loads((place / "report.json").read_text(encoding="utf-8"))
        return (place / "verdicts.bin").stat().st_size == sum(n["rows"] for n in report["languages"].values())
    except (OSError, ValueError, KeyError):
        return False


def _build(place: Path, judging: Judging) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=place.parent, prefix=".building-"))
    try:
        report = judging.run(aside / "verdicts.bin", aside / "scratch")
        (aside / "report.json").write_text(json.dumps(report, ensure_ascii=False), encoding="utf-8")
        shutil.rmtree(aside / "scratch", ignore_errors=True)
        if not _whole(place):
            shutil.rmtree(place, ignore_errors=True)
        try:
            os.rename(aside, place)
        except OSError:
            if not _whole(place):  # else another process was first with the same verdicts
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)

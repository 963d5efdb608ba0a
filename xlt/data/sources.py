"""A data set: files in a folder, or tables on the hub. The target of conf/dataset/*.yaml, which hold all values.

It says where rows are and what they are called. How a format is read is in `xlt.data.readers`, what a row must hold in
`xlt.data.rows`, several data sets as one in `xlt.data.mixture`.
"""

import hashlib
import itertools
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from xlt import files
from xlt.data import patterns, splits
from xlt.data.faults import Collected, Fault, Found, OnError, refuse
from xlt.data.folder import Folder
from xlt.data.hub import Hub
from xlt.data.readers import Format
from xlt.data.rows import KNOWN, REQUIRED, View, projector
from xlt.data.splits import Term
from xlt.errors import BadRow, ConfigError, DataError

PAIRED = (View.parallel, View.tagged_parallel, View.dictionary)  # views whose "language" is a pair such as en-de
_SINGLE = {View.parallel: View.text, View.tagged_parallel: View.tagging}  # whose rows are joined to rows of a pair
_JOINED = {View.parallel: {"": "text"}, View.tagged_parallel: {"": "tokens", "_tags": "tags"}}  # what of them
Located = Iterator[tuple[str, dict]]  # where a row stands ("PATH line 7"), and the row


@dataclass(frozen=True, kw_only=True)
class Files:
    """One data set: one file (or one table on the hub) per language and split.

    Beside `view`, it offers `text` where its rows have a text, and `parallel` (of tagged words `tagged_parallel`) where `align_on`
    names the column by which rows of different languages are translations of each other. Every method raises DataError for what is not
    there or not as declared.
    """

    name: str
    view: View
    root: str | None  # folder of the data; null: the hub
    pattern: str  # which file is which, see xlt.data.patterns
    format: Format
    columns: dict[
        str, str
    ]  # our column: the file's. `a|b`: the first it has; `a+b`: both texts, or a list of both; `#`: its number. 1, 2: there is no header
    split_names: dict[
        str, str | None
    ]  # train, dev, test: the file's. `a|b`: the first that is there; `a+b`: both; `a[:80%]`: some rows (see `xlt.data.splits`); null: none
    label_names: (
        list[str] | None
    )  # the closed set, in the order of the ids; null: any. Of multiple choice: what labels call the choices, in order
    language_codes: list[str] | None  # those to offer; null: all that are found
    align_on: str | None  # one of our columns; null: languages are independent
    pivot: str | None  # aligned pairs are pivot-X; null: every pair
    streaming: (
        bool  # true: rows are read as they are needed, and neither copied nor counted; for what is larger than the disk
    )
    row_counts: dict[str, int] | None  # of a streamed data set, the rows of each language, where they are drawn by them
    hub: str | None  # name on the Hugging Face hub, taken if root is null
    hub_config: (
        str | None
    )  # with the holes of `xlt.data.patterns.fill`: {lang}, {flores}, {name}, ...; CONFIG[COLUMN=PATTERN] takes those rows (see `xlt.data.hub`)
    max_line: int  # characters of a line or text; longer ones are refused
    on_error: OnError  # what is done about faulty rows

    def __post_init__(self) -> None:
        problems = self._broken_rules()
        if problems:
            raise ConfigError(problems)

    def _broken_rules(self) -> list[str]:
        sliced = [t.written for each in self._splits.values() for terms in each for t in terms if t.sliced]
        holes, codes, view = patterns.holes(self.pattern), self.language_codes or [], self.view.value
        missing = [c for c in REQUIRED[self.view] if c not in self.columns]
        strange = [c for c in self.columns if c not in KNOWN]
        booleans = [c for c in codes if c in ("False", "True")]
        rules = {
            f"dataset.columns: {view} needs {' and '.join(missing)}; add it as `OURS: NAME_IN_THE_FILE`": missing,
            f"dataset.columns: there is no {' or '.join(strange)}; known are {', '.join(KNOWN)}": strange,
            f"dataset.language_codes: {booleans} is what YAML makes of a bare no or yes; quote the code": booleans,
            f"dataset.pattern: the braces it may hold are {', '.join(sorted(patterns.HOLES))}": holes
            - set(patterns.HOLES),
            "dataset.pattern: no {lang} in it; add one, or name the only language in language_codes": (
                not holes & {"lang", "source"} and len(codes) != 1
            ),
            "dataset.pattern: no {split} in it; add one, or name only one split in split_names": (
                "split" not in holes and len(self.split_names) != 1
            ),
            "dataset.pattern: does not begin with {root}/, so root would not be read; correct it, or set root=null": (
                self.root is not None and not self.pattern.startswith("{root}/")
            ),
            f"dataset.pattern: {{side}} is for the two files of a pair, and view is {view}; remove it": (
                "side" in holes and self.view not in PAIRED
            ),
            f"dataset.split_names: {', '.join(sliced)} is cut by the number of rows, and those of a stream are not counted; set dataset.streaming=false": (
                self.streaming and sliced
            ),
            "dataset.on_error: rows of a stream are not looked at before they are used; set it to stop, or dataset.streaming=false": (
                self.streaming and self.on_error is OnError.quarantine
            ),
            f"dataset.align_on: needs the columns {self.align_on} and text; add them to columns, or set it to null": (
                self.align_on is not None
                and not (self.align_on in self.columns and ("text" in self.columns or self.view is View.tagging))
            ),
        }
        return [sentence for sentence, broken in rules.items() if broken]

    def views(self) -> tuple[str, ...]:
        """The main view first."""
        texts, aligned = "text" in self.columns, self.align_on is not None
        extra = [View.text] * texts + [View.parallel] * (aligned and texts)
        extra += [View.tagged_parallel] * (aligned and self.view is View.tagging)
        return tuple(dict.fromkeys(view.value for view in [self.view, *extra]))

    def labels(self) -> list[str] | None:
        """As declared."""
        return None if self.label_names is None else list(self.label_names)

    def languages(self, view: str) -> list[str]:
        """Sorted codes; pairs `en-de` where the view is parallel or dictionary."""
        self._check_view(view)
        if not self._aligned(view):
            return list(self._languages)
        if self.pivot is None:
            return ["-".join(pair) for pair in itertools.combinations(self._languages, 2)]
        if self.pivot not in self._languages:
            raise unknown_language("dataset.pivot", self.name, self.pivot, self._languages)
        return [f"{self.pivot}-{other}" for other in self._languages if other != self.pivot]

    def splits(self, view: str, language: str) -> list[str]:
        """In the order of split_names; of a pair, those that both languages have."""
        if language not in self.languages(view):
            raise unknown_language("language", self.name, language, self.languages(view))
        sides = self._sides(view, language)
        return [split for split in self.split_names if all(self._theirs(side, split) for side in sides)]

    def rows(self, view: str, language: str, split: str) -> Iterator[dict]:
        """All good rows in the files' order, read anew at each call. DataError with the first faults, and counts, if there are faulty rows and
        `on_error` is stop."""
        located = self._located(view, language, split, self._found)
        self.asked.add((view, language, split))
        return self._told(self._filled(located, self._sides(view, language), split), view, language, split)

    def inspect(
        self, view: str, language: str, split: str, found: Collected | None = None, each: Callable | None = None
    ) -> Collected:
        """All of the split's rows read, and what is wrong with them, noted in `found`. each: called with place and row of every good one."""
        found = found or Collected()
        try:
            for place, row in self._located(view, language, split, found):
                found.rows += 1
                if each is not None:
                    each(place, row)
        except DataError as error:
            found.ended = error
        return found

    def locate(self, view: str, language: str, split: str, number: int) -> str:
        """Where the row of that number (from 0) stands: "PATH line 7"."""
        return next(itertools.islice(self._located(view, language, split, self._found), number, None))[0]

    def placed(self, view: str, language: str, split: str) -> Located:
        """The same rows, each with where it stands: "PATH:7", or "PATH row 7" in formats without lines."""
        for place, row in self._located(view, language, split, self._found):
            path, line, number = place.rpartition(" line ")
            yield (f"{path}:{number}" if line else place), row

    def stream(self, view: str, language: str, split: str, at: dict) -> tuple[Iterator[dict], Callable[[], dict]]:
        """The rows from a place on, and the function that says which place the rows taken so far lead to. {}: the beginning.

        A place is plain JSON. DataError where rows of two languages are joined, for that needs all of one of them.
        """
        self._check_split(view, language, split)
        if len(self._sides(view, language)) == 2:
            raise DataError(
                f"dataset {self.name}: its pairs are joined on {self.align_on}, which needs all rows of a language; set dataset.streaming=false"
            )
        raw, where = self._store.stream(language, _sum(self._theirs(language, split)), at.get("store", {}))
        project, done = self._projector(View(view), language, refuse), at.get("number", 0)

        def rows() -> Iterator[dict]:
            nonlocal done
            for place, row in raw:
                done += 1
                yield project(place, row, done)

        return rows(), lambda: {"number": done, "store": where()}

    def fingerprint(self, view: str, language: str, split: str) -> str:
        """SHA-256 over the bytes of the files and the settings that decide what is read from them. Of a stream, over what identifies the files."""
        self._check_split(view, language, split)
        self.asked.add((view, language, split))  # what is encoded already is not read again
        sides = self._sides(view, language)
        if self.streaming:
            digests = [self._store.identity(side, _sum(self._theirs(side, split))) for side in sides]
        else:
            digests = [_digest(path) for path in self._files(sides, split)]
        rules = [self.format.value, dict(self.columns), self.label_names, self.align_on, self.max_line]
        rules += [self.hub_config] if "[" in (self.hub_config or "") else []  # it says which rows of the files are read
        rules += [self.on_error.value] if self.on_error is OnError.quarantine else []
        rules += [term.written for side in sides for term in self._theirs(side, split) if term.sliced]
        return hashlib.sha256(json.dumps([digests, rules, view, language, split], sort_keys=True).encode()).hexdigest()

    @cached_property
    def asked(self) -> set[tuple[str, str, str]]:
        """(view, language, split) of all rows that were wanted."""
        return set()

    @cached_property
    def _store(self) -> Folder | Hub:
        if self.root is None and self.hub is not None:
            return Hub(self.hub, self.hub_config, self.language_codes, self.streaming)
        if self.root is None and "{root}" in self.pattern:
            raise DataError(f"dataset {self.name}: no folder is named, and it is not on the hub; give dataset.root=DIR")
        names = dict.fromkeys(t.name for each in self._splits.values() for terms in each for t in terms)
        return Folder(
            self.root, self.pattern, list(names), self.language_codes, self.format, self._header, self.max_line
        )

    @cached_property
    def _languages(self) -> list[str]:
        found = self._store.languages()
        for code in self.language_codes or []:
            if code not in found:
                raise unknown_language("dataset.language_codes", self.name, code, found)
        return sorted(set(self.language_codes or found))

    @property
    def _found(self) -> Found:
        return refuse if self.on_error is OnError.stop else _pass

    @property
    def _header(self) -> bool:
        return not all(name.isdigit() for names in self.columns.values() for name in re.split(r"[|+]", names))

    @cached_property
    def _numbered(self) -> bool:
        return any("#" in theirs.split("|") for theirs in self.columns.values())

    @cached_property
    def _splits(self) -> dict[str, list[list[Term]]]:
        return {split: splits.parse(f"dataset.split_names.{split}", names) for split, names in self.split_names.items()}

    def _theirs(self, language: str, split: str) -> list[Term] | None:
        """The store's tables of our split, None if it has none."""
        return splits.choose(self._splits[split], language, self._store.splits(language))

    def _files(self, sides: list[str], split: str) -> list[Path]:
        return [p for side in sides for term in self._theirs(side, split) for p in self._store.files(side, term.name)]

    def _read(self, view: View, language: str, split: str, found: Found) -> Located:
        project = self._projector(view, language, found)
        for number, place, raw in self._raw(language, self._theirs(language, split), found):
            if raw is not None and (row := project(place, raw, number)) is not None:
                yield place, row

    def _raw(self, language: str, terms: list[Term], found: Found) -> Iterator[tuple[int, str, dict | None]]:
        """Number, place and raw row of each, None for a faulty one. Numbers are those in the table; those of the next table go on."""
        number = 0
        for term in terms:
            rows = enumerate(self._store.raw(language, term.name, found), number + 1)
            for number, (place, raw) in itertools.islice(rows, *self._bounds(language, term)) if term.sliced else rows:
                yield number, place, raw

    def _bounds(self, language: str, term: Term) -> tuple[int, int]:
        counts, table = self._counts, (language, term.name)
        if table not in counts:
            counts[table] = sum(1 for _ in self._store.raw(*table, _pass))
        try:
            return term.bounds(counts[table])
        except DataError as error:
            raise DataError(f"dataset {self.name}, language {language}: {error}") from None

    @cached_property
    def _counts(self) -> dict[tuple[str, str], int]:
        """Rows of the tables (language, name) that are cut, as far as they are known."""
        return {}

    def _projector(self, view: View, language: str, found: Found) -> Callable[[str, dict, int], dict | None]:
        """The function from (place, raw row, its number) to a checked row; to None for a faulty one, if `found` lets it pass."""
        columns = {ours: patterns.fill(theirs, language) for ours, theirs in self.columns.items()}
        project = projector(view, columns, self.label_names, self.max_line)

        def checked(place: str, raw: dict, number: int) -> dict | None:
            try:
                return project(raw | {"#": number} if self._numbered else raw)
            except BadRow as error:
                fault = Fault(place, str(error), error.kind, row=raw)
            return found(fault)

        return checked

    def _pairs(self, view: View, source: str, target: str, split: str, found: Found) -> Located:
        """Two languages joined on align_on, in the order of the first; rows without partner are left out."""
        joined = _JOINED[view]
        partners = {key: row for _, key, row in self._keyed(view, target, split, found)}
        for place, key, row in self._keyed(view, source, split, found):
            if key in partners:
                sides = {f"source{end}": row[name] for end, name in joined.items()}
                sides |= {f"target{end}": partners[key][name] for end, name in joined.items()}
                yield place, {self.align_on: key, **sides}

    def _keyed(self, view: View, language: str, split: str, found: Found) -> Iterator[tuple[str, Any, dict]]:
        places: dict[Any, str] = {}
        for place, row in self._read(_SINGLE[view], language, split, found):
            key = row[self.align_on]
            if key in places:
                what = f"{self.align_on} {key!r} stands already at {places[key]}, so its translation is not known; give each row its own"
                found(Fault(place, what, "id twice", row=row))
                continue
            places[key] = place
            yield place, key, row

    def _located(self, view: str, language: str, split: str, found: Found) -> Located:
        self._check_split(view, language, split)
        sides = self._sides(view, language)
        if len(sides) == 2:
            return self._pairs(View(view), *sides, split, found)
        return self._read(View(view), language, split, found)

    def _told(self, rows: Iterator[dict], view: str, language: str, split: str) -> Iterator[dict]:
        """Where the first fault would end it, all are looked for."""
        try:
            yield from rows
        except Fault as first:
            raise DataError("\n".join(self.inspect(view, language, split).sentences()) or str(first)) from None

    def _filled(self, located: Located, sides: list[str], split: str) -> Iterator[dict]:
        count = 0
        for count, (_, row) in enumerate(located, 1):  # noqa: B007
            yield row
        if count == 0:
            where = self.name if self.streaming else " and ".join(str(path) for path in self._files(sides, split))
            what = "no rows" if len(sides) == 1 else f"no {self.align_on} is in both"
            raise DataError(f"{where}: {what}; fill the file, or leave the language out")

    def _aligned(self, view: str) -> bool:
        return view in _SINGLE and self.view is not View(view)

    def _sides(self, view: str, language: str) -> list[str]:
        """The two languages of an aligned pair; else the language (or pair) itself, which has files of its own."""
        if not self._aligned(view):
            return [language]
        return next([a, b] for a in self._languages for b in self._languages if f"{a}-{b}" == language)

    def _check_view(self, view: str) -> None:
        if view not in self.views():
            raise DataError(
                f"dataset {self.name}: no view {view}; it has {', '.join(self.views())}: choose another objective or "
                "dataset"
            )

    def _check_split(self, view: str, language: str, split: str) -> None:
        offered = self.splits(view, language)
        if split not in offered:
            raise DataError(
                f"dataset {self.name}, language {language}: no {split} split; it has {', '.join(offered) or 'none'}: "
                "choose one of them, or correct dataset.split_names"
            )


def _pass(fault: Fault) -> None:
    """The row is left out."""


def _sum(terms: list[Term]) -> str:
    """As a store calls them together."""
    return "+".join(term.name for term in terms)


def unknown_language(key: str, dataset: str, code: str, offered: list[str]) -> DataError:
    """One sentence, with the data set's own code for the same language if there is one, else one spelled alike."""
    from xlt import languages

    def same(other: str) -> bool:
        return languages.known(other) and languages.canonical(other) == languages.canonical(code)

    near = [o for o in offered if languages.known(code) and same(o)] or get_close_matches(code, offered, 1)
    hint = f", did you mean {near[0]}?" if near else ""
    return DataError(f"{key}: dataset {dataset} has no {code}{hint}; it has {', '.join(offered) or 'none'}")


def _digest(path: Path) -> str:
    """SHA-256 of a file, read once per process and state of the file."""
    state = path.stat()
    return _digest_of(path, state.st_size, state.st_mtime_ns)


@cache
def _digest_of(path: Path, size: int, mtime: int) -> str:
    return files.sha256(path)

"""Files to raw rows: one function per format, each a stream of (number, row) that keeps the file's own column names.

The number is the line where the row begins (in parquet and TMX, which have none: the row's number), from 1. What a row
must hold is not known here (see `xlt.data.rows`), nor which file is which language (see `xlt.data.sources`). Words stay
words: `NA`, `null` and `nan` are strings.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from xml.etree import ElementTree

from xlt.data.conll import conll, conllu
from xlt.data.faults import Fault, Found, refuse
from xlt.data.json_rows import json_list, jsonl
from xlt.data.lines import COMPRESSED, blocks, marked
from xlt.errors import DataError

RawRows = Iterator[tuple[int, dict | None]]  # None: a row whose fault was let pass


class Format(str, Enum):
    """How a file is laid out. auto: by its name. Two aligned files (Moses) are `txt` with {side} in the pattern."""

    auto = "auto"
    txt = "txt"
    tsv = "tsv"
    csv = "csv"
    json = "json"
    jsonl = "jsonl"
    parquet = "parquet"
    conllu = "conllu"
    conll = "conll"
    tmx = "tmx"


SUFFIXES = {f".{f.value}": f for f in Format if f is not Format.auto}
SUFFIXES |= {
    ".ndjson": Format.jsonl,
    ".tab": Format.tsv,
    ".bio": Format.conll,
    ".iob": Format.conll,
    ".iob2": Format.conll,
}
NUMBERED = (Format.parquet, Format.tmx)  # formats without lines


def format_of(path: Path) -> Format:
    """By the suffix, .gz and .zst aside. DataError if it is none that is known."""
    suffix = Path(path.stem).suffix if path.suffix in COMPRESSED else path.suffix
    if suffix not in SUFFIXES:
        raise DataError(
            f"{path}: the suffix {suffix!r} tells no format; give dataset.format, one of "
            f"{', '.join(f.value for f in Format)}"
        )
    return SUFFIXES[suffix]


def read(path: Path, format: Format, header: bool, max_line: int, found: Found = refuse) -> RawRows:
    """Raw rows of a file. header: whether the first line of tsv and csv names the columns; if not: `1`, `2`, ...

    found: what is done about a faulty row. What makes the rest of a file unreadable raises DataError in any case.
    """
    if format in (Format.tsv, Format.csv):
        return _table(path, _tsv_cells if format is Format.tsv else _csv_cells, header, max_line, found)
    readers: dict[Format, Callable[[Path, int, Found], RawRows]] = {
        Format.txt: txt,
        Format.json: json_list,
        Format.jsonl: jsonl,
        Format.parquet: parquet,
        Format.conllu: conllu,
        Format.conll: conll,
        Format.tmx: tmx,
    }
    return readers[format](path, max_line, found)


def txt(path: Path, max_line: int, found: Found = refuse) -> RawRows:
    """A text a line, column `text`; blank lines separate documents and are no rows."""
    for number, line in marked(path, max_line, found):
        if line is None:
            yield number, None
        elif line and not line.isspace():
            yield number, {"text": line}


def moses(source: Path, target: Path, max_line: int, found: Found = refuse) -> RawRows:
    """Line i of one file and line i of the other, columns `source` and `target`. DataError if one has more lines."""
    left, right = marked(source, max_line, found), marked(target, max_line, found)
    count = 0
    while True:
        a, b = next(left, None), next(right, None)
        if a is None and b is None:
            return
        if a is None or b is None:
            short, long = (source, target) if a is None else (target, source)
            raise DataError(
                f"{short}: ends after line {count} where {long} goes on; the two files of a pair must have one line "
                "for each other's"
            )
        count += 1
        yield count, None if None in (a[1], b[1]) else {"source": a[1], "target": b[1]}


def parquet(path: Path, max_line: int, found: Found = refuse) -> RawRows:
    """Rows of an Apache Parquet file. All of it can be read, or nothing."""
    import pyarrow
    import pyarrow.parquet

    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(4096):
                for number, row in enumerate(batch.to_pylist(), number + 1):  # noqa: B020  (goes on counting)
                    yield number, row
    except (pyarrow.ArrowException, UnicodeDecodeError, OSError) as error:
        raise DataError(
            f"{path}: cannot be read as parquet after row {number} ({error}); copy or download the file again"
        ) from error


def tmx(path: Path, max_line: int, found: Found = refuse) -> RawRows:
    """Translation units of a TMX file; the columns are the language codes, with and without region (`en-US`, `en`)."""
    parser, number, root = ElementTree.XMLPullParser(("start", "end")), 0, None
    try:
        for block in blocks(path):
            parser.feed(block)
            for event, element in parser.read_events():
                root = element if root is None else root
                if event == "end" and element.tag == "tu":
                    number += 1
                    yield number, _translations(element)
                    element.clear()
        parser.close()
    except ElementTree.ParseError as error:
        raise DataError(
            f"{path} line {error.position[0]} column {error.position[1] + 1}: not XML ({error.msg}); repair the file"
        ) from error


def _translations(unit: ElementTree.Element) -> dict:
    row = {}
    for version in unit.iter("tuv"):
        code = version.get("{http://www.w3.org/XML/1998/namespace}lang") or version.get("lang") or ""
        text = "".join("".join(segment.itertext()) for segment in version.iter("seg"))
        row[code] = text
        row.setdefault(code.lower().split("-")[0], text)
    return row


def _table(path: Path, cells_of: Callable, header: bool, max_line: int, found: Found) -> RawRows:
    names: list[str] | None = None
    for number, cells in cells_of(path, max_line, found):
        if cells is None:
            if names is None and header:
                raise DataError(f"{path} line {number}: the header cannot be read; repair it")
            yield number, None
            continue
        if names is None:
            names = cells if header else [str(i) for i in range(1, len(cells) + 1)]
            if len(set(names)) < len(names):
                raise DataError(
                    f"{path} line {number}: the header names a column twice ({', '.join(names)}); rename one"
                )
            if header:
                continue
        if len(cells) != len(names):
            what = f"{len(cells)} cells where the file has {len(names)} columns ({', '.join(names)}); repair or remove the line"
            found(Fault(f"{path} line {number}", what, "columns", row=cells))
            yield number, None
        else:
            yield number, dict(zip(names, cells, strict=True))


def _tsv_cells(path: Path, max_line: int, found: Found) -> Iterator[tuple[int, list[str] | None]]:
    """Cells between tabs. A quotation mark is a character like any other.

    Read as CSV, one at the start of a cell swallows the lines after it.
    """
    return ((number, None if line is None else line.split("\t")) for number, line in marked(path, max_line, found))


def _csv_cells(path: Path, max_line: int, found: Found) -> Iterator[tuple[int, list[str] | None]]:
    """Cells by RFC 4180: quoted cells may hold commas, doubled quotes and line ends. A row of which a line is faulty is."""
    csv.field_size_limit(max(csv.field_size_limit(), max_line))
    faulty: set[int] = set()

    def whole() -> Iterator[str]:
        for number, line in marked(path, max_line, found):
            if line is None:
                faulty.add(number)
            yield (line or "") + "\n"

    reader, begin = csv.reader(whole(), strict=True), 1
    try:
        for cells in reader:
            yield begin, None if faulty.intersection(range(begin, reader.line_num + 1)) else cells
            begin = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{path} line {begin}: not CSV ({error}); quote the cell by RFC 4180, or save the file as tsv"
        ) from error

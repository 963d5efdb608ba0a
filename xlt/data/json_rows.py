"""JSON lines, JSON lists and SQuAD's nested JSON to raw rows. Stricter than the json module: no NaN, no lone surrogates, only objects."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from xlt.data.faults import Fault, Found, refuse
from xlt.data.lines import lines, marked
from xlt.errors import DataError


def jsonl(path: Path, max_line: int, found: Found = refuse) -> Iterator[tuple[int, dict | None]]:
    """One JSON object a line."""
    for number, line in marked(path, max_line, found):
        yield number, None if line is None else _object(path, number, line, found)


def _object(path: Path, number: int, line: str, found: Found) -> dict | None:
    if not line or line.isspace():
        what = "an empty line where a JSON object is expected; remove it"
        return found(Fault(f"{path} line {number}", what, "empty line", row=line))
    try:
        return _checked(_DECODER.decode(line), "\\u" in line)
    except (ValueError, RecursionError) as error:
        return found(_bad_json(path, number, error, line))


def json_list(path: Path, max_line: int, found: Found = refuse) -> Iterator[tuple[int, dict | None]]:
    """A list of JSON objects, or a document in SQuAD's layout, read whole; a file that begins otherwise is read as JSON lines."""
    text = "\n".join(line for _, line in lines(path, sys.maxsize))
    at = _skip(text, 0)
    if text.startswith("[", at):
        yield from _items(path, text, at, 1, True, found)
    elif (articles := _articles(path, text, at)) is not None:
        yield from _questions(path, text, articles, found)
    else:
        yield from jsonl(path, max_line, found)


def _items(path: Path, text: str, at: int, number: int, last: bool, found: Found) -> Iterator[tuple[int, dict | None]]:
    """The objects of the list that begins at `at`, on line `number`, each with its line. last: nothing may follow the list.

    What is not JSON ends the reading: where the next object would begin is not known.
    """
    counted, at = at, _skip(text, at + 1)
    while not text.startswith("]", at):
        number, counted = number + text.count("\n", counted, at), at
        try:
            value, end = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise DataError(str(_bad_json(path, number, error, whole=True))) from None
        yield number, _item(path, number, value, text[at:end], found)
        at = _skip(text, end)
        if text.startswith(",", at):
            at = _skip(text, at + 1)
        elif not text.startswith("]", at):
            raise DataError(
                f"{path} line {number}: no comma and no ] after the object that begins here; repair the file (is it "
                "cut off?)"
            )
    if last and _skip(text, at + 1) != len(text):
        raise DataError(f"{path}: text after the list's closing ]; remove it, or write one object a line")


def _item(path: Path, number: int, value: object, written: str, found: Found) -> dict | None:
    try:
        return _checked(value, "\\u" in written)
    except ValueError as error:
        return found(_bad_json(path, number, error, written))


def _articles(path: Path, text: str, at: int) -> list | None:
    """The list `data` of the one object that the file is; None if it is not one object with such a list."""
    try:
        document, end = _DECODER.raw_decode(text, at)
    except (ValueError, RecursionError) as error:
        if _DATA.match(text, at):
            raise DataError(str(_bad_json(path, 1, error, whole=True))) from None
        return None
    whole = _skip(text, end) == len(text) and isinstance(document, dict)
    return document["data"] if whole and isinstance(document.get("data"), list) else None


def _questions(path: Path, text: str, articles: list, found: Found) -> Iterator[tuple[int, dict | None]]:
    """The questions of SQuAD's {"data": [{"title", "paragraphs": [{"context", "qas": [...]}]}]}, each with its context and title, and its line."""
    places, number, counted = _QAS.finditer(text), 1, 0
    for i, article in enumerate(articles):
        paragraphs = article.get("paragraphs") if isinstance(article, dict) else None
        for j, paragraph in enumerate(paragraphs if isinstance(paragraphs, list) else [None]):
            if not (isinstance(paragraph, dict) and isinstance(paragraph.get("qas"), list)):
                what = "paragraphs" if not isinstance(paragraphs, list) else f"paragraphs[{j}].qas"
                raise DataError(
                    f"{path}: data[{i}].{what} is no list, and SQuAD's layout has one there; repair the file"
                )
            at = next(places).end() - 1
            number, counted = number + text.count("\n", counted, at), at
            try:
                shared = _checked({"title": article.get("title"), "context": paragraph.get("context")}, "\\u" in text)
            except ValueError as error:
                raise DataError(str(_bad_json(path, number, error))) from None
            for line, question in _items(path, text, at, number, False, found):
                yield line, None if question is None else shared | question


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON value")


_DECODER = json.JSONDecoder(parse_constant=_refuse)
_DATA = re.compile(r'\{\s*("version"\s*:\s*"[^"]*"\s*,\s*)?"data"\s*:\s*\[')
_QAS = re.compile(r'"qas"\s*:\s*\[')  # in a JSON string a quotation mark has a backslash before it, so this is a key
_BLANK = re.compile(r"[ \t\n\r]*")


def _skip(text: str, at: int) -> int:
    return _BLANK.match(text, at).end()


def _checked(row: object, escapes: bool) -> dict:
    """The row, if it is an object without half a surrogate pair (\\ud800), which UTF-8 cannot hold."""
    if not isinstance(row, dict):
        raise ValueError(f"a {type(row).__name__} where an object {{...}} is expected")
    if escapes:
        try:
            json.dumps(row, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError as error:
            raise ValueError(f"the lone surrogate \\u{ord(error.object[error.start]):04x} is no character") from None
    return row


def _bad_json(path: Path, number: int, error: Exception, row: str | None = None, whole: bool = False) -> Fault:
    """whole: the error's own line is the file's."""
    if not isinstance(error, json.JSONDecodeError):
        what = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        return Fault(f"{path} line {number}", f"{what}; repair or remove the row", "not JSON", row=row)
    line = error.lineno if whole else number
    what = f"not JSON ({error.msg}); repair or remove the row (is the file cut off?)"
    return Fault(f"{path} line {line}", what, "not JSON", error.colno, row=row)

"""JSON lines and JSON lists to raw rows. Stricter than the json module: no NaN, no lone surrogates, only objects."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from xlt.data.lines import lines
from xlt.errors import DataError


def jsonl(path: Path, max_line: int) -> Iterator[tuple[int, dict]]:
    """One JSON object a line."""
    for number, line in lines(path, max_line):
        if not line or line.isspace():
            raise DataError(f"{path} line {number}: an empty line where a JSON object is expected; remove it")
        try:
            yield number, _checked(_DECODER.decode(line), "\\u" in line)
        except (ValueError, RecursionError) as error:
            raise _bad_json(path, number, error) from None


def json_list(path: Path, max_line: int) -> Iterator[tuple[int, dict]]:
    """A list of JSON objects, read whole; a file that does not begin with `[` is read as JSON lines."""
    text = "\n".join(line for _, line in lines(path, sys.maxsize))
    at = _skip(text, 0)
    if not text.startswith("[", at):
        yield from jsonl(path, max_line)
        return
    number, counted, at = 1, 0, _skip(text, at + 1)
    while not text.startswith("]", at):
        number, counted = number + text.count("\n", counted, at), at
        try:
            value, end = _DECODER.raw_decode(text, at)
            yield number, _checked(value, "\\u" in text[at:end])
        except (ValueError, RecursionError) as error:
            raise _bad_json(path, number, error, whole=True) from None
        at = _skip(text, end)
        if text.startswith(",", at):
            at = _skip(text, at + 1)
        elif not text.startswith("]", at):
            raise DataError(
                f"{path} line {number}: no comma and no ] after the object that begins here; repair the file (is it "
                "cut off?)"
            )
    if _skip(text, at + 1) != len(text):
        raise DataError(f"{path}: text after the list's closing ]; remove it, or write one object a line")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON value")


_DECODER = json.JSONDecoder(parse_constant=_refuse)
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


def _bad_json(path: Path, number: int, error: Exception, whole: bool = False) -> DataError:
    """whole: the error's own line is the file's."""
    if not isinstance(error, json.JSONDecodeError):
        what = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        return DataError(f"{path} line {number}: {what}; repair or remove the row")
    line = error.lineno if whole else number
    return DataError(
        f"{path} line {line} column {error.colno}: not JSON ({error.msg}); repair or remove the row (is the file cut "
        "off?)"
    )

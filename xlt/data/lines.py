"""Bytes of a file to its lines: plain, .gz or .zst, UTF-8, split on LF and CRLF only. Not: what a line means.

`str.splitlines` is not used anywhere: it also splits on U+2028, U+0085, VT, FF and a lone CR, all of which occur inside
real sentences, and would shift one side of parallel text against the other.
"""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from xlt.data.faults import LONGEST, Fault, Found, refuse
from xlt.errors import DataError

BLOCK = 1 << 18  # bytes read at once; the memory a reader needs does not depend on the file
COMPRESSED = (".gz", ".zst")


def lines(path: Path, max_line: int, found: Found = refuse) -> Iterator[tuple[int, str]]:
    """Number (from 1) and text of each line, without its LF or CRLF; faulty lines are left out, if `found` lets them pass.

    A Fault is found in bytes that are not UTF-8, in NUL, and in more than `max_line` characters.
    """
    return ((number, line) for number, line in marked(path, max_line, found) if line is not None)


def marked(path: Path, max_line: int, found: Found = refuse) -> Iterator[tuple[int, str | None]]:
    """The same with None in the place of each faulty line, for readers to whom it matters that there is one."""
    number, rest, cut = 0, b"", False  # cut: what was read of a line too long is thrown away
    for block in blocks(path):
        if cut:
            _, newline, block = block.partition(b"\n")
            if not newline:
                continue
            cut, number = False, number + 1
            yield number, None
        whole, newline, rest = (rest + block).rpartition(b"\n")
        if newline:
            for number, line in _decode(path, number, whole, max_line, found):  # noqa: B020  (goes on counting)
                yield number, line
        if len(rest) > 4 * max_line:  # no character has more than 4 bytes
            found(_too_long(path, number + 1, max_line, rest))
            rest, cut = b"", True
    if cut:
        yield number + 1, None
    if rest:
        yield from _decode(path, number, rest, max_line, found)


def blocks(path: Path) -> Iterator[bytes]:
    """The file's content, decompressed, in pieces. DataError if it cannot be opened, or its compression is damaged."""
    try:
        with open(path, "rb") as file:
            if path.suffix == ".zst":
                yield from _zst_blocks(path, file)
                return
            stream = gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file
            while block := stream.read(BLOCK):
                yield block
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            f"{path}: the gzip data are cut off or damaged ({error}); copy or download the file again (`gzip -t` "
            "checks it)"
        ) from error
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror or error}); check the path and its permissions"
        ) from error


def _zst_blocks(path: Path, file) -> Iterator[bytes]:
    try:
        import zstandard
    except ImportError:
        raise DataError(
            f"{path}: reading .zst needs the package zstandard; `pip install zstandard`, or recompress the file with "
            "gzip"
        ) from None
    try:
        frame = zstandard.ZstdDecompressor().decompressobj()
        while data := file.read(BLOCK):
            while data:  # a file may hold several frames
                if frame.eof:
                    frame = zstandard.ZstdDecompressor().decompressobj()
                if piece := frame.decompress(data):
                    yield piece
                data = frame.unused_data
        if not frame.eof:
            raise zstandard.ZstdError("end of file inside a frame")
    except zstandard.ZstdError as error:
        raise DataError(
            f"{path}: the zstd data are cut off or damaged ({error}); copy or download the file again (`zstd -t` "
            "checks it)"
        ) from error


def _decode(path: Path, number: int, whole: bytes, max_line: int, found: Found) -> Iterator[tuple[int, str | None]]:
    """The lines of some bytes; `number` of them came before."""
    if number == 0 and whole.startswith(codecs.BOM_UTF8):  # the byte order mark that some editors write is no text
        whole = whole[len(codecs.BOM_UTF8) :]
    try:
        pieces: list[str | None] = whole.decode("utf-8").split("\n")
        damaged = b"\0" in whole
    except UnicodeDecodeError:
        damaged = True
    if damaged:  # where, is found line by line, which takes longer
        pieces = [_text(path, at, line, found) for at, line in enumerate(whole.split(b"\n"), number + 1)]
    for number, line in enumerate(pieces, number + 1):  # noqa: B020
        if line is not None and line.endswith("\r"):
            line = line[:-1]
        if line is not None and len(line) > max_line:
            found(_too_long(path, number, max_line, line))
            line = None
        yield number, line


def _text(path: Path, number: int, line: bytes, found: Found) -> str | None:
    """The line, or None and a fault."""
    place, shown = f"{path} line {number}", line.decode("utf-8", "backslashreplace")
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        what = f"0x{line[error.start]:02x} is not valid UTF-8; convert the file to UTF-8 (`iconv -t UTF-8`), or remove the line"
        return found(Fault(place, what, "not UTF-8", error.start + 1, "byte", shown))
    if (at := line.find(b"\0")) >= 0:
        what = "a NUL byte; is this a text file? remove the byte (`tr -d '\\000'`)"
        return found(Fault(place, what, "NUL byte", at + 1, "byte", shown))
    return text


def _too_long(path: Path, number: int, max_line: int, line: str | bytes) -> Fault:
    what = f"longer than {max_line} characters; are its line ends missing? split or remove the line, or raise dataset.max_line"
    shown = line[: 4 * LONGEST].decode("utf-8", "backslashreplace") if isinstance(line, bytes) else line
    return Fault(f"{path} line {number}", what, "too long", row=shown[:LONGEST])

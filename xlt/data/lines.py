"""Bytes of a file to its lines: plain, .gz or .zst, UTF-8, split on LF and CRLF only. Not: what a line means.

`str.splitlines` is not used anywhere: it also splits on U+2028, U+0085, VT, FF and a lone CR, all of which occur inside
real sentences, and would shift one side of parallel text against the other.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from xlt.errors import DataError

BLOCK = 1 << 18  # bytes read at once; the memory a reader needs does not depend on the file
COMPRESSED = (".gz", ".zst")


def lines(path: Path, max_line: int) -> Iterator[tuple[int, str]]:
    """Number (from 1) and text of each line, without its LF or CRLF.

    DataError for bytes that are not UTF-8, for NUL, and for more than `max_line` characters.
    """
    number, rest = 0, b""
    for block in blocks(path):
        whole, newline, rest = (rest + block).rpartition(b"\n")
        if newline:
            for number, line in _decode(path, number, whole, max_line):  # noqa: B020  (goes on counting)
                yield number, line
        if len(rest) > 4 * max_line:  # no character has more than 4 bytes
            raise _too_long(path, number + 1, max_line)
    if rest:
        yield from _decode(path, number, rest, max_line)


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


def _decode(path: Path, number: int, whole: bytes, max_line: int) -> Iterator[tuple[int, str]]:
    try:
        text = whole.decode("utf-8")
    except UnicodeDecodeError as error:
        line, byte = _position(whole, error.start)
        raise DataError(
            f"{path} line {number + line}, byte {byte}: 0x{whole[error.start]:02x} is not valid UTF-8; convert the "
            "file to UTF-8 (`iconv -t UTF-8`), or remove the line"
        ) from None
    if "\0" in text:
        line, byte = _position(whole, whole.index(b"\0"))
        raise DataError(
            f"{path} line {number + line}, byte {byte}: a NUL byte; is this a text file? remove the byte (`tr -d "
            "'\\000'`)"
        )
    if number == 0 and text.startswith("\ufeff"):  # the byte order mark that some editors write is no text
        text = text[1:]
    for number, line in enumerate(text.split("\n"), number + 1):  # noqa: B020
        if line.endswith("\r"):
            line = line[:-1]
        if len(line) > max_line:
            raise _too_long(path, number, max_line)
        yield number, line


def _position(whole: bytes, at: int) -> tuple[int, int]:
    """Line and byte in it, both from 1."""
    return whole.count(b"\n", 0, at) + 1, at - whole.rfind(b"\n", 0, at)


def _too_long(path: Path, number: int, max_line: int) -> DataError:
    return DataError(
        f"{path} line {number}: longer than {max_line} characters; are its line ends missing? split or remove the "
        "line, or raise dataset.max_line"
    )

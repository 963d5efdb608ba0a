"""Static word vectors: reading and writing `.vec` text files.

No binary formats (fastText's .bin, word2vec's .bin): they hold more than vectors. Numbers are parsed and printed by Arrow, a block of lines at a time; a block
that it does not take as it stands is read again line by line, which allows words with blanks and names the line that is wrong.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from pyarrow import csv

from xlt.errors import DataError

BLOCK = 2**23  # bytes read at once
LINES = 10_000  # written at once


@dataclass(frozen=True)
class StaticVectors:
    """words, most frequent first, and vectors_VD float32 in the same order."""

    words: list[str]
    vectors: torch.Tensor

    @cached_property
    def rows(self) -> dict[str, int]:
        """Row of each word."""
        return {word: i for i, word in enumerate(self.words)}

    def row(self, word: str) -> int | None:
        """Row of a word as written, else of its small letters: most tables have no capitals, dictionaries have."""
        return self.rows.get(word, self.rows.get(word.lower()))


def read_vec(path: str | Path, max_vocab: int | None) -> StaticVectors:
    """A word2vec or fastText text file, plain or .gz: a header `rows width`, then a line a word and its numbers. The first `max_vocab` words.

    A word that comes twice keeps its first vector. DataError names the file, and the line where one is to blame.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: there is no such file; give the path of a .vec text file")
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            return _read(path, file, max_vocab)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: the compressed file is damaged or cut off ({error}); fetch it again") from error


def _read(path: Path, file: IO[bytes], max_vocab: int | None) -> StaticVectors:
    promised, width = _header(path, file)
    vectors_VD = np.empty((min(promised, max_vocab or promised, _most_lines(path, width)), width), np.float32)
    words: dict[str, None] = {}
    read = 0
    for found, rows_KD in _pieces(path, file, width):
        before, kept = len(words), []
        for i, word in enumerate(found[: promised - read]):
            if word not in words and len(words) < len(vectors_VD):
                words[word] = None
                kept.append(i)
        vectors_VD[before : len(words)] = rows_KD if len(kept) == len(rows_KD) else rows_KD[kept]
        read += len(found)
        if len(words) == max_vocab:
            break
        if read > promised:
            raise DataError(
                f"{path} line {promised + 2}: the header promises {promised} words and there are more; correct line 1"
            )
    else:
        if read < promised:
            raise DataError(
                f"{path}: the header promises {promised} words and there are {read}; the file may be cut off: fetch it again, or correct line 1"
            )
    return StaticVectors(list(words), torch.from_numpy(vectors_VD[: len(words)]))


def _header(path: Path, file: IO[bytes]) -> tuple[int, int]:
    """(number of words, width)."""
    header = file.readline(200).split()
    if len(header) != 2 or not all(part.isdigit() and int(part) for part in header):
        shown = b" ".join(header)[:40].decode(errors="replace")
        raise DataError(
            f"{path} line 1: {shown!r} is not a header; a .vec file begins with its number of words and their width, for example `200000 300`"
        )
    return int(header[0]), int(header[1])


def _most_lines(path: Path, width: int) -> int:
    """How many lines a file of this size can hold, whatever its header says; deflate packs 1032 bytes in one at most."""
    return path.stat().st_size * (1032 if path.suffix == ".gz" else 1) // (2 * width) + 1


def _pieces(path: Path, file: IO[bytes], width: int) -> Iterator[tuple[list[str], np.ndarray]]:
    """(words, rows_KD) of consecutive lines."""
    number = 2
    for block in _blocks(file):
        if whole := _fast(block, width):
            yield whole
            number += len(whole[0])
            continue
        for line in block.removesuffix(b"\n").split(b"\n"):
            word, row = _parse(path, number, line, width)
            yield [word], row[None]
            number += 1


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    """Whole lines, some BLOCK bytes of them at once."""
    while block := file.read(BLOCK):
        yield block if block.endswith(b"\n") else block + file.readline()


def _fast(block: bytes, width: int) -> tuple[list[str], np.ndarray] | None:
    """(words, rows_KD) of a block in which every line is a word and `width` numbers, with the blank that fastText puts at its end or without; else None."""
    spare = block[: block.find(b"\n")].rstrip(b"\r").endswith(b" ")
    names = [str(i) for i in range(width + 1 + spare)]
    types = {"0": pa.string(), **dict.fromkeys(names[1 : width + 1], pa.float32())}
    try:
        table = csv.read_csv(
            pa.BufferReader(block),
            csv.ReadOptions(column_names=names, block_size=len(block) + 1),
            csv.ParseOptions(delimiter=" ", quote_char=False, ignore_empty_lines=False),
            csv.ConvertOptions(column_types=types, null_values=[], include_columns=names[: width + 1]),
        )
    except pa.ArrowInvalid:
        return None
    rows_KD = np.empty((table.num_rows, width), np.float32)
    for i in range(width):
        rows_KD[:, i] = table.column(i + 1).to_numpy()
    lines = block.count(b"\n") + (not block.endswith(b"\n"))
    return (table.column(0).to_pylist(), rows_KD) if len(rows_KD) == lines and np.isfinite(rows_KD).all() else None


def _parse(path: Path, number: int, line: bytes, width: int) -> tuple[str, np.ndarray]:
    """Word and row_D of one line. A word may hold blanks, so on a surplus of fields the last `width` are the numbers."""
    word, *numbers = line.rstrip().split(b" ")
    if len(numbers) > width:
        word, numbers = b" ".join([word, *numbers[:-width]]), numbers[-width:]
    if len(numbers) < width:
        raise DataError(
            f"{path} line {number}: it has {len(numbers)} numbers where the header promises {width}; correct or delete the line"
        )
    try:
        row = np.array(numbers, dtype=np.float32)
    except ValueError as error:
        raise DataError(
            f"{path} line {number}: {_not_a_number(numbers)!r} is not a number; correct or delete the line"
        ) from error
    if not np.isfinite(row).all():
        raise DataError(
            f"{path} line {number}: it holds NaN, infinity or a number beyond 32 bits; correct or delete the line"
        )
    try:
        return word.decode("utf-8"), row
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} line {number}: the word {word[:40]!r} is not UTF-8; convert the file to UTF-8, or delete the line"
        ) from error


def _not_a_number(numbers: list[bytes]) -> str:
    for text in numbers:
        try:
            float(text)
        except ValueError:
            return text[:40].decode(errors="replace")
    return ""


def write_vec(path: str | Path, table: StaticVectors) -> None:
    """A .vec text file that `read_vec` reads back to the same float32 numbers: each is printed with the fewest digits that tell it from its neighbours."""
    width = table.vectors.shape[1]
    with open(path, "wb") as file:
        file.write(f"{len(table.words)} {width}\n".encode())
        for start in range(0, len(table.words), LINES):
            rows_KD = table.vectors[start : start + LINES].float().contiguous().numpy(force=True)
            numbers = pa.array(rows_KD.ravel()).cast(pa.string())
            rows = pc.binary_join(pa.FixedSizeListArray.from_arrays(numbers, width).cast(pa.list_(pa.string())), " ")
            words = pa.array(table.words[start : start + LINES], pa.string())
            file.write("\n".join([*pc.binary_join_element_wise(words, rows, " ").to_pylist(), ""]).encode())

"""Static word vectors: reading and writing `.vec` text files, and making some from plain sentences where a user has none.

No binary formats (fastText's .bin, word2vec's .bin): they hold more than vectors.
"""

from __future__ import annotations

import gzip
import zlib
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO

import numpy as np
import torch

from xlt.errors import DataError


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
    header = file.readline(200).split()
    if len(header) != 2 or not all(part.isdigit() and int(part) for part in header):
        shown = b" ".join(header)[:40].decode(errors="replace")
        raise DataError(
            f"{path} line 1: {shown!r} is not a header; a .vec file begins with its number of words and their width, for example `200000 300`"
        )
    promised, width = map(int, header)
    rows: dict[str, np.ndarray] = {}
    number = 1
    for number, line in enumerate(file, 2):
        if number > promised + 1:
            raise DataError(
                f"{path} line {number}: the header promises {promised} words and there are more; correct line 1"
            )
        word, row = _parse(path, number, line, width)
        rows.setdefault(word, row)
        if len(rows) == max_vocab:
            break
    else:
        if number - 1 < promised:
            raise DataError(
                f"{path}: the header promises {promised} words and there are {number - 1}; the file may be cut off: fetch it again, or correct line 1"
            )
    return StaticVectors(list(rows), torch.from_numpy(np.stack(list(rows.values()))))


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
    """A .vec text file that `read_vec` reads back to the same float32 numbers: nine digits are enough for each of them."""
    width = table.vectors.shape[1]
    line = "%s" + " %.9g" * width + "\n"
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write(f"{len(table.words)} {width}\n")
        for start in range(0, len(table.words), 1000):  # as Python floats a whole table would take eight times its room
            block = table.vectors[start : start + 1000].tolist()
            file.writelines(
                line % (word, *row) for word, row in zip(table.words[start : start + 1000], block, strict=True)
            )


SMOOTHING = 0.75  # of the context distribution (Levy et al. 2015, section 3.2)
SPECTRUM = 0.5  # power of the singular values (Levy et al. 2015, section 3.3)


def learn_vectors(sentences: Iterable[list[str]], width: int, max_vocab: int, window: int) -> StaticVectors:
    """Vectors of the max_vocab most frequent words: U S^1/2 of the truncated SVD of their positive PMI (Levy, Goldberg and Dagan 2015).

    A pair of words at distance d counts (window + 1 - d) / window. The same sentences give the same vectors. With fewer than `width` words
    the vectors are narrower. DataError if no two words stand together.
    """
    words, ids_T, sentence_T = _numbered(sentences, max_vocab)
    ppmi_VV = _ppmi(_cooccurrences(ids_T, sentence_T, len(words), window), len(words))
    if not ppmi_VV.values().numel():
        raise DataError(
            "there are no two words beside each other to learn vectors from; check that the data set has texts, and that they are split into words"
        )
    return StaticVectors(words, _left_vectors(ppmi_VV, min(width, len(words))))


def _numbered(sentences: Iterable[list[str]], max_vocab: int) -> tuple[list[str], np.ndarray, np.ndarray]:
    """(words by frequency, rank of each token or -1, number of its sentence); words of equal frequency in order of their letters."""
    seen: dict[str, int] = {}
    tokens, lengths = array("i"), []
    for sentence in sentences:
        tokens.extend([seen.setdefault(word, len(seen)) for word in sentence])
        lengths.append(len(sentence))
    tokens_T, every = np.asarray(tokens, np.int64), list(seen)
    counts = np.bincount(tokens_T, minlength=len(every))
    order = sorted(range(len(every)), key=lambda i: (-counts[i], every[i]))[:max_vocab]
    rank = np.full(len(every), -1)
    rank[order] = np.arange(len(order))
    return [every[i] for i in order], rank[tokens_T], np.repeat(np.arange(len(lengths)), lengths)


def _cooccurrences(
    ids_T: np.ndarray, sentence_T: np.ndarray, size: int, window: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(row, column, weight) of each pair of words that occurs, both ways round. Words out of the vocabulary keep their place."""
    keys, weights = np.empty(0, np.int64), np.empty(0)
    for distance in range(1, window + 1):
        left, right = ids_T[:-distance], ids_T[distance:]
        near = (sentence_T[:-distance] == sentence_T[distance:]) & (left >= 0) & (right >= 0)
        found = np.concatenate([left[near] * size + right[near], right[near] * size + left[near]])
        keys, place = np.unique(np.concatenate([keys, found]), return_inverse=True)
        weights = np.bincount(
            place, np.concatenate([weights, np.full(len(found), (window + 1 - distance) / window)]), len(keys)
        )
    return keys // size, keys % size, weights


def _ppmi(counts: tuple[np.ndarray, np.ndarray, np.ndarray], size: int) -> torch.Tensor:
    """Sparse max(0, log p(w, c) / (p(w) p(c)^smoothing)), rows w, columns c."""
    row, column, weight = counts
    word_V = np.bincount(row, weight, size)
    context_V = word_V**SMOOTHING
    pmi = np.log(weight * context_V.sum() / (word_V[row] * context_V[column]))
    kept = pmi > 0
    places = torch.from_numpy(np.stack([row[kept], column[kept]]))
    return torch.sparse_coo_tensor(places, torch.from_numpy(pmi[kept]), (size, size), check_invariants=False).coalesce()


def _left_vectors(matrix_VV: torch.Tensor, width: int) -> torch.Tensor:
    """U S^1/2 of the leading singular vectors, by subspace iteration from a fixed start (Halko et al. 2011, algorithms 4.4 and 5.1)."""
    size = len(matrix_VV)
    start = torch.randn(size, min(size, width + 20), generator=torch.Generator().manual_seed(0), dtype=matrix_VV.dtype)
    transposed_VV = matrix_VV.T.coalesce()
    q_VK = torch.linalg.qr(start).Q
    for _ in range(6):
        q_VK = torch.linalg.qr(matrix_VV @ torch.linalg.qr(transposed_VV @ q_VK).Q).Q
    u_KK, s_K, _ = torch.linalg.svd((transposed_VV @ q_VK).T, full_matrices=False)
    return ((q_VK @ u_KK)[:, :width] * s_K[:width] ** SPECTRUM).float().contiguous()

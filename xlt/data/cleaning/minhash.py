"""MinHash with banding (Broder 1997; Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, section 3.4) on character n-grams.

Character n-grams, because they need no word segmentation, so that one rule serves every script. Vectorised over a chunk of rows; pure
functions of the text. R rows, S n-grams of all of them, H hash functions.
"""

from __future__ import annotations

import numpy as np

from xlt import noise

_RADIX = np.uint64(0x100000001B3)  # odd, so the polynomial loses no bit


def ngrams(texts: list[str], n: int) -> tuple[np.ndarray, np.ndarray]:
    """uint64 (S,) hashes of all character n-grams, and int64 (R,) where each row's begin. A text shorter than n is one n-gram."""
    padded = [text if len(text) >= n else text.ljust(n, "\0") for text in texts]
    points = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    lengths = np.fromiter(map(len, padded), np.int64, len(padded))
    windows = len(points) - n + 1
    hashes = np.zeros(windows, np.uint64)
    for i in range(n):
        hashes *= _RADIX
        hashes += points[i : i + windows]
    inside = np.ones(windows, bool)
    ends = np.cumsum(lengths)
    for i in range(1, n):  # windows that reach into the next row
        inside[ends[:-1] - i] = False
    counts = lengths - n + 1
    return noise.mix(hashes[inside]), np.cumsum(counts) - counts


def signatures(hashes: np.ndarray, starts: np.ndarray, functions: int) -> np.ndarray:
    """uint64 (R, H): the smallest value of each hash function over a row's n-grams.

    Function k is x -> a_k x + b_k mod 2^64 with a_k odd, a permutation; x is mixed already. Two rows agree in one of them with a
    probability of about their Jaccard similarity.
    """
    factors = noise.combine(noise.key("minhash", "a"), np.arange(functions)) | np.uint64(1)
    summands = noise.combine(noise.key("minhash", "b"), np.arange(functions))
    found = np.empty((functions, len(starts)), np.uint64)
    for k in range(functions):
        found[k] = np.minimum.reduceat(hashes * factors[k] + summands[k], starts)
    return found.T


def band_keys(signatures_RH: np.ndarray, bands: int, salt: int) -> np.ndarray:
    """uint64 (R, bands): one key for the hash values of each band, which two rows share if all of them agree. salt: keeps groups of rows apart."""
    rows, functions = signatures_RH.shape
    values = signatures_RH.reshape(rows, bands, functions // bands)
    keys = np.broadcast_to(noise.combine(noise.key("band", salt), np.arange(bands)), (rows, bands))
    for i in range(values.shape[2]):
        keys = noise.mix(keys ^ values[:, :, i])
    return keys


def caught(similarity: float, bands: int, rows: int) -> float:
    """1 - (1 - s^r)^b: how likely two texts of Jaccard similarity s share a band."""
    return 1.0 - (1.0 - similarity**rows) ** bands


def jaccard(a: np.ndarray, b: np.ndarray) -> float:
    """Of two sets of n-grams, each unique."""
    both = len(np.intersect1d(a, b, assume_unique=True))
    return both / (len(a) + len(b) - both)

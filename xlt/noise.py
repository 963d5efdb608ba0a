"""Counter-based random numbers: a value is a pure function of integers, so no generator state is ever stored or restored.

The mixer is SplitMix64 (Steele, Lea and Flood 2014, OOPSLA, "Fast splittable pseudorandom number generators", Fig. 15).
Not for cryptography, and not for dropout, which torch draws itself from a seed that the loop sets per update.
"""

from __future__ import annotations

import hashlib

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)


def mix(values: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser on uint64 of any shape; overflow wraps by design."""
    with np.errstate(over="ignore"):
        z = values + _GOLDEN
        z = (z ^ (z >> np.uint64(30))) * _MIX1
        z = (z ^ (z >> np.uint64(27))) * _MIX2
        return z ^ (z >> np.uint64(31))


def key(*parts: int | str) -> np.uint64:
    """One uint64 from any integers and strings, the same on every machine and Python."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=8).digest()
    return np.uint64(int.from_bytes(digest, "little"))


def combine(keys: np.ndarray | np.uint64, counters: np.ndarray | int) -> np.ndarray:
    """uint64 of the broadcast shape: a fresh key for each (key, counter)."""
    return mix(np.asarray(keys, np.uint64) ^ mix(np.asarray(counters, np.uint64)))


def uniform(keys: np.ndarray) -> np.ndarray:
    """float64 in [0, 1) of the same shape: the key's upper 53 bits, mixed once more."""
    return (mix(keys) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def permutation(seed_key: np.uint64, n: int) -> np.ndarray:
    """int64 (n,): 0..n-1 in an order that depends on the key alone."""
    return np.argsort(combine(seed_key, np.arange(n, dtype=np.uint64)), kind="stable")

"""How often each token occurs in encoded text, for what is chosen by frequency. Reads the memory-mapped tables piece by piece."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from xlt.data.encode import Table

PIECE = 2**23  # tokens at once


def token_counts(tables: Iterable[Table], size: int) -> np.ndarray:
    """int64 (size,): occurrences of each id in all rows of the tables, special tokens not counted."""
    counts = np.zeros(size, np.int64)
    for table in tables:
        for start in range(0, len(table.tokens), PIECE):
            counts += np.bincount(table.tokens[start : start + PIECE], minlength=size)
    return counts

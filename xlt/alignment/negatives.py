"""Which sentences are nearly translations: the nearest neighbours of each that are wrong. Knows vectors, and which texts are the same."""

from __future__ import annotations

import numpy as np
import torch

from xlt.alignment.csls import nearest, unit


def wrong_neighbours(
    x_ND: torch.Tensor,
    y_ND: torch.Tensor,
    x_N: np.ndarray,
    y_N: np.ndarray,
    count: int,
    score: str = "cosine",
    k: int = 4,
) -> np.ndarray:
    """int64 (N, count): of each row of x the nearest rows of y that are no translation of it, best first, each text once; -1 where there are no more.

    Row i of both is the same sentence. x_N, y_N: numbers of their texts: a row of y whose text is that of y_i, or whose x has the text of x_i, is a translation, too.
    score, k: see `xlt.alignment.csls.nearest`.
    """
    spare = sum(
        int(np.bincount(numbers).max()) for numbers in (x_N, y_N)
    )  # no row has more translations, so none is cut short by its own
    found_NT = nearest(unit(x_ND.float()), unit(y_ND.float()), count + spare, score, k)[1].cpu().numpy()
    right_NT = (y_N[found_NT] == y_N[:, None]) | (x_N[found_NT] == x_N[:, None])
    chosen = np.full((len(x_N), count), -1, np.int64)
    for i, (found, right) in enumerate(zip(found_NT, right_NT, strict=True)):
        wrong = found[~right]
        first = np.unique(y_N[wrong], return_index=True)[1]  # of several rows with one text the nearest
        kept = wrong[np.sort(first)][:count]
        chosen[i, : len(kept)] = kept
    return chosen

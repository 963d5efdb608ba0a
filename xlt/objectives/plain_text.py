"""What objectives on plain text, one text a row, do alike. They take these functions as their methods."""

from __future__ import annotations

import numpy as np
import torch

from xlt.types import Labels
from xlt.vocabulary import Vocabulary


def texts(self, row: dict) -> tuple[str, ...]:
    """The one."""
    return (row["text"],)


def modules(self, width: int, labels: Labels | None) -> dict[str, torch.nn.Module]:
    """None: what is learned is the backbone's own."""
    return {}


def row_length(self, lengths: np.ndarray, vocabulary: Vocabulary, max_length: int) -> np.ndarray:
    """The text in the tokenizer's frame."""
    return np.minimum(lengths[:, 0] + vocabulary.overhead(1), max_length)

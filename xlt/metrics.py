"""Scores of one language from its predictions. Averages over languages and gaps are in `xlt.evaluation.transfer`."""

from __future__ import annotations

import numpy as np


def accuracy(predicted: np.ndarray, gold: np.ndarray) -> float:
    """Share of equal entries; int (n,) each."""
    return float((predicted == gold).mean())


def macro_f1(predicted: np.ndarray, gold: np.ndarray) -> float:
    """Mean F1 over the classes that occur in gold or predictions, as scikit-learn's f1_score(average="macro")."""
    from sklearn.metrics import f1_score

    return float(f1_score(gold, predicted, average="macro", zero_division=0.0))

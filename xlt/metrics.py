"""Scores of one language from its predictions. Averages over languages and gaps are in `xlt.evaluation.transfer`."""

from __future__ import annotations

import warnings

import numpy as np


def accuracy(predicted: np.ndarray, gold: np.ndarray) -> float:
    """Share of equal entries; int (n,) each."""
    return float((predicted == gold).mean())


def macro_f1(predicted: np.ndarray, gold: np.ndarray) -> float:
    """Mean F1 over the classes that occur in gold or predictions, as scikit-learn's f1_score(average="macro")."""
    from sklearn.metrics import f1_score

    return float(f1_score(gold, predicted, average="macro", zero_division=0.0))


def span_scores(predicted: list[list[str]], gold: list[list[str]], strict: bool) -> dict[str, float]:
    """f1, precision and recall over the spans of all rows, micro-averaged, by seqeval; 0 where there is no span at all.

    strict: IOB2, where only B-X begins a span of X. Else as the shared task's conlleval, where an I-X after anything else begins one, too.
    """
    from seqeval.metrics import precision_recall_fscore_support
    from seqeval.scheme import IOB2

    how = {"mode": "strict", "scheme": IOB2} if strict else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a tag set has no span is what the zero says
        precision, recall, f1, _ = precision_recall_fscore_support(
            gold, predicted, average="micro", zero_division=0, **how
        )
    return {"f1": float(f1), "precision": float(precision), "recall": float(recall)}

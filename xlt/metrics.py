"""Scores of one language from its predictions. Averages over languages and gaps are in `xlt.evaluation.transfer`."""

from __future__ import annotations

import warnings
from functools import partial

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
    from seqeval.metrics import sequence_labeling, v1
    from seqeval.scheme import IOB2

    count = sequence_labeling.precision_recall_fscore_support
    if strict:
        count = partial(v1.precision_recall_fscore_support, scheme=IOB2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a tag set has no span is what the zero says
        precision, recall, f1, _ = count(gold, predicted, average="micro", zero_division=0)
    return {"f1": float(f1), "precision": float(precision), "recall": float(recall)}


def reciprocal_rank(hits_NT: np.ndarray) -> float:
    """Mean over N queries of 1 / rank of the first hit, 0 without one (trec_eval's recip_rank). hits_NT: whether the t-th found is relevant."""
    return float((hits_NT.any(1) / (hits_NT.argmax(1) + 1)).mean()) if hits_NT.shape[1] else 0.0


def ndcg(hits_NT: np.ndarray, relevant_N: np.ndarray, cut: int) -> float:
    """Mean normalised discounted gain of the first `cut`, each relevant one worth 1 (trec_eval's ndcg_cut; Jarvelin and Kekalainen 2002). relevant_N: how many there are."""
    discounts_C = 1 / np.log2(np.arange(2, cut + 2))
    ideal_N = np.array([0.0, *discounts_C.cumsum()])[np.minimum(relevant_N, cut)]
    hits_NC = hits_NT[:, :cut]
    return float(((hits_NC * discounts_C[: hits_NC.shape[1]]).sum(1) / ideal_N).mean())


def recall(hits_NT: np.ndarray, relevant_N: np.ndarray, cut: int) -> float:
    """Mean share of the relevant ones that are among the first `cut` (trec_eval's recall)."""
    return float((hits_NT[:, :cut].sum(1) / relevant_N).mean())

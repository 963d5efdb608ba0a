"""A linear probe: whether vectors still say which class they are of, such as their language. Trained from scratch on the vectors as they are.

Hewitt and Liang 2019 discuss what probes may and may not show; a linear one with a fixed recipe shows what a linear layer on top could use.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np

ITERATIONS = 200  # of L-BFGS at most
STRENGTH = 1.0  # inverse of the L2 penalty; scikit-learn's default


class Probe(NamedTuple):
    """logits_NC of the rows that were held out, their classes in the order of the numbers; converged: before ITERATIONS were over."""

    logits: np.ndarray
    converged: bool


def fit_probe(train_ND: np.ndarray, train_N: np.ndarray, test_MD: np.ndarray) -> Probe:
    """Multinomial logistic regression on standardised columns, each class with the same weight. train_N: classes 0 to C-1, each of which occurs.

    Means and deviations of the columns are those of the training rows. Deterministic.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    mean_D, deviation_D = train_ND.mean(0, dtype=np.float64), train_ND.std(0, dtype=np.float64)
    scale_D = np.where(deviation_D > 1e-12, deviation_D, 1.0)
    standard = [((part - mean_D) / scale_D).astype(np.float32) for part in (train_ND, test_MD)]
    model = LogisticRegression(C=STRENGTH, max_iter=ITERATIONS, class_weight="balanced")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # told by `converged`
        model.fit(standard[0], train_N)
    logits = model.decision_function(standard[1])
    if logits.ndim == 1:  # of two classes, scikit-learn has one logit
        logits = np.stack([-logits, logits], 1)
    return Probe(logits, int(model.n_iter_.max()) < ITERATIONS)


def recognised(logits_NC: np.ndarray, classes_N: np.ndarray, among: list[int] | None = None) -> dict[int, float]:
    """{class: share of its rows that are taken for it}, of the classes `among` (null: all), between which alone the choice is then made."""
    among = sorted(set(range(logits_NC.shape[1]) if among is None else among))
    chosen_N = np.array(among)[logits_NC[:, among].argmax(1)]
    return {c: float((chosen_N[classes_N == c] == c).mean()) for c in among if (classes_N == c).any()}

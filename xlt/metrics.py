"""Scores of one language from its predictions. Averages over languages and gaps are in `xlt.evaluation.transfer`.

A score that is a function of sums over rows (a mean, an F1 of counts) can also be given as what each row adds to them, `Sums`: any resample of the
rows is then scored by a product of matrices, exactly (see `xlt.evaluation.bootstrap`).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Sums:
    """each: (R, K), what each row adds to K sums. formula: the name in FORMULAS of what makes a score of the sums."""

    each: np.ndarray
    formula: str

    def __post_init__(self):
        if self.formula not in FORMULAS:
            raise ValueError(f"{self.formula} is not one of {', '.join(FORMULAS)}")

    @classmethod
    def of(cls, figures: np.ndarray | Sums) -> Sums:
        """The same; of one figure a row (R,) their mean."""
        if isinstance(figures, Sums):
            return figures
        return cls(np.stack([figures, np.ones(len(figures))], 1), "ratio")

    @property
    def score(self) -> float:
        """Of all rows."""
        return float(FORMULAS[self.formula](self.each.sum(0, np.float64)))


def scores(statistics: Mapping[str, np.ndarray | Sums]) -> dict[str, float]:
    """The score of all rows by each."""
    return {name: Sums.of(figures).score for name, figures in statistics.items()}


def _ratio(over: np.ndarray, under: np.ndarray) -> np.ndarray:
    """0 where there is nothing."""
    return np.divide(over, under, out=np.zeros(np.shape(over)), where=under != 0)


def _macro_f1(totals: np.ndarray) -> np.ndarray:
    """Of (..., 3N) sums: of each class how often it is predicted rightly, is predicted, is the truth."""
    hits, guesses, truths = np.moveaxis(totals.reshape(*totals.shape[:-1], 3, -1), -2, 0)
    return _ratio(_ratio(2 * hits, guesses + truths).sum(-1), (guesses + truths > 0).sum(-1))


def _pearson(totals: np.ndarray) -> np.ndarray:
    """Of (..., 6) sums: of ones, a, b, a^2, b^2 and ab. 0 where a or b is one number, but for rounding."""
    n, a, b, aa, bb, ab = np.moveaxis(totals, -1, 0)
    spreads = [np.where(n * xx - x * x > 1e-12 * n * xx, n * xx - x * x, 0) for x, xx in ((a, aa), (b, bb))]
    return _ratio(n * ab - a * b, np.sqrt(spreads[0]) * np.sqrt(spreads[1]))


def _spearman(totals: np.ndarray) -> np.ndarray:
    """Of (..., N * N) counts of a true and a predicted place: the correlation of their ranks, equal ones sharing the mean of theirs."""
    n = round(totals.shape[-1] ** 0.5)
    counts = totals.reshape(*totals.shape[:-1], n, n)
    ranks = []
    for side in (counts.sum(-1), counts.sum(-2)):
        ranks.append(side.cumsum(-1) - side / 2 - side.sum(-1, keepdims=True) / 2)  # from the mean rank
    common = (counts * ranks[0][..., :, None] * ranks[1][..., None, :]).sum((-1, -2))
    spreads = [(counts.sum(axis) * rank**2).sum(-1) for axis, rank in zip((-1, -2), ranks, strict=True)]
    return _ratio(common, np.sqrt(spreads[0]) * np.sqrt(spreads[1]))


def _link_f1(totals: np.ndarray) -> np.ndarray:
    """The harmonic mean of precision and recall of links."""
    precision, recall = (FORMULAS[name](totals) for name in ("link_precision", "link_recall"))
    return _ratio(2 * precision * recall, precision + recall)


FORMULAS = {  # (..., K) sums -> (...) scores
    "ratio": lambda totals: _ratio(totals[..., 0], totals[..., 1]),
    "exp_ratio": lambda totals: np.exp(_ratio(totals[..., 0], totals[..., 1])),
    "macro_f1": _macro_f1,
    "pearson": _pearson,
    "spearman": _spearman,
    # right, predicted and gold spans
    "f1": lambda totals: _ratio(2 * totals[..., 0], totals[..., 1] + totals[..., 2]),
    "precision": lambda totals: _ratio(totals[..., 0], totals[..., 1]),
    "recall": lambda totals: _ratio(totals[..., 0], totals[..., 2]),
    # of word alignment: sure links found, links found, links, sure links (Och and Ney 2003, section 6)
    "link_precision": lambda totals: _ratio(totals[..., 1], totals[..., 2]),
    "link_recall": lambda totals: _ratio(totals[..., 0], totals[..., 3]),
    "link_f1": lambda totals: _link_f1(totals),
    "aer": lambda totals: 1 - _ratio(totals[..., 0] + totals[..., 1], totals[..., 2] + totals[..., 3]),
}


def accuracy(predicted: np.ndarray, gold: np.ndarray) -> float:
    """Share of equal entries; int (n,) each."""
    return float((predicted == gold).mean())


def macro_f1(predicted: np.ndarray, gold: np.ndarray) -> float:
    """Mean F1 over the classes that occur in gold or predictions, as scikit-learn's f1_score(average="macro")."""
    from sklearn.metrics import f1_score

    return float(f1_score(gold, predicted, average="macro", zero_division=0.0))


def class_sums(predicted: np.ndarray, gold: np.ndarray, classes: int) -> Sums:
    """`macro_f1` by rows; int (R,) each, below `classes`."""
    return label_sums(*(side[:, None] == np.arange(classes) for side in (predicted, gold)))


def label_sums(guesses_RN: np.ndarray, truths_RN: np.ndarray) -> Sums:
    """The mean F1 over the labels that occur in gold or predictions, where a row has any number of them; bool. 0 if none occurs."""
    return Sums(np.concatenate([guesses_RN & truths_RN, guesses_RN, truths_RN], 1).astype(np.int8), "macro_f1")


def micro_sums(guesses_RN: np.ndarray, truths_RN: np.ndarray) -> Sums:
    """F1 of the labels of all rows together; bool. 0 if none occurs."""
    return Sums(np.stack([each.sum(1) for each in (guesses_RN & truths_RN, guesses_RN, truths_RN)], 1), "f1")


def pearson_sums(predicted: np.ndarray, gold: np.ndarray) -> Sums:
    """Pearson's correlation; (R,) each."""
    a, b = (
        np.asarray(side, np.float64) - np.mean(side, dtype=np.float64) for side in (predicted, gold)
    )  # far from 0 squares lose digits
    return Sums(np.stack([np.ones_like(a), a, b, a * a, b * b, a * b], 1), "pearson")


def spearman(predicted: np.ndarray, gold: np.ndarray) -> float:
    """Pearson's correlation of the ranks; (R,) each."""
    return pearson_sums(_ranks(predicted), _ranks(gold)).score


def _ranks(values: np.ndarray) -> np.ndarray:
    """(R,), from 1; equal values share the mean of their ranks."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (counts.cumsum() - (counts - 1) / 2)[place]


def place_sums(predicted: np.ndarray, gold: np.ndarray, places: int) -> Sums:
    """`spearman` by rows, where both sides are one of a few places; int (R,) each, below `places`."""
    return Sums((gold * places + predicted)[:, None] == np.arange(places * places), "spearman")


def span_counts(predicted: list[list[str]], gold: list[list[str]], strict: bool) -> np.ndarray:
    """int64 (R, 3): right, predicted and gold spans of each row, found by seqeval."""
    from seqeval.metrics.sequence_labeling import get_entities
    from seqeval.scheme import IOB2, Entities

    def spans(tags: list[str]) -> set[tuple]:
        if strict:
            return {entity.to_tuple()[1:] for entity in Entities([tags], IOB2).entities[0]}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is not IOB2
            return set(get_entities(tags))

    sides = [(spans(guess), spans(truth)) for guess, truth in zip(predicted, gold, strict=True)]
    counts = [(len(guess & truth), len(guess), len(truth)) for guess, truth in sides]
    return np.array(counts, np.int64).reshape(-1, 3)


def span_sums(predicted: list[list[str]], gold: list[list[str]], strict: bool) -> dict[str, Sums]:
    """f1, precision and recall over the spans of all rows, micro-averaged; 0 where there is no span at all.

    strict: IOB2, where only B-X begins a span of X. Else as the shared task's conlleval, where an I-X after anything else begins one, too.
    """
    counts = span_counts(predicted, gold, strict)
    return {name: Sums(counts, name) for name in ("f1", "precision", "recall")}


def reciprocal_rank(hits_NT: np.ndarray) -> np.ndarray:
    """(N,): of each query 1 / rank of the first hit, 0 without one (trec_eval's recip_rank). hits_NT: whether the t-th found is relevant."""
    return hits_NT.any(1) / (hits_NT.argmax(1) + 1) if hits_NT.shape[1] else np.zeros(len(hits_NT))


def ndcg(hits_NT: np.ndarray, relevant_N: np.ndarray, cut: int) -> np.ndarray:
    """(N,): normalised discounted gain of the first `cut`, each relevant one worth 1 (trec_eval's ndcg_cut; Jarvelin and Kekalainen 2002). relevant_N: how many there are."""
    discounts_C = 1 / np.log2(np.arange(2, cut + 2))
    ideal_N = np.array([0.0, *discounts_C.cumsum()])[np.minimum(relevant_N, cut)]
    hits_NC = hits_NT[:, :cut]
    return (hits_NC * discounts_C[: hits_NC.shape[1]]).sum(1) / ideal_N


def graded_ndcg(predicted: np.ndarray, grades: np.ndarray) -> float:
    """Of one query's candidates (T,), ranked by what is predicted of them, equal ones in any order: each gains its grade. 0 if all grades are 0."""
    from sklearn.metrics import ndcg_score

    return float(ndcg_score(grades[None], predicted[None]))


def recall(hits_NT: np.ndarray, relevant_N: np.ndarray, cut: int) -> np.ndarray:
    """(N,): share of the relevant ones that are among the first `cut` (trec_eval's recall)."""
    return hits_NT[:, :cut].sum(1) / relevant_N

"""How far scores would differ on other test rows of the same kind: intervals, and whether two runs differ (Efron and Tibshirani 1993).

Rows of one id are drawn together, in all languages that have it: translations of one sentence are hard or easy together, so the means over
languages of parallel test sets are less certain than if each language had been drawn alone. Rows that are independent lose nothing by it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xlt import noise
from xlt.evaluation.statistics import Statistics
from xlt.metrics import FORMULAS, Sums

CELLS = 2**22  # of the matrix of draws x ids that is held at once


@dataclass(frozen=True, eq=False)
class Resampled:
    """Scores of D draws. scores: {metric: {language: (D,)}}, NaN where a draw has no row of the language."""

    scores: Mapping[str, Mapping[str, np.ndarray]]

    def mean(self, metric: str, languages: Sequence[str]) -> np.ndarray:
        """(D,) of the mean over languages."""
        return np.mean([self.scores[metric][language] for language in languages], 0)


def resample(statistics: Mapping[str, Statistics], draws: int, seed: int) -> Resampled:
    """Every score of every draw, by language.

    Languages that share an id, directly or through others, are drawn together: of all their n ids, n with replacement.
    """
    scores: dict[str, dict[str, list[np.ndarray]]] = {}
    ids = {code: each.ids for code, each in statistics.items()}
    for together in families(ids):
        place = {name: i for i, name in enumerate(dict.fromkeys(name for code in together for name in ids[code]))}
        added = {
            code: _by_id(np.array([place[name] for name in ids[code]]), len(place), statistics[code].sums)
            for code in together
        }
        for weights_CU in _weights(len(place), draws, noise.key(seed, together[0])):
            for code, each_UK in added.items():
                for metric, scores_C in _scored(weights_CU @ each_UK, statistics[code].sums).items():
                    scores.setdefault(metric, {}).setdefault(code, []).append(scores_C)
    return Resampled({m: {code: np.concatenate(parts) for code, parts in by.items()} for m, by in scores.items()})


def families(ids: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Sorted groups of languages that share ids, directly or through others."""
    groups: list[tuple[list[str], set[str]]] = []
    for code in sorted(ids):
        codes, names, apart = [code], set(ids[code]), []
        for group in groups:
            if names.isdisjoint(group[1]):
                apart.append(group)
            else:
                codes, names = codes + group[0], names | group[1]
        groups = [*apart, (codes, names)]
    return sorted(sorted(codes) for codes, _ in groups)


def _weights(units: int, draws: int, key: np.uint64) -> Iterator[np.ndarray]:
    """float64 (C, U): how often each of U ids is in each of the next C draws."""
    random, step = np.random.default_rng(int(key)), max(1, CELLS // units)
    for start in range(0, draws, step):
        size = min(step, draws - start)
        drawn_CU = random.integers(0, units, (size, units)) + units * np.arange(size)[:, None]
        yield np.bincount(drawn_CU.ravel(), minlength=size * units).reshape(size, units).astype(np.float64)


def _by_id(id_R: np.ndarray, ids: int, sums: Mapping[str, Sums]) -> np.ndarray:
    """(U, 1 + K): rows of each id, and what they add to all sums of all metrics."""
    each_RK = np.concatenate([np.ones((len(id_R), 1)), *(each.each for each in sums.values())], 1)
    added_UK = np.zeros((ids, each_RK.shape[1]))
    np.add.at(added_UK, id_R, each_RK)
    return added_UK


def _scored(totals_CK: np.ndarray, sums: Mapping[str, Sums]) -> dict[str, np.ndarray]:
    """(C,) of each metric, from the totals of `_by_id`'s columns."""
    rows_C, scores, at = totals_CK[:, 0], {}, 1
    for metric, each in sums.items():
        width = each.each.shape[1]
        scores_C = FORMULAS[each.formula](totals_CK[:, at : at + width])
        scores[metric] = np.where(rows_C > 0, scores_C, np.nan)
        at += width
    return scores


def interval(scores_D: np.ndarray, level: float) -> list[float] | None:
    """[low, high] by the percentiles (Efron and Tibshirani 1993, chapter 13) of the draws that have a score; None if none has."""
    known = scores_D[np.isfinite(scores_D)]
    return np.quantile(known, [(1 - level) / 2, (1 + level) / 2]).tolist() if len(known) else None


def intervals(
    statistics: Mapping[str, Statistics],
    source: Sequence[str],
    higher_is_better: Mapping[str, bool],
    draws: int,
    seed: int,
    level: float,
) -> dict[str, dict]:
    """Of each metric {languages: {language: [low, high]}, and source_mean, target_mean, gap and relative, where there is a target}."""
    found, resampled = {}, resample(statistics, draws, seed)
    for metric, by in resampled.scores.items():
        found[metric] = {"languages": {code: interval(scores_D, level) for code, scores_D in sorted(by.items())}}
        near, far = [c for c in by if c in source], [c for c in by if c not in source]
        if near and far:
            source_D, target_D = resampled.mean(metric, near), resampled.mean(metric, far)
            gap_D = (source_D - target_D) * (1 if higher_is_better[metric] else -1)
            relative_D = np.divide(target_D, source_D, out=np.full(len(source_D), np.nan), where=source_D != 0)
            means = {"source_mean": source_D, "target_mean": target_D, "gap": gap_D, "relative": relative_D}
            found[metric] |= {name: interval(values_D, level) for name, values_D in means.items()}
    return found

"""Whether two runs differ on the test rows that both were scored on: a paired bootstrap for each language and for the means, corrected by Holm.

Berg-Kirkpatrick, Burkett and Klein 2012, section 2, two-sided: if the runs were alike, the difference of a draw would lie about 0 as it lies
about the difference that was found. Of a run in several seeds the mean over seeds is compared: what is drawn are rows, not seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from xlt.evaluation.bootstrap import interval, resample
from xlt.evaluation.statistics import Statistics

ROUNDING = 1e-12  # differences of this size are none


@dataclass(frozen=True)
class Difference:
    """first - second, its interval, and how likely it would be as large if they were alike. holm: the same, corrected for the number of languages."""

    first: float
    second: float
    interval: tuple[float, float] | None
    p: float
    holm: float | None = None

    @property
    def size(self) -> float:
        """first - second."""
        return self.first - self.second


def compare(
    first: Sequence[Mapping[str, Statistics]],
    second: Sequence[Mapping[str, Statistics]],
    metric: str,
    source: Sequence[str],
    draws: int,
    seed: int,
    level: float,
) -> tuple[dict[str, Difference], dict[str, Difference]]:
    """({language: difference}, {source mean, target mean: difference}) of two runs, each in one or more seeds, over the languages that all have.

    ValueError if the rows of a language have not the same ids in all of them.
    """
    runs = [*first, *second]
    merged = paired(runs, metric)
    codes = list(merged)
    drawn = resample(merged, draws, seed)

    def difference(over: Sequence[str]) -> Difference:
        found = [np.mean([merged[code].sums[str(i)].score for code in over]) for i in range(len(runs))]
        drawn_RD = np.stack([drawn.mean(str(i), over) for i in range(len(runs))])
        a, b = (float(np.mean(side)) for side in (found[: len(first)], found[len(first) :]))
        differences_D = drawn_RD[: len(first)].mean(0) - drawn_RD[len(first) :].mean(0)
        return Difference(a, b, interval(differences_D, level), p_value(differences_D, a - b))

    by_language = {code: difference([code]) for code in codes}
    corrected = holm([d.p for d in by_language.values()])
    by_language = {c: replace(d, holm=p) for (c, d), p in zip(by_language.items(), corrected, strict=True)}
    sides = {"source mean": [c for c in codes if c in source], "target mean": [c for c in codes if c not in source]}
    return by_language, {name: difference(over) for name, over in sides.items() if over}


def paired(runs: Sequence[Mapping[str, Statistics]], metric: str) -> dict[str, Statistics]:
    """{language: statistics with what each row adds to the metric of run "0", "1", ...}, so that all are scored on the same draws; of languages that all have.

    ValueError if the rows of a language have not the same ids in all of them.
    """
    merged = {}
    for code in sorted(set.intersection(*({c for c, s in run.items() if metric in s.sums} for run in runs))):
        ids = runs[0][code].ids
        if any(list(run[code].ids) != list(ids) for run in runs):
            raise ValueError(f"{code}: the runs were scored on other rows")
        merged[code] = Statistics(ids, {str(i): run[code].sums[metric] for i, run in enumerate(runs)})
    return merged


def p_value(differences_D: np.ndarray, found: float) -> float:
    """Share of draws that lie as far from the difference found as that lies from 0, the one found counted among them; 1 for no difference."""
    known = differences_D[np.isfinite(differences_D)]
    as_far = np.abs(known - found) >= abs(found) - ROUNDING
    return float((1 + as_far.sum()) / (1 + len(known)))


def holm(p: Sequence[float]) -> list[float]:
    """Adjusted p-values in the order given (Holm 1979): below a level, they keep the chance of any wrong claim below it."""
    order = np.argsort(p, kind="stable")
    steps = np.asarray(p, float)[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted.tolist()

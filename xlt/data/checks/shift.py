"""Whether line i of one side still translates line i of the other, or all lines stand one or a few lines off from some line on.

Knows lengths, numbers and marks only, so it works for every pair of languages: translations are long where the original is long (Gale and Church
1993), and keep its numbers and question marks.
"""

from __future__ import annotations

import re

import numpy as np

REACH = 3  # lines that the sides may be off
WINDOW = 200  # lines judged together: a line lost in the middle leaves what is before it as it was
LEAST = 50  # lines; of fewer nothing is said
_NUMBER, _MARKS = re.compile(r"\d+"), "?？؟!！:：("


def features(text: str) -> tuple[float, float, float]:
    """Logarithm of the length, a number that stands for its numbers (0: none), and how many marks it has."""
    numbers = _NUMBER.findall(text)
    return (
        np.log1p(len(text)),
        float(hash(tuple(sorted(int(n[:18]) for n in numbers))) % 1009 + 1) if numbers else 0.0,
        float(sum(map(text.count, _MARKS))),
    )


def shifts(sources: list[str], targets: list[str]) -> list[tuple[int, int]]:
    """(first line of the window from 0, how many lines its target stands off) of each window that fits better off its place than in it."""
    return shifts_of(np.array([features(t) for t in sources]), np.array([features(t) for t in targets]))


def shifts_of(left_RF: np.ndarray, right_RF: np.ndarray) -> list[tuple[int, int]]:
    """The same of the `features` of R lines a side."""
    rows, found = min(len(left_RF), len(right_RF)), []
    if rows < LEAST:
        return found
    for begin in range(0, max(rows - WINDOW // 2, 1), WINDOW):
        end = rows if rows - begin < 1.5 * WINDOW else begin + WINDOW
        scores = {off: _fit(left_RF, right_RF, begin, end, off) for off in range(-REACH, REACH + 1)}
        best = max(scores, key=scores.get)
        if best and scores[best] > scores[0] + 0.15 + 3 / np.sqrt(end - begin):
            found.append((begin, best))
    return found


def _fit(left_RF: np.ndarray, right_RF: np.ndarray, begin: int, end: int, off: int) -> float:
    """Mean of the correlations of the features that vary, with the right side taken `off` lines further on."""
    first, last = max(begin, begin - off, 0), min(end, end - off, len(left_RF), len(right_RF) - off)
    left, right = left_RF[first:last], right_RF[first + off : last + off]
    fits = []
    if left[:, 0].std() > 0 and right[:, 0].std() > 0:
        fits.append(float(np.corrcoef(left[:, 0], right[:, 0])[0, 1]))
    numbered = (left[:, 1] > 0) | (right[:, 1] > 0)
    if numbered.sum() >= 10:
        fits.append(float((left[numbered, 1] == right[numbered, 1]).mean()))
    if left[:, 2].std() > 0 and right[:, 2].std() > 0:
        fits.append(float(np.corrcoef(left[:, 2], right[:, 2])[0, 1]))
    return max(fits) if fits else 0.0

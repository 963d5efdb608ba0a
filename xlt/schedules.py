"""What a weight may be: a number, or one that changes with the updates, a constant or straight lines between points as XLM writes them, `0:1,100000:0.1`."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Piecewise:
    """Linear between (update, value) points, constant before the first and after the last (XLM's `parse_lambda_config`).

    A warm-up is `0:0,10000:1`; off from some update on is `0:1,100000:0.1,300000:0`.
    """

    points: tuple[tuple[int, float], ...]

    @classmethod
    def read(cls, value: int | float | str) -> Piecewise:
        """From a number or XLM's syntax. ValueError with what is wrong with it."""
        text = str(value).strip()
        if ":" not in text:
            return cls(((0, _number(text)),))
        points = []
        for piece in text.split(","):
            step, colon, number = piece.partition(":")
            if not colon or not step.strip().isdecimal():
                raise ValueError(f"{piece.strip()!r} is not UPDATE:VALUE")
            points.append((int(step), _number(number)))
        steps = [step for step, _ in points]
        if steps != sorted(set(steps)):
            raise ValueError(f"the updates {', '.join(map(str, steps))} do not rise")
        return cls(tuple(points))

    def __call__(self, step: int) -> float:
        """The value of update `step` (from 0)."""
        return float(self.over(np.array([step]))[0])

    def over(self, steps: np.ndarray) -> np.ndarray:
        """The values of updates `steps`, of the same shape."""
        where, values = zip(*self.points, strict=True)
        return np.interp(steps, where, values)


def is_weight(value: object) -> bool:
    """Whether a language can be drawn by it: a finite number of 0 or above."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"{text.strip()!r} is not a number") from None
    if not math.isfinite(number):
        raise ValueError(f"{number} is not a finite number")
    return number

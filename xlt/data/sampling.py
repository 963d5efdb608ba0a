"""Who is drawn: the share of each language in what the model sees. Not which rows; that is `xlt.data.plan`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from xlt.errors import ConfigError
from xlt.schedules import Piecewise


@dataclass(frozen=True)
class Shares:
    """at(step): of the rows drawn at that update, each stream's part; they sum to 1. From update `settled` on they stay as they are."""

    at: Callable[[int], list[float]]
    settled: int = 0

    @classmethod
    def fixed(cls, shares: list[float]) -> Shares:
        """The same at every update."""
        return cls(lambda step: shares)


@dataclass(frozen=True)
class LanguageShare:
    """What a language contributes to a run. share: of the rows drawn; epochs: how often each of its rows is seen on average.

    None where nobody knows, as of a stream.
    """

    language: str
    rows: int | None
    tokens: int | None
    share: float
    epochs: float | None
    tokens_drawn: float | None


def language_shares(sizes: dict[str, int], alpha: float) -> dict[str, float]:
    """q_i = p_i^alpha / sum_j p_j^alpha with p_i = n_i / sum_j n_j (Lample and Conneau 2019, section 3.1). alpha 1 keeps p, 0 is uniform.

    A language without rows has share 0, at any alpha. ConfigError if all are empty.
    """
    total = sum(sizes.values())
    if total == 0:
        raise ConfigError(
            f"dataset: none of {', '.join(sizes) or 'the languages'} has a row to draw; check dataset.root and languages.train"
        )
    powers = {language: (n / total) ** alpha if n else 0.0 for language, n in sizes.items()}
    norm = sum(powers.values())
    return {language: power / norm for language, power in powers.items()}


def alpha_shares(sizes: dict[str, int], alpha: int | float | str) -> Shares:
    """p^alpha, with alpha a number or points over the updates, `0:0.3,50000:0.7` (see `xlt.schedules`)."""
    course = Piecewise.read(alpha)
    if len(course.points) == 1:
        return Shares.fixed(list(language_shares(sizes, course.points[0][1]).values()))
    return Shares(lambda step: list(language_shares(sizes, course(step)).values()), settled=course.points[-1][0])


def replayed(shares: Shares, old: Sequence[bool], share: float) -> Shares:
    """The same within the old streams and within the new ones, of which the old ones together have `share`. ConfigError if one group has none."""
    first = shares.at(shares.settled)
    for group, name in ((True, "languages the checkpoint was trained on"), (False, "new languages")):
        if not any(s for s, is_old in zip(first, old, strict=True) if is_old is group):
            raise ConfigError(
                f"train.replay: none of the rows drawn are of {name}; name some in languages.train, or set it to null"
            )

    def at(step: int) -> list[float]:
        plain = shares.at(step)
        sums = {
            group: sum(s for s, is_old in zip(plain, old, strict=True) if is_old is group) for group in (True, False)
        }
        return [s / sums[is_old] * (share if is_old else 1 - share) for s, is_old in zip(plain, old, strict=True)]

    return Shares(at, shares.settled)


def unimax(sizes: dict[str, float], budget: float, cap: float) -> dict[str, float]:
    """How much of `budget` goes to each language: as evenly as can be with none of them seen more than `cap` times.

    UniMax, Chung et al. 2023, Algorithm 1: from the smallest on, each gets an even part of what is left, or cap * size if that is less. sizes
    and budget in one unit (there characters). What is left over when every language is at its cap is given to none: sum < budget.
    """
    left, given = float(budget), {}
    for i, language in enumerate(sorted(sizes, key=lambda code: (sizes[code], code))):
        given[language] = min(left / (len(sizes) - i), cap * sizes[language])
        left -= given[language]
    return {language: given[language] for language in sizes}


def weight_shares(sizes: dict[str, int], weights: dict[str, float]) -> dict[str, float]:
    """Shares in proportion to the weights. ConfigError if they are not those of the languages, or ask for rows where there are none."""
    missing, strange = [c for c in sizes if c not in weights], [c for c in weights if c not in sizes]
    if missing or strange:
        what = f"{', '.join(missing)} has none" if missing else f"{', '.join(strange)} is not drawn from"
        raise ConfigError(f"train.weights: {what}; name each of {', '.join(sizes)}, with 0 for those to leave out")
    empty = [code for code, n in sizes.items() if not n and weights[code]]
    if empty or not any(weights.values()):
        raise ConfigError(
            f"train.weights: {', '.join(empty) or 'none'} has rows to draw; give a weight to those that have"
        )
    total = sum(weights.values())
    return {code: weights[code] / total for code in sizes}


def share_table(
    rows: dict[str, int], tokens: dict[str, int], shares: dict[str, float], drawn_rows: int
) -> list[LanguageShare]:
    """One line per language for `drawn_rows` rows in the whole run, largest share first."""
    table = [
        LanguageShare(
            language=language,
            rows=n,
            tokens=tokens[language],
            share=shares[language],
            epochs=shares[language] * drawn_rows / n if n else 0.0,
            tokens_drawn=shares[language] * drawn_rows * tokens[language] / n if n else 0.0,
        )
        for language, n in rows.items()
    ]
    return sorted(table, key=lambda line: (-line.share, line.language))

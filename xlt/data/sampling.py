"""Who is drawn: the share of each language in what the model sees. Not which rows; that is `xlt.data.plan`."""

from __future__ import annotations

from dataclasses import dataclass

from xlt.errors import ConfigError


@dataclass(frozen=True)
class LanguageShare:
    """What a language contributes to a run. share: of the rows drawn; epochs: how often each of its rows is seen on average."""

    language: str
    rows: int
    tokens: int
    share: float
    epochs: float
    tokens_drawn: float


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

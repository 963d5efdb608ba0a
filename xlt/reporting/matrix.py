"""A transfer matrix: the score of every source language on every target language, and its table."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import mean

from xlt.reporting.tables import Table, cell


@dataclass(frozen=True)
class Matrix:
    """scores: {source: {target: score}}, every source with the same targets, in the order in which they are shown."""

    scores: dict[str, dict[str, float]]

    @classmethod
    def of(cls, rows: dict[str, dict[str, float]], targets: list[str]) -> Matrix:
        """Each row cut down to the targets."""
        return cls({source: {t: row[t] for t in targets} for source, row in rows.items()})

    @classmethod
    def mean(cls, matrices: list[Matrix]) -> Matrix:
        """Cell by cell, of matrices of the same languages: over seeds."""
        first = matrices[0].scores
        return cls({s: {t: mean(m.scores[s][t] for m in matrices) for t in row} for s, row in first.items()})

    @property
    def targets(self) -> list[str]:
        """The columns."""
        return list(next(iter(self.scores.values())))

    def others(self, source: str) -> float | None:
        """A source's mean over targets other than itself."""
        found = [score for target, score in self.scores[source].items() if target != source]
        return mean(found) if found else None

    def received(self, target: str) -> float | None:
        """A target's mean over sources other than itself."""
        found = [row[target] for source, row in self.scores.items() if source != target]
        return mean(found) if found else None

    def mean_of_others(self) -> float:
        """The mean of all cells off the diagonal; of the diagonal, if there are no others."""
        cells = [(s != t, score) for s, row in self.scores.items() for t, score in row.items()]
        return mean([score for off, score in cells if off] or [score for _, score in cells])

    def table(self, title: str, metric: str) -> Table:
        """A source a line, its mean on other languages last; below, each target's mean from other languages."""
        targets = self.targets
        lines = [
            [source, *(cell([row[t]], metric) for t in targets), _cell(self.others(source), metric)]
            for source, row in self.scores.items()
        ]
        received = [_cell(self.received(t), metric) for t in targets]
        below = ["others", *received, cell([self.mean_of_others()], metric)]
        return Table(f"{title}: sources down, targets across", ["from \\ to", *targets, "others"], [*lines, below])


def _cell(score: float | None, metric: str) -> str:
    return "" if score is None else cell([score], metric)

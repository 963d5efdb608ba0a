"""What a scoring leaves: predictions, statistics and exports of each language, then means, gaps and intervals, in metrics.json and on screen."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xlt import files, processes
from xlt.evaluation import bootstrap
from xlt.evaluation.exports import Layout
from xlt.evaluation.statistics import Statistics
from xlt.evaluation.transfer import grouped, transfer
from xlt.reporting.scores import group_table, layer_table
from xlt.stages.scoring import show
from xlt.training.progress import Screen
from xlt.types import Gold


@dataclass(frozen=True, eq=False)
class Outcome:
    """Of one rule of selection, whose files lie in folders `inside` those of the run. statistics: of the languages scored so far.

    fitted: what scores a language, where that is not the objective as it is configured.
    """

    cfg: Any
    objective: Any
    fitted: Mapping[str, Any]
    directory: Path
    inside: str
    layout: Layout | None
    statistics: dict[str, Statistics] = field(default_factory=dict)

    def keep(self, language: str, outputs: dict, gold: Gold) -> None:
        """Write what is to be known of each row of a language."""
        name, objective = self.cfg.dataset.name, self.fitted.get(language, self.objective)
        if hasattr(objective, "statistics"):
            found = Statistics.of(language, gold.rows, objective.statistics(outputs, gold))
            self.statistics[language] = found
        processes.first(lambda: self._write(name, language, objective, outputs, gold))

    def _write(self, name: str, language: str, objective, outputs: dict, gold: Gold) -> None:
        if language in self.statistics:
            self.statistics[language].save(self._folder("statistics") / f"{name}.{language}.npz")
        if hasattr(objective, "records"):
            lines = prediction_lines(language, objective.records(outputs, gold), gold)
            write_lines(self._folder("predictions") / f"{name}.{language}.jsonl", lines)
            if self.layout:
                self.layout.write(self._folder(f"exports/{self.cfg.export}"), name, language, lines)

    def results(self, figures: dict[str, dict[str, float]], source: list[str], bins: Mapping[str, str] | None) -> dict:
        """What metrics.json says of the scores. bins: of the pretraining share of each language, where it is known."""
        name, higher = self.cfg.dataset.name, self.objective.higher_is_better
        summaries = {metric: transfer(by, source, higher[metric], bins) for metric, by in figures.items()}
        found = {"results": {name: figures}, "transfer": {name: {m: s for m, s in summaries.items() if s}}}
        if not (self.statistics and self.cfg.scores.draws):
            return found
        how = {"draws": self.cfg.scores.draws, "seed": self.cfg.scores.seed, "level": self.cfg.scores.level}
        intervals = bootstrap.intervals(self.statistics, source, higher, **how)
        return {**found, "bootstrap": how, "intervals": {name: intervals}}

    def _folder(self, kind: str) -> Path:
        return self.directory / kind / self.inside


def prediction_lines(language: str, records: Iterable[dict], gold: Gold) -> list[dict]:
    """One per row in the data's order: its id (its number, if it has none), its language, and what the objective says of it."""
    return [
        {"id": row.get("id", number), "language": language, **record}
        for number, (row, record) in enumerate(zip(gold.rows, records, strict=True))
    ]


def write_lines(path: Path, lines: list[dict]) -> None:
    """As JSON lines."""
    files.write_text(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))


def show_scores(
    screen: Screen, title: str, cfg, metric: str, found: dict, source: list[str], bins: Mapping[str, str] | None
) -> None:
    """The scores, the main one first, with its interval; what they come to; and target means by script, family and pretraining share."""
    name = cfg.dataset.name
    layered = [m for m in found["results"][name] if "_layer_" in m]
    plain = {m: by for m, by in found["results"][name].items() if m not in layered}
    figures = {metric: plain[metric], **plain}
    summary = found["transfer"][name].get(metric)
    intervals = found.get("intervals", {}).get(name, {}).get(metric)
    show(screen, title, figures, source=source, summary=summary, intervals=intervals, level=cfg.scores.level)
    if layered:
        screen.table(*layer_table(metric, found["results"][name]))
    if not summary:
        if source:
            screen.say("no transfer gap: it needs a source and a target language among those scored")
    elif lines := group_table(metric, summary, grouped((c for c in figures[metric] if c not in source), bins)):
        screen.table("target languages together", ["group", "languages", metric], lines)

"""Several objectives at once: L = sum_o w_o(t) L_o, each on a stream of rows of its own. It computes no loss itself.

The sum in one update is that of InfoXLM (Chi et al. 2021, section 3), the alternation of updates that of XLM (Lample and Conneau 2019, section 3.5).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any

import numpy as np
import torch

from xlt.errors import ConfigError
from xlt.schedules import Piecewise, is_weight
from xlt.types import Batch, Labels, closed, learns_words, loss_function, solves


class Updates(str, Enum):
    """joint: every update sums the losses of all parts. alternate: the parts take turns."""

    joint = "joint"
    alternate = "alternate"


@dataclass(frozen=True, kw_only=True)
class Part:
    """One objective of a mixture and what it draws its batches from; null everywhere: as the run's.

    weight: a number, or XLM's points over the updates, `0:1,100000:0.1` (see `xlt.schedules`); at 0 the part is not computed and its stream waits.
    dataset: a data set of its own. languages: languages, or pairs. batch_size without batch_tokens: batches of so many rows.
    alpha, weights: languages are drawn by them, whatever the run's train.sampling is; the updates in a course of alpha are those of the part.
    """

    objective: Any
    weight: int | float | str
    dataset: Any
    languages: list[str] | None
    batch_size: int | None
    batch_tokens: int | None
    max_length: int | None
    alpha: int | float | str | None
    weights: Any

    def __post_init__(self):
        problems = []
        try:
            if min(value for _, value in self.schedule.points) < 0:
                problems.append(f"objective.weight: {self.weight} falls below 0; a loss is not maximised")
        except ValueError as error:
            problems.append(
                f"objective.weight: {self.weight!r} cannot be read, {error}; give a number, or points as '0:1,100000:0.1'"
            )
        problems += [
            f"objective.{name}: {getattr(self, name)} is not above 0; null takes the run's"
            for name in ("batch_size", "batch_tokens", "max_length")
            if getattr(self, name) is not None and getattr(self, name) <= 0
        ]
        problems += self._who_is_drawn()
        if solves(self.objective) or learns_words(self.objective) or isinstance(self.objective, Mixture):
            problems.append(
                f"objective.objective: {type(self.objective).__name__} has no loss of its own that could be mixed; choose another one"
            )
        elif getattr(self.objective, "continues_task", False):
            problems.append(
                f"objective.objective: {type(self.objective).__name__} continues a fine-tuned model as a run of its own; choose another one"
            )
        elif not hasattr(self.objective, "collate"):
            problems.append(
                f"objective.objective: {self.objective!r} is no objective; choose one with objective@objective.parts.PART.objective=NAME"
            )
        if self.dataset is not None and not hasattr(self.dataset, "views"):
            problems.append(
                f"objective.dataset: {self.dataset!r} is no data set; choose one with dataset@objective.parts.PART.dataset=NAME"
            )
        if problems:
            raise ConfigError(problems)

    def _who_is_drawn(self) -> list[str]:
        if self.alpha is not None and self.weights is not None:
            return ["objective.weights: objective.alpha is given too; leave one of them null"]
        if self.weights is not None and not (
            isinstance(self.weights, dict)
            and self.weights
            and all(isinstance(code, str) and is_weight(weight) for code, weight in self.weights.items())
        ):
            return [f"objective.weights: {self.weights!r} where {{CODE:WEIGHT,...}} is expected; null takes the run's"]
        if self.alpha is None:
            return []
        try:
            outside = [value for _, value in Piecewise.read(self.alpha).points if not 0 <= value <= 1]
        except ValueError as error:
            return [f"objective.alpha: {error}; give a number, points as '0:0.3,50000:0.7', or null for the run's"]
        return [
            f"objective.alpha: {value} is not in [0, 1]; give a share, or null for the run's" for value in outside[:1]
        ]

    @cached_property
    def schedule(self) -> Piecewise:
        """The weight as a function of the update."""
        return Piecewise.read(self.weight)

    @property
    def settings(self) -> dict[str, Any]:
        """What differs from the run's `train`, by its keys."""
        own = {name: getattr(self, name) for name in ("batch_size", "batch_tokens", "max_length", "alpha", "weights")}
        own = {name: value for name, value in own.items() if value is not None}
        return {"batch_tokens": None, **own} if "batch_size" in own else own


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """The first part is the main one: its score on dev data is the run's, and the head it needs decides where parts need none."""

    updates: Updates
    parts: dict[str, Any]

    def __post_init__(self):
        if not self.parts:
            raise ConfigError("objective.parts: a mixture needs at least one; see objective=mlm_contrastive")
        wrong = [name for name, part in self.parts.items() if not isinstance(part, Part)]
        if wrong:
            raise ConfigError(
                f"objective.parts.{wrong[0]}: is not a part; add one with +part@objective.parts.{wrong[0]}=as_run (xlt ls part)"
            )
        heads = {name: part.objective.head for name, part in self.parts.items() if part.objective.head != "encoder"}
        if len(set(heads.values())) > 1:
            needs = ", ".join(f"{name} needs {head}" for name, head in heads.items())
            raise ConfigError(
                f"objective.parts: one model has one language-model head, but {needs}; leave one of them out"
            )

    @property
    def main(self) -> str:
        """Name of the first part."""
        return next(iter(self.parts))

    @property
    def view(self) -> str:
        """The view of the main part; each part has its own."""
        return self.parts[self.main].objective.view

    @property
    def turns(self) -> int:
        """Updates in which each part has its turn, while no weight is 0."""
        return len(self.parts) if self.updates is Updates.alternate else 1

    @property
    def head(self) -> str:
        """The head that a part needs, if one does."""
        heads = {part.objective.head for part in self.parts.values()}
        return next(iter(heads - {"encoder"}), "encoder")

    @property
    def separable(self) -> bool:
        """If all parts are."""
        return all(part.objective.separable for part in self.parts.values())

    @property
    def metric(self) -> str:
        """The main part's, by the name it has in the log."""
        return f"{self.main}/{self.parts[self.main].objective.metric}"

    @property
    def higher_is_better(self) -> dict[str, bool]:
        """Of all parts."""
        return {
            f"{name}/{metric}": higher
            for name, part in self.parts.items()
            for metric, higher in part.objective.higher_is_better.items()
        }

    @property
    def closed(self) -> tuple[str, ...]:
        """Names of the main part's closed sets: it alone has labels."""
        return closed(self.parts[self.main].objective)

    def modules(self, width: int, labels: Labels | None) -> dict[str, torch.nn.Module]:
        """Those of all parts. ConfigError if two bring one of the same name."""
        modules: dict[str, torch.nn.Module] = {}
        for name, part in self.parts.items():
            new = part.objective.modules(width, labels)
            if both := modules.keys() & new.keys():
                raise ConfigError(f"objective.parts.{name}: another part has a {both.pop()} too; leave one of them out")
            modules |= new
        return modules

    def require(self, backbone) -> None:
        """What its parts require of the model."""
        for part in self.parts.values():
            if hasattr(part.objective, "require"):
                part.objective.require(backbone)

    def prepare(self, model) -> None:
        """What its parts put beside the model."""
        for part in self.parts.values():
            if hasattr(part.objective, "prepare"):
                part.objective.prepare(model)

    def loss(self, model, batch: Batch) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """That of the batch's part, without its weight."""
        return loss_function(self.parts[batch.part].objective)(model, batch)

    def takes_part(self, steps: int) -> np.ndarray:
        """bool (parts, updates): whose batches make each update. ConfigError if an update would be made of none."""
        weighs_PS = np.stack([part.schedule.over(np.arange(steps)) > 0 for part in self.parts.values()])
        active_S = weighs_PS.sum(0)
        if not active_S.all():
            raise ConfigError(
                f"objective.parts: all weights are 0 in update {int(np.argmin(active_S)) + 1}; nothing would be learned in it"
            )
        if self.updates is Updates.joint:
            return weighs_PS
        turn_S = np.arange(steps) % active_S
        return weighs_PS & (np.cumsum(weighs_PS, 0) - 1 == turn_S)

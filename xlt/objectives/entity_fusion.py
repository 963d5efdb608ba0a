"""Entities of two knowledge graphs by several signs at once, such as structure and names: the weighted sum of their similarities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from xlt.errors import ConfigError
from xlt.objectives import entity_alignment
from xlt.objectives.entity_alignment import Learner, Task


@dataclass(frozen=True, kw_only=True)
class EntityFusion:
    """members: objectives that link entities, by name; each learns by itself, and its own methods of matching are not read. weights: of their similarities, which
    are divided by their sum."""

    members: dict[str, Any]
    weights: dict[str, float]
    matching: Any

    kind: ClassVar[str] = "entities"
    view: ClassVar[str] = "entities"
    metric = property(entity_alignment.metric)
    higher_is_better = property(entity_alignment.higher_is_better)

    def __post_init__(self):
        problems = []
        if len(self.members) < 2:
            problems.append("objective.members: one is no fusion; give two or more, or take that objective itself")
        if set(self.members) != set(self.weights):
            problems.append(
                f"objective.weights: they are of {sorted(self.weights)}, the members {sorted(self.members)}; name each once"
            )
        if any(weight < 0 for weight in self.weights.values()) or not sum(self.weights.values()) > 0:
            problems.append(f"objective.weights: {dict(self.weights)} must be at least 0, and one above; give shares")
        for name, member in self.members.items():
            if getattr(member, "kind", None) != "entities" or isinstance(member, EntityFusion):
                problems.append(
                    f"objective.members.{name}: {type(member).__name__} cannot be fused; take gcn_align, mtranse, bootea or entity_names"
                )
        if problems:
            raise ConfigError(problems)

    def names_of(self) -> Any:
        """The member that reads names, if there is one."""
        return next(
            (member for member in self.members.values() if hasattr(member, "pool") and hasattr(member, "centre")), None
        )

    def learner(self, task: Task) -> FusionLearner:
        """For a pair of graphs."""
        return FusionLearner(self, {name: member.learner(task) for name, member in self.members.items()})


class FusionLearner:
    """See `xlt.objectives.entity_alignment.Learner`. Rounds of one member follow those of another."""

    def __init__(self, objective: EntityFusion, learners: dict[str, Learner]):
        self.objective, self.learners = objective, learners
        self.rounds = sum(learner.rounds for learner in learners.values())
        learning = {name: learner for name, learner in learners.items() if learner.module is not None}
        self.module = (
            torch.nn.ModuleDict({name: learner.module for name, learner in learning.items()}) if learning else None
        )
        self.optimizer = Several([learner.optimizer for learner in learning.values()]) if learning else None

    def learn(self, number: int) -> dict[str, float]:
        """The next round of the member whose turn it is."""
        for name, learner in self.learners.items():
            if number < learner.rounds:
                figures = learner.learn(number)
                own = {f"{name}/{key}": value for key, value in figures.items() if key != "updates"}
                return own | {"updates": figures["updates"]}
            number -= learner.rounds
        raise IndexError(number)

    def state(self) -> dict[str, Any]:
        """Of each member."""
        return {name: learner.state() for name, learner in self.learners.items()}

    def restore(self, state: dict[str, Any]) -> None:
        """Of each member."""
        for name, learner in self.learners.items():
            learner.restore(state[name])

    def similarity(self, rows_N: torch.Tensor, columns_M: torch.Tensor) -> torch.Tensor:
        """similarity_NM."""
        weights = self.objective.weights
        found_NM = torch.zeros(len(rows_N), len(columns_M), device=rows_N.device)
        for name, learner in self.learners.items():
            if weights[name] > 0:
                found_NM.add_(learner.similarity(rows_N, columns_M), alpha=weights[name] / sum(weights.values()))
        return found_NM


class Several:
    """The moments of several optimizers under one name, as checkpoints read them."""

    def __init__(self, optimizers: list[torch.optim.Optimizer]):
        self.optimizers = optimizers

    @property
    def state(self) -> dict:
        """{parameter: its moments}."""
        return States(self.optimizers)


class States(dict):
    """Reads and writes through to the optimizers' own."""

    def __init__(self, optimizers: list[torch.optim.Optimizer]):
        super().__init__({p: state for optimizer in optimizers for p, state in optimizer.state.items()})
        self._of = {
            p: optimizer for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]
        }

    def __missing__(self, parameter):
        return self._of[parameter].state[parameter]

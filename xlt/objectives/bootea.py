"""Entities of two knowledge graphs by translations in one space, which seeds, and links that the model itself believes in, join by swapping their triples.

Sun et al. 2018 (BootEA; without bootstrapping its AlignE). Other than there, false partners are near ones of a random pool, links are believed in if they are each
other's CSLS neighbours, and there is no loss over the distribution of labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from xlt.alignment.graphs import swapped, union
from xlt.alignment.translation import Translation, adagrad, limit_loss, near_entities
from xlt.errors import ConfigError
from xlt.objectives import entity_alignment
from xlt.objectives.entity_alignment import Task


@dataclass(frozen=True, kw_only=True)
class BootEA:
    """lower, upper, negative_weight: the limits of true and of false triples, and the weight of the latter. negatives: false triples of each, whose entities
    are of the nearest 1 - truncation of a random pool of so many entities, drawn each round. An epoch reads all triples in batches by Adagrad.

    bootstrap_threshold: after each round from bootstrap_from epochs on, links with at least that cosine are learned from, too; null: none.
    """

    width: int
    lower: float
    upper: float
    negative_weight: float
    negatives: int
    truncation: float
    pool: int
    learning_rate: float
    batch_size: int
    epochs: int
    round_epochs: int
    bootstrap_threshold: float | None
    bootstrap_from: int
    matching: Any

    kind: ClassVar[str] = "entities"
    view: ClassVar[str] = "entities"
    metric = property(entity_alignment.metric)
    higher_is_better = property(entity_alignment.higher_is_better)

    def __post_init__(self):
        problems = entity_alignment.above_zero(
            self, "width", "negative_weight", "negatives", "pool", "learning_rate", "batch_size", "epochs"
        )
        problems += entity_alignment.whole_rounds(self) + entity_alignment.threshold(self)
        if not 0 <= self.truncation < 1:
            problems.append(
                f"objective.truncation: {self.truncation} is not in [0, 1); 0.9 is usual, 0 takes any false partner"
            )
        if not 0 <= self.lower < self.upper:
            problems.append(
                f"objective.lower: {self.lower} must be at least 0 and below objective.upper ({self.upper})"
            )
        if problems:
            raise ConfigError(problems)

    def learner(self, task: Task) -> BootEALearner:
        """For a pair of graphs."""
        return BootEALearner(self, task)


class BootEALearner:
    """See `xlt.objectives.entity_alignment.Learner`."""

    def __init__(self, objective: BootEA, task: Task):
        self.objective, self.task = objective, task
        self.rounds = objective.epochs // objective.round_epochs
        self.triples_T3, self.entities, relations = union(task.graphs)
        self.module = Translation(self.entities, relations, objective.width, False, task.generator("start")).to(
            task.device
        )
        self.optimizer = adagrad(self.module, objective.learning_rate, 0.1)
        self.found_Q2 = np.empty((0, 2), np.int64)

    def learn(self, number: int) -> dict[str, float]:
        """round_epochs epochs with the same pool and links."""
        objective, task = self.objective, self.task
        links_P2 = np.concatenate([task.seeds_P2, self.found_Q2]) + np.array([0, task.first])
        triples_T3 = np.concatenate([self.triples_T3, swapped(self.triples_T3, links_P2, self.entities)])
        triples_T3 = torch.from_numpy(triples_T3).to(task.device)
        near_NK, total, updates = self.near(number), 0.0, 0
        for epoch in range(number * objective.round_epochs, (number + 1) * objective.round_epochs):
            generator = task.generator("epoch", epoch)
            for chosen in torch.randperm(len(triples_T3), generator=generator).split(objective.batch_size):
                total += self.update(triples_T3[chosen.to(task.device)], near_NK, generator)
                updates += 1
        if (
            objective.bootstrap_threshold is not None
            and (number + 1) * objective.round_epochs >= objective.bootstrap_from
        ):
            spaces = self.module.spaces(task.first)
            self.found_Q2 = entity_alignment.believed(
                *spaces, task.seeds_P2, objective.bootstrap_threshold, objective.matching.csls_k
            )
        return {"loss": total / len(triples_T3) / objective.round_epochs, "links": len(links_P2), "updates": updates}

    def near(self, number: int) -> torch.Tensor:
        """near_NK: the entities, of each one's own graph, that are put in its place."""
        objective, first = self.objective, self.task.first
        near, x_ND = [], self.module.entities.detach()
        for side, (begin, end) in enumerate(((0, first), (first, self.entities))):
            generator = self.task.generator("pool", number, side)
            pool_C = torch.randperm(end - begin, generator=generator)[: objective.pool].to(x_ND.device)
            near.append(near_entities(x_ND[begin:end], 1 - objective.truncation, pool_C) + begin)
        width = min(part.shape[1] for part in near)
        return torch.cat([part[:, :width] for part in near])

    def update(self, triples_B3: torch.Tensor, near_NK: torch.Tensor, generator: torch.Generator) -> float:
        """One batch; its loss."""
        objective, size = self.objective, len(triples_B3)
        head_B = (torch.rand(size, generator=generator) < 0.5).to(triples_B3.device)
        which_BK = torch.randint(near_NK.shape[1], (size, objective.negatives), generator=generator).to(
            triples_B3.device
        )
        replaced_B = torch.where(head_B, triples_B3[:, 0], triples_B3[:, 2])
        limits = objective.lower, objective.upper, objective.negative_weight
        self.optimizer.zero_grad(set_to_none=True)
        loss = limit_loss(triples_B3, near_NK[replaced_B[:, None], which_BK], head_B, self.module.tables(), *limits)
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def state(self) -> dict[str, Any]:
        """The links it believes in."""
        return {"found": self.found_Q2.tolist()}

    def restore(self, state: dict[str, Any]) -> None:
        """Those of `state`."""
        self.found_Q2 = np.array(state["found"], np.int64).reshape(-1, 2)

    def similarity(self, rows_N: torch.Tensor, columns_M: torch.Tensor) -> torch.Tensor:
        """similarity_NM."""
        x_ND, y_MD = self.module.spaces(self.task.first)
        return entity_alignment.cosine(x_ND[rows_N], y_MD[columns_M])

"""Entities of two knowledge graphs by translations in a space of each, and a linear map between the spaces. Chen et al. 2017 (MTransE, variant 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch.nn import functional as F

from xlt.alignment.graphs import union
from xlt.alignment.translation import Translation, adagrad, parts, scaled
from xlt.errors import ConfigError
from xlt.objectives import entity_alignment
from xlt.objectives.entity_alignment import Task


@dataclass(frozen=True, kw_only=True)
class MTransE:
    """width: of an embedding. map_weight: of the seeds' loss beside that of the triples. batch_size: triples, or seeds, of an update by Adagrad; an epoch
    reads all triples, then all seeds. round_epochs: epochs between two checkpoints at least."""

    width: int
    map_weight: float
    learning_rate: float
    batch_size: int
    epochs: int
    round_epochs: int
    matching: Any

    kind: ClassVar[str] = "entities"
    view: ClassVar[str] = "entities"
    metric = property(entity_alignment.metric)
    higher_is_better = property(entity_alignment.higher_is_better)

    def __post_init__(self):
        problems = entity_alignment.above_zero(self, "width", "map_weight", "learning_rate", "batch_size", "epochs")
        if problems := problems + entity_alignment.whole_rounds(self):
            raise ConfigError(problems)

    def learner(self, task: Task) -> MTransELearner:
        """For a pair of graphs."""
        return MTransELearner(self, task)


class MTransELearner:
    """See `xlt.objectives.entity_alignment.Learner`."""

    def __init__(self, objective: MTransE, task: Task):
        self.objective, self.task = objective, task
        self.rounds = objective.epochs // objective.round_epochs
        triples_T3, *sizes = union(task.graphs)
        self.triples_T3 = torch.from_numpy(triples_T3).to(task.device)
        self.links_P2 = torch.from_numpy(task.links_P2).to(task.device)
        self.module = Translation(*sizes, objective.width, True, task.generator("start")).to(task.device)
        self.optimizer = adagrad(self.module, objective.learning_rate, 0.0)

    def learn(self, number: int) -> dict[str, float]:
        """round_epochs epochs."""
        objective = self.objective
        sums = {"triples": 0.0, "seeds": 0.0, "updates": 0}
        for epoch in range(number * objective.round_epochs, (number + 1) * objective.round_epochs):
            for name, rows, loss_of in (
                ("triples", self.triples_T3, self.translated),
                ("seeds", self.links_P2, self.mapped),
            ):
                order = torch.randperm(len(rows), generator=self.task.generator(name, epoch)).to(rows.device)
                for chosen in order.split(objective.batch_size):
                    self.optimizer.zero_grad(set_to_none=True)
                    loss = loss_of(rows[chosen])
                    loss.backward()
                    self.optimizer.step()
                    sums[name] += loss.item() / len(rows) / objective.round_epochs
                    sums["updates"] += 1
        return sums

    def translated(self, triples_B3: torch.Tensor) -> torch.Tensor:
        """Sum of |h + r - t|. Chen et al. 2017, equation 1; there are no false triples."""
        # a batch has fewer rows than the tables
        h_BD, r_BD, t_BD = map(scaled, parts(triples_B3, self.module.entities, self.module.relations))
        return (h_BD + r_BD - t_BD).norm(dim=1).sum()

    def mapped(self, links_B2: torch.Tensor) -> torch.Tensor:
        """map_weight times the sum of |M e - e'|. Chen et al. 2017, equation 5."""
        x_BD, y_BD = (scaled(F.embedding(side_B, self.module.entities)) for side_B in links_B2.T)
        return self.objective.map_weight * (x_BD @ self.module.map.T - y_BD).norm(dim=1).sum()

    def state(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Nothing."""

    def similarity(self, rows_N: torch.Tensor, columns_M: torch.Tensor) -> torch.Tensor:
        """similarity_NM."""
        x_ND, y_MD = self.module.spaces(self.task.first)
        return entity_alignment.cosine(x_ND[rows_N], y_MD[columns_M])

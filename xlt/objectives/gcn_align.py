"""Entities of two knowledge graphs by their neighbours: a graph convolution whose embeddings are drawn together at the seeds. Wang et al. 2018 (GCN-Align)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from xlt.alignment.graph_convolution import GraphConvolution, margin_loss
from xlt.alignment.graphs import adjacency, sparse, union
from xlt.errors import ConfigError, suggest
from xlt.objectives import entity_alignment
from xlt.objectives.entity_alignment import SIMILARITIES, Task


@dataclass(frozen=True, kw_only=True)
class GcnAlign:
    """width: of an embedding. least_functionality: the least weight of a relation. optimizer: sgd or adam; an epoch is one update with all seeds, each with
    `negatives` false partners a side, drawn anew each round_epochs. similarity: by which partners are found, manhattan or cosine.

    bootstrap_threshold: after each round from bootstrap_from epochs on, links with at least that cosine are learned from, too; null: none.
    """

    width: int
    least_functionality: float
    margin: float
    negatives: int
    optimizer: str
    learning_rate: float
    epochs: int
    round_epochs: int
    similarity: str
    bootstrap_threshold: float | None
    bootstrap_from: int
    matching: Any

    kind: ClassVar[str] = "entities"
    view: ClassVar[str] = "entities"
    metric = property(entity_alignment.metric)
    higher_is_better = property(entity_alignment.higher_is_better)

    def __post_init__(self):
        problems = entity_alignment.above_zero(self, "width", "margin", "negatives", "learning_rate", "epochs")
        problems += entity_alignment.whole_rounds(self) + entity_alignment.threshold(self)
        if self.optimizer not in ("sgd", "adam"):
            problems.append(
                f"objective.optimizer: there is no {self.optimizer}; {suggest(self.optimizer, ['sgd', 'adam'])}"
            )
        if self.similarity not in SIMILARITIES:
            problems.append(
                f"objective.similarity: there is no {self.similarity}; {suggest(self.similarity, SIMILARITIES)}"
            )
        if problems:
            raise ConfigError(problems)

    def learner(self, task: Task) -> GcnLearner:
        """For a pair of graphs."""
        return GcnLearner(self, task)


class GcnLearner:
    """See `xlt.objectives.entity_alignment.Learner`."""

    def __init__(self, objective: GcnAlign, task: Task):
        self.objective, self.task = objective, task
        self.rounds = objective.epochs // objective.round_epochs
        a_NN = adjacency(*union(task.graphs), objective.least_functionality)
        both = sparse(a_NN, task.device), sparse(a_NN.T, task.device)
        self.module = GraphConvolution(*both, objective.width, task.generator("start"))
        kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[objective.optimizer]
        self.optimizer = kind(self.module.parameters(), lr=objective.learning_rate)
        self.found_Q2 = np.empty((0, 2), np.int64)

    def learn(self, number: int) -> dict[str, float]:
        """round_epochs updates with the same negatives."""
        objective, task = self.objective, self.task
        links_P2 = np.concatenate([task.seeds_P2, self.found_Q2]) + np.array([0, task.first])
        size, generator = (len(links_P2), objective.negatives), task.generator("negatives", number)
        negatives = [torch.randint(len(self.module.entities), size, generator=generator) for _ in range(2)]
        links_P2, left_PK, right_PK = (t.to(task.device) for t in (torch.from_numpy(links_P2), *negatives))
        losses = []
        for _ in range(objective.round_epochs):
            self.optimizer.zero_grad(set_to_none=True)
            loss = margin_loss(self.module(), links_P2, left_PK, right_PK, objective.margin)
            loss.backward()
            self.optimizer.step()
            losses.append(loss.detach())
        if (
            objective.bootstrap_threshold is not None
            and (number + 1) * objective.round_epochs >= objective.bootstrap_from
        ):
            self.found_Q2 = entity_alignment.believed(
                *self.spaces(), task.seeds_P2, objective.bootstrap_threshold, objective.matching.csls_k
            )
        return {"loss": torch.stack(losses).mean().item(), "links": len(links_P2), "updates": len(losses)}

    def state(self) -> dict[str, Any]:
        """The links it believes in."""
        return {"found": self.found_Q2.tolist()}

    def restore(self, state: dict[str, Any]) -> None:
        """Those of `state`."""
        self.found_Q2 = np.array(state["found"], np.int64).reshape(-1, 2)

    @torch.no_grad()
    def spaces(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(x_ND, y_MD)."""
        embeddings_ND = self.module()
        return embeddings_ND[: self.task.first], embeddings_ND[self.task.first :]

    def similarity(self, rows_N: torch.Tensor, columns_M: torch.Tensor) -> torch.Tensor:
        """similarity_NM."""
        x_ND, y_MD = self.spaces()
        return SIMILARITIES[self.objective.similarity](x_ND[rows_N], y_MD[columns_M])

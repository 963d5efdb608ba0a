"""Entities of two knowledge graphs by their names: an encoder's mean-pooled states, or character n-grams where no model is given. Nothing is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from xlt.errors import ConfigError
from xlt.models.pooling import Pool
from xlt.objectives import entity_alignment
from xlt.objectives.entity_alignment import Task


@dataclass(frozen=True, kw_only=True)
class EntityNames:
    """With model.init_from: pool of layer `layer` (null: the last); centre: less the mean of each graph's names. Without: tf-idf of the character n-grams of
    min_ngram to max_ngram letters within words, which see only what is spelled alike."""

    pool: Pool
    layer: int | None
    centre: bool
    min_ngram: int
    max_ngram: int
    matching: Any

    kind: ClassVar[str] = "entities"
    view: ClassVar[str] = "entities"
    head: ClassVar[str] = "encoder"
    metric = property(entity_alignment.metric)
    higher_is_better = property(entity_alignment.higher_is_better)

    def __post_init__(self):
        if not 0 < self.min_ngram <= self.max_ngram:
            raise ConfigError(
                f"objective.min_ngram: {self.min_ngram} must be above 0 and at most objective.max_ngram ({self.max_ngram})"
            )

    def modules(self, width: int, labels) -> dict[str, torch.nn.Module]:
        """None."""
        return {}

    def learner(self, task: Task) -> NameLearner:
        """For a pair of graphs."""
        return NameLearner(self, task)


class NameLearner:
    """See `xlt.objectives.entity_alignment.Learner`."""

    rounds = 0
    module = optimizer = None

    def __init__(self, objective: EntityNames, task: Task):
        self.spaces = encoded(objective, task) if task.read else spelled(objective, task)

    def learn(self, number: int) -> dict[str, float]:
        """There is nothing to learn."""
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Nothing."""

    def similarity(self, rows_N: torch.Tensor, columns_M: torch.Tensor) -> torch.Tensor:
        """similarity_NM: cosines."""
        x, y = self.spaces
        if isinstance(x, torch.Tensor):
            return entity_alignment.cosine(x[rows_N], y[columns_M])
        return torch.from_numpy((x[rows_N.cpu().numpy()] @ y[columns_M.cpu().numpy()].T).toarray()).to(rows_N.device)


def encoded(objective: EntityNames, task: Task) -> tuple[torch.Tensor, torch.Tensor]:
    """(x_ND, y_MD)."""
    spaces = (task.read(graph.names, side).to(task.device) for side, graph in enumerate(task.graphs))
    x_ND, y_MD = (z_ND - z_ND.mean(0) if objective.centre else z_ND for z_ND in spaces)
    return x_ND, y_MD


def spelled(objective: EntityNames, task: Task):
    """Sparse float32 rows of length 1; of names without any n-gram, of zeros."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    lengths = objective.min_ngram, objective.max_ngram
    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=lengths, sublinear_tf=True, dtype=np.float32)
    rows = vectorizer.fit_transform([name for graph in task.graphs for name in graph.names])
    return rows[: task.first], rows[task.first :]

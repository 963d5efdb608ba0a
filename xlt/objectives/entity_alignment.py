"""What the objectives that link entities of two knowledge graphs share: what a learner is, similarity, and links that a model itself believes in. No objective."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch

from xlt import noise
from xlt.alignment.csls import mutual_nearest, unit
from xlt.alignment.graphs import Graphs

Read = Callable[[list[str], int], torch.Tensor]  # names of one side (0 or 1) -> vectors_ND


class Learner(Protocol):
    """A pair of graphs on its way into one space.

    rounds: how often `learn` is to be called. module, optimizer: what a checkpoint holds between two rounds, None if nothing is learned; state: plain JSON
    beside it. Everything drawn in a round is a function of its number, so a learner that is restored goes on as if nothing had happened.
    """

    rounds: int
    module: torch.nn.Module | None
    optimizer: torch.optim.Optimizer | None

    def learn(self, number: int) -> dict[str, float]:
        """One round; figures for the log, `updates` among them: how many there were."""

    def state(self) -> dict[str, Any]:
        """What there is beside the weights."""

    def restore(self, state: dict[str, Any]) -> None:
        """Put it back."""

    def similarity(self, rows_N: torch.Tensor, columns_M: torch.Tensor) -> torch.Tensor:
        """similarity_NM of entities of the first graph and of the second, each numbered by itself; at most 1."""


@dataclass(frozen=True, eq=False)
class Task:
    """graphs: both. seeds_P2: int64, numbers of the entities that are known to be the same, each in its own graph. key: of all draws. read: an encoder of
    names, if a model was given."""

    graphs: Graphs
    seeds_P2: np.ndarray
    key: np.uint64
    device: torch.device
    read: Read | None = field(default=None)

    @property
    def first(self) -> int:
        """Entities of the first graph."""
        return len(self.graphs[0])

    @property
    def links_P2(self) -> np.ndarray:
        """The seeds, the second graph's entities numbered after the first's."""
        return self.seeds_P2 + np.array([0, self.first])

    def generator(self, *parts: int | str) -> torch.Generator:
        """For the draws that these parts name."""
        return torch.Generator().manual_seed(int(noise.key(int(self.key), *parts) >> np.uint64(1)))


def metric(objective) -> str:
    """The score that counts: Hits@1 by the first method."""
    return f"{objective.matching.methods[0]}_hits_at_1"


def higher_is_better(objective) -> dict[str, bool]:
    """All scores are shares of right answers, or means of reciprocal ranks."""
    found = {}
    for method in objective.matching.methods:
        scores = ("hits_at_1",) if method == "hungarian" else ("hits_at_1", "hits_at_10", "mrr")
        found |= {f"{method}_{score}": True for score in scores}
    return found


def above_zero(objective, *names: str) -> list[str]:
    """A sentence for each of these fields that is not."""
    return [
        f"objective.{name}: {getattr(objective, name)} is not above 0; give a larger one"
        for name in names
        if getattr(objective, name) <= 0
    ]


def whole_rounds(objective) -> list[str]:
    """A sentence if the epochs are no whole number of rounds."""
    if objective.round_epochs <= 0 or objective.epochs % objective.round_epochs:
        return [
            f"objective.epochs: {objective.epochs} is no multiple of objective.round_epochs ({objective.round_epochs}); give one"
        ]
    return []


def threshold(objective) -> list[str]:
    """A sentence if the similarity from which links are believed is none."""
    value = objective.bootstrap_threshold
    if value is not None and not -1 < value < 1:
        return [
            f"objective.bootstrap_threshold: {value} is no cosine between -1 and 1; 0.7 is usual, null believes in none"
        ]
    return []


@torch.no_grad()
def cosine(x_ND: torch.Tensor, y_MD: torch.Tensor) -> torch.Tensor:
    """similarity_NM."""
    return unit(x_ND) @ unit(y_MD).T


@torch.no_grad()
def manhattan(x_ND: torch.Tensor, y_MD: torch.Tensor) -> torch.Tensor:
    """similarity_NM: 1 - |x - y| / mean |x - y|, L1; of the scale of a cosine, and in the order of the distance."""
    distance_NM = torch.cdist(x_ND, y_MD, p=1)
    return distance_NM.div_(-distance_NM.mean().clamp_min(torch.finfo(distance_NM.dtype).tiny)).add_(1)


SIMILARITIES = {"cosine": cosine, "manhattan": manhattan}


@torch.no_grad()
def believed(x_ND: torch.Tensor, y_MD: torch.Tensor, seeds_P2: np.ndarray, least: float, k: int) -> np.ndarray:
    """links_Q2, each side numbered by itself: entities without a seed that are each other's CSLS neighbour with a cosine above `least`.

    A bootstrapping after Sun et al. 2018, section 3.4, who match by weight among the k nearest: a link that a later model believes in no more is gone.
    """
    free_N, free_M = (
        torch.ones(len(z), dtype=torch.bool).index_fill_(0, torch.from_numpy(seeds_P2[:, side]), False).nonzero()[:, 0]
        for side, z in enumerate((x_ND, y_MD))
    )
    if not len(free_N) or not len(free_M):
        return np.empty((0, 2), np.int64)
    x_KD, y_LD = unit(x_ND[free_N.to(x_ND.device)]), unit(y_MD[free_M.to(y_MD.device)])
    i_P, j_P, _ = mutual_nearest(x_KD, y_LD, k)
    sure_P = ((x_KD[i_P] * y_LD[j_P]).sum(1) > least).cpu()
    return torch.stack([free_N[i_P.cpu()[sure_P]], free_M[j_P.cpu()[sure_P]]], 1).numpy()

"""Features that do not tell the language: what a discriminator reads of them, its loss, and the sign with which that loss reaches the model.

Two ways to play: a discriminator behind a gradient reversal (Ganin and Lempitsky 2015, section 3), and a critic that measures the Wasserstein distance
between source and target features (ADAN; Chen et al. 2018, section 3.2, after Arjovsky et al. 2017). No update is made here: see
`xlt.training.adversary`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from xlt.errors import ConfigError
from xlt.models.pooling import Pool, pool
from xlt.types import Batch, Rows
from xlt.vocabulary import Vocabulary, model_inputs

SIDES = ("source", "target")


class Classes(str, Enum):
    """What the discriminator tells apart: every language, or source from target languages."""

    languages = "languages"
    sides = "sides"


@dataclass(frozen=True, kw_only=True)
class Adversary:
    """What both kinds have. weight: of the adversary's gradient in the model's; 0: the discriminator learns and the model is left alone.

    pool: null makes every token a sample. layer: the one whose states are read (null: the last). hidden, hidden_layers, learning_rate: of the
    discriminator, which Adam trains. batch_size: rows of text an update reads. languages: the target languages (null: all of languages.target, or
    all that have training text). dataset: another data set's text (null: that of the run's own). probe_rows: of each language, half of which a probe
    learns from and half scores it, before and after training; 0: no probe.
    """

    weight: float
    pool: Pool | None
    layer: int | None
    hidden: int
    hidden_layers: int
    learning_rate: float
    batch_size: int
    languages: list[str] | None
    dataset: Any
    probe_rows: int

    def __post_init__(self):
        problems = [
            f"adversarial.{name}: {getattr(self, name)} is not above 0; give a larger one"
            for name in ("hidden", "learning_rate", "batch_size")
            if getattr(self, name) <= 0
        ]
        problems += [
            f"adversarial.{name}: {getattr(self, name)} is below 0; give 0 or more"
            for name in ("weight", "hidden_layers", "probe_rows")
            if getattr(self, name) < 0
        ]
        if self.layer is not None and self.layer < 0:
            problems.append(f"adversarial.layer: {self.layer} is below 0; 0 is the embeddings, null the last layer")
        if 0 < self.probe_rows < 8:
            problems.append(f"adversarial.probe_rows: {self.probe_rows} are too few to learn from; give 200, or 0")
        if self.dataset is not None and not hasattr(self.dataset, "views"):
            problems.append("adversarial.dataset: is no data set; choose one with dataset@adversarial.dataset=NAME")
        if problems + (more := self.check()):
            raise ConfigError(problems + more)

    def check(self) -> list[str]:
        """Broken rules of its own fields."""
        return []

    def discriminator(self, width: int, classes: int) -> nn.Sequential:
        """logits (N, classes) of samples_ND: so many hidden layers with rectifiers, then a projection."""
        sizes = [width, *[self.hidden] * self.hidden_layers]
        inside = [part for a, b in pairwise(sizes) for part in (nn.Linear(a, b), nn.ReLU())]
        return nn.Sequential(*inside, nn.Linear(sizes[-1], classes))


@dataclass(frozen=True, kw_only=True)
class GradientReversal(Adversary):
    """gamma: how fast the reversal sets in. classes: what is told apart."""

    gamma: float
    classes: Classes

    rounds: ClassVar[int] = 0  # updates of the discriminator alone, before the one in which the model takes part
    clip: ClassVar[float | None] = None

    def check(self) -> list[str]:
        return [f"adversarial.gamma: {self.gamma} is not above 0; 10 is usual"] if self.gamma <= 0 else []

    def outputs(self, classes: int) -> int:
        """Logits of a sample."""
        return classes

    def strength(self, progress: float) -> float:
        """lambda of the reversal, progress in [0, 1]."""
        return self.weight * ramp(progress, self.gamma)

    def loss(self, logits_NC: torch.Tensor, classes_N: torch.Tensor, counts_C: torch.Tensor) -> torch.Tensor:
        """Cross-entropy: the part of an update's mean that these samples make. counts_C: samples of each class in the whole update."""
        return F.cross_entropy(logits_NC, classes_N, reduction="sum") / counts_C.sum()


@dataclass(frozen=True, kw_only=True)
class WassersteinCritic(Adversary):
    """rounds: updates of the critic before each of the model (n_critic). clip: bound of its weights' size."""

    rounds: int
    clip: float

    classes: ClassVar[Classes] = Classes.sides

    def check(self) -> list[str]:
        problems = [f"adversarial.clip: {self.clip} is not above 0; 0.01 is usual"] if self.clip <= 0 else []
        return problems + (
            [f"adversarial.rounds: {self.rounds} is not above 0; 5 is usual"] if self.rounds <= 0 else []
        )

    def outputs(self, classes: int) -> int:
        """The critic's one score."""
        return 1

    def strength(self, progress: float) -> float:
        """The same at all times."""
        return self.weight

    def loss(self, logits_N1: torch.Tensor, classes_N: torch.Tensor, counts_C: torch.Tensor) -> torch.Tensor:
        """E_target[Q] - E_source[Q], which the critic minimises (equation 2 of Chen et al. 2018); the model, behind the reversal, its opposite."""
        source, target = (logits_N1[classes_N == side].sum() / counts_C[side].clamp_min(1) for side in (0, 1))
        return target - source


def ramp(progress: float, gamma: float) -> float:
    """2 / (1 + exp(-gamma p)) - 1: 0 at the beginning, almost 1 at the end (Ganin and Lempitsky 2015, section 4)."""
    return 2.0 / (1.0 + math.exp(-gamma * progress)) - 1.0


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, strength):
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient):
        return gradient * -ctx.strength, None


def reverse(x: torch.Tensor, strength: float) -> torch.Tensor:
    """x itself; its gradient is multiplied by -strength (equations 7 and 8 of Ganin and Lempitsky 2015)."""
    return _Reversal.apply(x, strength)


@dataclass(frozen=True)
class LanguageText:
    """Reads the text of rows as a task would and knows the class of each: an objective as far as encoding, batches and features go.

    texts: of a row. classes: the number of each language's class.
    """

    view: str
    texts: Callable[[dict], tuple]
    classes: dict[str, int]
    pool: Pool | None
    layer: int | None

    separable: ClassVar[bool] = True

    def row_length(self, lengths: np.ndarray, vocabulary: Vocabulary, max_length: int) -> np.ndarray:
        """Tokens of the texts, joined and cut."""
        return np.minimum(lengths.sum(1) + vocabulary.overhead(lengths.shape[1]), max_length)

    def collate(self, rows: Rows, vocabulary: Vocabulary, max_length: int) -> Batch:
        """Joined, cut and padded, with the class of each row."""
        joined = [vocabulary.join(texts, max_length) for texts in zip(*rows.segments, strict=True)]
        ids_BL, lengths_B = vocabulary.pad_rows(joined)
        classes_B = torch.tensor([self.classes[code] for code in rows.languages])
        tensors = model_inputs(ids_BL, lengths_B) | vocabulary.language_input(rows.languages) | {"classes": classes_B}
        return Batch(tensors, count=len(rows), tokens=int(lengths_B.sum()), rows=len(rows))

    def samples(self, model, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """(samples_ND in fp32, their classes_N): a sentence each, or a token each."""
        hidden_BLD, mask_BL = self._hidden(model, batch), batch["attention_mask"]
        if self.pool is not None:
            return pool(hidden_BLD, mask_BL, self.pool).float(), batch["classes"]
        real_BL = batch["input_ids"].new_ones(hidden_BLD.shape[:2]) if mask_BL is None else mask_BL
        return hidden_BLD[real_BL.bool()].float(), batch["classes"].repeat_interleave(real_BL.sum(1))

    def counts(self, window: list[Batch], classes: int) -> torch.Tensor:
        """Samples of each class in the batches of an update, int64 (classes,), before any of them is computed."""
        counts_C = torch.zeros(classes, dtype=torch.int64)
        for batch in window:
            mask_BL, width = batch["attention_mask"], batch["input_ids"].shape[1]
            each_B = torch.full((batch.rows,), width) if mask_BL is None else mask_BL.sum(1)
            counts_C.index_add_(0, batch["classes"], each_B if self.pool is None else torch.ones_like(each_B))
        return counts_C

    def predict(self, model, batch: Batch) -> dict[str, torch.Tensor]:
        """vectors_BD of the sentences: what a probe reads."""
        return {"vectors": pool(self._hidden(model, batch), batch["attention_mask"], self.pool or Pool.mean).float()}

    def _hidden(self, model, batch: Batch) -> torch.Tensor:
        return model.hidden({k: v for k, v in batch.tensors.items() if k != "classes"}, self.layer)

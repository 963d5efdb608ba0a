"""Self-training for word alignment: links that both directions agree on are made surer (Dou and Neubig 2021, section 2.2).

Beside it awesome-align trains masked LM, translation LM and parallel sentence identification: mix it with `masked_lm`, `translation_lm` and, for the last,
`contrastive` (objective=tlm_self_training has the second).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from xlt import metrics
from xlt.alignment import word_alignment as alignment
from xlt.alignment.word_alignment import Method
from xlt.errors import ConfigError
from xlt.objectives import plain_text
from xlt.objectives.losses import loss, one_a_row
from xlt.objectives.word_alignment import SIDES, WordAlignment
from xlt.types import Batch, Gold, Rows
from xlt.vocabulary import Vocabulary


@dataclass(frozen=True, kw_only=True)
class SelfTrainingAlignment:
    """-sum_ij A_ij (S_xy_ij / n + S_yx_ij / m) / 2 - consistency * trace(S_xy S_yx^T) / min(n, m), the mean over pairs of sentences of n and m sub-words.

    S_xy, S_yx: probabilities in both directions, by entmax if aligner.method is entmax, else by softmax. A: what the aligner finds in the same states,
    without gradient, between all sub-words of linked words. aligner: an objective word_alignment.
    """

    aligner: Any
    consistency: float

    view: ClassVar[str] = "parallel"
    head: ClassVar[str] = "encoder"
    separable: ClassVar[bool] = True
    metric: ClassVar[str] = "loss"
    higher_is_better: ClassVar[dict[str, bool]] = {"loss": False, **WordAlignment.higher_is_better}

    def __post_init__(self):
        problems = []
        if not isinstance(self.aligner, WordAlignment):
            problems.append(
                f"objective.aligner: {self.aligner!r} links no words; choose it with /objective@objective.aligner=word_alignment"
            )
        if self.consistency < 0:
            problems.append(f"objective.consistency: {self.consistency} is below 0; 0 leaves it out")
        if problems:
            raise ConfigError(problems)

    modules, loss = plain_text.modules, loss

    @property
    def layer(self) -> int | None:
        """The aligner's."""
        return self.aligner.layer

    @property
    def annotation(self) -> str:
        """The aligner's."""
        return self.aligner.annotation

    def texts(self, row: dict) -> tuple[str | list[str], ...]:
        return self.aligner.texts(row)

    def annotate(self, row: dict, encodings: tuple) -> dict[str, np.ndarray]:
        """The aligner's."""
        return self.aligner.annotate(row, encodings)

    def row_length(self, lengths: np.ndarray, vocabulary: Vocabulary, max_length: int) -> np.ndarray:
        """The aligner's."""
        return self.aligner.row_length(lengths, vocabulary, max_length)

    def collate(self, rows: Rows, vocabulary: Vocabulary, max_length: int) -> Batch:
        """The aligner's."""
        return self.aligner.collate(rows, vocabulary, max_length)

    def losses(self, model, batch: Batch) -> torch.Tensor:
        """losses_B."""
        aligner = self.aligner
        (x_BSD, source_BS), (y_BTD, target_BT) = (aligner.states(model, batch, side) for side in SIDES)
        with torch.no_grad():
            links_BST = aligner.extract(x_BSD, y_BTD, source_BS, target_BT)
            links_BST = alignment.of_linked_words(links_BST, *(words_of(batch, side) for side in SIDES))
        likeness_BST = aligner.likeness(x_BSD, y_BTD, source_BS, target_BT) / aligner.temperature
        entmax = aligner.method is Method.entmax
        return self_training(likeness_BST, source_BS, target_BT, links_BST, entmax, self.consistency)

    def loss_by_row(self, model, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        return one_a_row(self.losses(model, batch))

    def predict(self, model, batch: Batch) -> dict[str, Any]:
        """The loss, and what the aligner finds."""
        return {"losses": self.losses(model, batch), **self.aligner.predict(model, batch)}

    def statistics(self, outputs: dict[str, Any], gold: Gold) -> dict[str, Any]:
        """The loss; where there are gold links, the aligner's scores."""
        return {"loss": outputs["losses"], **self.aligner.statistics(outputs, gold)}

    def score(self, outputs: dict[str, Any], gold: Gold) -> dict[str, float]:
        return metrics.scores(self.statistics(outputs, gold))


def self_training(
    likeness_BST: torch.Tensor,
    source_BS: torch.Tensor,
    target_BT: torch.Tensor,
    links_BST: torch.Tensor,
    entmax: bool,
    consistency: float,
) -> torch.Tensor:
    """losses_B of pairs of sentences. source_BS, target_BT: bool, the sub-words that are there."""
    forward_BST, backward_BST = alignment.directions(likeness_BST, source_BS, target_BT, entmax)
    n_B, m_B = source_BS.sum(1).clamp(min=1), target_BT.sum(1).clamp(min=1)
    sure_B = ((forward_BST / n_B[:, None, None] + backward_BST / m_B[:, None, None]) * links_BST).sum((1, 2)) / 2
    agree_B = (forward_BST * backward_BST).sum((1, 2)) / torch.minimum(n_B, m_B)
    return -(sure_B + consistency * agree_B)


def words_of(batch: Batch, side: str) -> torch.Tensor:
    """bool (B, S, W): which words of its sentence each sub-word of one side is of."""
    words_M2, size_B = batch[f"{side}_words"], batch[f"{side}_size"]
    most = int(words_M2.max()) + 1 if len(words_M2) else 1
    numbers_W = torch.arange(most, device=words_M2.device)
    of_MW = (words_M2[:, :1] <= numbers_W) & (numbers_W <= words_M2[:, 1:])
    each = of_MW.split(size_B.tolist())
    width = max(1, int(size_B.max()))
    return torch.stack([torch.nn.functional.pad(of_SW, (0, 0, 0, width - len(of_SW))) for of_SW in each])

"""Masked language modelling (Devlin et al. 2019, section 3.1; multilingual: Lample and Conneau 2019, section 3.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from xlt.objectives import plain_text, prediction
from xlt.objectives.masking import Masking
from xlt.types import Batch, Rows
from xlt.vocabulary import Vocabulary, model_inputs


@dataclass(frozen=True, kw_only=True)
class MaskedLM(Masking):
    """Predict tokens that were hidden (which and how: `Masking`). The loss is the cross-entropy at the chosen positions only."""

    view: ClassVar[str] = "text"
    head: ClassVar[str] = "masked-lm"
    separable: ClassVar[bool] = True
    metric: ClassVar[str] = "loss"
    higher_is_better: ClassVar[dict[str, bool]] = prediction.HIGHER_IS_BETTER

    texts, modules, row_length = plain_text.texts, plain_text.modules, plain_text.row_length
    loss, loss_by_row = prediction.loss, prediction.loss_by_row
    predict, score, statistics = prediction.predict, prediction.score, prediction.statistics

    def collate(self, rows: Rows, vocabulary: Vocabulary, max_length: int) -> Batch:
        ids_BL, lengths_B = vocabulary.pad_rows([vocabulary.join((ids,), max_length) for ids in rows.segments[0]])
        noised_BL, chosen_BL = self.corrupt(ids_BL, rows.keys, vocabulary)
        where_M = np.flatnonzero(chosen_BL)
        tensors = model_inputs(noised_BL, lengths_B) | vocabulary.language_input(rows.languages)
        tensors |= prediction.predicted(ids_BL, where_M)
        return Batch(tensors, count=len(where_M), tokens=int(lengths_B.sum()), rows=len(rows))

    def hidden(self, model, batch: Batch) -> torch.Tensor:
        """hidden_BLD of the noised rows."""
        return model.hidden(prediction.inputs(batch))

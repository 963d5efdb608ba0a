"""Causal language modelling: each token from those before it (Radford et al. 2018, section 3.1; multilingual: Lample and Conneau 2019, section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from xlt.errors import ConfigError
from xlt.objectives import plain_text, prediction
from xlt.types import Batch, Rows
from xlt.vocabulary import Vocabulary, model_inputs


@dataclass(frozen=True, kw_only=True)
class CausalLM:
    """Predict every token of a row but its first, which is the tokenizer's beginning of a text (where its own rows have none, it is put there).

    predict_end: a row ends in the end of a text, which is predicted too, so that the model can stop; a row that was cut has no end.
    """

    predict_end: bool

    view: ClassVar[str] = "text"
    head: ClassVar[str] = "causal-lm"
    separable: ClassVar[bool] = True
    metric: ClassVar[str] = "loss"
    higher_is_better: ClassVar[dict[str, bool]] = prediction.HIGHER_IS_BETTER

    texts, modules = plain_text.texts, plain_text.modules
    loss, loss_by_row = prediction.loss, prediction.loss_by_row
    predict, score, statistics = prediction.predict, prediction.score, prediction.statistics

    def frame(self, vocabulary: Vocabulary) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """(ids before the text, ids after it). ConfigError if the tokenizer has no token for one of them."""
        if not vocabulary.prefix and vocabulary.bos is None:
            raise ConfigError(
                "tokenizer: it has no token for the beginning of a text, from which objective=causal_lm predicts the first word; set its bos_token"
            )
        before = vocabulary.prefix or (vocabulary.bos,)
        if not self.predict_end:
            return before, ()
        if not vocabulary.suffix and vocabulary.eos is None:
            raise ConfigError(
                "tokenizer: it has no token for the end of a text, which objective=causal_lm predicts; set its eos_token, or objective.predict_end=false"
            )
        return before, vocabulary.suffix or (vocabulary.eos,)

    def row_length(self, lengths: np.ndarray, vocabulary: Vocabulary, max_length: int) -> np.ndarray:
        return np.minimum(lengths[:, 0] + sum(map(len, self.frame(vocabulary))), max_length)

    def collate(self, rows: Rows, vocabulary: Vocabulary, max_length: int) -> Batch:
        before, after = self.frame(vocabulary)
        joined = [np.concatenate([before, ids, after]).astype(np.int64)[:max_length] for ids in rows.segments[0]]
        ids_BL, lengths_B = vocabulary.pad_rows(joined)
        read_BL = np.arange(ids_BL.shape[1]) < lengths_B[:, None] - 1
        where_M = np.flatnonzero(read_BL)
        tensors = model_inputs(ids_BL, lengths_B) | vocabulary.language_input(rows.languages)
        tensors |= prediction.predicted(ids_BL, where_M, where_M + 1)
        return Batch(tensors, count=len(where_M), tokens=int(lengths_B.sum()), rows=len(rows))

    def hidden(self, model, batch: Batch) -> torch.Tensor:
        """hidden_BLD. A token sees only those before it and padding stands behind, so attention needs no mask, which is the same and faster."""
        inputs = prediction.inputs(batch)
        if not hasattr(model.backbone.base_model, "halves"):  # a recurrent model may read from the end
            inputs["attention_mask"] = None
        return model.hidden(inputs)

"""What objectives do alike that read a text, or a pair of texts, into one pooled vector with a head on it. No objective of its own.

They take `texts` and `row_length` as their methods, and have the fields pair, pool, hidden and dropout.
"""

from __future__ import annotations

import numpy as np
import torch

from xlt.errors import ConfigError
from xlt.models.pooling import pool
from xlt.types import Batch, Rows
from xlt.vocabulary import Vocabulary, model_inputs

TARGETS = ("labels", "row", "scores")  # tensors of a batch that the model does not read


def texts(self, row: dict) -> tuple[str, ...]:
    """The text, or both."""
    if self.pair and "text_pair" not in row:
        raise ConfigError(
            "objective.pair: true, but the data set's rows have one text; set objective.pair=false or map dataset.columns.text_pair"
        )
    return (row["text"], row["text_pair"]) if self.pair else (row["text"],)


def row_length(self, lengths: np.ndarray, vocabulary: Vocabulary, max_length: int) -> np.ndarray:
    """Tokens of the texts, joined and cut."""
    return np.minimum(lengths.sum(1) + vocabulary.overhead(lengths.shape[1]), max_length)


def batch(self, rows: Rows, targets: dict[str, torch.Tensor], vocabulary: Vocabulary, max_length: int) -> Batch:
    """The texts of each row joined, cut and padded, with what they are to be predicted as; counted by rows."""
    joined = [vocabulary.join(texts, max_length) for texts in zip(*rows.segments, strict=True)]
    ids_BL, lengths_B = vocabulary.pad_rows(joined)
    tensors = model_inputs(ids_BL, lengths_B) | vocabulary.language_input(rows.languages)
    if self.pair:
        cut = [vocabulary.cut(texts, max_length)[0] for texts in zip(*rows.segments, strict=True)]
        first_B = np.array([len(vocabulary.prefix) + len(ids) + len(vocabulary.between) for ids in cut])
        tensors |= vocabulary.second_text(first_B, lengths_B, ids_BL.shape[1])
    return Batch(tensors | targets, count=len(rows), tokens=int(lengths_B.sum()), rows=len(rows))


def headed(self, model, batch: Batch) -> torch.Tensor:
    """What the head says of each row (B, ...), in fp32."""
    inputs = {k: v for k, v in batch.tensors.items() if k not in TARGETS}
    pooled_BD = pool(model.hidden(inputs), batch["attention_mask"], self.pool)
    return model.heads["classifier"](pooled_BD).float()

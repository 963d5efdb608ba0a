"""Sentences that are nearly translations, in a batch: of each pair some in the language of its source, and as many in that of its target. No objective of its own.

A row has them as further segments behind its pair: first those near its target, in the source's language, then those near its source; an empty one is none.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from xlt.types import Batch, Rows
from xlt.vocabulary import Vocabulary, model_inputs

SIDES = ("source", "target")


def added(batch: Batch, rows: Rows, vocabulary: Vocabulary, max_length: int) -> Batch:
    """With hard_{source, target}_{input_ids ...} of P x K texts, row after row, and there_{source, target} bool (P, K); as it is where rows have none."""
    further = rows.segments[len(SIDES) :]
    if not further:
        return batch
    each = len(further) // len(SIDES)
    tensors, tokens = dict(batch.tensors), batch.tokens
    for i, side in enumerate(SIDES):
        texts = [ids for row in zip(*further[i * each : (i + 1) * each], strict=True) for ids in row]
        ids_TL, lengths_T = vocabulary.pad_rows([vocabulary.join((ids,), max_length) for ids in texts])
        spoken = [code for code in rows.languages for _ in range(each)]
        inputs = model_inputs(ids_TL, lengths_T) | vocabulary.language_input(spoken, i)
        tensors |= {f"hard_{side}_{name}": value for name, value in inputs.items()}
        tensors[f"there_{side}"] = torch.tensor([len(ids) > 0 for ids in texts]).view(len(rows), each)
        tokens += int(lengths_T.sum())
    return replace(batch, tensors=tensors, tokens=tokens)

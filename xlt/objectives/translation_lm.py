"""Translation language modelling: masked LM on a sentence and its translation in one row (Lample and Conneau 2019, section 3.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from xlt.models.capabilities import positions, require_positions
from xlt.objectives import prediction, sentence_pairs
from xlt.objectives.masking import Masking
from xlt.types import Batch, Rows
from xlt.vocabulary import Vocabulary, model_inputs


@dataclass(frozen=True, kw_only=True)
class TranslationLM(Masking):
    """Predict tokens hidden in both texts, joined as the tokenizer joins a pair. restart_positions: the translation's positions begin at 0 again, with the
    separator that opens it where there are two (XLM's way); else they go on (XLM-R and mBERT were not trained to restart). Language embeddings, where the model has them, are each text's own."""

    restart_positions: bool

    view: ClassVar[str] = "parallel"
    head: ClassVar[str] = "masked-lm"
    separable: ClassVar[bool] = True
    metric: ClassVar[str] = "loss"
    higher_is_better: ClassVar[dict[str, bool]] = prediction.HIGHER_IS_BETTER

    texts, modules = sentence_pairs.texts, sentence_pairs.modules
    loss, loss_by_row = prediction.loss, prediction.loss_by_row
    predict, score, statistics = prediction.predict, prediction.score, prediction.statistics

    def require(self, backbone) -> None:
        """ConfigError if positions are to restart and the model has none that could."""
        if self.restart_positions:
            require_positions(backbone)

    def row_length(self, lengths: np.ndarray, vocabulary: Vocabulary, max_length: int) -> np.ndarray:
        return np.minimum(lengths.sum(1) + vocabulary.overhead(2), max_length)

    def collate(self, rows: Rows, vocabulary: Vocabulary, max_length: int) -> Batch:
        pairs = [vocabulary.cut(texts, max_length) for texts in zip(*rows.segments, strict=True)]
        ids_BL, lengths_B = vocabulary.pad_rows([vocabulary.join(texts, max_length) for texts in pairs])
        places_L = np.arange(ids_BL.shape[1])
        text_B = len(vocabulary.prefix) + np.array([len(source) for source, _ in pairs])
        # of two separators the second opens the translation (XLM-R); a single one closes the source (BERT)
        turn_B = text_B + (len(vocabulary.between) + 1) // 2
        sides_BL = (places_L >= turn_B[:, None]).astype(np.int64)
        noised_BL, chosen_BL = self.corrupt(ids_BL, rows.keys, vocabulary, sides_BL)
        where_M = np.flatnonzero(chosen_BL)
        tensors = model_inputs(noised_BL, lengths_B) | prediction.predicted(ids_BL, where_M)
        if self.restart_positions:
            tensors["places"] = torch.from_numpy(places_L - sides_BL * turn_B[:, None])
        if vocabulary.languages is not None:  # that of each text, from where its positions begin
            spoken = [vocabulary.language_input(rows.languages, side)["language_ids"] for side in (0, 1)]
            tensors["language_ids"] = torch.stack(spoken, 1).gather(1, torch.from_numpy(sides_BL))
        if vocabulary.segments:
            tensors["segment_ids"] = torch.from_numpy(sides_BL)
        if vocabulary.pair_types:
            second_B = text_B + len(vocabulary.between)
            types_BL = (places_L >= second_B[:, None]) & (places_L < lengths_B[:, None])
            tensors["token_type_ids"] = torch.from_numpy(types_BL.astype(np.int64))
        return Batch(tensors, count=len(where_M), tokens=int(lengths_B.sum()), rows=len(rows))

    def hidden(self, model, batch: Batch) -> torch.Tensor:
        """hidden_BLD of the noised pairs."""
        inputs = prediction.inputs(batch)
        if self.restart_positions:
            inputs["position_ids"] = positions(model.backbone, inputs.pop("places"))
        return model.hidden(inputs)

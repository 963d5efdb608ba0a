"""The states of all languages get the same covariance: CORAL (Sun and Saenko 2016, section 3.1), on text without translations.

By itself it has a trivial answer, states without variance: it is meant for a mixture, beside an objective that keeps sentences apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

import numpy as np
import torch

from xlt.alignment.similarity import coral_distance, covariance
from xlt.models.pooling import Pool, pool
from xlt.objectives import losses, plain_text
from xlt.objectives.pieces import in_pieces
from xlt.objectives.sentence_pairs import check_layer
from xlt.types import Batch, Gold, Rows
from xlt.vocabulary import Vocabulary, model_inputs


@dataclass(frozen=True, kw_only=True)
class Coral:
    """|C_a - C_b|^2 / (4 D^2), the mean over all pairs of languages that have two rows or more in the batch.

    pool null: every token is a sample; validation then takes the mean of each sentence. A batch with one language has no loss.
    """

    pool: Pool | None
    layer: int | None

    view: ClassVar[str] = "text"
    head: ClassVar[str] = "encoder"
    separable: ClassVar[bool] = False
    caches_gradients: ClassVar[bool] = True
    from_batch: ClassVar[str] = "its covariances"
    metric: ClassVar[str] = "coral"
    higher_is_better: ClassVar[dict[str, bool]] = {"coral": False, "variance": True}

    def __post_init__(self):
        check_layer(self.layer)

    texts, modules, row_length = plain_text.texts, plain_text.modules, plain_text.row_length

    def collate(self, rows: Rows, vocabulary: Vocabulary, max_length: int) -> Batch:
        ids_BL, lengths_B = vocabulary.pad_rows([vocabulary.join((ids,), max_length) for ids in rows.segments[0]])
        _, language_B, sizes = np.unique(rows.languages, return_inverse=True, return_counts=True)
        compared = int((sizes >= 2).sum())
        inputs = model_inputs(ids_BL, lengths_B) | vocabulary.language_input(rows.languages)
        tensors = {**inputs, "language": torch.from_numpy(language_B)}
        return Batch(tensors, count=compared * (compared - 1) // 2, tokens=int(lengths_B.sum()), rows=len(rows))

    loss = losses.loss

    def loss_by_row(self, model, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """In the log each language has the mean of its distances."""
        hidden_BLD, language_B = self.hidden(model, batch), batch["language"]
        names, sizes = language_B.unique(return_counts=True)
        of = {int(k): covariance(self.samples(hidden_BLD, batch, language_B == k)) for k in names[sizes >= 2]}
        total, sums_B2 = hidden_BLD.sum() * 0.0, torch.zeros(batch.rows, 2, device=hidden_BLD.device)
        for a, b in combinations(of, 2):
            distance = coral_distance(of[a], of[b])
            total = total + distance
            for k in (a, b):
                sums_B2[language_B == k] += torch.stack([distance.detach(), torch.ones_like(distance)])
        return total, sums_B2

    def samples(self, hidden_BLD: torch.Tensor, batch: Batch, chosen_B: torch.Tensor) -> torch.Tensor:
        """samples_ND of the chosen rows: a sentence each, or a token each."""
        mask_BL = batch["attention_mask"]
        if self.pool is not None:
            return pool(hidden_BLD[chosen_B], None if mask_BL is None else mask_BL[chosen_B], self.pool).float()
        chosen_BLD = hidden_BLD[chosen_B].float()
        return chosen_BLD.flatten(0, 1) if mask_BL is None else chosen_BLD[mask_BL[chosen_B].bool()]

    def hidden(self, model, batch: Batch) -> torch.Tensor:
        """hidden_BLD of `layer`."""
        inputs = {name: value for name, value in batch.tensors.items() if name != "language"}
        return in_pieces(lambda piece: model.hidden(piece, self.layer), inputs, batch.piece)

    def predict(self, model, batch: Batch) -> dict[str, torch.Tensor]:
        return {"vectors": pool(self.hidden(model, batch), batch["attention_mask"], self.pool or Pool.mean).float()}

    def score(self, outputs: dict[str, np.ndarray], gold: Gold) -> dict[str, float]:
        """Variance, the mean over the width: near 0, all sentences have one vector."""
        return {"variance": float(outputs["vectors"].var(0).mean())}

    def compare(self, outputs: dict[str, dict[str, np.ndarray]]) -> dict[str, dict[str, float]]:
        """{"coral": {language: mean distance to the others}}; nothing for fewer than two languages with two rows."""
        of = {
            k: covariance(torch.from_numpy(o["vectors"]).double()) for k, o in outputs.items() if len(o["vectors"]) > 1
        }
        if len(of) < 2:
            return {}
        return {"coral": {a: float(np.mean([float(coral_distance(of[a], of[b])) for b in of if b != a])) for a in of}}

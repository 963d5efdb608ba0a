"""The states of all languages get the same covariance: CORAL (Sun and Saenko 2016, section 3.1), on text without translations.

By itself it has a trivial answer, states without variance: it is meant for a mixture, beside an objective that keeps sentences apart.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

import numpy as np
import torch

from xlt.alignment.processes import gather_rows, processes
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
        inputs = model_inputs(ids_BL, lengths_B) | vocabulary.language_input(rows.languages)
        tensors = {**inputs, "language": torch.tensor([_number(code) for code in rows.languages])}
        return Batch(tensors, self.count_whole(rows.languages), tokens=int(lengths_B.sum()), rows=len(rows))

    def count_whole(self, languages: Sequence[str]) -> int:
        """Pairs of languages that are compared in a batch of rows in these languages."""
        compared = sum(count >= 2 for count in Counter(languages).values())
        return compared * (compared - 1) // 2

    loss = losses.loss

    def loss_by_row(self, model, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """In the log each language has the mean of its distances. Several processes compare the samples of all, and each has its share of the sum."""
        hidden_BLD, language_B = self.hidden(model, batch), batch["language"]
        own_SD, of_row_S = self.samples(hidden_BLD, batch)
        (every_TD,), _ = gather_rows(own_SD)
        (language_T1,), _ = gather_rows(language_B[of_row_S, None])
        (rows_Q1,), _ = gather_rows(language_B[:, None])
        names, sizes = rows_Q1[:, 0].unique(return_counts=True)
        of = {int(k): covariance(every_TD[language_T1[:, 0] == k]) for k in names[sizes >= 2]}
        total, sums_B2 = hidden_BLD.sum() * 0.0, torch.zeros(batch.rows, 2, device=hidden_BLD.device)
        for a, b in combinations(of, 2):
            distance = coral_distance(of[a], of[b])
            total = total + distance
            for k in (a, b):
                sums_B2[language_B == k] += torch.stack([distance.detach(), torch.ones_like(distance)])
        return total / processes(), sums_B2

    def samples(self, hidden_BLD: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """(samples_SD, the row of each): a sentence each, or a token each."""
        mask_BL = batch["attention_mask"]
        if self.pool is not None:
            return pool(hidden_BLD, mask_BL, self.pool).float(), torch.arange(batch.rows, device=hidden_BLD.device)
        real_BL = torch.ones(hidden_BLD.shape[:2], device=hidden_BLD.device) if mask_BL is None else mask_BL
        return hidden_BLD[real_BL.bool()].float(), real_BL.nonzero()[:, 0]

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


def _number(language: str) -> int:
    """The same in all processes, whatever languages their rows are in."""
    return int.from_bytes(hashlib.blake2b(language.encode(), digest_size=7).digest(), "big")

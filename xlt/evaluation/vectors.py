"""Sentences to vectors: each read by itself, in batches of like length under a token budget, pooled, in the sentences' order. Knows no pair and no score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from xlt import signals
from xlt.data.subwords import encoder
from xlt.errors import NonFinite
from xlt.evaluation.loop import budgeted
from xlt.models.pooling import Pool, pool
from xlt.room import Parts
from xlt.vocabulary import Vocabulary, model_inputs


@dataclass(frozen=True, eq=False)
class Reader:
    """A model that turns sentences into vectors. layers: of which hidden layers (0 the embeddings, last the number of layers), in this order.

    max_length: tokens of a sentence with special ones; longer ones are cut. budget: padded tokens per forward pass.
    """

    model: Any
    vocabulary: Vocabulary
    pool: Pool
    layers: tuple[int, ...]
    max_length: int
    budget: int
    device: torch.device

    @torch.no_grad()
    def read(self, texts: list[str], language: str, done: Callable[[int], None] = lambda n: None) -> np.ndarray:
        """float32 vectors_KND, K the layers. done: is told how many sentences were read since the last time. NonFinite if one is not a number."""
        self.model.eval()
        vocabulary, (tokens, counts) = self.vocabulary, encoder(self.vocabulary.tokenizer)(texts)
        ends = np.cumsum(counts)
        lengths = np.minimum(counts + vocabulary.overhead(1), self.max_length)
        order = np.argsort(-lengths, kind="stable")
        vectors_KND = np.empty((len(self.layers), len(texts), self.width), np.float32)
        room = Parts("hardware.eval_tokens")

        def fill(rows: np.ndarray) -> None:
            ids = [vocabulary.join((tokens[ends[i] - counts[i] : ends[i]],), self.max_length) for i in rows.tolist()]
            inputs = model_inputs(*vocabulary.pad_rows(ids)) | vocabulary.language_input([language] * len(rows))
            inputs = {name: None if t is None else t.to(self.device) for name, t in inputs.items()}
            vectors_KND[:, rows] = self.model(self._vectors, inputs).cpu().numpy()

        for rows in budgeted(order, lengths[order], self.budget):
            signals.stop_if_requested("while reading sentences; run the same command again to go on")
            room.work(fill, rows)
            done(len(rows))
        if not np.isfinite(vectors_KND).all():
            raise NonFinite(
                f"{language}: the model's states are NaN or infinite, so no figure would mean anything; its weights have run away: "
                "train it with a lower train.learning_rate or more train.warmup"
            )
        return vectors_KND

    @property
    def width(self) -> int:
        """Numbers of a vector."""
        return getattr(self.model, "module", self.model).width

    def _vectors(self, model, inputs: dict[str, torch.Tensor | None]) -> torch.Tensor:
        mask_BL, last = inputs["attention_mask"], model.backbone.config.num_hidden_layers
        if self.layers == (last,):
            states = [model.hidden(inputs)]
        else:
            every = model.hidden_layers(inputs)
            states = [every[layer] for layer in self.layers]
        return torch.stack([pool(hidden_BLD, mask_BL, self.pool).float() for hidden_BLD in states])

"""Embeddings shared by many languages, solved from parallel text (see `xlt.alignment.latent_semantics`): an encoder without layers, in seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from xlt import languages
from xlt.alignment.latent_semantics import Occurrences, latent_semantics
from xlt.errors import ConfigError
from xlt.models.pooling import Pool
from xlt.models.static import require_static
from xlt.objectives import sentence_pairs


@dataclass(frozen=True, kw_only=True)
class LatentSemantics:
    """iterations: of subspace iteration, after the first product with the matrix. The vectors' width is the model's.

    idf_power: a word's vector is as long as the logarithm of its rarity, log(sentences / sentences with it), to this power.
    """

    iterations: int
    idf_power: float

    kind: ClassVar[str] = "solver"
    view: ClassVar[str] = "parallel"
    head: ClassVar[str] = "encoder"
    pool: ClassVar[Pool] = Pool.mean
    layer: ClassVar[int | None] = None
    metric: ClassVar[str] = "accuracy"
    higher_is_better: ClassVar[dict[str, bool]] = sentence_pairs.RETRIEVAL

    def __post_init__(self):
        if self.iterations < 0:
            raise ConfigError(f"objective.iterations: {self.iterations} is below 0; 2 is usual")
        if self.idf_power < 0:
            raise ConfigError(
                f"objective.idf_power: {self.idf_power} is below 0; 1 is the tf-idf of Salton and Buckley 1988"
            )

    texts, modules, row_length = sentence_pairs.texts, sentence_pairs.modules, sentence_pairs.row_length
    collate, predict, score = sentence_pairs.collate, sentence_pairs.predict, sentence_pairs.score
    statistics = sentence_pairs.statistics

    def require(self, backbone) -> None:
        require_static(backbone)

    def embed(self, tables: dict[str, Any], size: int, width: int, seed: int) -> torch.Tensor:
        """vectors_VD of the `size` ids of a vocabulary, from the encoded parallel tables of pairs (`xlt.data.encode.Table`)."""
        return latent_semantics(occurrences(tables), size, width, self.iterations, self.idf_power, seed)


def occurrences(tables: dict[str, Any]) -> Occurrences:
    """Of all ids in all sentences. Rows of several pairs that share a sentence in one language are translations of each other."""
    known: dict[tuple[str, bytes], int] = {}
    codes: dict[str, int] = {}
    texts: dict[tuple[int, int], np.ndarray] = {}  # (sentence, language): the first translation is enough
    count = 0
    for pair, table in tables.items():
        sides = languages.pair(pair)
        for row in range(len(table)):
            both = {(code, (ids := table.segment(row, i)).tobytes()): ids for i, code in enumerate(sides)}
            sentence = next((known[key] for key in both if key in known), count)
            count = max(count, sentence + 1)
            for key, ids in both.items():
                known.setdefault(key, sentence)
                texts.setdefault((sentence, codes.setdefault(key[0], len(codes))), ids)
    words = [np.unique(ids).astype(np.int64) for ids in texts.values()]
    places = np.repeat(np.array(list(texts)), [len(ids) for ids in words], axis=0)
    columns = np.concatenate(words), *np.ascontiguousarray(places.T)
    return Occurrences(*map(torch.from_numpy, columns))

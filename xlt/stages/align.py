"""xlt align: a shared space, trained on parallel sentences (an encoder), or solved from them (embeddings) or from a dictionary (a mapping of word vectors)."""

from __future__ import annotations

from xlt.stages import embedding, mapping
from xlt.stages.training import Recipe, train


def run(cfg) -> float:
    """Align cfg.languages.train (languages or pairs; null: all pairs of the data set); returns the mean of the objective's metric."""
    if hasattr(cfg.objective, "solve"):
        return mapping.run(cfg)
    if hasattr(cfg.objective, "embed"):
        return embedding.run(cfg)
    return train(cfg, Recipe(cfg.languages.train, "languages.train", choose=False))

"""xlt align: a shared space, trained on parallel sentences (an encoder), or solved from them (embeddings) or from a dictionary (a mapping of word vectors,
or of an encoder's states).

With an objective that links words, what such a space is for: links between the words of translations, and tags carried along them (`xlt.stages.linking`).
With one that links entities, a space for two knowledge graphs (`xlt.stages.entities`).
"""

from __future__ import annotations

from xlt.stages import embedding, entities, linking, mapping, spaces
from xlt.stages.training import Recipe, train
from xlt.types import aligns_entities, links


def run(cfg) -> float:
    """Align cfg.languages.train (languages or pairs; null: all pairs of the data set); returns the mean of the objective's metric."""
    if aligns_entities(cfg.objective):
        return entities.run(cfg)
    if hasattr(cfg.objective, "solve"):
        return mapping.run(cfg)
    if hasattr(cfg.objective, "solve_space") or getattr(cfg.objective, "removes_means", False):
        return spaces.run(cfg)
    if hasattr(cfg.objective, "embed"):
        return embedding.run(cfg)
    if links(cfg.objective):
        return linking.run(cfg)
    return train(cfg, Recipe(cfg.languages.train, "languages.train", choose=False))

"""xlt align: parallel sentences -> an encoder whose space is shared."""

from __future__ import annotations

from xlt.stages.training import Recipe, train


def run(cfg) -> float:
    """Train cfg.objective on the pairs of cfg.languages.train (null: all pairs of the data set); returns the mean retrieval accuracy on dev."""
    return train(cfg, Recipe(cfg.languages.train, "languages.train", choose=False))

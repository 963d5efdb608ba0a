"""xlt pretrain: text in many languages -> a language model. Languages are drawn with p^alpha; the last checkpoint is kept."""

from __future__ import annotations

from xlt.stages.training import Recipe, train


def run(cfg) -> float:
    """Train cfg.objective on the text of cfg.languages.train (null: all languages of the data set); returns the mean dev loss."""
    return train(cfg, Recipe(cfg.languages.train, "languages.train", choose=False))

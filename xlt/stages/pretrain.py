"""xlt pretrain: text in many languages -> a language model, or static word vectors. Languages are drawn with p^alpha; the last checkpoint is kept."""

from __future__ import annotations

from xlt.stages import adapting, word_vectors
from xlt.stages.training import Recipe, train
from xlt.types import learns_words


def run(cfg) -> float:
    """Train cfg.objective on the text of cfg.languages.train (null: all languages of the data set); returns the mean dev loss."""
    if learns_words(cfg.objective):
        return word_vectors.run(cfg)

    def learn(one) -> float:
        return train(one, Recipe(one.languages.train, "languages.train", choose=False))

    return adapting.languages_apart(cfg, learn) if adapting.apart(cfg) else learn(cfg)

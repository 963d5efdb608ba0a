"""xlt pretrain: text in many languages -> a language model, or static word vectors. Languages are drawn with p^alpha; the last checkpoint is kept.

A model that goes on from a checkpoint (model.init_from) is scored before it does, in the languages that it knew, too (`xlt.stages.forgetting`).
"""

from __future__ import annotations

from xlt.stages import adapting, word_vectors
from xlt.stages.forgetting import judged
from xlt.stages.training import Recipe, train
from xlt.types import learns_words


def run(cfg) -> float:
    """Train cfg.objective on the text of cfg.languages.train (null: all languages of the data set); returns the mean dev loss."""
    if learns_words(cfg.objective):
        return word_vectors.run(cfg)

    apart = adapting.apart(cfg)

    def learn(one) -> float:
        goes_on = one.model.init_from is not None and not apart  # an adapter of one language cannot be asked for others
        scored = judged(one) if goes_on else None
        return train(one, Recipe(one.languages.train, "languages.train", choose=False, judged=scored, before=goes_on))

    return adapting.languages_apart(cfg, learn) if apart else learn(cfg)

"""xlt finetune: labelled source languages -> a task model. The source languages' dev data choose the checkpoint; of a target language nothing is read,
but unlabelled text where `adversarial=` asks for it.
"""

from __future__ import annotations

from xlt.stages.training import Recipe, train


def run(cfg) -> float:
    """Fine-tune on cfg.languages.source; returns their mean dev score."""
    return train(cfg, Recipe(cfg.languages.source, "languages.source", choose=True, labelled=True))

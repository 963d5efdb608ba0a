"""A frozen model to learn from, with a tokenizer of its own: what it makes of a text is where another model is to arrive."""

from __future__ import annotations

from functools import cache
from typing import Any

from xlt.errors import ConfigError
from xlt.models.build import TransferModel, build
from xlt.models.shapes import Pretrained
from xlt.tokenization import load


@cache
def teacher_tokenizer(path: str) -> tuple[Any, str]:
    """The one beside the checkpoint at `path`, and its digest."""
    tokenizer = load.load(path, "objective.teacher")
    return tokenizer, load.tokenizer_hash(tokenizer)


def load_teacher(path: str, objective) -> TransferModel:
    """The encoder at `path`: it neither learns nor has dropout. objective: has `modules`, none for an encoder as it is."""
    try:
        model = build(Pretrained(init_from=path), "encoder", objective, None, teacher_tokenizer(path)[0], seed=0)
    except ConfigError as error:
        raise ConfigError([p.replace("model.init_from:", "objective.teacher:", 1) for p in error.problems]) from error
    return model.eval().requires_grad_(False)

"""Rules on the values of the closed groups: each broken one is a sentence with path, value and remedy."""

from __future__ import annotations

from typing import Any

from xlt import languages as registry
from xlt.config import schema
from xlt.errors import ConfigError

_POSITIVE = (
    "steps",
    "batch_size",
    "window",
    "max_length",
    "learning_rate",
    "epsilon",
    "max_grad_norm",
    "log_every",
    "keep",
)
_FROM_ZERO = ("warmup", "weight_decay", "eval_every", "save_every")
_SHARES = ("alpha", "beta1", "beta2")


def check(
    run: schema.Run,
    languages: schema.Languages,
    train: schema.Train,
    hardware: schema.Hardware,
    tracking: schema.Tracking,
) -> list[str]:
    """All broken rules on values."""
    problems = [
        f"train.{name}: {getattr(train, name)} is not above 0; give a larger one"
        for name in _POSITIVE
        if getattr(train, name) <= 0
    ]
    problems += [
        f"train.{name}: {getattr(train, name)} is below 0; give 0 or more"
        for name in _FROM_ZERO
        if getattr(train, name) < 0
    ]
    problems += [
        f"train.{name}: {getattr(train, name)} is not in [0, 1]; give a share"
        for name in _SHARES
        if not 0 <= getattr(train, name) <= 1
    ]
    for name in ("epochs", "batch_tokens", "eval_rows"):
        if getattr(train, name) is not None and getattr(train, name) <= 0:
            problems.append(f"train.{name}: {getattr(train, name)} is not above 0; null switches it off")
    for name in ("threads", "micro_batch_size"):
        if getattr(hardware, name) is not None and getattr(hardware, name) <= 0:
            problems.append(f"hardware.{name}: {getattr(hardware, name)} is not above 0; null lets xlt choose")
    if hardware.eval_tokens <= 0 or hardware.workers < 0:
        problems.append(
            f"hardware: eval_tokens {hardware.eval_tokens} must be above 0 and workers {hardware.workers} at least 0"
        )
    if not run.name or run.name.startswith(("/", ".")):
        problems.append(
            f"run.name: {run.name!r} cannot name a folder below {run.root}; set run.dir for a folder elsewhere"
        )
    return problems + _language_codes(languages)


VIEWS = {
    "pretrain": ("text", "parallel"),
    "align": ("parallel", "dictionary", "text"),
    "finetune": ("classification", "tagging", "qa", "retrieval"),
}  # what an objective may read to be one of the stage


def fits(stage: str, dataset: Any, tokenizer: Any, model: Any, objective: Any) -> list[str]:
    """Choices that are right in themselves but not for this stage."""
    problems = []
    learns = hasattr(tokenizer, "vocab_size")
    if stage == "tokenize" and not learns:
        problems.append(
            "tokenizer: this one exists already, and xlt tokenize learns one; choose tokenizer=unigram or bpe"
        )
    if stage != "tokenize" and learns:
        problems.append(
            f"tokenizer: xlt {stage} learns none; run xlt tokenize first, then choose tokenizer=pretrained and tokenizer.path=DIR"
        )
    if stage != "tokenize" and model is None:
        problems.append(f"model: xlt {stage} needs one; choose one with model=NAME (xlt ls model)")
    if dataset is None:
        problems.append(f"dataset: xlt {stage} needs one; choose one with dataset=NAME (xlt ls dataset)")
    if stage in VIEWS and objective is None:
        problems.append(
            f"objective: none is chosen, and xlt {stage} reads {' or '.join(VIEWS[stage])}; see xlt ls objective"
        )
    for path, one in _each(objective) if stage in VIEWS else ():
        beside = (
            VIEWS["pretrain"] if path not in ("objective", f"objective.parts.{getattr(objective, 'main', '')}") else ()
        )
        if getattr(one, "view", None) not in VIEWS[stage] + beside:
            problems.append(
                f"{path}: {type(one).__name__} reads {one.view}, and xlt {stage} reads {' or '.join(VIEWS[stage])}; see xlt ls objective"
            )
    if stage != "align" and hasattr(objective, "solve"):
        problems.append(
            f"objective: {type(objective).__name__} solves a mapping and trains nothing; use it with xlt align"
        )
    return problems


def _each(objective: Any) -> list[tuple[str, Any]]:
    """(path, objective) of each part of a mixture, or of the only one."""
    parts = getattr(objective, "parts", None)
    if parts is None:
        return [("objective", objective)] if objective is not None else []
    return [(f"objective.parts.{name}", part.objective) for name, part in parts.items()]


def _language_codes(languages: schema.Languages) -> list[str]:
    problems = []
    for key in ("train", "source", "target"):
        for code in getattr(languages, key) or []:
            for single in _singles(code):
                try:
                    registry.canonical(single)
                except ConfigError as error:
                    problems.append(f"languages.{key}: {error}")
    return problems


def _singles(code: str) -> list[str]:
    if registry.known(code) or "-" not in code:
        return [code]
    return list(registry.pair(code))

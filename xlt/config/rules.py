"""Rules on the values of the closed groups: each broken one is a sentence with path, value and remedy."""

from __future__ import annotations

from typing import Any

from xlt import languages as registry
from xlt.config import schema
from xlt.errors import ConfigError, suggest
from xlt.evaluation.exports import LAYOUTS
from xlt.safety import spoofs
from xlt.schedules import Piecewise, is_weight

_POSITIVE = (
    "steps",
    "batch_size",
    "window",
    "max_length",
    "shuffle_rows",
    "learning_rate",
    "epsilon",
    "max_grad_norm",
    "log_every",
    "keep",
)
_FROM_ZERO = ("warmup", "weight_decay", "eval_every", "save_every", "reset_layers", "unfreeze_every")
_SHARES = ("beta1", "beta2")


def check(
    run: schema.Run,
    languages: schema.Languages,
    train: schema.Train,
    hardware: schema.Hardware,
    tracking: schema.Tracking,
    scores: schema.Scores | None,
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
    problems += _who_is_drawn(train) + _layers(train)
    for name in ("epochs", "batch_tokens", "eval_rows"):
        if getattr(train, name) is not None and getattr(train, name) <= 0:
            problems.append(f"train.{name}: {getattr(train, name)} is not above 0; null switches it off")
    if train.candidates is not None and train.candidates < 0:
        problems.append(f"train.candidates: {train.candidates} is below 0; give 0 for none, or null for all")
    for name in ("threads", "micro_batch_size", "group_tokens"):
        if getattr(hardware, name) is not None and getattr(hardware, name) <= 0:
            problems.append(f"hardware.{name}: {getattr(hardware, name)} is not above 0; null lets xlt choose")
    problems += _processes(hardware, train)
    if hardware.sharded and train.unfreeze_every:
        problems.append(
            "train.unfreeze_every: what is spread over processes cannot begin to learn later; set it to 0, or hardware.sharded=false"
        )
    if hardware.eval_tokens <= 0 or hardware.workers < 0:
        problems.append(
            f"hardware: eval_tokens {hardware.eval_tokens} must be above 0 and workers {hardware.workers} at least 0"
        )
    if spoofs(run.name):
        problems.append(f"run.name: {run.name!r} holds characters that nobody sees; leave them out")
    if not run.name or run.name.startswith(("/", ".")) or ".." in run.name.split("/"):
        problems.append(
            f"run.name: {run.name!r} cannot name a folder below {run.root}; set run.dir for a folder elsewhere"
        )
    return problems + _language_codes(languages) + (resampling(scores) if scores is not None else [])


def resampling(scores: schema.Scores) -> list[str]:
    """Broken rules on how scores are resampled."""
    problems = []
    if scores.draws < 0:
        problems.append(f"scores.draws: {scores.draws} is below 0; 0 leaves the intervals out")
    if scores.seed < 0:
        problems.append(f"scores.seed: {scores.seed} is below 0; give 0 or more")
    if not 0 < scores.level < 1:
        problems.append(f"scores.level: {scores.level} is not between 0 and 1; 0.95 is usual")
    bounds = scores.share_bounds
    if bounds != sorted(set(bounds)) or not all(0 < bound < 1 for bound in bounds):
        problems.append(f"scores.share_bounds: {bounds} must be shares between 0 and 1, each above the one before it")
    return problems


def _processes(hardware: schema.Hardware, train: schema.Train) -> list[str]:
    problems = [
        f"hardware.{name}: {getattr(hardware, name)} is below {least}; give {least} or more"
        for name, least in (("processes", 1), ("nodes", 1), ("restarts", 0), ("timeout", 1))
        if getattr(hardware, name) < least
    ]
    world = hardware.processes * hardware.nodes
    if train.batch_tokens is None and 0 < train.batch_size < world:
        problems.append(
            f"train.batch_size: {train.batch_size} rows cannot be shared by {world} processes (hardware.processes x hardware.nodes); raise it, or take fewer"
        )
    if hardware.nodes > 1 and hardware.rendezvous is None:
        problems.append(
            "hardware.rendezvous: null, and several nodes need a place to meet; give HOST:PORT of one of them, for example hardware.rendezvous=node1:29400"
        )
    if hardware.rendezvous is not None and not hardware.rendezvous.rpartition(":")[2].isdigit():
        problems.append(f"hardware.rendezvous: {hardware.rendezvous} is not HOST:PORT; give for example node1:29400")
    return problems


def _who_is_drawn(train: schema.Train) -> list[str]:
    problems = []
    try:
        outside = [value for _, value in Piecewise.read(train.alpha).points if not 0 <= value <= 1]
        problems += [f"train.alpha: {value} is not in [0, 1]; give a share" for value in outside[:1]]
    except ValueError as error:
        problems.append(f"train.alpha: {error}; give a number, or points over the updates such as 0:0.3,50000:0.7")
    if train.epoch_cap <= 0:
        problems.append(
            f"train.epoch_cap: {train.epoch_cap} is not above 0; give the passes a language's text may have"
        )
    if train.replay is not None and not 0 < train.replay < 1:
        problems.append(
            f"train.replay: {train.replay} is not between 0 and 1; null leaves the old languages as they come"
        )
    return problems + _weights(train)


def _layers(train: schema.Train) -> list[str]:
    problems = []
    if train.freeze_layers is not None and train.freeze_layers < 0:
        problems.append(f"train.freeze_layers: {train.freeze_layers} is below 0; 0 is the embeddings, null none")
    if not 0 < train.layer_decay <= 1:
        problems.append(
            f"train.layer_decay: {train.layer_decay} is not in (0, 1]; 0.95 is usual, 1 gives all layers one rate"
        )
    if train.rates is None:
        return problems
    if not isinstance(train.rates, dict):
        return [
            *problems,
            f"train.rates: {train.rates!r} where {{PATTERN:FACTOR,...}} is expected; null gives all one rate",
        ]
    return problems + [
        f"train.rates.{pattern}: {factor!r} is not a number above 0; give one, or name it in train.freeze"
        for pattern, factor in train.rates.items()
        if not is_weight(factor) or factor == 0
    ]


def _weights(train: schema.Train) -> list[str]:
    weights = train.weights
    if train.sampling is not schema.Sampling.weights:
        why = f"would not be read with train.sampling={train.sampling.value}; set train.sampling=weights, or it to null"
        return [] if weights is None else [f"train.weights: {why}"]
    if not isinstance(weights, dict) or not weights:
        return [
            f"train.weights: {weights!r} where {{CODE:WEIGHT,...}} is expected; give it, or take another train.sampling"
        ]
    problems = [
        f'train.weights: {code!r} is not a language code; YAML reads a bare no as False: quote it, "no"'
        for code in weights
        if not isinstance(code, str)
    ]
    return problems + [
        f"train.weights.{code}: {weight!r} is not a number of 0 or above; give one"
        for code, weight in weights.items()
        if not is_weight(weight)
    ]


TASKS = (
    "classification",
    "multilabel",
    "regression",
    "tagging",
    "qa",
    "retrieval",
    "recommendation",
    "multiple_choice",
    "dialog",
)
VIEWS = {
    "pretrain": ("text", "parallel"),
    "align": ("parallel", "tagged_parallel", "dictionary", "text", "entities"),
    "finetune": TASKS,
    "matrix": TASKS,
}  # what an objective may read to be one of the stage


PROTOCOLS = {
    "adapter": ("pretrain", "align", "finetune"),
    "few_shot": ("finetune", "zero-shot-eval"),
    "translations": ("finetune", "zero-shot-eval"),
    "leakage": ("zero-shot-eval", "matrix"),
    "adversarial": ("pretrain", "align", "finetune"),
    "perturbation": ("pretrain", "align", "finetune"),
    "mode": ("tokenize",),
    "inspection": ("inspect",),
    "mining": ("mine",),
    "gold": ("mine",),
}  # who reads which of the groups that say how labels get from one language to another
SELECTIONS = ("source-dev", "oracle", "average", "all")  # all: the three of them, side by side


def selection(rule: str | None) -> list[str]:
    """A sentence for a rule that there is not; None: the stage selects nothing."""
    known = rule is None or rule in SELECTIONS
    return [] if known else [f"selection: {rule} is no rule of selection; {suggest(rule, SELECTIONS)}"]


def fits(
    stage: str,
    dataset: Any,
    cleaning: Any,
    tokenizer: Any,
    model: Any,
    objective: Any,
    few_shot: Any,
    translations: Any,
    leakage: Any,
    adversarial: Any = None,
    perturbation: Any = None,
    mode: Any = None,
    inspection: Any = None,
    mining: Any = None,
    gold: Any = None,
    adapter: Any = None,
) -> list[str]:
    """Choices that are right in themselves but not for this stage."""
    problems = []
    learns = hasattr(tokenizer, "vocab_size")
    changes = mode is not None and mode.folder != stage  # a tokenizer that exists is read, or changed with its model
    if stage == "tokenize" and not learns and not changes:
        problems.append(
            "tokenizer: this one exists already, and xlt tokenize learns one; choose tokenizer=unigram or bpe"
        )
    if changes:
        problems += _changes(mode, learns, tokenizer, model)
    if stage != "tokenize" and learns:
        problems.append(
            f"tokenizer: xlt {stage} learns none; run xlt tokenize first, then choose tokenizer=pretrained and tokenizer.path=DIR"
        )
    if stage != "tokenize" and model is None:
        problems.append(f"model: xlt {stage} needs one; choose one with model=NAME (xlt ls model)")
    if dataset is None:
        problems.append(f"dataset: xlt {stage} needs one; choose one with dataset=NAME (xlt ls dataset)")
    for key, chosen in (
        ("few_shot", few_shot),
        ("translations", translations),
        ("leakage", leakage),
        ("adversarial", adversarial),
        ("perturbation", perturbation),
        ("mode", mode),
        ("inspection", inspection),
        ("mining", mining),
        ("gold", gold),
        ("adapter", adapter),
    ):
        if chosen is not None and stage not in PROTOCOLS[key]:
            problems.append(f"{key}: xlt {stage} would not read it; it is for xlt {' and xlt '.join(PROTOCOLS[key])}")
    for key, chosen in (("mode", mode), ("inspection", inspection), ("mining", mining)):
        if chosen is None and stage in PROTOCOLS[key]:
            problems.append(f"{key}: none is chosen; choose one with {key}=NAME (xlt ls {key})")
    if stage in VIEWS and objective is None:
        problems.append(
            f"objective: none is chosen, and xlt {stage} reads {' or '.join(VIEWS[stage])}; see xlt ls objective"
        )
    each = _each(objective)
    for path, one in each if stage in VIEWS else ():
        beside = (
            VIEWS["pretrain"] if path not in ("objective", f"objective.parts.{getattr(objective, 'main', '')}") else ()
        )
        if getattr(one, "view", None) not in VIEWS[stage] + beside:
            problems.append(
                f"{path}: {type(one).__name__} reads {one.view}, and xlt {stage} reads {' or '.join(VIEWS[stage])}; see xlt ls objective"
            )
    if (
        cleaning is not None
        and cleaning.filters
        and each
        and not any(getattr(one, "view", "text") == "text" for _, one in each)
    ):
        problems.append(
            f"cleaning: {type(objective).__name__} reads {objective.view}, and only plain text is cleaned; choose cleaning=none"
        )
    from xlt.types import (  # numpy comes with it, which --cfg job does not need
        aligns_entities,
        learns_words,
        links,
        only_scores,
        solves,
    )

    untrained = stage in VIEWS and any(
        kind(objective) for kind in (solves, learns_words, links, only_scores, aligns_entities)
    )
    problems += [
        f"{key}: {type(objective).__name__} has no training that it could join; set it to null"
        for key, chosen in (("adversarial", adversarial), ("perturbation", perturbation))
        if chosen is not None and untrained
    ]
    if untrained and getattr(adapter, "name", "none") != "none":
        problems.append(
            f"adapter: {type(objective).__name__} trains no model, so there is nothing to adapt; set adapter=none"
        )
    if stage != "align" and solves(objective):
        problems.append(
            f"objective: {type(objective).__name__} solves a mapping and trains nothing; use it with xlt align"
        )
    if stage != "align" and aligns_entities(objective):
        problems.append(
            f"objective: {type(objective).__name__} links the entities of two knowledge graphs; use it with xlt align"
        )
    if stage != "pretrain" and learns_words(objective):
        problems.append(
            f"objective: {type(objective).__name__} learns word vectors from text; use it with xlt pretrain, and map them with xlt align objective=procrustes"
        )
    if stage in VIEWS:
        problems += [
            f"{path}: {type(one).__name__} scores a model and trains nothing; use it with xlt zero-shot-eval, and train with objective=contrastive"
            for path, one in each
            if only_scores(one)
        ]
        problems += [
            f"{path}: {type(one).__name__} links words with a model as it is and trains nothing; use it as the objective of xlt align, and train with objective=tlm_self_training"
            for path, one in each
            if links(one) and (stage != "align" or path != "objective")
        ]
    if stage == "zero-shot-eval" and getattr(objective, "kind", None) == "projector":
        problems.append(
            f"objective: {type(objective).__name__} writes training data; use it with xlt align, and score models that learned from them"
        )
    return problems


def _changes(mode: Any, learns: bool, tokenizer: Any, model: Any) -> list[str]:
    """Where the tokenizer and the model come from that `xlt tokenize mode=...` reads or changes."""
    name, start = mode.folder, getattr(model, "init_from", None)
    if learns:
        return [f"tokenizer: mode={name} takes one that exists; leave out tokenizer=, and give model.init_from=DIR"]
    if hasattr(mode, "tokenizers"):
        return []
    problems = []
    if start is None:
        problems.append(
            f"model.init_from: mode={name} changes a model with its tokenizer; give its run directory, folder or hub name"
        )
    if tokenizer is not None and tokenizer.path is not None:
        problems.append(f"tokenizer.path: mode={name} takes the tokenizer beside the model; set it to null")
    return problems


def layout(stage: str, export: str | None) -> list[str]:
    """That predictions are written at all, and the layout is known."""
    if export is None:
        return []
    if stage != "zero-shot-eval":
        return [f"export: xlt {stage} writes no predictions; give it to xlt zero-shot-eval"]
    return [] if export in LAYOUTS else [f"export: there is no layout {export}; {suggest(export, LAYOUTS)}"]


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

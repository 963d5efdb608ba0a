"""Training stages with an adapter: putting it on, what has to be learned before, and one run for each language where languages have their own."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from enum import Enum
from pathlib import Path

from xlt import files, processes
from xlt.errors import ConfigError
from xlt.models.adapters import folder
from xlt.models.adapters.attach import attach, cost, make_room
from xlt.models.adapters.kinds import AdaLoRA, LanguageAdapter, NoAdapter, SparseFineTuning
from xlt.models.adapters.sparse import Sparse
from xlt.models.adapters.spoken import code_of
from xlt.models.build import TransferModel, build, save
from xlt.models.inputs import MultilingualInput
from xlt.models.shapes import inner
from xlt.run import Finished, RunDirectory
from xlt.stages.setup import changed, choose_languages, tokenizer_of
from xlt.training.progress import Screen

FULL, START = (
    "full",
    "start",
)  # folders of a run: the fine-tuning of all weights that a sparse one begins with, and its start where languages are below


def wanted(cfg) -> bool:
    """Whether the run trains an adapter."""
    return cfg.adapter is not None and not isinstance(cfg.adapter, NoAdapter)


def learning_rate(cfg) -> float:
    """The adapter's own, else train's."""
    own = cfg.adapter.learning_rate if wanted(cfg) else None
    return cfg.train.learning_rate if own is None else own


def adapt(cfg, model: TransferModel, languages: list[str], tokenizer, screen: Screen, train: Callable) -> None:
    """Put the run's adapter on the model, and say what that saves. languages: those learned.

    train(cfg): trains a model that a sparse fine-tuning begins with.
    """
    if not wanted(cfg):
        make_room(model)
        return
    kind = cfg.adapter
    _check(cfg, model)
    full = None
    if isinstance(kind, SparseFineTuning):
        if model.adapter is not None and model.adapter.languages:
            model.adapter.speak(languages)
        full = _full(cfg, model, tokenizer, screen, train)
    own = languages if getattr(kind, "per_language", False) else ()
    adapter = attach(kind, model, folder.reference(cfg.model.init_from), cfg.seed, own)
    if isinstance(adapter, Sparse):
        before = {n: p.detach() for n, p in adapter.weights.items()}
        adapter.learn(dict(full.base_model.named_parameters()), before)
    adapter.speak(languages)
    found = cost(model)
    memory = found["memory"]
    screen.say(
        f"adapter {kind.name}: {found['parameters']:,} of {sum(p.numel() for p in model.parameters()):,} parameters learn ({found['share']:.2%}); gradients and "
        f"moments take {memory['gradients_and_moments'] / 2**20:,.1f} MB, {memory['saved'] / 2**20:,.1f} MB less than all would (computed); learning rate "
        f"{learning_rate(cfg):g}"
    )


def _check(cfg, model: TransferModel) -> None:
    from transformers import AutoConfig

    if cfg.model.init_from is None:
        raise ConfigError(
            "adapter: it is kept apart from the model under it, and random weights lie nowhere; give model.init_from=DIR, or set adapter=none"
        )
    if (
        isinstance(cfg.model, MultilingualInput)
        and not (Path(folder.resolve(cfg.model.init_from)) / "inputs.json").is_file()
    ):
        raise ConfigError(
            "adapter: model=multilingual_input adds embeddings that would have to learn, too; pretrain them with adapter=none first, or choose model=pretrained"
        )
    under = AutoConfig.from_pretrained(folder.resolve(cfg.model.init_from))
    if under.num_hidden_layers != model.backbone.config.num_hidden_layers:
        raise ConfigError(
            f"model.layers: {model.backbone.config.num_hidden_layers}, and the model at {cfg.model.init_from} has {under.num_hidden_layers}; an adapter is kept with a "
            "reference to its base, which has to be the whole model: choose model=pretrained, or train that shape with adapter=none first"
        )
    kind = cfg.adapter
    if cfg.hardware.sharded and isinstance(kind, AdaLoRA | SparseFineTuning):
        raise ConfigError(
            f"hardware.sharded: {kind.name} looks at whole weights and gradients, which no process has then; set it to false, or take adapter=lora"
        )
    if getattr(kind, "per_language", False):
        _check_stage(cfg)
    if isinstance(kind, LanguageAdapter) and model.backbone is model.backbone.base_model:
        raise ConfigError(
            "adapter: madx_language learns by masked LM, and this objective has no words to predict; use it with xlt pretrain objective=masked_lm, and take "
            "madx_task for a task"
        )


def _full(cfg, model: TransferModel, tokenizer, screen: Screen, train: Callable):
    """The model (without heads) after a fine-tuning of all weights from where `model` is; it is a run of its own in `full/`, made now unless it is there."""
    share, settings = cfg.adapter.full, cfg.train
    epochs = None if settings.epochs is None else settings.epochs * share
    shorter = replace(
        settings,
        epochs=epochs,
        steps=max(1, round(settings.steps * share)),
        learning_rate=learning_rate(cfg),
        candidates=0,
    )
    start = cfg.model
    if model.adapter is not None:  # a task of a language: from the base with that language's difference
        place = Path(cfg.run.dir) / START
        there, model.adapter = model.adapter, None
        _save(model, tokenizer, place / "model")
        model.adapter = there
        start = replace(start, init_from=str(place))
    one = below(cfg, FULL, adapter=NoAdapter(), train=shorter, model=start)
    screen.say(f"{cfg.adapter.name}: first all weights learn, in {one.run.dir}")
    done(lambda: train(one), screen)
    return type(model.backbone).from_pretrained(Path(one.run.dir) / "model")


def below(cfg, name: str, **values):
    """The config of a run in a folder of this run's directory, with some of its groups replaced."""
    run = replace(cfg.run, dir=str(Path(cfg.run.dir) / name), name=f"{cfg.run.name}/{name}", overwrite=False)
    plain = {group: {**(cfg.resolved[group] or {}), **_plain(value)} for group, value in values.items()}
    if "adapter" in values:
        plain["adapter"] = {"_target_": f"{NoAdapter.__module__}.{NoAdapter.__name__}"}
    resolved = {**cfg.resolved, "run": asdict(run), **plain}
    return changed(cfg, run=run, resolved=resolved, **values)


def _plain(value) -> dict:
    """Fields of a group as config.yaml has them."""
    return {k: v.value if isinstance(v, Enum) else v for k, v in asdict(value).items()}


def done(make: Callable[[], object], screen: Screen) -> None:
    """Make a run, unless it is finished."""
    try:
        make()
    except Finished as there:
        screen.say(str(there).split(";")[0])


def write(model: TransferModel, tokenizer, path: Path, merge: bool) -> None:
    """model/ of a finished run; with `merge` the plain model, and adapter/ beside it."""
    if merge:
        _save(model, tokenizer, path / "adapter")
        model.adapter.merge()
        model.adapter = None
    _save(model, tokenizer, path / "model")


def _save(model: TransferModel, tokenizer, place: Path) -> None:
    """One process writes, the others wait."""
    processes.first(lambda: files.write_folder(place, lambda made: save(model, tokenizer, made)))


def merges(cfg) -> bool:
    """Whether the run's model is to be a plain one."""
    return wanted(cfg) and getattr(cfg.adapter, "merge", False)


def apart(cfg) -> bool:
    """Whether each language of the run is a run of its own."""
    return wanted(cfg) and getattr(cfg.adapter, "per_language", False)


def languages_apart(cfg, train: Callable) -> float:
    """One run for each language of languages.train, in a folder of that name; then all of their adapters in one model/. Returns the mean dev score."""
    screen, objective = Screen(), cfg.objective
    _check_stage(cfg)
    directory = RunDirectory.open(cfg.run.dir, cfg.stage, cfg.resolved, cfg.run.overwrite)
    codes = choose_languages(cfg.languages.train, cfg.dataset, objective.view, "train", "languages.train")
    there = _extended(cfg, codes)
    moved = {} if there is None else {"model": there.node(cfg.model)}
    node = moved.get("model", cfg.model)
    found, lineage = {}, {}
    for number, code in enumerate(codes, 1):
        screen.say(f"adapter {number} of {len(codes)}: {code}")
        one = below(cfg, code, languages=replace(cfg.languages, train=[code]), **moved)
        done(lambda one=one: train(one), screen)
        found[code] = json.loads((Path(one.run.dir) / "metrics.json").read_text(encoding="utf-8"))
        lineage[code] = json.loads((Path(one.run.dir) / "manifest.json").read_text(encoding="utf-8"))["lineage"]
    directory.record(lineage)
    tokenizer = tokenizer_of(cfg)
    model = build(node, objective.head, objective, None, tokenizer, cfg.seed)
    places = {code: directory.path / code / "model" for code in codes}
    join(cfg, model, node, places if there is None else dict.fromkeys(there.languages, there.place) | places)
    _save(model, tokenizer, directory.path / "model")
    name = cfg.dataset.name
    scores: dict = {}
    for one in found.values():
        for metric, by in one["results"].get(name, {}).items():
            scores.setdefault(metric, {}).update(by)
    first = next(iter(found.values()))
    seconds = sum(one["efficiency"]["seconds"] for one in found.values())
    tokens = sum(one["efficiency"]["tokens"] for one in found.values())
    directory.finish(
        {
            **{key: first[key] for key in ("selection", "step", "split", "higher_is_better", "trained")},
            "results": {name: scores},
            "n": {name: {code: n for one in found.values() for code, n in one["n"].get(name, {}).items()}},
            "sampling": [line for one in found.values() for line in one["sampling"]],
            "parameters": first["parameters"],
            "efficiency": {
                "seconds": seconds,
                "tokens": tokens,
                "tokens_per_second": round(tokens / max(seconds, 1e-9), 1),
                "peak_memory_bytes": max(one["efficiency"]["peak_memory_bytes"] for one in found.values()),
            },
        }
    )
    screen.say(f"{directory.path}: done; adapters of {', '.join(codes)}")
    by = scores.get(objective.metric, {})
    return sum(by.values()) / len(by) if by else float("nan")


def _extended(cfg, codes: list[str]) -> folder.Found | None:
    """The adapters of languages to which those of `codes` are added; None where model.init_from is a model without any."""
    there = folder.find(cfg.model.init_from)
    if there is None or there.facts["kind"] != cfg.adapter.name or not there.languages:
        return None
    if twice := [code for code in codes if code_of(code) in there.languages]:
        raise ConfigError(
            f"languages.train: {', '.join(twice)} has an adapter in {cfg.model.init_from} already, where others can be added; leave it out, or learn it anew on "
            f"the model below, {there.base}"
        )
    asked = folder.shape_of(cfg.adapter.name, asdict(cfg.adapter))
    if asked != there.shape:
        raise ConfigError(
            f"adapter: {asked} is not the shape of those in {cfg.model.init_from} ({there.shape}); all on a model have one, so take that"
        )
    return there


def join(cfg, model: TransferModel, node, places: dict[str, Path]) -> None:
    """The adapters of several languages, each from its directory, on one model, which `node` names."""
    adapter = attach(cfg.adapter, model, folder.reference(inner(node).init_from), cfg.seed, list(places))
    for place in dict.fromkeys(places.values()):
        adapter.read(place)


def _check_stage(cfg) -> None:
    if cfg.stage != "pretrain" or getattr(cfg.objective, "view", None) != "text":
        raise ConfigError(
            f"adapter: {cfg.adapter.name} is of languages, which are learned one by one from text; use it with xlt pretrain objective=masked_lm"
        )
    if cfg.model.init_from is None:
        raise ConfigError("adapter: languages are learned on a model that is there; give model.init_from=DIR")

"""From a composed config to typed objects, with every mistake in it reported at once.

Closed groups are merged into fresh copies of their schema; open groups (nodes with `_target_`) into the dataclass that the target names.
Only targets inside xlt, or in a module that the user named with --plugin, are built: a config that came from elsewhere cannot run code.
"""

from __future__ import annotations

import dataclasses
import importlib
import os
import re
import sys
import typing
from dataclasses import dataclass
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from xlt.config import messages, paths, rules, schema
from xlt.errors import ConfigError, XltError, suggest
from xlt.safety import redact

CLOSED = {
    "run": schema.Run,
    "languages": schema.Languages,
    "train": schema.Train,
    "hardware": schema.Hardware,
    "tracking": schema.Tracking,
    "scores": schema.Scores,
}
OPTIONAL = ("scores",)  # closed groups that some stages have
OPEN = (
    "dataset",
    "cleaning",
    "tokenizer",
    "model",
    "objective",
    "adapter",
    "few_shot",
    "translations",
    "leakage",
    "adversarial",
    "perturbation",
    "mode",
    "inspection",
    "mining",
    "gold",
)
_trusted: set[str] = {"xlt"}


@dataclass(frozen=True)
class StageRun:
    """What a stage is given: built objects, and the resolved config as plain values for config.yaml."""

    stage: str
    seed: int
    run: schema.Run
    languages: schema.Languages
    train: schema.Train
    hardware: schema.Hardware
    tracking: schema.Tracking
    scores: schema.Scores | None
    dataset: Any
    cleaning: Any
    tokenizer: Any
    model: Any
    objective: Any
    adapter: Any
    export: str | None
    few_shot: Any
    translations: Any
    leakage: Any
    adversarial: Any
    perturbation: Any
    mode: Any
    inspection: Any
    mining: Any
    gold: Any
    selection: str | None
    resolved: dict


def trust(module: str) -> None:
    """Import a user's module and let configs name its classes (--plugin). ConfigError if it cannot be imported."""
    if os.getcwd() not in sys.path:  # an installed command does not search where it is called
        sys.path.append(os.getcwd())
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"--plugin: {module} cannot be imported ({error}); run from its folder, or put it on PYTHONPATH"
        ) from error
    _trusted.add(module)


def build_stage(cfg: DictConfig) -> StageRun:
    """Everything a composed config names. ConfigError with all of its problems, each with its path."""
    problems: list[str] = []
    unknown = [key for key in cfg if key not in {f.name for f in dataclasses.fields(schema.StageConfig)}]
    problems += [
        f"{key}: there is no such group or key; {suggest(key, [*CLOSED, *OPEN, 'seed', 'selection', 'stage'])}"
        for key in unknown
    ]
    problems += _missing(OmegaConf.to_container(cfg))
    try:
        plain = _resolved(cfg)
    except OmegaConfBaseException as error:  # what has no value cannot be referred to either
        raise ConfigError(problems or f"{error.full_key}: {messages.plain(_reason(error))}") from error
    problems += _booleans_as_languages(plain)
    closed = {name: _closed(name, cls, plain.get(name), problems) for name, cls in CLOSED.items()}
    built = {name: _collect(plain.get(name), name, problems) for name in OPEN}
    if not problems:
        problems += rules.check(**closed) + rules.fits(plain["stage"], **built)
        problems += rules.selection(plain["selection"]) + rules.layout(plain["stage"], plain["export"])
    if problems:
        raise ConfigError(problems)
    named = {name: plain[name] for name in ("stage", "seed", "selection", "export")}
    return StageRun(**named, resolved=redact(plain), **closed, **built)


def resolved(cfg: DictConfig) -> dict:
    """The config as config.yaml says it, plain values. Nothing is built. OmegaConfBaseException if a value refers to one that is not there."""
    return redact(_resolved(cfg))


def _resolved(cfg: DictConfig) -> dict:
    return OmegaConf.to_container(cfg, resolve=True, throw_on_missing=False, enum_to_str=True)


def build_node(node: dict | None, path: str) -> Any:
    """The object that a node with `_target_` describes, nested nodes included; None for None. ConfigError with all problems."""
    problems: list[str] = []
    built = _collect(node, path, problems)
    if problems:
        raise ConfigError(problems)
    return built


def _collect(node: dict | None, path: str, problems: list[str]) -> Any:
    if node is None:
        return None
    if not isinstance(node, dict) or "_target_" not in node:
        problems.append(
            f"{path}: expected a node with _target_, found {node!r}; choose one with {path}=NAME (xlt ls {path})"
        )
        return None
    try:
        cls = _target(node["_target_"], path)
    except ConfigError as error:
        problems += error.problems
        return None
    fields = {f.name: f for f in dataclasses.fields(cls)}
    before = len(problems)
    problems += [
        f"{path}.{key}: {cls.__name__} has no such field; {suggest(key, fields)}"
        for key in node
        if key not in fields and key != "_target_"
    ]
    problems += [
        f"{path}.{key}: is missing; {cls.__name__} needs it"
        for key, f in fields.items()
        if key not in node and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    values = {key: _nested(value, f"{path}.{key}", problems) for key, value in node.items() if key in fields}
    plain = _typed(cls, {key: value for key, value in values.items() if not _holds_built(value)}, path, problems)
    if len(problems) > before:
        return None
    try:
        return cls(**{**values, **plain})
    except ConfigError as error:
        problems += [_placed(problem, path, fields) for problem in error.problems]
    except (ValueError, XltError) as error:
        problems.append(f"{path}: {error}")
    return None


def _placed(problem: str, path: str, fields: dict) -> str:
    """A class names its fields as if it were chosen by its group alone; inside another node they lie at `path`."""
    group, _, rest = problem.partition(".")
    own = re.match(r"\w+", rest)
    return f"{path}.{rest}" if group in OPEN and own and own[0] in fields else problem


def _nested(value: Any, path: str, problems: list[str]) -> Any:
    if isinstance(value, dict) and "_target_" in value:
        return _collect(value, path, problems)
    if isinstance(value, dict):
        return {k: _nested(v, f"{path}.{k}", problems) for k, v in value.items()}
    if isinstance(value, list):
        return [_nested(v, f"{path}[{i}]", problems) for i, v in enumerate(value)]
    return value


def _holds_built(value: Any) -> bool:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
    return any(
        dataclasses.is_dataclass(v) or _holds_built(v) if isinstance(v, dict | list) else dataclasses.is_dataclass(v)
        for v in inside
    )


def _typed(cls: type, values: dict, path: str, problems: list[str]) -> dict:
    """The values as the types of their fields, by OmegaConf's rules, as plain Python; a sentence for each that cannot be."""
    hints = typing.get_type_hints(cls)
    typed = OmegaConf.structured(dataclasses.make_dataclass("Typed", [(key, hints[key]) for key in values]))
    for key, value in values.items():
        try:
            typed[key] = value
        except OmegaConfBaseException as error:
            problems.append(f"{path}.{key}: {messages.plain(_reason(error))}")
    return OmegaConf.to_container(typed)


def _target(name: str, path: str) -> type:
    module, _, attribute = str(name).rpartition(".")
    if not any(module == t or module.startswith(t + ".") for t in _trusted):
        raise ConfigError(
            f"{path}._target_: {name} is outside xlt, and only code that you trust may be run; if it is yours, pass "
            f"--plugin {module or name}"
        )
    try:
        cls = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{path}._target_: there is no {name} ({error})") from error
    if not (isinstance(cls, type) and dataclasses.is_dataclass(cls)) or not any(
        cls.__module__ == t or cls.__module__.startswith(t + ".") for t in _trusted
    ):
        raise ConfigError(f"{path}._target_: {name} is not a class that configs may build")
    return cls


def closed_preset(group: str, name: str) -> Any:
    """A choice of a closed group by itself, as conf/ has it."""
    problems: list[str] = []
    values = yaml.safe_load((paths.conf_dir() / group / f"{name}.yaml").read_text(encoding="utf-8"))
    preset = _closed(group, CLOSED[group], values, problems)
    if problems:
        raise ConfigError(problems)
    return preset


def _closed(name: str, cls: type, values: dict | None, problems: list[str]) -> Any:
    """None where the stage has none of the group."""
    if values is None and name in OPTIONAL:
        return None
    known = [f.name for f in dataclasses.fields(cls)]
    values = values or {}
    problems += [f"{name}.{key}: there is no such key; {suggest(key, known)}" for key in values if key not in known]
    return cls(**_typed(cls, {key: values[key] for key in known if key in values}, name, problems))


def _missing(node: Any, prefix: str = "") -> list[str]:
    """A sentence for each key without value, one for a group of which nothing has any."""
    if isinstance(node, dict):
        if prefix in CLOSED and all(value == "???" for value in node.values()):
            return [f"{prefix}: nothing is chosen; choose one with {prefix}=NAME (xlt ls {prefix})"]
        return [p for key, value in node.items() for p in _missing(value, f"{prefix}.{key}" if prefix else str(key))]
    return [f"{prefix}: has no value; give {prefix}=..."] if node == "???" else []


def _booleans_as_languages(resolved: dict) -> list[str]:
    places = {f"languages.{k}": v for k, v in (resolved.get("languages") or {}).items()}
    parts = (resolved.get("objective") or {}).get("parts")
    for name, part in parts.items() if isinstance(parts, dict) else ():
        places |= {f"objective.parts.{name}.{k}": v for k, v in (part or {}).items() if k == "languages"}
    places |= {f"adversarial.{k}": v for k, v in (resolved.get("adversarial") or {}).items() if k == "languages"}
    places |= {f"dataset.{k}": v for k, v in (resolved.get("dataset") or {}).items() if k == "languages"}
    return [
        f'{path}: {value} is not a language code; YAML reads a bare no as False: quote it, "no"'
        for path, values in places.items()
        for value in (values if isinstance(values, list) else [values])
        if isinstance(value, bool) or value in ("True", "False")
    ]


def _reason(error: OmegaConfBaseException) -> str:
    return str(error.msg or error).splitlines()[0]

"""Where a task model's labels come from: which rows `xlt finetune` learns, whose dev data choose its checkpoint, and what that is called.

transfer: from source languages. joint: from every language that has training data. few-shot: a few rows of target languages after the
source languages, or beside them. translate-train: from translations. What was learned can be asked of a run directory later, too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from xlt import limited_yaml
from xlt.config.build import build_node
from xlt.data.few_shot import Start
from xlt.data.leakage import Learned
from xlt.data.translated import Translated
from xlt.errors import ConfigError
from xlt.models.build import known_task, read_labelled_task
from xlt.objectives.mixture import Mixture
from xlt.stages.setup import changed, choose_languages
from xlt.types import Dataset


@dataclass(frozen=True)
class Protocol:
    """What a fine-tuning learns. dataset: cut down to it. languages: learned. source: those the model will call its source languages, whose
    dev data are scored. stamp: what metrics.json and every table say.
    """

    dataset: Dataset
    languages: list[str]
    source: list[str]
    stamp: dict[str, Any]


def protocol_of(
    dataset: Dataset,
    view: str,
    source: list[str] | None,
    target: list[str] | None,
    few_shot,
    translations: Dataset | None,
    known: list[str],
) -> Protocol:
    """The protocol that the config asks for. source, target: as in the config. known: source languages of the model that goes on."""
    if few_shot is not None and few_shot.k is not None:
        if translations is not None:
            raise ConfigError(
                "few_shot.k: shots are drawn from dataset, and translations are given beside it; leave one of them out"
            )
        return _few_shot(dataset, view, source, target, few_shot, known)
    if translations is not None:
        return _translated(dataset, view, source, translations)
    learned = choose_languages(source, dataset, view, "train", "languages.source")
    return Protocol(dataset, learned, learned, whole_or_part(dataset, view, learned))


def whole_or_part(dataset: Dataset, view: str, learned: list[str]) -> dict[str, Any]:
    """The stamp of a fine-tuning on rows of the languages themselves: joint, if those are all that have training data."""
    offered = choose_languages(None, dataset, view, "train", "dataset")
    return {"name": "joint" if len(learned) > 1 and set(learned) == set(offered) else "transfer"}


def settle(cfg, recipe, screen):
    """(cfg with its data set cut down to what the protocol learns, the recipe with what follows from it), of a fine-tuning that is about to begin."""
    few_shot, task = cfg.few_shot, None
    drawn = few_shot is not None and few_shot.k is not None
    if isinstance(cfg.objective, Mixture):
        if drawn or cfg.translations is not None:
            key = "few_shot.k" if drawn else "translations"
            raise ConfigError(
                f"{key}: the parts of a mixture have data of their own, and it would not be read; choose a single objective"
            )
        return cfg, recipe
    if drawn and few_shot.start is Start.sequential:
        if cfg.model.init_from is None:
            raise ConfigError(
                "few_shot.start: sequential goes on with a fine-tuned model; give model.init_from=runs/main/finetune, or choose few_shot=together"
            )
        task = read_labelled_task(cfg.model.init_from)
        objective = build_node(task["objective"], "objective")
        if objective != cfg.objective:
            screen.say(f"objective: that of {cfg.model.init_from}, {task['objective']}")
        cfg = changed(cfg, objective=objective, resolved={**cfg.resolved, "objective": task["objective"]})
    known, view = task["source_languages"] if task else [], cfg.objective.view
    target, translations = cfg.languages.target, cfg.translations
    protocol = protocol_of(cfg.dataset, view, recipe.languages, target, few_shot, translations, known)
    judged = protocol.languages if protocol.stamp["name"] == "translate-train" else protocol.source
    recipe = replace(
        recipe,
        languages=protocol.languages,
        judged=[c for c in judged if c in protocol.dataset.languages(view)],
        source=protocol.source,
        protocol=protocol.stamp,
        task=task,
        choose=recipe.choose and task is None,
    )
    return changed(cfg, dataset=protocol.dataset), recipe


def tested(cfg, view: str, task: dict) -> tuple:
    """(cfg with the test data in their places, languages asked for, the protocol's stamp). ConfigError for a few-shot run that is not the model's."""
    protocol = task.get("protocol", {"name": "transfer"})
    if cfg.few_shot is not None and cfg.few_shot.k is not None:
        asked = {"k": cfg.few_shot.k, "bucket": cfg.few_shot.bucket}
        if asked != {key: protocol.get(key) for key in asked}:
            raise ConfigError(
                f"few_shot: {cfg.model.init_from} was not fine-tuned with k={asked['k']} and bucket={asked['bucket']}; these keys name the run of a sweep here, "
                "so give those of `xlt finetune`, or leave them out"
            )
    if cfg.translations is None:
        return cfg, cfg.languages.target, protocol
    data = Translated(cfg.dataset, cfg.translations, ("dev", "test"))
    covered = choose_languages(None, cfg.translations, view, "test", "translations")
    asked = choose_languages(cfg.languages.target, cfg.translations, view, "test", "languages.target")
    moved = [code for code in asked if code not in task["source_languages"]]
    if not moved:
        raise ConfigError(
            f"translations: it has a test split in {', '.join(covered)}, which {cfg.model.init_from} was fine-tuned on; give those of other languages"
        )
    return changed(cfg, dataset=data), moved, {"name": "translate-test", "languages": moved}


def _few_shot(dataset: Dataset, view: str, source, target, few_shot, known: list[str]) -> Protocol:
    alone = few_shot.start is Start.sequential
    sources = known if alone else choose_languages(source, dataset, view, "train", "languages.source")
    targets = [c for c in choose_languages(target, dataset, view, "train", "languages.target") if c not in sources]
    if not targets:
        raise ConfigError(
            f"languages.target: {', '.join(sources)} are source languages already, so no shots are left to draw; name another language with a train split"
        )
    drawn = {key: getattr(few_shot, key) for key in ("k", "bucket", "buckets", "seed")}
    stamp = {"name": "few-shot", "start": few_shot.start.value, "languages": targets, **drawn}
    return Protocol(few_shot.draw(dataset, view, targets), targets if alone else sources + targets, sources, stamp)


def _translated(dataset: Dataset, view: str, source, translations: Dataset) -> Protocol:
    """A language that has translations is learned from them alone, dev data included; one that has none, from its own rows."""
    joined = Translated(dataset, translations, ("train", "dev"))
    covered = [c for c in joined.covered(view) if "train" in translations.splits(view, c)]
    languages = choose_languages(source, joined, view, "train", "languages.source")
    translated = [code for code in languages if code in covered]
    if not translated:
        raise ConfigError(
            f"languages.source: none of {', '.join(languages)} has a train split in translations; it has {', '.join(covered) or 'none'}"
        )
    original = [code for code in languages if code not in translated]
    return Protocol(joined, languages, original, {"name": "translate-train", "languages": translated})


def learned_by(init_from: str) -> list[Learned]:
    """All labelled rows that a model of ours learned from, the last fine-tuning first; [] if that is not known. DataError if they cannot be read.

    What it was pretrained on is not among them.
    """
    place = config_of(init_from)
    config = limited_yaml.load(place) if place else {}
    if config.get("stage") not in ("finetune", "align"):
        return []
    parent = config["model"].get("init_from")
    before = [] if parent is None else learned_by(parent)
    return before if config["stage"] == "align" else [_learned(config, parent), *before]


def _learned(config: dict, parent: str | None) -> Learned:
    node, objective = config["dataset"], build_node(config["objective"], "objective")
    if isinstance(objective, Mixture):
        part = config["objective"]["parts"][objective.main]
        node, objective = part["dataset"] or node, objective.parts[objective.main].objective
    few_shot, translations = (build_node(config.get(key), key) for key in ("few_shot", "translations"))
    asked, known = config["languages"], (known_task(parent) or {}) if parent else {}
    sources = known.get("source_languages", [])
    dataset, view = build_node(node, "dataset"), objective.view
    protocol = protocol_of(dataset, view, asked["source"], asked["target"], few_shot, translations, sources)
    return Learned(protocol.dataset, view, protocol.languages)


def config_of(init_from: str) -> Path | None:
    """config.yaml of the run that a model is from: `init_from` names its directory, or model/ in it. None for a model of the hub."""
    places = (Path(init_from) / "config.yaml", Path(init_from).parent / "config.yaml")
    return next((p for p in places if p.is_file()), None)

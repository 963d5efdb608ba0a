"""What a run learns, as one part or several: each with its own objective, data set, languages, rows and plan.

An ordinary run has one part without a name. A mixture's parts are runs of their own up to the update, where their batches meet.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xlt.data.encode import Table
from xlt.errors import ConfigError
from xlt.models.build import TransferModel, max_tokens
from xlt.objectives.mixture import Mixture
from xlt.stages.setup import choose_languages, encode_all
from xlt.training.progress import Screen
from xlt.types import Batch, BatchOf
from xlt.vocabulary import Vocabulary


@dataclass(frozen=True, eq=False)
class LearnedPart:
    """cfg: the run's config with this part's objective, data set and settings in their places. name: "" if it is the only one.

    vocabulary: as this part's objective needs it.
    """

    name: str
    cfg: Any
    vocabulary: Vocabulary
    languages: list[str]
    tables: dict[str, Table]
    dev: dict[str, Table]

    def named(self, thing: str) -> str:
        """`thing` as the log calls it."""
        return f"{self.name}/{thing}" if self.name else thing

    def owns(self, thing: str) -> bool:
        """Whether the log's `thing` is of this part."""
        return not self.name or thing.startswith(f"{self.name}/")


def configs(cfg) -> dict[str, Any]:
    """{part: the run's config as if the part were the whole run}; {"": cfg} where there are no parts."""
    if not isinstance(cfg.objective, Mixture):
        return {"": cfg}
    return {
        name: changed(
            cfg,
            objective=part.objective,
            dataset=cfg.dataset if part.dataset is None else part.dataset,
            train=replace(cfg.train, **part.settings),
        )
        for name, part in cfg.objective.parts.items()
    }


def changed(cfg, **values: Any):
    """A copy of a config with some of its fields replaced."""
    return type(cfg)(**{**vars(cfg), **values})


@contextmanager
def blamed(name: str) -> Iterator[None]:
    """What is wrong inside is said of the part."""
    try:
        yield
    except ConfigError as error:
        if not name:
            raise
        place = f"objective.parts.{name}"
        raise ConfigError([p if p.startswith(place) else f"{place}: {p}" for p in error.problems]) from error


def asked(cfg, name: str, languages: list[str] | None, key: str) -> tuple[list[str] | None, str]:
    """(languages, config key) of a part: its own, else the run's."""
    own = cfg.objective.parts[name].languages if name else None
    if own is not None:
        return own, f"objective.parts.{name}.languages"
    main = not name or name == cfg.objective.main
    return (languages, key) if main else (cfg.languages.train, "languages.train")


def refuse_splitting(cfg) -> None:
    """ConfigError if hardware.micro_batch_size would cut a batch whose loss is not a sum over its rows."""
    for name, part in configs(cfg).items():
        if not part.objective.separable and cfg.hardware.micro_batch_size is not None:
            what = getattr(part.objective, "from_batch", "its negatives")
            raise ConfigError(
                f"hardware.micro_batch_size: {type(part.objective).__name__}{f' (part {name})' if name else ''} takes {what} from the whole "
                "batch, so splitting it would change the loss; set it to null and lower "
                f"{f'objective.parts.{name}' if name else 'train'}.batch_size if memory is short"
            )


def read(cfg, languages: list[str] | None, key: str, tokenizer) -> list[LearnedPart]:
    """All parts with their encoded rows."""
    parts, vocabulary = [], Vocabulary.of(tokenizer)
    for name, part in configs(cfg).items():
        with blamed(name):
            view, dataset = part.objective.view, part.dataset
            if name and view not in dataset.views():
                raise ConfigError(
                    f"{type(part.objective).__name__} reads {view}, and {dataset.name} has {', '.join(dataset.views())}; give the part a data "
                    f"set of its own, dataset@objective.parts.{name}.dataset=NAME, or leave the part out"
                )
            wanted = choose_languages(*_for(asked(cfg, name, languages, key), dataset, view))
            judged = [language for language in wanted if "dev" in dataset.splits(view, language)]
            tables = encode_all(part, part.objective, tokenizer, wanted, "train")
            dev = encode_all(part, part.objective, tokenizer, judged, "dev")
            parts.append(LearnedPart(name, part, vocabulary, wanted, tables, dev))
    return parts


def _for(ask: tuple[list[str] | None, str], dataset, view: str) -> tuple:
    return ask[0], dataset, view, "train", ask[1]


def mixed(mixture: Mixture, draws_PS: np.ndarray, batches: dict[str, BatchOf]) -> BatchOf:
    """update -> the batches of all parts that take part in it, each with its part's name and weight.

    draws_PS: who takes part. A part's n-th update, whichever of the run's it is, has the n-th batch of its own stream.
    """
    before_PS = np.cumsum(draws_PS, 1) - draws_PS

    def joined(step: int) -> list[Batch]:
        return [
            replace(batch, part=name, weight=part.schedule(step))
            for i, (name, part) in enumerate(mixture.parts.items())
            if draws_PS[i, step]
            for batch in batches[name](int(before_PS[i, step]))
        ]

    return joined


def check_fit(cfg, parts: list[LearnedPart], model: TransferModel) -> None:
    """ConfigError for rows longer than the model has positions, and for a layer that it has not."""
    longest, layers = max_tokens(model), model.backbone.config.num_hidden_layers
    for part in parts:
        length, layer = part.cfg.train.max_length, getattr(part.cfg.objective, "layer", None)
        if longest is not None and length > longest:
            raise ConfigError(
                f"{f'objective.parts.{part.name}' if part.cfg.train.max_length != cfg.train.max_length else 'train'}.max_length: {length} tokens "
                f"are more than the {longest} positions this model has; lower it{'' if cfg.model.init_from else ' or raise model.max_positions'}"
            )
        if layer is not None and layer > layers:
            place = f"objective.parts.{part.name}.objective" if part.name else "objective"
            raise ConfigError(
                f"{place}.layer: {layer}, and this model has {layers} layers; give 0 (embeddings) to {layers}, or null"
            )


def mean_score(figures: dict[str, dict[str, float]], metric: str) -> float:
    """The mean over languages; NaN where nothing was scored by it."""
    return float(np.mean(list(figures[metric].values()))) if metric in figures else math.nan


def by_dataset(parts: list[LearnedPart], facts: Callable[[LearnedPart], dict]) -> dict[str, dict]:
    """{data set: facts of all parts that read it}."""
    found: dict[str, dict] = {}
    for part in parts:
        found.setdefault(part.cfg.dataset.name, {}).update(facts(part))
    return found


def show(screen: Screen, figures: dict[str, dict[str, float]]) -> None:
    """Dev scores of a mixture, a language or pair a line."""
    languages = sorted({code for by in figures.values() for code in by})
    lines = [[code, *(f"{by[code]:.4f}" if code in by else "" for by in figures.values())] for code in languages]
    screen.table("dev, by part", ["language", *figures], lines)

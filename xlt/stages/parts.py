"""What a run learns, as one part or several: each with its own objective, data set, languages, rows and plan.

An ordinary run has one part without a name. A mixture's parts are runs of their own up to the update, where their batches meet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from xlt.config.schema import Sampling
from xlt.data.encode import Table
from xlt.data.frequency import token_counts
from xlt.errors import ConfigError
from xlt.models.build import TransferModel, max_tokens
from xlt.models.shapes import check_head
from xlt.objectives.mixture import Mixture
from xlt.run import RunDirectory, parent_lineage
from xlt.stages.setup import changed, choose_languages, clean_text, encode_all
from xlt.stages.streaming import is_streamed
from xlt.training.progress import Screen
from xlt.vocabulary import Vocabulary


@dataclass(frozen=True, eq=False)
class LearnedPart:
    """cfg: the run's config with this part's objective, data set and settings in their places. name: "" if it is the only one.

    vocabulary: as this part's objective needs it. tables: of the training rows; none if they are streamed. cleaned: the report, if text was cleaned.
    """

    name: str
    cfg: Any
    vocabulary: Vocabulary
    languages: list[str]
    tables: dict[str, Table]
    dev: dict[str, Table]
    streamed: bool
    cleaned: dict | None

    def read_by(self, model: TransferModel) -> LearnedPart:
        """The same with what the model's vocabulary adds; a model that computes no padding is given updates whole.

        ConfigError for a language that the model has no embedding of.
        """
        hardware = self.cfg.hardware
        if hardware.fused and model.packs:
            hardware = changed(hardware, group_tokens=None)
        with blamed(self.name):
            vocabulary = self.vocabulary.read_by(model, [*self.languages, *self.dev])
        return replace(self, cfg=changed(self.cfg, hardware=hardware), vocabulary=vocabulary)

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
            train=replace(cfg.train, **_settings(part)),
        )
        for name, part in cfg.objective.parts.items()
    }


def _settings(part) -> dict[str, Any]:
    """What a part sets of its own; an alpha or weights say also how languages are drawn."""
    own = part.settings
    ways = {name: Sampling(name) for name in ("alpha", "weights") if name in own}
    return {**({"weights": None, "sampling": next(iter(ways.values()))} if ways else {}), **own}


@contextmanager
def blamed(name: str) -> Iterator[None]:
    """What is wrong inside is said of the part, whose own weights are the remedy where the run's do not fit."""
    try:
        yield
    except ConfigError as error:
        if not name:
            raise
        place = f"objective.parts.{name}"
        problems = [p.replace("train.weights:", f"{place}.weights:", 1) for p in error.problems]
        raise ConfigError([p if p.startswith(place) else f"{place}: {p}" for p in problems]) from error


def asked(cfg, name: str, languages: list[str] | None, key: str) -> tuple[list[str] | None, str]:
    """(languages, config key) of a part: its own, else the run's."""
    own = cfg.objective.parts[name].languages if name else None
    if own is not None:
        return own, f"objective.parts.{name}.languages"
    main = not name or name == cfg.objective.main
    return (languages, key) if main else (cfg.languages.train, "languages.train")


def refuse_splitting(cfg) -> None:
    """ConfigError if hardware.micro_batch_size would cut a batch whose loss is not a sum over its rows, and which is not encoded in pieces either."""
    for name, part in configs(cfg).items():
        whole = not part.objective.separable and not getattr(part.objective, "caches_gradients", False)
        if whole and cfg.hardware.micro_batch_size is not None:
            what = getattr(part.objective, "from_batch", "its negatives")
            raise ConfigError(
                f"hardware.micro_batch_size: {type(part.objective).__name__}{f' (part {name})' if name else ''} takes {what} from the whole "
                "batch, so splitting it would change the loss; set it to null and lower "
                f"{f'objective.parts.{name}' if name else 'train'}.batch_size if memory is short"
            )


def read(
    cfg,
    languages: list[str] | None,
    key: str,
    labelled: bool,
    tokenizer,
    run: RunDirectory,
    screen: Screen,
    judged: list[str] | None = None,
) -> list[LearnedPart]:
    """All parts, their text cleaned and their rows encoded. labelled: the main part's rows have labels. judged: whose dev data the only part
    is scored on, where it has some (None: of the languages it learns)."""
    parts, vocabulary = [], Vocabulary.of(tokenizer)
    for name, part in configs(cfg).items():
        with blamed(name):
            asks = asked(cfg, name, languages, key)
            parts.append(_read(part, name, *asks, labelled and not parts, tokenizer, vocabulary, run, screen, judged))
    return parts


def _read(
    cfg, name: str, languages: list[str] | None, key: str, labelled: bool, tokenizer, vocabulary, run, screen, judged
) -> LearnedPart:
    objective, view = cfg.objective, cfg.objective.view
    if name and view not in cfg.dataset.views():
        raise ConfigError(
            f"{type(objective).__name__} reads {view}, and {cfg.dataset.name} has {', '.join(cfg.dataset.views())}; give the part a data "
            f"set of its own, dataset@objective.parts.{name}.dataset=NAME, or leave the part out"
        )
    wanted = choose_languages(languages, cfg.dataset, view, "train", key)
    cfg, cleaned = clean_text(cfg, view, wanted, run, screen, name)
    streamed = is_streamed(cfg.dataset)
    _refuse_streaming(cfg, streamed, labelled)
    tables = {} if streamed else encode_all(cfg, objective, tokenizer, wanted, "train")
    if getattr(objective, "reads_counts", False):
        vocabulary = replace(vocabulary, counts=token_counts(tables.values(), vocabulary.size))
    having = [code for code in (wanted if judged is None else judged) if "dev" in cfg.dataset.splits(view, code)]
    dev = encode_all(cfg, objective, tokenizer, having, "dev")
    return LearnedPart(name, cfg, vocabulary, wanted, tables, dev, streamed, cleaned)


def _refuse_streaming(cfg, streamed: bool, labelled: bool) -> None:
    if streamed and labelled:
        raise ConfigError(f"dataset.streaming: xlt {cfg.stage} reads all labels before it begins; set it to false")
    if streamed and hasattr(cfg.objective, "annotate"):
        raise ConfigError(
            f"dataset.streaming: {type(cfg.objective).__name__} notes things of rows when they are encoded; set it to false"
        )
    if streamed and getattr(cfg.objective, "hard_negatives", 0):
        raise ConfigError(
            f"dataset.streaming: {type(cfg.objective).__name__} searches hard negatives among all rows; set it to false, or objective.hard_negatives=0"
        )
    if streamed and getattr(cfg.objective, "reads_counts", False):
        raise ConfigError(
            f"dataset.streaming: {type(cfg.objective).__name__} chooses tokens by how often all the text has them; set it to false, or "
            "objective.frequency_power=0"
        )


def check_fit(cfg, parts: list[LearnedPart], model: TransferModel) -> None:
    """ConfigError for rows longer than the model has positions, and for a layer that it has not."""
    for part in parts:
        length = part.cfg.train.max_length
        check_length(cfg, model, length, "train" if length == cfg.train.max_length else f"objective.parts.{part.name}")
        if part.name:  # of an ordinary run it was asked before the model was made
            with blamed(part.name):
                check_head(model.backbone.config, part.cfg.objective.head, part.cfg.objective)
        check_layer(model, part.cfg.objective, f"objective.parts.{part.name}.objective" if part.name else "objective")


def check_length(cfg, model: TransferModel, length: int, place: str) -> None:
    """ConfigError for rows longer than the model has positions."""
    longest = max_tokens(model)
    if longest is not None and length > longest:
        raise ConfigError(
            f"{place}.max_length: {length} tokens are more than the {longest} positions this model has; lower it"
            f"{'' if cfg.model.init_from else ' or raise model.max_positions'}"
        )


def check_layer(model: TransferModel, objective, place: str) -> None:
    """ConfigError for a layer that the model has not."""
    layer, layers = getattr(objective, "layer", None), model.backbone.config.num_hidden_layers
    if layer is not None and layer > layers:
        raise ConfigError(
            f"{place}.layer: {layer}, and this model has {layers} layers; give 0 (embeddings) to {layers}, or null"
        )


def beside(parts: list[LearnedPart]) -> dict[str, dict | None]:
    """What identifies the models that a run learns from beside its parent: teachers, and encoders that hard negatives are searched with."""
    named = (getattr(part.cfg.objective, key, None) for part in parts for key in ("teacher", "negatives_from"))
    return {path: parent_lineage(path) for path in named if path}


def by_dataset(parts: list[LearnedPart], facts: Callable[[LearnedPart], dict]) -> dict[str, dict]:
    """{data set: facts of all parts that read it}."""
    found: dict[str, dict] = {}
    for part in parts:
        found.setdefault(part.cfg.dataset.name, {}).update(facts(part))
    return found

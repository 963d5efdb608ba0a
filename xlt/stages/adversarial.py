"""Language-adversarial training as a run carries it: which text is read without labels, who plays against the model, and what a probe says of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from xlt import languages, noise, processes
from xlt.alignment.probe import fit_probe, recognised
from xlt.data.encode import Table, gather
from xlt.data.plan import Plan
from xlt.errors import ConfigError
from xlt.evaluation.loop import predict
from xlt.models.build import TransferModel
from xlt.objectives.language_adversary import SIDES, Classes, LanguageText
from xlt.stages.drawing import micro_batches
from xlt.stages.parts import LearnedPart
from xlt.stages.setup import changed, choose_languages, data_lineage, encode_all
from xlt.stages.streaming import is_streamed
from xlt.training.adversary import Opponent
from xlt.types import Batch
from xlt.vocabulary import Vocabulary


@dataclass(frozen=True, eq=False)
class Unlabelled:
    """Text of training splits in the source languages, then in the target languages. held: of the probe, dev text where there is some."""

    cfg: Any
    reader: LanguageText
    source: list[str]
    target: list[str]
    tables: dict[str, Table]
    held: dict[str, Table]

    @property
    def lineage(self) -> dict[str, str]:
        """What identifies it, for the manifest."""
        found = {f"adversarial/{key}": digest for key, digest in data_lineage(self.tables).items()}
        return found | {f"adversarial/{key}": digest for key, digest in data_lineage(self.held).items()}


def read_text(cfg, part: LearnedPart, labelled: bool, tokenizer) -> Unlabelled | None:
    """What `cfg.adversarial` asks for beside what the main part learns; None where nothing is asked. cfg: before a protocol cut its data set down."""
    spec = cfg.adversarial
    if spec is None:
        return None
    dataset, objective, key = cfg.dataset, part.cfg.objective, "dataset"
    view, texts = objective.view, objective.texts
    if spec.dataset is not None:
        dataset, view, texts, key = spec.dataset, "text", _text, "adversarial.dataset"
    elif part.name and cfg.objective.parts[part.name].dataset is not None:
        dataset = part.cfg.dataset
    if view in ("parallel", "tagged_parallel", "dictionary"):
        raise ConfigError(
            f"adversarial: rows of a {view} view are in two languages; give text with dataset@adversarial.dataset=NAME"
        )
    if is_streamed(dataset):
        raise ConfigError(f"{key}.streaming: language-adversarial training counts its text; set it to false")
    reading = changed(cfg, dataset=dataset)
    source, target = _languages(cfg, dataset, view, part, labelled)
    everyone = [*source, *target]
    sides = spec.classes is Classes.sides
    classes = {code: int(code in target) if sides else i for i, code in enumerate(everyone)}
    reader = LanguageText(view, texts, classes, spec.pool, spec.layer)
    tables = encode_all(reading, reader, tokenizer, everyone, "train")
    having = [code for code in everyone if "dev" in dataset.splits(view, code)] if spec.probe_rows else []
    return Unlabelled(cfg, reader, source, target, tables, encode_all(reading, reader, tokenizer, having, "dev"))


def _languages(cfg, dataset, view: str, part: LearnedPart, labelled: bool) -> tuple[list[str], list[str]]:
    """(source, target) languages in the data set's own spelling."""
    asked, spec = cfg.languages, cfg.adversarial
    if labelled or asked.source is None:
        source = part.languages
        if not labelled and spec.classes is Classes.sides:
            raise ConfigError(
                "languages.source: xlt tells source from target languages here; name them, or take adversarial=reversal "
                "adversarial.classes=languages"
            )
        if not labelled:  # all languages that are learned, none of them before the others
            source, rest = source[:1], source[1:]
    else:
        source, rest = asked.source, [code for code in part.languages if code not in asked.source]
    source = choose_languages(source, dataset, view, "train", "languages.source")
    if spec.languages is not None:
        wanted, key = spec.languages, "adversarial.languages"
    else:
        wanted, key = (asked.target if labelled else rest), "languages.target" if labelled else "languages.train"
    target = [code for code in choose_languages(wanted, dataset, view, "train", key) if code not in source]
    if not target:
        raise ConfigError(
            f"adversarial.languages: {dataset.name} has text of no other language than {', '.join(source)} to learn from; name some, "
            "or give text with dataset@adversarial.dataset=NAME"
        )
    return source, target


def opponent(text: Unlabelled, model: TransferModel, part: LearnedPart, steps: int, accelerator) -> Opponent:
    """Who plays against `model` (not yet prepared for the hardware). ConfigError if nothing below its layer learns."""
    if processes.world() > 1:
        raise ConfigError(
            "hardware.processes: the discriminator of adversarial= is trained by one process; set it to 1, or adversarial=null"
        )
    cfg, spec, reader = part.cfg, text.cfg.adversarial, text.reader
    if spec.weight and not any(p.requires_grad for p in model.backbone.parameters()):
        raise ConfigError(
            "adversarial: no parameter of the backbone learns, so no discriminator can move it; set train.freeze=[], or adversarial=null"
        )
    last = model.backbone.config.num_hidden_layers
    if spec.layer is not None and spec.layer > last:
        raise ConfigError(
            f"adversarial.layer: {spec.layer}, and this model has {last} layers; give 0 to {last}, or null"
        )
    vocabulary = part.vocabulary.read_by(model, list(text.tables))
    streams, seed = list(text.tables.values()), int(noise.key(cfg.seed, "adversarial"))
    lengths = [reader.row_length(t.lengths, vocabulary, cfg.train.max_length) for t in streams]
    plan = Plan(lengths, _shares(text), seed, window=1, batch_size=spec.batch_size)

    def batches(number: int) -> list[Batch]:
        draw = plan.batch(number)
        rows = gather(streams, draw.streams, draw.rows, draw.epochs, cfg.seed, None)
        return micro_batches(reader, rows, cfg.hardware, vocabulary, cfg.train.max_length)

    return Opponent(spec, reader, batches, model.width, steps, seed, accelerator)


def _shares(text: Unlabelled) -> list[float]:
    """Each class is drawn equally often; within target languages, each of them."""
    classes = [text.reader.classes[code] for code in text.tables]
    sizes = np.bincount(classes)
    return [1.0 / (len(sizes) * int(sizes[k])) for k in classes]


def probe(model, text: Unlabelled, vocabulary: Vocabulary, accelerator) -> dict[str, Any]:
    """{accuracy, languages: {language: share of its sentences that are told}, chance, converged} of a linear probe that is learned from scratch on
    every second sentence, as the model has it now, and scored on the others. {} if no probe is asked for."""
    cfg = text.cfg
    count = cfg.adversarial.probe_rows
    if not count:
        return {}
    vectors = {}
    for code, table in (text.tables | text.held).items():
        limits = cfg.train.max_length, cfg.hardware.eval_tokens
        found = predict(model, text.reader, table, table.gold({}), vocabulary, *limits, accelerator, count)
        vectors[code] = found["vectors"]
    if few := [code for code, v in vectors.items() if len(v) < 2]:
        raise ConfigError(f"adversarial.probe_rows: {few[0]} has one sentence, of which no probe learns; set it to 0")
    names = list(vectors)
    fit_ND, score_MD = (np.concatenate([v[half::2] for v in vectors.values()]) for half in (0, 1))
    fit_N, score_M = (np.repeat(range(len(names)), [len(v[half::2]) for v in vectors.values()]) for half in (0, 1))
    fitted = fit_probe(fit_ND, fit_N, score_MD)
    told = recognised(fitted.logits, score_M)
    by = {names[number]: share for number, share in told.items()}
    return {
        "accuracy": float(np.mean(list(by.values()))),
        "languages": by,
        "chance": 1 / len(names),
        "converged": fitted.converged,
    }


def summary(text: Unlabelled, before: dict, after: dict) -> dict[str, Any]:
    """What metrics.json says: whose text was read, and the probe. How the discriminator fared is in metrics.jsonl."""
    return {
        **dict(zip(SIDES, (text.source, text.target), strict=True)),
        "rows": {code: len(table) for code, table in text.tables.items()},
        **({"probe": {"before": before, "after": after}} if before else {}),
    }


def spoken(text: Unlabelled | None) -> list[str]:
    """Languages that the model must be able to read for it."""
    return [] if text is None else [code for code in text.tables if languages.known(code)]


def _text(row: dict) -> tuple[str, ...]:
    return (row["text"],)

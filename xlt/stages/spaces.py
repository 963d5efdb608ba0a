"""xlt align with an objective that solves a shared space for an encoder as it is: read anchors, solve, score, save the encoder with it."""

from __future__ import annotations

import itertools
import time

import numpy as np
import torch

from xlt import files, languages, processes
from xlt.errors import ConfigError, DataError
from xlt.evaluation.contexts import mean_states
from xlt.evaluation.vectors import Reader
from xlt.models.build import save
from xlt.models.space import Space
from xlt.run import RunDirectory, parent_lineage, peak_memory
from xlt.stages.inspect import reader_of
from xlt.stages.scoring import mean_score, score, show
from xlt.stages.setup import accelerator_of, choose_languages, encode_all, tokenizer_of
from xlt.stages.words import words
from xlt.tokenization.load import tokenizer_hash
from xlt.training.progress import Screen
from xlt.vocabulary import Vocabulary, language_codes


def run(cfg) -> float:
    """Solve from cfg.languages.train (pairs or languages; null: all); returns the mean retrieval accuracy on dev data, NaN where there are no pairs."""
    objective, screen, started = cfg.objective, Screen(), time.monotonic()
    if cfg.model.init_from is None:
        raise ConfigError(
            "model.init_from: no model is named, and a space is solved for one that is trained; give a run directory, a folder in transformers format or a hub name"
        )
    directory = RunDirectory.open(cfg.run.dir, cfg.stage, cfg.resolved, cfg.run.overwrite)
    accelerator, tokenizer = accelerator_of(cfg), tokenizer_of(cfg)
    asked = choose_languages(cfg.languages.train, cfg.dataset, objective.view, "train", "languages.train")
    lineage = {
        f"{cfg.dataset.name}/{code}/train": cfg.dataset.fingerprint(objective.view, code, "train") for code in asked
    }
    directory.record(
        {"data": lineage, "tokenizer": tokenizer_hash(tokenizer), "parent": parent_lineage(cfg.model.init_from)}
    )

    reader, _ = reader_of(cfg, objective, tokenizer, asked, accelerator, every_layer=True)
    plain = accelerator.unwrap_model(reader.model)
    if plain.languages is not None:
        raise ConfigError(
            f"model: {cfg.model.init_from} has {'a solved space' if plain.space is not None else 'embeddings of languages'} already; take the encoder as it was before"
        )
    screen.say(f"solving a space of {len(reader.layers)} layers x {reader.width} for {', '.join(asked)}")
    pairs = asked if objective.view == "parallel" else []
    dev = encode_all(cfg, objective, tokenizer, [p for p in pairs if "dev" in cfg.dataset.splits("parallel", p)], "dev")
    before = scored(cfg, reader, dev, tokenizer, accelerator)
    space, facts = solve(cfg, reader, asked, screen)
    plain.space = space.to(accelerator.device)
    after = scored(cfg, reader, dev, tokenizer, accelerator)

    plain.task |= {"max_length": reader.max_length, "objective": cfg.resolved["objective"]}
    processes.first(lambda: files.write_folder(directory.path / "model", lambda folder: save(plain, tokenizer, folder)))
    directory.finish(
        {
            "results": {cfg.dataset.name: after} if after else {},
            "n": {cfg.dataset.name: {pair: len(table) for pair, table in dev.items()}} if after else {},
            "split": "dev",
            "higher_is_better": {name: objective.higher_is_better[name] for name in after},
            "space": {"languages": list(space.languages), "anchors": facts, "before": before},
            "efficiency": {"seconds": round(time.monotonic() - started, 1), "peak_memory_bytes": peak_memory()},
        }
    )
    if after:
        show(screen, f"{cfg.dataset.name}, dev, before", before)
        show(screen, f"{cfg.dataset.name}, dev, after", after)
    screen.say(f"{directory.path}: done in {time.monotonic() - started:.1f} s")
    return mean_score(after, objective.metric)


def scored(cfg, reader: Reader, dev: dict, tokenizer, accelerator) -> dict[str, dict[str, float]]:
    """Retrieval on the dev data, at the last layer; {} where there are none."""
    if not dev:
        return {}
    plain = accelerator.unwrap_model(reader.model)
    vocabulary = Vocabulary.of(tokenizer).read_by(plain, list(dev))
    golds = {pair: table.gold({}) for pair, table in dev.items()}
    limits = reader.max_length, cfg.hardware.eval_tokens
    return score(reader.model, cfg.objective, dev, golds, vocabulary, *limits, accelerator, cfg.train.eval_rows)


def solve(cfg, reader: Reader, asked: list[str], screen: Screen) -> tuple[Space, dict[str, int]]:
    """(the space, how many anchors each language had)."""
    objective, codes = cfg.objective, language_codes(asked)
    if getattr(objective, "removes_means", False):
        vectors = {language_codes([code])[0]: read(reader, rows_of(cfg, code, "text"), code) for code in asked}
        means = torch.stack([vectors[code].mean(1) for code in codes])
        return Space(codes, means, None), {code: vectors[code].shape[1] for code in codes}
    hub = language_codes([objective.hub])[0]
    anchors = (sentence_anchors if objective.view == "parallel" else word_anchors)(cfg, reader, asked, hub)
    for code, (x_KPD, _) in anchors.items():
        if x_KPD.shape[1] < reader.width:
            screen.warn(
                f"{code}: {x_KPD.shape[1]} anchors for {reader.width} dimensions do not determine a rotation; give more, objective.rows=null"
            )
    turned = objective.solve_space(hub, anchors)
    return Space(*turned), {code: x_KPD.shape[1] for code, (x_KPD, _) in anchors.items()}


def rows_of(cfg, code: str, view: str) -> list[dict]:
    """The first `objective.rows` training rows."""
    return list(itertools.islice(cfg.dataset.rows(view, code, "train"), cfg.objective.rows))


def read(reader: Reader, rows: list[dict], code: str, key: str = "text") -> torch.Tensor:
    """vectors_KND of the sentences."""
    return torch.from_numpy(reader.read([row[key] for row in rows], code))


def sentence_anchors(cfg, reader: Reader, pairs: list[str], hub: str) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """{language: (its sentences, the hub's)}. ConfigError for a pair without the hub."""
    found = {}
    for pair in pairs:
        sides = dict(zip(languages.pair(pair), ("source", "target"), strict=True))
        by_code = {language_codes([code])[0]: (code, side) for code, side in sides.items()}
        if hub not in by_code:
            raise ConfigError(
                f"objective.hub: {pair} does not have {hub}; name only pairs with it in languages.train, or another hub"
            )
        (other,) = by_code.keys() - {hub}
        rows = rows_of(cfg, pair, "parallel")
        found[other] = tuple(read(reader, rows, *by_code[code]) for code in (other, hub))
    return found


def word_anchors(cfg, reader: Reader, asked: list[str], hub: str) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """{language: (its words, the hub's)} of the dictionary's training pairs whose words both occur often enough. DataError if there are none."""
    objective, own = cfg.objective, {language_codes([code])[0]: code for code in asked}
    if hub not in own:
        raise ConfigError(
            f"objective.hub: {hub} is not among the languages that are read ({', '.join(asked)}); add it to languages.train"
        )
    pairs = {}
    for name in objective.dictionary.languages("dictionary"):
        a, b = (language_codes([code])[0] for code in languages.pair(name))
        if hub in (a, b) and {a, b} <= own.keys():
            each = [
                (row["word"].lower(), row["translation"].lower())
                for row in objective.dictionary.rows("dictionary", name, "train")
            ]
            pairs[b if a == hub else a] = each if b == hub else [(y, x) for x, y in each]
    if missing := sorted(own.keys() - pairs.keys() - {hub}):
        raise ConfigError(
            f"objective.dictionary: {objective.dictionary.name} has no pair of {hub} and {missing[0]}; leave {missing[0]} out of languages.train"
        )
    wanted = {code: sorted({x for x, _ in each}) for code, each in pairs.items()}
    wanted[hub] = sorted({y for each in pairs.values() for _, y in each})
    means = {}
    for code, name in own.items():
        sentences = [words(row["text"]) for row in rows_of(cfg, name, "text")]
        numbers = {word: i for i, word in enumerate(wanted[code])}
        means[code] = (numbers, *mean_states(reader, sentences, name, wanted[code]))
    return {code: _paired(means[code], means[hub], each, objective.min_count, code) for code, each in pairs.items()}


def _paired(mine, hubs, pairs: list[tuple[str, str]], min_count: int, code: str) -> tuple[torch.Tensor, torch.Tensor]:
    (numbers, means_KWD, counts), (hub_numbers, hub_means_KWD, hub_counts) = mine, hubs
    places = [(numbers[x], hub_numbers[y]) for x, y in pairs]
    often = [(i, j) for i, j in places if counts[i] >= min_count and hub_counts[j] >= min_count]
    if not often:
        raise DataError(
            f"{code}: no pair of the dictionary has both of its words {min_count} times in the text; give more text, or lower objective.min_count"
        )
    i_P, j_P = np.array(often).T
    return means_KWD[:, i_P], hub_means_KWD[:, j_P]

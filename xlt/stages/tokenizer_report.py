"""xlt tokenize mode=report: tokenizers that exist, and what each makes of every language's text; nothing is learned."""

from __future__ import annotations

from itertools import islice

from xlt import languages, signals
from xlt.errors import ConfigError
from xlt.run import RunDirectory, peak_memory
from xlt.stages.setup import choose_languages, tokenizer_of
from xlt.tokenization.load import load, tokenizer_hash
from xlt.tokenization.parity import HIGHER_IS_BETTER, fertility, premium
from xlt.training.progress import Screen

_SPLITS = ("dev", "test", "train")  # the first that a language has is read: what a tokenizer has not learned from
_UNSPACED = ("Hans", "Hant", "Jpan", "Thai", "Khmr", "Laoo", "Mymr", "Tibt")  # scripts that put no blanks between words
COLUMNS = ["sub-words/word", "words cut", "characters/sub-word", "unknown", "bytes", "parity"]

Texts = dict[str, list[str]]
Pairs = dict[str, tuple[list[str], list[str]]]  # language -> its sentences, and the pivot's


def run(cfg) -> float:
    """The first tokenizer's mean fertility over the languages of cfg.languages.train (null: all of the data set)."""
    mode, screen = cfg.mode, Screen()
    directory = RunDirectory.open(cfg.run.dir, cfg.stage, cfg.resolved, cfg.run.overwrite)
    named = {name: load(name, "mode.tokenizers") for name in mode.tokenizers} or {_name(cfg): tokenizer_of(cfg)}
    texts, pairs, data = read(cfg)
    directory.record({"data": data, "tokenizers": {name: tokenizer_hash(t) for name, t in named.items()}})
    found = {}
    for name, tokenizer in named.items():
        signals.stop_if_requested("between two tokenizers; run the same command again")
        found[name] = measured(tokenizer, texts, pairs)
        screen.table(
            f"{name} ({len(tokenizer):,} tokens) on {cfg.dataset.name}", ["language", *COLUMNS], lines(found[name])
        )
    if unspaced := [code for code in texts if languages.known(code) and languages.info(code).script in _UNSPACED]:
        screen.say(
            f"{', '.join(unspaced)}: written without blanks between words, so compare characters/sub-word or parity"
        )
    first = next(iter(found.values()))
    directory.finish(
        {
            "results": {cfg.dataset.name: first},
            "tokenizers": {
                name: {"results": found[name], "size": len(t), "hash": tokenizer_hash(t)} for name, t in named.items()
            },
            "pivot": mode.pivot if pairs else None,
            "n": {cfg.dataset.name: {code: len(rows) for code, rows in texts.items()}},
            "higher_is_better": {metric: HIGHER_IS_BETTER[metric] for metric in first},
            "efficiency": {"peak_memory_bytes": peak_memory()},
        }
    )
    screen.say(f"{directory.path}: done; {len(texts)} languages")
    return sum(first["fertility"].values()) / len(texts)


def _name(cfg) -> str:
    return cfg.tokenizer.path or cfg.model.init_from or cfg.run.name


def read(cfg) -> tuple[Texts, Pairs, dict[str, str]]:
    """(text of each language, sentences that are translations of the pivot's, fingerprints). Of a data set that has only parallel text, its sides."""
    dataset, rows = cfg.dataset, cfg.mode.rows
    pairs, data = _pairs(cfg)
    if "text" not in dataset.views():
        if not pairs:
            raise ConfigError(
                f"dataset: {dataset.name} has neither text nor parallel text with {cfg.mode.pivot} (it has {', '.join(dataset.views())}); choose another"
            )
        return (
            {cfg.mode.pivot: next(iter(pairs.values()))[1]} | {code: own for code, (own, _) in pairs.items()},
            pairs,
            data,
        )
    texts = {}
    for code in choose_languages(cfg.languages.train, dataset, "text", cfg.mode.split, "languages.train"):
        split = _split(dataset, "text", code, cfg.mode.split)
        texts[code] = [row["text"] for row in islice(dataset.rows("text", code, split), rows)]
        if not any(map(str.split, texts[code])):
            raise ConfigError(
                f"dataset: {dataset.name} has no words in {code}, {split}; leave it out of languages.train"
            )
        data[f"{code}/{split}"] = dataset.fingerprint("text", code, split)
    return texts, {code: pair for code, pair in pairs.items() if code in texts}, data


def _pairs(cfg) -> tuple[Pairs, dict[str, str]]:
    """Parallel text with the pivot, where the data set has some."""
    dataset, pivot = cfg.dataset, cfg.mode.pivot
    pairs, data = {}, {}
    if pivot is None or "parallel" not in dataset.views():
        return pairs, data
    for name in dataset.languages("parallel"):
        sides = languages.pair(name)
        other = next((code for code in sides if code != pivot), None)
        if (
            pivot not in sides
            or not dataset.splits("parallel", name)
            or (cfg.languages.train and other not in cfg.languages.train)
        ):
            continue
        split = _split(dataset, "parallel", name, cfg.mode.split)
        read = list(islice(dataset.rows("parallel", name, split), cfg.mode.rows))
        own = "target" if sides[0] == pivot else "source"
        pairs[other] = [row[own] for row in read], [row["source" if own == "target" else "target"] for row in read]
        data[f"{name}/{split}"] = dataset.fingerprint("parallel", name, split)
    return pairs, data


def _split(dataset, view: str, code: str, asked: str | None) -> str:
    has = dataset.splits(view, code)
    if asked is not None and asked not in has:
        raise ConfigError(
            f"mode.split: {dataset.name} has no {asked} split of {code} ({view}); it has {', '.join(has)}"
        )
    return asked or next(split for split in _SPLITS if split in has)


def measured(tokenizer, texts: Texts, pairs: Pairs) -> dict[str, dict[str, float]]:
    """{metric: {language: figure}}; parity of the languages that have parallel text."""
    each = {code: fertility(tokenizer, rows) for code, rows in texts.items()}
    found = {metric: {code: by[metric] for code, by in each.items()} for metric in next(iter(each.values()))}
    if pairs:
        found["parity"] = {code: premium(tokenizer, own, pivot) for code, (own, pivot) in pairs.items()}
    return found


def lines(found: dict[str, dict[str, float]]) -> list[list[str]]:
    """A line a language, highest fertility last."""
    order = sorted(found["fertility"], key=found["fertility"].__getitem__)
    return [
        [
            code,
            f"{found['fertility'][code]:.2f}",
            f"{found['continued_words'][code]:.1%}",
            f"{found['characters_per_token'][code]:.2f}",
            f"{found['unknown_rate'][code]:.2%}",
            f"{found['byte_rate'][code]:.2%}",
            f"{found['parity'][code]:.2f}" if code in found.get("parity", {}) else "-",
        ]
        for code in order
    ]

"""xlt mine: two languages' texts -> the sentences that are translations of each other, scored, one to one, as parallel data for `xlt align`.

Each side is read once into vectors on disk, then searched shard against shard; an interrupted run goes on with the sentences and shards that are missing.
"""

from __future__ import annotations

import itertools
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from xlt import files, languages
from xlt.alignment.mining import Pairs
from xlt.data.cleaning.report import summary
from xlt.data.cleaning.scripts import folded
from xlt.data.sides import Side, write_side
from xlt.errors import ConfigError, DataError
from xlt.evaluation.mining import HIGHER_IS_BETTER, Mining, against
from xlt.evaluation.searching import search
from xlt.run import RunDirectory, parent_lineage, peak_memory
from xlt.stages.inspect import reader_of
from xlt.stages.quarantine import set_aside
from xlt.stages.setup import accelerator_of, choose_languages, clean_text, tokenizer_of
from xlt.tokenization.load import tokenizer_hash
from xlt.training.progress import Screen

SCRATCH, MINED = "work", "mined"
HEAD = ("score", "source", "target", "source_place", "target_place")


def run(cfg) -> float:
    """Mine the pairs of cfg.languages.train (null: all of the data set); writes mined/PAIR/train.tsv, returns how many pairs of sentences were found."""
    spec: Mining = cfg.mining
    screen, started = Screen(), time.monotonic()
    if cfg.model.init_from is None:
        raise ConfigError(
            "model.init_from: no model is named; give a run directory, a folder in transformers format or a hub name"
        )
    directory = RunDirectory.open(cfg.run.dir, cfg.stage, cfg.resolved, cfg.run.overwrite)
    accelerator, tokenizer = accelerator_of(cfg), tokenizer_of(cfg)
    pairs = pairs_of(cfg.languages.train, cfg.dataset)
    codes = list(dict.fromkeys(itertools.chain.from_iterable(map(languages.pair, pairs))))
    gold = {pair: true_pairs(cfg.gold, pair) for pair in pairs} if cfg.gold is not None else {}
    cfg, cleaned = clean_text(cfg, "text", codes, directory, screen)
    fingerprints = {
        f"{cfg.dataset.name}/{code}/train": cfg.dataset.fingerprint("text", code, "train") for code in codes
    }
    parent = parent_lineage(cfg.model.init_from)
    directory.record({"data": fingerprints, "tokenizer": tokenizer_hash(tokenizer), "parent": parent})

    sides = read_sides(cfg, spec, tokenizer, codes, accelerator, directory.path / SCRATCH, screen)
    read = time.monotonic()
    facts, figures = {}, {}
    for pair in pairs:
        first, second = (sides[code] for code in languages.pair(pair))
        with screen.counting(f"searching {pair}", first.rows * second.rows, 0):
            found = search(first, second, spec, directory.path / SCRATCH / pair, screen.advance)
        kept = spec.kept(found)
        write_pairs(directory.path / MINED / pair / "train.tsv", first, second, found, kept)
        facts[pair] = told(found, kept, first, second)
        if pair in gold:
            figures[pair] = against(found, right_of(found, first, second, gold[pair]), kept, len(gold[pair]))
    show(screen, cfg.dataset.name, facts, figures)
    by_metric = {metric: {pair: by[metric] for pair, by in figures.items()} for metric in HIGHER_IS_BETTER}
    directory.finish(
        {
            **set_aside(cfg, directory.path),
            "results": {cfg.dataset.name: by_metric} if figures else {},
            "n": {cfg.dataset.name: {pair: known["kept"] for pair, known in facts.items()}},
            **({"metric": "f1", "higher_is_better": HIGHER_IS_BETTER} if figures else {}),
            "mined": facts,
            **(
                {"gold": {p: {"true": len(gold[p]), "best": by["best"]} for p, by in figures.items()}}
                if figures
                else {}
            ),
            **({"cleaning": summary(cleaned)} if cleaned else {}),
            "efficiency": {
                "seconds": round(time.monotonic() - started, 1),
                "reading_seconds": round(read - started, 1),
                "searching_seconds": round(time.monotonic() - read, 1),
                "peak_memory_bytes": peak_memory(),
            },
        }
    )
    if not spec.keep_vectors:
        shutil.rmtree(directory.path / SCRATCH, ignore_errors=True)
    place = directory.path / MINED
    screen.say(f"{directory.path}: done; to learn from them, dataset=parallel_files dataset.root={place}")
    return float(sum(known["kept"] for known in facts.values()))


def pairs_of(asked: list[str] | None, dataset) -> list[str]:
    """Pairs en-de of languages that the data set has text in. null: those of its pivot, or of the only two. ConfigError for others."""
    offered = choose_languages(None, dataset, "text", "train", "languages.train")
    if asked is None:
        pivot = getattr(dataset, "pivot", None)
        if pivot in offered:
            return [f"{pivot}-{code}" for code in offered if code != pivot]
        if len(offered) == 2:
            return ["-".join(offered)]
        raise ConfigError(
            f"languages.train: null, and {dataset.name} has text in {', '.join(offered)}; say which pairs to mine, for example languages.train=[en-de]"
        )
    for pair in asked:
        choose_languages(list(languages.pair(pair)), dataset, "text", "train", "languages.train")
    return list(asked)


def read_sides(
    cfg, spec: Mining, tokenizer, codes: list[str], accelerator, folder: Path, screen: Screen
) -> dict[str, Side]:
    """The vectors of each language's sentences, on disk."""
    reader, _ = reader_of(cfg, spec, tokenizer, codes, accelerator, every_layer=False)
    total = {code: sum(1 for _ in cfg.dataset.rows("text", code, "train")) for code in codes}
    sides, before = {}, 0
    with screen.counting("reading sentences", sum(total.values()), 0):
        for code in codes:
            sides[code] = write_side(
                folder / code, cfg.dataset, code, lambda texts, c=code: reader.read(texts, c)[0], reader.width, spec.vectors.value,
                lambda rows, b=before: screen.advance(b + rows),
            )  # fmt: skip
            before += total[code]
    return sides


def write_pairs(path: Path, first: Side, second: Side, pairs: Pairs, kept: int) -> None:
    """The best `kept` pairs as TSV: score, both texts, and where they stand."""

    def lines() -> Iterator[str]:
        yield "\t".join(HEAD)
        sides = first.lines(pairs.source[:kept].numpy()), second.lines(pairs.target[:kept].numpy())
        for score, (here, source), (there, target) in zip(pairs.scores[:kept].tolist(), *sides, strict=True):
            yield f"{score:.6f}\t{source}\t{target}\t{here}\t{there}"

    files.write_lines(path, lines())


def told(pairs: Pairs, kept: int, first: Side, second: Side) -> dict[str, Any]:
    """What metrics.json says of a pair of languages. scores: of all that were put together, at ten steps from the lowest to the highest."""
    steps = np.linspace(0, 1, 11)
    scores = np.quantile(pairs.scores.numpy(), steps).tolist() if len(pairs.scores) else []
    return {"source_sentences": first.rows, "target_sentences": second.rows, "paired": len(pairs.scores), "kept": kept, "scores": scores}  # fmt: skip


def true_pairs(gold, pair: str) -> set[tuple[str, str]]:
    """Folded texts of the pairs in all splits of the data set of true pairs. DataError if it has none in these languages."""
    if pair not in gold.languages("parallel"):
        raise DataError(
            f"gold: {gold.name} has no {pair}; it has {', '.join(gold.languages('parallel'))}: leave it out, or mine one of them"
        )
    rows = (row for split in gold.splits("parallel", pair) for row in gold.rows("parallel", pair, split))
    return {_key(row["source"], row["target"]) for row in rows}


def _key(source: str, target: str) -> tuple[str, str]:
    return folded(source), folded(target)


def right_of(pairs: Pairs, first: Side, second: Side, gold: set[tuple[str, str]]) -> torch.Tensor:
    """bool P: which are true ones."""
    both = zip(first.lines(pairs.source.numpy()), second.lines(pairs.target.numpy()), strict=True)
    return torch.tensor([_key(source, target) in gold for (_, source), (_, target) in both], dtype=torch.bool)


def show(screen: Screen, name: str, facts: dict[str, dict], figures: dict[str, dict]) -> None:
    """A pair of languages a line."""
    head = ["pair", "sentences", "put together", "kept", "median score"]
    head += ["precision", "recall", "F1", "best F1 at"] if figures else []
    lines = []
    for pair, known in facts.items():
        middle = f"{known['scores'][5]:.3f}" if known["scores"] else ""
        line = [
            pair,
            f"{known['source_sentences']:,} x {known['target_sentences']:,}",
            f"{known['paired']:,}",
            f"{known['kept']:,}",
            middle,
        ]
        if by := figures.get(pair):
            line += [f"{by[m]:.3f}" for m in ("precision", "recall", "f1")]
            line += [f"{by['best']['f1']:.3f} {by['best']['threshold']:.3f}"]
        lines.append(line)
    screen.table(f"{name}: mined", head, lines)
    for pair, known in facts.items():
        if not known["kept"]:
            best = f"the best score is {known['scores'][-1]:.3f}" if known["scores"] else "nothing was put together"
            screen.warn(
                f"{pair}: nothing was kept, for {best}; lower mining.threshold, or take a model whose space the languages share"
            )

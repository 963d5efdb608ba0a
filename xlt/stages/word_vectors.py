"""xlt pretrain with an objective that learns static word vectors: text -> vectors/<language>.vec, which xlt align maps (objective.vectors)."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch

from xlt import files, signals
from xlt.alignment.vectors import StaticVectors, write_vec
from xlt.run import RunDirectory, peak_memory
from xlt.stages.quarantine import set_aside
from xlt.stages.setup import choose_languages, clean_text
from xlt.stages.words import words
from xlt.training.progress import Screen


def run(cfg) -> float:
    """Learn the vectors of cfg.languages.train (null: all languages of the data set); the mean share of their running words that has a vector."""
    objective, screen, started = cfg.objective, Screen(), time.monotonic()
    objective.require()
    directory = RunDirectory.open(cfg.run.dir, cfg.stage, cfg.resolved, cfg.run.overwrite)
    codes = choose_languages(cfg.languages.train, cfg.dataset, "text", "train", "languages.train")
    directory.record({"data": {code: cfg.dataset.fingerprint("text", code, "train") for code in codes}})
    cfg, cleaned = clean_text(cfg, "text", codes, directory, screen)
    learn = joint if objective.joint else apart
    facts = learn(cfg, codes, directory.path, screen)
    coverage = {code: found["coverage"] for code, found in facts.items()}
    directory.finish(
        {
            **set_aside(cfg, directory.path),
            "results": {cfg.dataset.name: {"coverage": coverage}},
            "n": {cfg.dataset.name: {code: found["tokens"] for code, found in facts.items()}},
            "split": "train",
            "vectors": facts,
            "higher_is_better": objective.higher_is_better,
            "efficiency": {
                "seconds": round(time.monotonic() - started, 1),
                "tokens": sum(found["tokens"] for found in facts.values()),
                "peak_memory_bytes": peak_memory(),
            },
            **({"cleaning": cleaned} if cleaned else {}),
        }
    )
    lines = [[c, f"{f['words']:,}", f"{f['tokens']:,}", f"{f['coverage']:.1%}"] for c, f in facts.items()]
    screen.table(f"{cfg.dataset.name}: word vectors", ["language", "words", "running words", "covered"], lines)
    screen.say(f"{directory.path}: done; vectors in {directory.path / 'vectors'}")
    return sum(coverage.values()) / len(coverage)


def apart(cfg, codes: list[str], place: Path, screen: Screen) -> dict[str, dict]:
    """A space for each language, written as soon as it is learned."""
    facts = {}
    with screen.counting("learning", len(codes), 0):
        for done, code in enumerate(codes, 1):
            signals.stop_if_requested(f"after {done - 1} of {len(codes)} languages; run the same command again")
            table, facts[code] = cfg.objective.learn(
                partial(sentences, cfg, [code]), cfg.seed, partial(tell, screen, code)
            )
            write(place, {code: table})
            screen.advance(done, f"{code}  {facts[code]['words']:,} words")
    return facts


def joint(cfg, codes: list[str], place: Path, screen: Screen) -> dict[str, dict]:
    """One space: joint.vec, and of each language the words that occur in its text, most frequent first."""
    table, _ = cfg.objective.learn(partial(sentences, cfg, codes), cfg.seed, partial(tell, screen, "joint"))
    facts, tables = {}, {"joint": table}
    for code in codes:
        counts = Counter(word for sentence in sentences(cfg, [code]) for word in sentence)
        own = [(word, count) for word, count in counts.most_common() if word in table.rows]
        rows = torch.tensor([table.rows[word] for word, _ in own], dtype=torch.long)
        tables[code] = StaticVectors([word for word, _ in own], table.vectors[rows])
        tokens = counts.total()
        facts[code] = {"words": len(own), "tokens": tokens, "coverage": sum(count for _, count in own) / max(tokens, 1)}
    write(place, tables)
    return facts


def sentences(cfg, codes: list[str]) -> Iterator[list[str]]:
    """The words of each row."""
    for code in codes:
        for row in cfg.dataset.rows("text", code, "train"):
            yield words(row["text"])


def tell(screen: Screen, name: str, line: str) -> None:
    """One line; a signal that asked to stop is heard here."""
    signals.stop_if_requested(f"while learning {name}; run the same command again")
    screen.say(f"{name}  {line}")


def write(place: Path, tables: dict[str, StaticVectors]) -> None:
    """vectors/<name>.vec, each complete or not there."""
    for name, table in tables.items():
        file = place / "vectors" / f"{name}.vec"
        with files.disk(file):
            file.parent.mkdir(exist_ok=True)
            part = file.with_name(f".{name}.part")
            write_vec(part, table)
            part.replace(file)

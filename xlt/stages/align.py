"""xlt align: a shared space, trained on parallel sentences (an encoder), or solved from them (embeddings) or from a dictionary (a mapping of word vectors)."""

from __future__ import annotations

import time
from pathlib import Path

from xlt import files, languages, signals
from xlt.alignment.cooccurrences import learn_vectors
from xlt.alignment.vectors import StaticVectors, read_vec, write_vec
from xlt.errors import ConfigError
from xlt.run import RunDirectory, peak_memory
from xlt.stages import embedding
from xlt.stages.setup import choose_languages
from xlt.stages.training import Recipe, train
from xlt.training.progress import Screen


def run(cfg) -> float:
    """Align cfg.languages.train (languages or pairs; null: all pairs of the data set); returns the mean of the objective's metric."""
    if hasattr(cfg.objective, "solve"):
        return solve(cfg)
    if hasattr(cfg.objective, "embed"):
        return embedding.run(cfg)
    return train(cfg, Recipe(cfg.languages.train, "languages.train", choose=False))


def solve(cfg) -> float:
    """Map the first language of each pair onto the second: mapping, mapped .vec files and word translation on the dictionary's test split."""
    objective, screen, started = cfg.objective, Screen(), time.monotonic()
    directory = RunDirectory.open(cfg.run.dir, cfg.stage, cfg.resolved, cfg.run.overwrite)
    pairs = choose_languages(cfg.languages.train, cfg.dataset, "dictionary", "train", "languages.train")
    directory.record(
        {
            "data": {
                p: [cfg.dataset.fingerprint("dictionary", p, s) for s in cfg.dataset.splits("dictionary", p)]
                for p in pairs
            }
        }
    )
    tables: dict[str, StaticVectors] = {}
    figures, counts, facts = {}, {}, {}
    with screen.counting("aligning", len(pairs), 0):
        for done, pair in enumerate(pairs, 1):
            signals.stop_if_requested(f"after {done - 1} of {len(pairs)} pairs; run the same command again")
            for code in languages.pair(pair):
                if code not in tables:
                    tables[code] = vectors_of(cfg, code)
            source, target = (tables[code] for code in languages.pair(pair))
            mapping, mapped, normal, facts[pair] = objective.solve(source, target, _dictionary(cfg, pair, "train"))
            files.write_folder(
                directory.path / "mappings" / pair,
                lambda folder, m=mapping, s=mapped, t=normal: _write(folder, m, s, t),
            )
            gold = _dictionary(cfg, pair, "test" if "test" in cfg.dataset.splits("dictionary", pair) else "train")
            for metric, value in objective.score(mapped, normal, gold).items():
                figures.setdefault(metric, {})[pair] = value
            counts[pair] = len({word for word, _ in gold})
            screen.advance(
                done,
                f"{pair}  P@1 {figures['nn_precision_at_1'][pair]:.3f} nearest neighbour, {figures['csls_precision_at_1'][pair]:.3f} CSLS",
            )
    metrics = list(figures)
    screen.table(
        f"{cfg.dataset.name}: word translation",
        ["pair", *metrics],
        [[p, *(f"{figures[m][p]:.3f}" for m in metrics)] for p in pairs],
    )
    efficiency = {"seconds": round(time.monotonic() - started, 1), "peak_memory_bytes": peak_memory()}
    directory.finish(
        {
            "results": {cfg.dataset.name: figures},
            "n": {cfg.dataset.name: counts},
            "pairs": facts,
            "higher_is_better": objective.higher_is_better,
            "efficiency": efficiency,
        }
    )
    screen.say(f"{directory.path}: done; mapped vectors in {directory.path / 'mappings'}")
    return sum(figures[objective.metric].values()) / len(pairs)


def vectors_of(cfg, language: str) -> StaticVectors:
    """The word vectors of a language: the user's file, else learned from the text of the data set."""
    objective = cfg.objective
    if objective.vectors is not None:
        return read_vec(objective.vectors.format(lang=language), objective.max_vocab)
    if "text" not in cfg.dataset.views() or language not in cfg.dataset.languages("text"):
        raise ConfigError(
            f"objective.vectors: null, and {cfg.dataset.name} has no text in {language} to learn vectors from; give .vec files, for example 'objective.vectors=\"/data/wiki.{{lang}}.vec\"'"
        )
    words = (_words(row["text"]) for row in cfg.dataset.rows("text", language, "train"))
    return learn_vectors(words, objective.width, min(objective.max_vocab, 10_000), objective.window)


def _words(text: str) -> list[str]:
    return [w for w in ("".join(c if c.isalnum() or c in "'’-" else " " for c in text.lower())).split() if w]


def _dictionary(cfg, pair: str, split: str) -> list[tuple[str, str]]:
    return [(row["word"], row["translation"]) for row in cfg.dataset.rows("dictionary", pair, split)]


def _write(folder: Path, mapping, source: StaticVectors, target: StaticVectors) -> None:
    from safetensors.torch import save_file

    save_file({"mapping": mapping.contiguous()}, folder / "mapping.safetensors")
    write_vec(folder / "source.vec", source)
    write_vec(folder / "target.vec", target)

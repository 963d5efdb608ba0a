"""xlt align with an objective that solves for the embeddings of an encoder without layers: encode, solve, score, write."""

from __future__ import annotations

import time

from xlt import files
from xlt.models.build import build, save
from xlt.models.static import make_static
from xlt.run import RunDirectory, peak_memory
from xlt.stages.quarantine import set_aside
from xlt.stages.scoring import mean_score, score, show
from xlt.stages.setup import accelerator_of, choose_languages, data_lineage, encode_all, tokenizer_of
from xlt.tokenization.load import tokenizer_hash
from xlt.training.progress import Screen
from xlt.vocabulary import Vocabulary


def run(cfg) -> float:
    """Solve from cfg.languages.train (pairs; null: all), score retrieval on the dev data; returns its mean."""
    objective, screen, started = cfg.objective, Screen(), time.monotonic()
    directory = RunDirectory.open(cfg.run.dir, cfg.stage, cfg.resolved, cfg.run.overwrite)
    accelerator, tokenizer = accelerator_of(cfg), tokenizer_of(cfg)
    pairs = choose_languages(cfg.languages.train, cfg.dataset, objective.view, "train", "languages.train")
    tables = encode_all(cfg, objective, tokenizer, pairs, "train")
    with_dev = [pair for pair in pairs if "dev" in cfg.dataset.splits(objective.view, pair)]
    dev = encode_all(cfg, objective, tokenizer, with_dev, "dev")
    directory.record({"data": data_lineage(tables), "tokenizer": tokenizer_hash(tokenizer), "parent": None})

    model = build(cfg.model, objective.head, objective, None, tokenizer, cfg.seed)
    rows, tokens = sum(map(len, tables.values())), sum(int(t.lengths.sum()) for t in tables.values())
    screen.say(
        f"solving for {len(tokenizer):,} x {model.width} embeddings from {rows:,} pairs of sentences, {tokens:,} tokens"
    )
    make_static(model, objective.embed(tables, len(tokenizer), model.width, cfg.seed))
    model.task |= {"max_length": cfg.train.max_length, "objective": cfg.resolved["objective"]}
    model = accelerator.prepare_model(model)
    golds = {pair: table.gold({}) for pair, table in dev.items()}
    limits = cfg.train.max_length, cfg.hardware.eval_tokens
    figures = score(model, objective, dev, golds, Vocabulary.of(tokenizer), *limits, accelerator, cfg.train.eval_rows)
    plain = accelerator.unwrap_model(model)
    files.write_folder(directory.path / "model", lambda folder: save(plain, tokenizer, folder))
    seconds = time.monotonic() - started
    directory.finish(
        {
            **set_aside(cfg, directory.path),
            "results": {cfg.dataset.name: figures},
            "n": {cfg.dataset.name: {pair: len(table) for pair, table in dev.items()}},
            "split": "dev",
            "higher_is_better": objective.higher_is_better,
            "parameters": sum(p.numel() for p in plain.parameters()),
            "efficiency": {"seconds": round(seconds, 1), "tokens": tokens, "peak_memory_bytes": peak_memory()},
        }
    )
    if figures:
        show(screen, f"{cfg.dataset.name}, dev", figures)
    screen.say(f"{directory.path}: done in {seconds:.1f} s")
    return mean_score(figures, objective.metric)

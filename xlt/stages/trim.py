"""xlt tokenize mode=trim: a model that can do less, and takes less: only the pieces in some languages' text are kept. Abdaoui et al. 2020."""

from __future__ import annotations

from itertools import islice

import numpy as np

from xlt.models.vocabulary import keep_rows, load_whole, named_ids
from xlt.run import RunDirectory, parent_lineage, peak_memory
from xlt.stages.setup import tokenizer_of
from xlt.stages.vocabulary import (
    CHECKED,
    largest_difference,
    logits_of,
    read_languages,
    size_of,
    texts_of,
    write_model,
)
from xlt.tokenization.load import tokenizer_hash
from xlt.tokenization.trim import changed_texts, cut, needed
from xlt.training.progress import Screen


def run(cfg) -> float:
    """The share of the model's parameters that is left."""
    mode, start, screen = cfg.mode, cfg.model.init_from, Screen()
    directory = RunDirectory.open(cfg.run.dir, cfg.stage, cfg.resolved, cfg.run.overwrite)
    codes, data = read_languages(cfg)
    tokenizer, model = tokenizer_of(cfg), load_whole(start)
    directory.record({"data": data, "tokenizer": tokenizer_hash(tokenizer), "parent": parent_lineage(start)})
    texts = texts_of(cfg, codes, mode.rows)
    kept_K = needed(tokenizer, texts, mode.min_count, named_ids(model), "model.init_from")
    trimmed = cut(tokenizer, kept_K, "model.init_from")
    new_V = np.full(len(tokenizer), -1)
    new_V[kept_K] = np.arange(len(kept_K))
    changed, total = changed_texts(tokenizer, trimmed, new_V, texts)
    if changed and mode.min_count == 1:
        raise RuntimeError(f"{changed} of {total} texts that were counted are encoded otherwise")

    rows = trimmed(list(islice(texts(), CHECKED)), verbose=False)["input_ids"]
    size = {"before": size_of(model)}
    before = [
        x[..., kept_K] if x.shape[-1] == model.config.vocab_size else x
        for x in logits_of(model, [kept_K[r].tolist() for r in rows])
    ]
    pieces = {"before": len(tokenizer), "after": len(kept_K)}
    keep_rows(model, kept_K)
    difference = largest_difference(before, logits_of(model, rows))
    size["after"] = size_of(model)
    write_model(directory.path, model, trimmed, start)
    left = size["after"]["parameters"] / size["before"]["parameters"]
    screen.table(
        f"{start}, trimmed to {', '.join(codes)}",
        ["", "before", "after", "left"],
        [
            [name, f"{a:,}", f"{b:,}", f"{b / a:.1%}"]
            for name, a, b in [
                ("pieces", *pieces.values()),
                *((key, size["before"][key], size["after"][key]) for key in size["before"]),
            ]
        ],
    )
    directory.finish(
        {
            "results": {cfg.dataset.name: {"texts_changed": {"all": changed / max(total, 1)}}},
            "n": {cfg.dataset.name: {"all": total}},
            "higher_is_better": {"texts_changed": False},
            "languages": codes,
            "vocabulary": {**pieces, "hash": tokenizer_hash(trimmed)},
            "size": size,
            "largest_logit_difference": difference,
            "efficiency": {"peak_memory_bytes": peak_memory()},
        }
    )
    screen.say(
        f"{changed:,} of {total:,} texts are encoded otherwise; logits of kept pieces differ by {difference:.1e} at most"
    )
    screen.say(f"{directory.path}: done; {len(kept_K):,} of {len(tokenizer):,} pieces, {left:.1%} of the parameters")
    return left

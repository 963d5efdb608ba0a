"""xlt tokenize mode=extend: a model that reads new languages in pieces of their own, whose rows begin where old ones suggest; old outputs stay."""

from __future__ import annotations

import os
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from xlt import signals
from xlt.alignment.vectors import StaticVectors, read_vec
from xlt.data.sampling import language_shares
from xlt.errors import ConfigError, DataError
from xlt.models.build import known_task
from xlt.models.inputs import InputEmbeddings
from xlt.models.new_rows import (
    Mixture,
    focus_mixtures,
    mean_mixtures,
    mixed,
    piece_vectors,
    random_rows,
    wechsel_mixtures,
)
from xlt.models.vocabulary import add_rows, load_whole, output_rows
from xlt.objectives.skipgram import SkipGram, require_gensim
from xlt.run import RunDirectory, parent_lineage, peak_memory
from xlt.stages.setup import tokenizer_of
from xlt.stages.vocabulary import CHECKED, largest_difference, logits_of, read_languages, size_of, write_model
from xlt.stages.words import words
from xlt.tokenization.extend import extended, parts_of
from xlt.tokenization.load import tokenizer_hash
from xlt.tokenization.modes import Init
from xlt.tokenization.parity import fertility
from xlt.tokenization.train import balanced_sample, draw_sentences
from xlt.tokenization.trim import changed_texts
from xlt.training.progress import Screen
from xlt.vocabulary import language_codes

REPORT_ROWS = 2000  # texts a language on which old and new tokenizer are compared
MOST_PIECES = 50_000  # most frequent ones that get a vector of init=focus
# fastText's defaults, which FOCUS (Dobler and de Melo 2023) leaves as they are; fewer buckets, for pieces have far fewer n-grams than words
FASTTEXT = {
    "negatives": 5,
    "learning_rate": 0.05,
    "subsample": 1e-4,
    "min_ngram": 3,
    "max_ngram": 6,
    "buckets": 200_000,
}


def run(cfg) -> float:
    """The mean fertility of the new languages, those of cfg.languages.train, with the new pieces."""
    mode, start, screen = cfg.mode, cfg.model.init_from, Screen()
    if mode.init is Init.focus:
        require_gensim("mode.init: focus learns vectors of pieces")
    directory = RunDirectory.open(cfg.run.dir, cfg.stage, cfg.resolved, cfg.run.overwrite)
    codes, data = read_languages(cfg)
    old, model = tokenizer_of(cfg), load_whole(start)
    directory.record({"data": data, "tokenizer": tokenizer_hash(old), "parent": parent_lineage(start)})
    texts = drawn(cfg, codes)
    screen.say(f"extend: learning at most {mode.pieces:,} pieces from {len(texts):,} sentences in {', '.join(codes)}")
    threads = cfg.hardware.threads or os.cpu_count() or 1
    new, added = signals.interruptible(
        lambda: extended(old, texts, mode.pieces, mode.character_coverage, mode.mixture, threads, "model.init_from"),
        "while learning pieces; run the same command again",
    )
    others = other_languages(cfg, codes)
    told = compared(cfg, old, new, codes, others, screen)

    rows = old(sample_of(cfg, codes, others), verbose=False)["input_ids"]
    size, before = {"before": size_of(model)}, logits_of(model, rows)
    width = (
        len(old) if model.get_output_embeddings() is not None else None
    )  # of a model without a head states are compared
    beginnings = rows_of_new(cfg, model, old, new, added, texts, others)
    add_rows(model, len(old), *beginnings)
    difference = largest_difference(*([x[..., :width] for x in each] for each in (before, logits_of(model, rows))))
    size["after"] = size_of(model)
    spoken: list[str] = []
    width_of_inputs = model.get_input_embeddings().embedding_dim
    write_model(
        directory.path, model, new, start, lambda folder: spoken.extend(more_languages(folder, width_of_inputs, codes))
    )
    if spoken:
        screen.say(f"{', '.join(spoken)}: embeddings of the languages begin as the mean of the others")
    directory.finish(
        {
            "results": {cfg.dataset.name: told},
            "n": {cfg.dataset.name: {code: len(lines_of(cfg, code)) for code in [*codes, *others]}},
            "higher_is_better": dict.fromkeys(told, False),
            "languages": {"new": codes, "others": others},
            "vocabulary": {"before": len(old), "after": len(new), "added": len(added), "hash": tokenizer_hash(new)},
            "init": mode.init.value,
            "size": size,
            "largest_logit_difference": difference,
            "efficiency": {"peak_memory_bytes": peak_memory()},
        }
    )
    screen.say(f"logits of old pieces on old ids differ by {difference:.1e} at most")
    screen.say(f"{directory.path}: done; {len(added):,} pieces added to {len(old):,}, begun by {mode.init.value}")
    return sum(told["fertility"][code] for code in codes) / len(codes)


def drawn(cfg, codes: list[str]) -> list[str]:
    """Sentences of the new languages, as `xlt tokenize` draws them to learn from."""
    mode = cfg.mode
    texts = {code: [row["text"] for row in cfg.dataset.rows("text", code, "train")] for code in codes}
    sizes = {code: len(t) for code, t in texts.items()}
    total = sum(sizes.values())
    counts = balanced_sample(
        sizes, language_shares(sizes, mode.alpha), min(mode.sample or total, total), mode.max_repeats
    )
    return list(draw_sentences(texts, counts, cfg.seed))


def other_languages(cfg, codes: list[str]) -> list[str]:
    """Those that the checkpoint was trained on, where it says so, else all: of the data set, without the new ones."""
    known = (known_task(cfg.model.init_from) or {}).get("source_languages")
    having = [code for code in cfg.dataset.languages("text") if cfg.dataset.splits("text", code) and code not in codes]
    return [code for code in having if known is None or code in known]


def lines_of(cfg, code: str) -> list[str]:
    """Text of a language that was not learned from, where there is some."""
    has = cfg.dataset.splits("text", code)
    split = next(name for name in ("dev", "test", "train") if name in has)
    return [row["text"] for row in islice(cfg.dataset.rows("text", code, split), REPORT_ROWS)]


def sample_of(cfg, codes: list[str], others: list[str]) -> list[str]:
    """Some CHECKED lines of the old languages, or of the new ones where no others are given."""
    return [
        text
        for code in (others or codes)[:CHECKED]
        for text in lines_of(cfg, code)[: max(1, CHECKED // len(others or codes))]
    ]


def compared(cfg, old, new, codes: list[str], others: list[str], screen: Screen) -> dict[str, dict[str, float]]:
    """{metric: {language: figure}} of both tokenizers, on the new languages and the others, whose text may change, too."""
    same_V = np.arange(len(old))
    found: dict[str, dict[str, float]] = {"fertility_before": {}, "fertility": {}, "texts_changed": {}}
    for code in [*codes, *others]:
        lines = lines_of(cfg, code)
        changed, total = changed_texts(old, new, same_V, lambda lines=lines: lines)
        figures = fertility(old, lines)["fertility"], fertility(new, lines)["fertility"], changed / total
        for metric, figure in zip(found, figures, strict=True):
            found[metric][code] = figure
    screen.table(
        "the tokenizer before and after",
        ["language", "", "sub-words/word before", "after", "texts encoded otherwise"],
        [
            [
                code,
                "new" if code in codes else "",
                *(f"{found[m][code]:.2f}" for m in ("fertility_before", "fertility")),
                f"{found['texts_changed'][code]:.1%}",
            ]
            for code in [*codes, *others]
        ],
    )
    return found


def rows_of_new(cfg, model, old, new, added: list[str], texts: list[str], others: list[str]):
    """(rows_KD, outputs_KD of a head that is not tied, biases_K), by cfg.mode.init."""
    table_VD = model.get_input_embeddings().weight.detach()
    outputs_VD, biases_V = output_rows(model)
    if cfg.mode.init is Init.random:
        std = getattr(model.config, "initializer_range", 0.02)
        drawn_KD = random_rows(len(added), table_VD.shape[1], std, cfg.seed)
        outputs_KD = None if outputs_VD is None else random_rows(len(added), outputs_VD.shape[1], std, cfg.seed + 1)
        return drawn_KD, outputs_KD, None
    mixtures: list[Mixture | None] = mean_mixtures([parts_of(old, piece) for piece in added])
    first = len(old)
    informed: dict[int, Mixture] = {}
    if cfg.mode.init is Init.focus:
        informed = by_focus(cfg, new, first, texts, others)
    elif cfg.mode.init is Init.wechsel:
        informed = by_wechsel(cfg, old, new, first, texts)
    mixtures = [informed.get(first + i, m) for i, m in enumerate(mixtures)]
    size = len(old)  # rows beyond are of no piece
    return (
        mixed(table_VD[:size], mixtures),
        None if outputs_VD is None else mixed(outputs_VD[:size], mixtures),
        None if biases_V is None else mixed(biases_V.view(-1)[:size], mixtures),
    )


def by_focus(cfg, new, first: int, texts: list[str], others: list[str]) -> dict[int, Mixture]:
    """{new id: mixture}. fastText vectors of pieces, on text of the new languages and the others in equal parts: a script that no old language has
    would overlap in digits and commas only. A piece below mode.min_count gets none, and is not mixed of either: vectors that hardly moved from
    where they began are alike by chance."""
    share = max(1, len(texts) // max(1, len(others)))
    more = (row["text"] for code in others for row in islice(cfg.dataset.rows("text", code, "train"), share))
    ids = new([*texts, *more], add_special_tokens=False, verbose=False)["input_ids"]
    rows = [new.convert_ids_to_tokens(row) for row in ids]
    table = learned(cfg, rows)
    special = set(new.all_special_ids)
    seen_N = torch.tensor(new.convert_tokens_to_ids(table.words))
    old_N = torch.tensor([i < first and i not in special for i in seen_N.tolist()])
    new_N = seen_N >= first
    if not old_N.any():
        raise DataError(
            "languages.train: its text has no old piece, of which new ones could be mixed; set mode.init=mean, or give more text"
        )
    found = focus_mixtures(table.vectors[new_N], table.vectors[old_N], seen_N[old_N])
    return dict(zip(seen_N[new_N].tolist(), found, strict=True))


def learned(cfg, rows: list[list[str]]) -> StaticVectors:
    """fastText's skip-gram of pieces, one thread, so the same text gives the same. DataError if no piece is frequent enough."""
    mode = cfg.mode
    most = Counter(piece for row in rows for piece in row).most_common(1)
    if not most or most[0][1] < mode.min_count:
        raise DataError(
            f"languages.train: no piece occurs mode.min_count={mode.min_count} times; lower it, or set mode.init=mean"
        )
    model = SkipGram(
        subwords=True, cbow=False, joint=False, width=mode.width, window=mode.window, min_count=mode.min_count, max_vocab=MOST_PIECES,
        epochs=mode.epochs, workers=1, **FASTTEXT,
    )  # fmt: skip
    return model.learn(lambda: rows, cfg.seed, lambda told: signals.stop_if_requested("while learning vectors"))[0]


def by_wechsel(cfg, old, new, first: int, texts: list[str]) -> dict[int, Mixture]:
    """{new id: mixture}. An old piece has the vector of the source words it is in, a new one that of the new language's words."""
    mode = cfg.mode
    source, target = (read_vec(aligned(mode.vectors) / f"{side}.vec", None) for side in ("source", "target"))
    if "text" not in cfg.dataset.views() or mode.source not in cfg.dataset.languages("text"):
        raise ConfigError(
            f"mode.source: {cfg.dataset.name} has no text in {mode.source}, by which its words are counted; choose one of its languages"
        )
    told = (row["text"] for row in cfg.dataset.rows("text", mode.source, "train"))
    sides = []
    for table, tokenizer, lines in ((source, old, told), (target, new, texts)):
        counts = Counter(word for line in lines for word in words(line))
        ids = tokenizer(table.words, add_special_tokens=False, verbose=False)["input_ids"]
        weights_W = torch.tensor([float(max(1, counts[word])) for word in table.words])
        sides.append(piece_vectors(ids, weights_W, table.vectors))
    (old_ids, old_ND), (new_ids, new_ND) = sides
    kept, wanted = old_ids < first, new_ids >= first
    if source.vectors.shape[1] != target.vectors.shape[1]:
        raise DataError(
            f"mode.vectors: source.vec and target.vec in {mode.vectors} have different widths; align them first"
        )
    found = wechsel_mixtures(new_ND[wanted], old_ND[kept], old_ids[kept], mode.neighbours, mode.temperature)
    return dict(zip(new_ids[wanted].tolist(), found, strict=True))


def aligned(place: str) -> Path:
    """The folder with source.vec and target.vec: the one given, or the only mapping of that run. ConfigError if there is none, or several."""
    folders = [Path(place), *sorted((Path(place) / "mappings").glob("*"))]
    having = [f for f in folders if (f / "source.vec").is_file() and (f / "target.vec").is_file()]
    if len(having) != 1:
        raise ConfigError(
            f"mode.vectors: {place} has {len(having) or 'no'} pairs of source.vec and target.vec; give the folder mappings/PAIR of a run of xlt align objective=procrustes"
        )
    return having[0]


def more_languages(folder: Path, width: int, codes: list[str]) -> list[str]:
    """Language embeddings for those that have none, as the mean of the others; the languages that got one."""
    found = InputEmbeddings.load(folder, width)
    if found is None or found.languages is None:
        return []
    more = [code for code in language_codes(codes) if code not in found.languages]
    if more:
        wider = InputEmbeddings(width, [*found.languages, *more], found.segment is not None)
        old_ND = found.language.weight.detach()
        state = found.state_dict() | {"language.weight": torch.cat([old_ND, old_ND.mean(0).expand(len(more), -1)])}
        wider.load_state_dict(state)
        wider.save(folder)
    return more

"""xlt tokenize: text -> a SentencePiece tokenizer learned on language-balanced text, with a report of how it treats each language.

Its other modes read or change a tokenizer that exists; each has a file of its own.
"""

from __future__ import annotations

import importlib
import os

from xlt import files, signals
from xlt.data.cleaning.report import summary
from xlt.data.sampling import language_shares
from xlt.run import RunDirectory, peak_memory
from xlt.stages.quarantine import set_aside
from xlt.stages.setup import choose_languages, clean_text
from xlt.tokenization.load import tokenizer_hash
from xlt.tokenization.modes import Extend, Report, Trim
from xlt.tokenization.parity import HIGHER_IS_BETTER, fertility
from xlt.tokenization.train import balanced_sample, draw_sentences, train
from xlt.training.progress import Screen

REPORT_ROWS = 2000  # sentences per language on which fertility is measured


_MODES = {Report: "tokenizer_report", Trim: "trim", Extend: "extend"}


def run(cfg) -> float:
    """What cfg.mode says; a number that says how well each language fares."""
    if type(cfg.mode) in _MODES:
        return importlib.import_module(f"xlt.stages.{_MODES[type(cfg.mode)]}").run(cfg)
    return learn(cfg)


def learn(cfg) -> float:
    """Learn cfg.tokenizer on the text of cfg.languages.train; returns the mean fertility over the languages."""
    spec, screen = cfg.tokenizer, Screen()
    directory = RunDirectory.open(cfg.run.dir, cfg.stage, cfg.resolved, cfg.run.overwrite)
    wanted = choose_languages(cfg.languages.train, cfg.dataset, "text", "train", "languages.train")
    cfg, cleaned = clean_text(cfg, "text", wanted, directory, screen)
    directory.record({"data": {language: cfg.dataset.fingerprint("text", language, "train") for language in wanted}})
    texts = {}
    for language in wanted:
        signals.stop_if_requested("while reading text; run the same command again")
        texts[language] = [row["text"] for row in cfg.dataset.rows("text", language, "train")]
    sizes = {language: len(t) for language, t in texts.items()}
    shares = language_shares(sizes, spec.alpha)
    total = sum(sizes.values())
    counts = balanced_sample(sizes, shares, min(spec.sample or total, total), spec.max_repeats)
    screen.say(
        f"tokenize: learning {spec.vocab_size:,} {spec.kind.value} pieces from {sum(counts.values()):,} sentences in {len(wanted)} languages"
    )

    threads = cfg.hardware.threads or os.cpu_count() or 1
    sentences = draw_sentences(texts, counts, cfg.seed)
    tokenizer = signals.interruptible(
        lambda: train(spec, sentences, threads, cfg.train.max_length, wanted),
        "while learning pieces; run the same command again",
    )
    files.write_folder(directory.path / "tokenizer", lambda folder: tokenizer.save_pretrained(folder))

    held_out = {language: _held_out(cfg, language) or texts[language] for language in wanted}
    report = {language: fertility(tokenizer, lines[:REPORT_ROWS]) for language, lines in held_out.items()}
    screen.table(
        "how the tokenizer treats each language",
        ["language", "sentences", "share", "sub-words/word", "characters/sub-word", "unknown", "bytes"],
        [
            [
                language,
                f"{sizes[language]:,}",
                f"{shares[language]:.1%}",
                f"{r['fertility']:.2f}",
                f"{r['characters_per_token']:.2f}",
                f"{r['unknown_rate']:.2%}",
                f"{r['byte_rate']:.2%}",
            ]
            for language, r in report.items()
        ],
    )
    by_metric = {
        metric: {language: r[metric] for language, r in report.items()} for metric in next(iter(report.values()))
    }
    directory.finish(
        {
            **set_aside(cfg, directory.path),
            "results": {cfg.dataset.name: by_metric},
            "n": {cfg.dataset.name: {language: min(len(t), REPORT_ROWS) for language, t in held_out.items()}},
            "higher_is_better": {metric: HIGHER_IS_BETTER[metric] for metric in by_metric},
            "vocabulary": {"size": len(tokenizer), "hash": tokenizer_hash(tokenizer)},
            "sampling": [
                {"language": language, "rows": sizes[language], "share": shares[language], "drawn": counts[language]}
                for language in wanted
            ],
            **({"cleaning": summary(cleaned)} if cleaned else {}),
            "efficiency": {"peak_memory_bytes": peak_memory()},
        }
    )
    screen.say(f"{directory.path}: done; {len(tokenizer):,} tokens")
    return sum(by_metric["fertility"].values()) / len(wanted)


def _held_out(cfg, language: str) -> list[str]:
    if "dev" not in cfg.dataset.splits("text", language):
        return []
    return [row["text"] for row in cfg.dataset.rows("text", language, "dev")]

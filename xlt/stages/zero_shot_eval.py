"""xlt zero-shot-eval: a fine-tuned model, scored on test data in its source languages and in any number of languages it saw no label of.

With objective=NAME, any encoder is scored by that objective, which needs nothing that fine-tuning learns: sentence_retrieval, bitext_mining,
document_retrieval, recommendation, and all that compare parallel sentences.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from xlt import files
from xlt.config.build import build_node
from xlt.config.rules import VIEWS
from xlt.data.encode import Table
from xlt.errors import ConfigError, DataError
from xlt.evaluation.transfer import transfer
from xlt.models.build import build, known_task, read_labelled_task
from xlt.objectives.mixture import Mixture
from xlt.run import RunDirectory, parent_lineage, peak_memory
from xlt.stages.parts import check_layer
from xlt.stages.scoring import fit_on_dev, score
from xlt.stages.setup import accelerator_of, choose_languages, data_lineage, encode_all, tokenizer_of
from xlt.tokenization.load import tokenizer_hash
from xlt.training.progress import Screen
from xlt.types import Gold, closed_sets
from xlt.vocabulary import Vocabulary


def run(cfg) -> float:
    """Score cfg.model on the test split of cfg.languages.target (null: all); writes predictions and metrics.json, returns the target mean."""
    screen = Screen()
    if cfg.model.init_from is None:
        raise ConfigError(
            "model.init_from: no model is named; give the run directory of `xlt finetune`, for example model.init_from=runs/main/finetune"
        )
    task = task_of(cfg)
    directory = RunDirectory.open(cfg.run.dir, cfg.stage, cfg.resolved, cfg.run.overwrite)
    objective, labels = cfg.objective or build_node(task["objective"], "objective"), task["labels"]
    accelerator, tokenizer = accelerator_of(cfg), tokenizer_of(cfg)
    vocabulary = Vocabulary.of(tokenizer)

    offered = choose_languages(None, cfg.dataset, objective.view, "test", "dataset")
    trained = [code for code in task["source_languages"] if code in offered]
    targets = choose_languages(cfg.languages.target, cfg.dataset, objective.view, "test", "languages.target")
    wanted = trained + [code for code in targets if code not in trained]
    tables = encode_all(cfg, objective, tokenizer, wanted, "test")
    dev = dev_tables(cfg, objective, tokenizer, wanted) if getattr(objective, "fits", False) else {}
    directory.record(
        {
            "data": data_lineage(tables) | data_lineage(dev),
            "tokenizer": tokenizer_hash(tokenizer),
            "parent": parent_lineage(cfg.model.init_from),
        }
    )
    sets = closed_sets(objective, labels)
    golds = {language: table.gold(sets) for language, table in tables.items()}  # an unknown label stops the run here

    model = build(cfg.model, objective.head, objective, labels, tokenizer, cfg.seed, load_heads=labels is not None)
    check_layer(model, objective, "objective")
    vocabulary = vocabulary.read_by(model, [*wanted, *dev])
    model = accelerator.prepare_model(model, evaluation_mode=True)
    done = itertools.count(1)
    started, limits = time.monotonic(), (task["max_length"], cfg.hardware.eval_tokens)
    fitted, facts = {}, {}
    if dev:
        screen.say(f"fitting on the dev data of {', '.join(dev)}")
        fitted, facts = fit_on_dev(model, objective, dev, wanted, vocabulary, limits, accelerator)

    def scored(language: str, outputs: dict, gold: Gold) -> None:
        if hasattr(objective, "records"):
            path = directory.path / "predictions" / f"{cfg.dataset.name}.{language}.jsonl"
            write_predictions(path, language, fitted.get(language, objective).records(outputs, gold), gold)
        screen.advance(next(done))

    with screen.counting("scoring", len(wanted), 0):
        figures = score(model, objective, tables, golds, vocabulary, *limits, accelerator, None, scored, fitted)
    seconds = time.monotonic() - started

    if objective.metric not in figures:
        raise DataError(
            f"dataset: {cfg.dataset.name}, {', '.join(wanted)}: {type(objective).__name__} finds no {objective.metric} there, for it compares languages "
            "that have several rows; give more of them in languages.target"
        )
    summaries = {metric: transfer(by, trained, objective.higher_is_better[metric]) for metric, by in figures.items()}
    show(screen, cfg.dataset.name, figures, summaries[objective.metric], objective.metric, trained)
    tokens = sum(int(objective.row_length(t.lengths, vocabulary, task["max_length"]).sum()) for t in tables.values())
    accelerator.end_training()
    directory.finish(
        {
            **({} if labels is None else {"selection": "source-dev"}),
            "split": "test",
            "results": {cfg.dataset.name: figures},
            "n": {cfg.dataset.name: {language: len(t) for language, t in tables.items()}},
            "transfer": {cfg.dataset.name: {metric: s for metric, s in summaries.items() if s}},
            "higher_is_better": {metric: objective.higher_is_better[metric] for metric in figures},
            **({"fitted": {cfg.dataset.name: facts}} if facts else {}),
            "efficiency": {
                "seconds": round(seconds, 2),
                "tokens": tokens,
                "tokens_per_second": round(tokens / max(seconds, 1e-9), 1),
                "peak_memory_bytes": peak_memory(),
            },
        }
    )
    screen.say(
        f"{directory.path}: done"
        + (f"; predictions in {place}" if (place := directory.path / "predictions").is_dir() else "")
    )
    main = summaries[objective.metric]
    return main["target_mean"] if main else float(np.mean(list(figures[objective.metric].values())))


def task_of(cfg) -> dict:
    """What the checkpoint was fine-tuned for; with cfg.objective, that objective on as many tokens a row as the checkpoint was trained with."""
    if cfg.objective is None:
        return read_labelled_task(cfg.model.init_from)
    if isinstance(cfg.objective, Mixture):
        raise ConfigError(
            "objective: a mixture has a score for each part; give one of them, such as objective=contrastive"
        )
    if cfg.objective.view in VIEWS["finetune"] and not getattr(cfg.objective, "scores_any", False):
        raise ConfigError(
            f"objective: {type(cfg.objective).__name__} needs what fine-tuning learns, and a fine-tuned model knows its own; leave objective out"
        )
    trained = known_task(cfg.model.init_from) or {"max_length": cfg.train.max_length}
    return {"labels": None, "source_languages": [], "max_length": trained["max_length"]}


def dev_tables(cfg, objective, tokenizer, wanted: list[str]) -> dict[str, Table]:
    """Dev data of the languages that are scored; of all others if none of these has any. ConfigError without any."""
    offered = [c for c in cfg.dataset.languages(objective.view) if "dev" in cfg.dataset.splits(objective.view, c)]
    having = [code for code in wanted if code in offered]
    if not offered:
        raise ConfigError(
            f"objective.threshold: null, and {cfg.dataset.name} has no dev split to fit it on; give a number, for example objective.threshold=1.1"
        )
    return encode_all(cfg, objective, tokenizer, having or offered, "dev")


def write_predictions(path: Path, language: str, records: Iterable[dict], gold: Gold) -> None:
    """One line per row in the data's order: its id (its number, if it has none), its language, and what the objective says of it."""
    lines = [
        json.dumps({"id": row.get("id", number), "language": language, **record}, ensure_ascii=False)
        for number, (row, record) in enumerate(zip(gold.rows, records, strict=True))
    ]
    files.write_text(path, "\n".join(lines) + "\n")


def show(screen: Screen, name: str, figures: dict, summary: dict | None, metric: str, source: list[str]) -> None:
    """The table on screen: a language a line, then means, gap and worst language."""
    layered = [m for m in figures if "_layer_" in m]
    others = [m for m in figures if m != metric and m not in layered]
    lines = [
        [
            f"{language}{' (source)' if language in source else ''}",
            *(f"{figures[m][language]:.3f}" if language in figures[m] else "" for m in (metric, *others)),
        ]
        for language in dict.fromkeys(code for by in figures.values() for code in by)
    ]
    if summary:
        blank = [""] * len(others)
        lines += [
            ["source mean", f"{summary['source_mean']:.3f}", *blank],
            ["target mean", f"{summary['target_mean']:.3f}", *blank],
            ["transfer gap", f"{summary['gap']:.3f}", *blank],
            [f"worst: {summary['worst'][0]}", f"{summary['worst'][1]:.3f}", *blank],
        ]
    screen.table(f"{name}, test", ["language", metric, *others], lines)
    if layered:
        show_layers(screen, name, figures, [m for m in layered if m.startswith(f"{metric}_layer_")])
    if not summary and source:
        screen.say("no transfer gap: it needs a source and a target language among those scored")


def show_layers(screen: Screen, name: str, figures: dict, metrics: list[str]) -> None:
    """One metric by layer, a layer a line: mean, worst and best language."""
    lines = []
    for metric in metrics:
        by = figures[metric]
        mean, worst, best = float(np.mean(list(by.values()))), min(by, key=by.get), max(by, key=by.get)
        lines.append([metric.rpartition("_")[2], f"{mean:.3f}", *(f"{by[code]:.3f} {code}" for code in (worst, best))])
    title = metrics[0].rpartition("_layer_")[0]
    screen.table(f"{name}, test: {title} by layer (0: embeddings)", ["layer", "mean", "lowest", "highest"], lines)

"""xlt zero-shot-eval: a fine-tuned model, scored on test data in its source languages and in any number of languages it saw no label of.

With objective=NAME, any model is scored by that objective, which reads no labels: sentence retrieval of a pretrained encoder, for example.
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
from xlt.errors import ConfigError, DataError
from xlt.evaluation import bootstrap, exports
from xlt.evaluation.shares import bins as share_bins
from xlt.evaluation.shares import pretraining_shares
from xlt.evaluation.statistics import Statistics
from xlt.evaluation.transfer import grouped, transfer
from xlt.models.build import build, known_task, read_labelled_task
from xlt.objectives.mixture import Mixture
from xlt.reporting.scores import group_table
from xlt.run import RunDirectory, parent_lineage, peak_memory
from xlt.stages.scoring import score, show
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
    layout = exports.chosen(cfg.export, objective)
    accelerator, tokenizer = accelerator_of(cfg), tokenizer_of(cfg)
    vocabulary = Vocabulary.of(tokenizer)

    offered = choose_languages(None, cfg.dataset, objective.view, "test", "dataset")
    trained = [code for code in task["source_languages"] if code in offered]
    targets = choose_languages(cfg.languages.target, cfg.dataset, objective.view, "test", "languages.target")
    wanted = trained + [code for code in targets if code not in trained]
    tables = encode_all(cfg, objective, tokenizer, wanted, "test")
    directory.record(
        {
            "data": data_lineage(tables),
            "tokenizer": tokenizer_hash(tokenizer),
            "parent": parent_lineage(cfg.model.init_from),
        }
    )
    sets = closed_sets(objective, labels)
    golds = {language: table.gold(sets) for language, table in tables.items()}  # an unknown label stops the run here

    model = build(cfg.model, objective.head, objective, labels, tokenizer, cfg.seed, load_heads=labels is not None)
    vocabulary = vocabulary.read_by(model, wanted)
    model = accelerator.prepare_model(model, evaluation_mode=True)
    done, statistics = itertools.count(1), {}

    def scored(language: str, outputs: dict, gold: Gold) -> None:
        if hasattr(objective, "statistics"):
            statistics[language] = Statistics.of(language, gold.rows, objective.statistics(outputs, gold))
            statistics[language].save(directory.path / "statistics" / f"{cfg.dataset.name}.{language}.npz")
        if hasattr(objective, "records"):
            lines = prediction_lines(language, objective.records(outputs, gold), gold)
            write_lines(directory.path / "predictions" / f"{cfg.dataset.name}.{language}.jsonl", lines)
            if layout:
                layout.write(directory.path / "exports" / cfg.export, cfg.dataset.name, language, lines)
        screen.advance(next(done))

    started, limits = time.monotonic(), (task["max_length"], cfg.hardware.eval_tokens)
    with screen.counting("scoring", len(wanted), 0):
        figures = score(model, objective, tables, golds, vocabulary, *limits, accelerator, None, scored)
    seconds = time.monotonic() - started

    if objective.metric not in figures:
        raise DataError(
            f"dataset: {cfg.dataset.name}, {', '.join(wanted)}: {type(objective).__name__} finds no {objective.metric} there, for it compares languages "
            "that have several rows; give more of them in languages.target"
        )
    shares = pretraining_shares(cfg.model.init_from)
    bins = share_bins(shares, wanted, cfg.scores.share_bounds) if shares else None
    summaries = {m: transfer(by, trained, objective.higher_is_better[m], bins) for m, by in figures.items()}
    results = {
        "results": {cfg.dataset.name: figures},
        "transfer": {cfg.dataset.name: {metric: s for metric, s in summaries.items() if s}},
        "higher_is_better": objective.higher_is_better,
        "metric": objective.metric,
        **(
            intervals_of(cfg, statistics, trained, objective.higher_is_better)
            if statistics and cfg.scores.draws
            else {}
        ),
    }
    show_scores(screen, cfg, figures, objective.metric, trained, results, bins)
    tokens = sum(int(objective.row_length(t.lengths, vocabulary, task["max_length"]).sum()) for t in tables.values())
    accelerator.end_training()
    directory.finish(
        {
            **({} if labels is None else {"selection": "source-dev"}),
            "split": "test",
            **results,
            "n": {cfg.dataset.name: {language: len(t) for language, t in tables.items()}},
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
        + (f", and as {cfg.export} in {directory.path / 'exports' / cfg.export}" if layout else "")
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
    if cfg.objective.view in VIEWS["finetune"]:
        raise ConfigError(
            f"objective: {type(cfg.objective).__name__} reads labels, and a model is scored by the task it was fine-tuned on; leave objective out"
        )
    trained = known_task(cfg.model.init_from) or {"max_length": cfg.train.max_length}
    return {"labels": None, "source_languages": [], "max_length": trained["max_length"]}


def intervals_of(cfg, statistics: dict[str, Statistics], source: list[str], higher_is_better: dict[str, bool]) -> dict:
    """What metrics.json has of the bootstrap."""
    how = {"draws": cfg.scores.draws, "seed": cfg.scores.seed, "level": cfg.scores.level}
    found = bootstrap.intervals(statistics, source, higher_is_better, **how)
    return {"bootstrap": how, "intervals": {cfg.dataset.name: found}}


def prediction_lines(language: str, records: Iterable[dict], gold: Gold) -> list[dict]:
    """One per row in the data's order: its id (its number, if it has none), its language, and what the objective says of it."""
    return [
        {"id": row.get("id", number), "language": language, **record}
        for number, (row, record) in enumerate(zip(gold.rows, records, strict=True))
    ]


def write_lines(path: Path, lines: list[dict]) -> None:
    """As JSON lines."""
    files.write_text(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))


def show_scores(
    screen: Screen, cfg, figures: dict, metric: str, source: list[str], results: dict, bins: dict | None
) -> None:
    """The scores, the main one first, with its interval; what they come to; and target means by script, family and pretraining share."""
    name, figures = cfg.dataset.name, {metric: figures[metric], **figures}
    summary = results["transfer"][name].get(metric)
    intervals = results.get("intervals", {}).get(name, {}).get(metric)
    show(screen, f"{name}, test", figures, source=source, summary=summary, intervals=intervals, level=cfg.scores.level)
    if not summary:
        if source:
            screen.say("no transfer gap: it needs a source and a target language among those scored")
    elif lines := group_table(metric, summary, grouped((c for c in figures[metric] if c not in source), bins)):
        screen.table(f"{name}, target languages together", ["group", "languages", metric], lines)

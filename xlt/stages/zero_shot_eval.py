"""xlt zero-shot-eval: a fine-tuned model, scored on test data in its source languages and in any number of languages it saw no label of.

With objective=NAME, any encoder is scored by that objective, which needs nothing that fine-tuning learns: sentence_retrieval, bitext_mining,
document_retrieval, recommendation, response_ranking, word_alignment, and all that compare parallel sentences.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from pathlib import Path

from xlt.config.build import build_node
from xlt.config.rules import VIEWS
from xlt.data.encode import Table
from xlt.errors import ConfigError, DataError
from xlt.evaluation import exports
from xlt.evaluation.shares import bins as share_bins
from xlt.evaluation.shares import pretraining_shares
from xlt.models.adapters.spoken import require
from xlt.models.build import build, known_task, read_labelled_task
from xlt.objectives.mixture import Mixture
from xlt.run import RunDirectory, parent_lineage, peak_memory
from xlt.stages.guarding import guarded
from xlt.stages.outcome import Outcome, show_scores
from xlt.stages.parts import check_layer
from xlt.stages.protocols import tested
from xlt.stages.quarantine import set_aside
from xlt.stages.scoring import fit_on_dev, mean_score, score
from xlt.stages.selecting import noted, oracle_languages, rules_of, select
from xlt.stages.setup import (
    accelerator_of,
    changed,
    choose_languages,
    data_lineage,
    encode_all,
    end_tracking,
    tokenizer_of,
)
from xlt.tokenization.load import tokenizer_hash
from xlt.training.progress import Screen
from xlt.types import Gold, closed_sets
from xlt.vocabulary import Vocabulary


def run(cfg) -> float:
    """Score cfg.model on the test split of cfg.languages.target (null: all); writes predictions and metrics.json, returns the target mean."""
    screen, cfg = Screen(), beside(cfg)
    if cfg.model.init_from is None:
        raise ConfigError(
            "model.init_from: no model is named; give the run directory of `xlt finetune`, for example model.init_from=runs/main/finetune"
        )
    task = task_of(cfg)
    directory = RunDirectory.open(cfg.run.dir, cfg.stage, cfg.resolved, cfg.run.overwrite, shared=True)
    objective, labels = cfg.objective or build_node(task["objective"], "objective"), task["labels"]
    layout = exports.chosen(cfg.export, objective, cfg.dataset.name)
    accelerator, tokenizer = accelerator_of(cfg), tokenizer_of(cfg)
    vocabulary = Vocabulary.of(tokenizer)

    cfg, asked, protocol = tested(cfg, objective.view, task)
    offered = choose_languages(None, cfg.dataset, objective.view, "test", "dataset")
    trained = [code for code in task["source_languages"] if code in offered]
    targets = choose_languages(asked, cfg.dataset, objective.view, "test", "languages.target")
    targets = [code for code in targets if code not in trained]
    wanted, rules = trained + targets, rules_of(cfg.selection)
    judges = oracle_languages(cfg, objective.view, targets) if "oracle" in rules else []
    cfg, leaks = (
        (cfg, None)
        if labels is None
        else guarded(cfg, objective.view, {"test": wanted, **({"dev": judges} if judges else {})}, screen)
    )
    tables = encode_all(cfg, objective, tokenizer, wanted, "test")
    fits = getattr(objective, "fits", False)
    dev = (
        dev_tables(cfg, objective, tokenizer, wanted) if fits else encode_all(cfg, objective, tokenizer, judges, "dev")
    )
    directory.record(
        {
            "data": data_lineage(tables) | data_lineage(dev),
            "tokenizer": tokenizer_hash(tokenizer),
            "parent": parent_lineage(cfg.model.init_from),
        }
    )
    sets = closed_sets(objective, labels)
    golds = {language: table.gold(sets) for language, table in tables.items()}  # an unknown label stops the run here
    dev_golds = {language: table.gold(sets) for language, table in dev.items()}

    model = build(cfg.model, objective.head, objective, labels, tokenizer, cfg.seed, load_heads=labels is not None)
    check_layer(model, objective, "objective")
    if model.adapter is not None:
        require(model.adapter, wanted)
    vocabulary = vocabulary.read_by(model, [*wanted, *dev])
    plain, model = model, accelerator.prepare_model(model, evaluation_mode=True)
    limits, higher = (task["max_length"], cfg.hardware.eval_tokens), objective.higher_is_better
    shares = pretraining_shares(cfg.model.init_from)
    bins = share_bins(shares, wanted, cfg.scores.share_bounds) if shares else None
    done, started, scores = itertools.count(1), time.monotonic(), {}

    fitted, facts = {}, {}
    if fits:
        screen.say(f"fitting on the dev data of {', '.join(dev)}")
        fitted, facts = fit_on_dev(model, objective, dev, wanted, vocabulary, limits, accelerator)

    def dev_score() -> float:
        figures = score(model, objective, dev, dev_golds, vocabulary, *limits, accelerator, None)
        return mean_score(figures, objective.metric)

    with screen.counting("scoring", len(wanted) * len(rules), 0):
        for rule in rules:
            selected = select(rule, cfg.model.init_from, plain, dev_score, higher[objective.metric])
            outcome = Outcome(cfg, objective, fitted, directory.path, rule if scores else "", layout)

            def scored(language: str, outputs: dict, gold: Gold, outcome: Outcome = outcome) -> None:
                outcome.keep(language, outputs, gold)
                screen.advance(next(done))

            figures = score(model, objective, tables, golds, vocabulary, *limits, accelerator, None, scored, fitted)
            scores[rule] = {**({"selected": selected} if selected else {}), **outcome.results(figures, trained, bins)}
    seconds = time.monotonic() - started

    for rule, found in scores.items():
        figures = found["results"][cfg.dataset.name]
        if objective.metric not in figures:
            needs = getattr(objective, "needs", None)
            compares = "compares languages that have several rows; give more of them in languages.target"
            raise DataError(
                f"dataset: {cfg.dataset.name}, {', '.join(wanted)}: {type(objective).__name__} finds no {objective.metric} there, for it "
                f"{f'needs {needs}' if needs else compares}"
            )
        show_scores(screen, noted(f"{cfg.dataset.name}, test", rule), cfg, objective.metric, found, trained, bins)
    tokens = sum(int(objective.row_length(t.lengths, vocabulary, task["max_length"]).sum()) for t in tables.values())
    end_tracking(accelerator)
    first = rules[0] if rules[0] != "source-dev" else task.get("selection", "source-dev")
    directory.finish(
        {
            **set_aside(cfg, directory.path),
            **({} if labels is None else {"selection": first, "protocol": protocol}),
            **scores[rules[0]],
            **({"selections": scores} if len(rules) > 1 else {}),
            **({} if leaks is None else {"leakage": leaks}),
            "split": "test",
            "n": {cfg.dataset.name: {language: len(t) for language, t in tables.items()}},
            "higher_is_better": {metric: higher[metric] for metric in scores[rules[0]]["results"][cfg.dataset.name]},
            "metric": objective.metric,
            "objective": type(objective).__name__,
            **({"fitted": {cfg.dataset.name: facts}} if facts else {}),
            "efficiency": {
                "seconds": round(seconds, 2),
                "tokens": tokens * len(rules),
                "tokens_per_second": round(tokens * len(rules) / max(seconds, 1e-9), 1),
                "peak_memory_bytes": peak_memory(),
            },
        }
    )
    screen.say(
        f"{directory.path}: done"
        + (f"; predictions in {place}" if (place := directory.path / "predictions").is_dir() else "")
        + (f", and as {cfg.export} in {directory.path / 'exports' / cfg.export}" if layout else "")
    )
    main = scores[rules[0]]["transfer"][cfg.dataset.name].get(objective.metric)
    return main["target_mean"] if main else mean_score(scores[rules[0]]["results"][cfg.dataset.name], objective.metric)


def beside(cfg):
    """cfg with the model that `xlt finetune` made under the same run.name, where none is named; jobs of a sweep have names of their own."""
    place = Path(cfg.run.root) / cfg.run.name / "finetune"
    if cfg.model.init_from is not None or not (place / "model").is_dir():
        return cfg
    return changed(cfg, model=replace(cfg.model, init_from=str(place)))


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
    if cfg.selection not in (None, "source-dev"):
        raise ConfigError(
            f"selection: {cfg.selection} chooses among checkpoints of a fine-tuning, and {type(cfg.objective).__name__} scores what is in model/; leave it out"
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

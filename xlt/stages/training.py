"""The pipeline that pretrain, align and finetune share: load, build, train, score, write. What differs between them is in `Recipe`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from xlt import files
from xlt.config.build import build_node
from xlt.data.cleaning.report import summary as summary_of_cleaning
from xlt.data.encode import Table, gather
from xlt.data.frequency import token_counts
from xlt.data.plan import Plan
from xlt.data.sampling import share_table
from xlt.errors import ConfigError
from xlt.evaluation.loop import predict
from xlt.models.build import TransferModel, build, max_tokens, read_task, save
from xlt.run import RunDirectory, parent_lineage, peak_memory
from xlt.stages.drawing import shares_of, title_of
from xlt.stages.setup import accelerator_of, choose_languages, clean_text, data_lineage, encode_all, tokenizer_of
from xlt.stages.streaming import is_streamed, lineage, open_feed
from xlt.tokenization.load import tokenizer_hash
from xlt.training.checkpoint import Checkpoints
from xlt.training.loop import Choice, Pace, Progress, fit, summary
from xlt.training.optimizer import LearningRate, adamw
from xlt.training.progress import Screen
from xlt.training.tracking import MetricsLog
from xlt.types import Batch
from xlt.vocabulary import Vocabulary


@dataclass(frozen=True)
class Recipe:
    """What a training stage is: which languages it learns from, and how its checkpoint is chosen.

    languages: as asked in the config (None: all); key: the config key to blame. choose: keep the checkpoint that is best on their dev data
    (else the last one is kept). labelled: the task has a closed set of labels.
    """

    languages: list[str] | None
    key: str
    choose: bool
    labelled: bool = False


def train(cfg, recipe: Recipe) -> float:
    """Run a training stage from config to metrics.json; returns the mean dev score that a sweep optimises."""
    objective = cfg.objective
    if not objective.separable and cfg.hardware.micro_batch_size is not None:
        raise ConfigError(
            f"hardware.micro_batch_size: {type(objective).__name__} takes its negatives from the whole batch, so splitting it would change the loss; "
            "set it to null and lower train.batch_size if memory is short"
        )
    run = RunDirectory.open(cfg.run.dir, cfg.stage, cfg.resolved, cfg.run.overwrite)
    accelerator = accelerator_of(cfg)
    try:
        return _train(cfg, recipe, run, accelerator, Screen())
    finally:
        accelerator.end_training()  # trackers write what they hold back, also after a signal


def _train(cfg, recipe: Recipe, run: RunDirectory, accelerator, screen: Screen) -> float:
    objective, settings = cfg.objective, cfg.train
    tokenizer = tokenizer_of(cfg)
    vocabulary = Vocabulary.of(tokenizer)

    wanted = choose_languages(recipe.languages, cfg.dataset, objective.view, "train", recipe.key)
    cfg, cleaned = clean_text(cfg, objective.view, wanted, run, screen)
    streamed = is_streamed(cfg.dataset)
    if streamed and recipe.labelled:
        raise ConfigError(f"dataset.streaming: xlt {cfg.stage} reads all labels before it begins; set it to false")
    if streamed and getattr(objective, "reads_counts", False):
        raise ConfigError(
            f"dataset.streaming: {type(objective).__name__} chooses tokens by how often all the text has them; set it to false, or "
            "objective.frequency_power=0"
        )
    tables = {} if streamed else encode_all(cfg, objective, tokenizer, wanted, "train")
    if getattr(objective, "reads_counts", False):
        vocabulary = replace(vocabulary, counts=token_counts(tables.values(), vocabulary.size))
    judged = [language for language in wanted if "dev" in cfg.dataset.splits(objective.view, language)]
    dev = encode_all(cfg, objective, tokenizer, judged, "dev")
    if recipe.choose and not dev:
        raise ConfigError(
            f"dataset: {cfg.dataset.name} has no dev split for {', '.join(wanted)}, by which the checkpoint is chosen; add one, or map dataset.split_names.dev"
        )
    run.record(
        {
            "data": (lineage(cfg.dataset, objective.view, wanted) if streamed else data_lineage(tables))
            | data_lineage(dev),
            "tokenizer": tokenizer_hash(tokenizer),
            "parent": parent_lineage(cfg.model.init_from),
        }
    )

    labels = label_names(cfg, tables) if recipe.labelled else None
    if getattr(objective, "continues_task", False):
        model = continue_task(cfg, tokenizer, [*wanted, *judged])
    else:
        model = build(cfg.model, objective.head, objective, labels, tokenizer, cfg.seed, languages=[*wanted, *judged])
        model.task |= {
            "source_languages": wanted,
            "dataset": cfg.dataset.name,
            "max_length": settings.max_length,
            "objective": cfg.resolved["objective"],
        }
    vocabulary = vocabulary.read_by(model, [*wanted, *judged])
    feed = open_feed(cfg, vocabulary, tokenizer, wanted) if streamed else None
    if feed is None:
        plan, steps, table = make_plan(cfg, objective, vocabulary, tables)
        batches = batches_of(plan, tables, labels, objective, vocabulary, cfg)
    else:
        steps, table, batches = feed.steps, feed.table, feed.batches
    announce(screen, cfg, model, table, steps)
    if (longest := max_tokens(model)) is not None and settings.max_length > longest:
        raise ConfigError(
            f"train.max_length: {settings.max_length} tokens are more than the {longest} positions this model has; lower it"
            f"{'' if cfg.model.init_from else ' or raise model.max_positions'}"
        )

    optimizer = adamw(model, (settings.beta1, settings.beta2), settings.epsilon, settings.weight_decay)
    model.fused = cfg.hardware.fused and accelerator.num_processes == 1  # processes must sum every gradient
    model = accelerator.prepare_model(model)
    plain: TransferModel = accelerator.unwrap_model(model)
    if hasattr(plain, "teacher"):
        plain.teacher.model.to(accelerator.device)
    checkpoints = Checkpoints(run.path / "checkpoints", settings.keep, screen.warn)
    progress = resume(checkpoints, plain, optimizer, screen) if run.resumed else Progress()
    if feed is not None and progress.position:
        feed.seek(progress.position)

    def validate() -> tuple[dict, float]:
        figures = score(model, objective, dev, labels, vocabulary, cfg, accelerator, settings.eval_rows)
        return figures, float(np.mean(list(figures[objective.metric].values())))

    warmup = round(settings.warmup if settings.warmup >= 1 else settings.warmup * steps)
    with screen.counting("training", steps, progress.step):
        progress = fit(
            model=model,
            objective=objective,
            batches=batches,
            optimizer=optimizer,
            learning_rate=LearningRate(settings.learning_rate, settings.schedule.value, warmup, steps),
            accelerator=accelerator,
            pace=Pace(steps, settings.log_every, settings.eval_every, settings.save_every, cfg.hardware.workers),
            seed=cfg.seed,
            max_grad_norm=settings.max_grad_norm,
            checkpoints=checkpoints,
            progress=progress,
            validate=validate if dev else None,
            choice=Choice(objective.higher_is_better[objective.metric]) if recipe.choose else None,
            log=MetricsLog(run.path / "metrics.jsonl", progress.step, progress.unvalidated, accelerator),
            screen=screen,
            position=None if feed is None else feed.position,
        )
    if feed is not None:
        feed.close()
    if progress.best_step not in (None, steps):
        checkpoints.load(progress.best_step, plain, None)
        screen.say(f"kept the checkpoint of step {progress.best_step}, the best on the source languages' dev data")
    figures = score(model, objective, dev, labels, vocabulary, cfg, accelerator, None) if dev else {}
    files.write_folder(run.path / "model", lambda folder: save(plain, tokenizer, folder))
    run.finish(
        {
            "selection": "source-dev" if recipe.choose else "last",
            "step": progress.best_step or progress.step,
            "results": {cfg.dataset.name: figures},
            "n": {cfg.dataset.name: {language: len(t) for language, t in dev.items()}},
            "split": "dev",
            "higher_is_better": objective.higher_is_better,
            "sampling": [vars(line) for line in table],
            **({"cleaning": summary_of_cleaning(cleaned)} if cleaned else {}),
            "parameters": sum(p.numel() for p in plain.parameters()),
            "efficiency": {
                "seconds": round(progress.seconds, 1),
                "tokens": progress.tokens,
                "tokens_per_second": round(progress.tokens / max(progress.seconds, 1e-9), 1),
                "peak_memory_bytes": peak_memory(),
            },
        }
    )
    screen.say(
        f"{run.path}: done after {progress.step} updates, {progress.tokens:,} tokens{'; ' + summary(figures) if figures else ''}"
    )
    return float(np.mean(list(figures[objective.metric].values()))) if figures else math.nan


def continue_task(cfg, tokenizer, languages: list[str]) -> TransferModel:
    """A fine-tuned model that stays what it is, with a copy of it as it is now for its teacher."""
    name = type(cfg.objective).__name__
    if cfg.model.init_from is None:
        raise ConfigError(
            f"model.init_from: {name} continues a fine-tuned model; give the run directory of `xlt finetune`, for example "
            "model.init_from=runs/main/finetune"
        )
    task = read_task(cfg.model.init_from)
    if task.get("labels") is None:
        raise ConfigError(
            f"model.init_from: {cfg.model.init_from} was not fine-tuned on a task, which {name} continues; give the run directory of `xlt finetune`"
        )
    classifier = build_node(task["objective"], "objective")
    if not hasattr(classifier, "logits"):
        raise ConfigError(f"model.init_from: {cfg.model.init_from} is no classifier, which {name} continues; give one")
    model = build(
        cfg.model,
        classifier.head,
        classifier,
        task["labels"],
        tokenizer,
        cfg.seed,
        load_heads=True,
        languages=languages,
    )
    model.task = task
    model.teach(classifier)
    return model


def label_names(cfg, tables: dict[str, Table]) -> list[str]:
    """The task's labels: those the data set declares, else those of the source languages' training rows, sorted."""
    declared = cfg.dataset.labels()
    if declared is not None:
        return declared
    missing = [language for language, table in tables.items() if table.labels is None]
    if missing:
        raise ConfigError(
            f"dataset: {cfg.dataset.name}, language {missing[0]}: its rows have no label; map dataset.columns.label to the column that holds it"
        )
    return sorted({name for table in tables.values() for name in table.labels})


def make_plan(cfg, objective, vocabulary: Vocabulary, tables: dict[str, Table]):
    """(plan, updates, sampling table) for the training rows."""
    settings = cfg.train
    lengths = {
        language: objective.row_length(t.lengths, vocabulary, settings.max_length) for language, t in tables.items()
    }
    rows = {language: len(t) for language, t in tables.items()}
    tokens = {language: int(n.sum()) for language, n in lengths.items()}
    plan = Plan(
        list(lengths.values()),
        shares_of(settings, rows, tokens),
        cfg.seed,
        settings.window,
        settings.batch_size,
        settings.batch_tokens,
    )
    steps = settings.steps
    if settings.epochs is not None:
        steps = plan.counts.steps(settings.epochs * sum(rows.values()))
    shares = dict(zip(rows, plan.counts.expected(steps), strict=True))
    return plan, steps, share_table(rows, tokens, shares, plan.counts.rows(steps))


def batches_of(
    plan: Plan, tables: dict[str, Table], labels: list[str] | None, objective, vocabulary: Vocabulary, cfg
) -> Callable[[int], list[Batch]]:
    """step -> the micro-batches of that update."""
    streams = list(tables.values())
    gold = None if labels is None else [t.labels_as(labels) for t in streams]
    size = cfg.hardware.micro_batch_size

    def batches(step: int) -> list[Batch]:
        draw = plan.batch(step)
        rows = gather(streams, draw.streams, draw.rows, draw.epochs, cfg.seed, gold)
        parts = [rows] if size is None else [rows.slice(i, i + size) for i in range(0, len(rows), size)]
        return [objective.collate(part, vocabulary, cfg.train.max_length) for part in parts]

    return batches


def score(
    model,
    objective,
    tables: dict[str, Table],
    labels: list[str] | None,
    vocabulary: Vocabulary,
    cfg,
    accelerator,
    rows: int | None,
) -> dict[str, dict[str, float]]:
    """{metric: {language: score}} of the first `rows` rows of each table (None: all)."""
    figures: dict[str, dict[str, float]] = {}
    for language, table in tables.items():
        gold = None if labels is None else table.labels_as(labels)
        outputs = predict(
            model, objective, table, gold, vocabulary, cfg.train.max_length, cfg.hardware.eval_tokens, accelerator, rows
        )
        for metric, value in objective.score(outputs, None if gold is None else gold[:rows]).items():
            figures.setdefault(metric, {})[language] = value
    return figures


def resume(checkpoints: Checkpoints, model, optimizer, screen: Screen) -> Progress:
    """The progress of the newest whole checkpoint, its weights in place; a fresh start if the run was stopped before its first."""
    step = checkpoints.newest()
    if step is None:
        screen.say("the run was interrupted before its first checkpoint: starting from the beginning")
        return Progress()
    state = checkpoints.load(step, model, optimizer)
    screen.say(f"resuming after update {step}")
    return Progress(**state)


def announce(screen: Screen, cfg, model: TransferModel, table, steps: int) -> None:
    """What is about to be trained, on what."""
    config = model.backbone.config
    millions = sum(p.numel() for p in model.parameters()) / 1e6
    origin = f"from {cfg.model.init_from}" if cfg.model.init_from else "random weights"
    screen.say(
        f"{cfg.stage}: {type(model.backbone).__name__} ({config.num_hidden_layers} layers x {config.hidden_size}, {millions:.1f} M parameters, {origin}), {steps} updates"
    )

    def known(value: float | None, form: str) -> str:
        return "unknown" if value is None else format(value, form)

    lines = [
        [
            t.language,
            known(t.rows, ","),
            known(t.tokens, ","),
            f"{t.share:.1%}",
            known(t.tokens_drawn, ",.0f"),
            known(t.epochs, ".2f"),
        ]
        for t in table
    ]
    screen.table(
        title_of(cfg.train),
        ["language", "rows", "tokens", "share", "tokens drawn", "epochs"],
        lines,
    )

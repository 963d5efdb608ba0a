"""The pipeline that pretrain, align and finetune share: load, build, train, score, write. What differs between them is in `Recipe`."""

from __future__ import annotations

from dataclasses import dataclass

from xlt import processes
from xlt.config.build import build_node
from xlt.config.schema import NonFiniteUpdate
from xlt.data.cleaning.report import summary as summary_of_cleaning
from xlt.data.encode import Table
from xlt.errors import ConfigError
from xlt.models.adapters.attach import cost
from xlt.models.build import TransferModel, build, read_labelled_task
from xlt.run import RunDirectory, parent_lineage, peak_memory
from xlt.stages import adapting, adversarial
from xlt.stages.drawing import title_of
from xlt.stages.feeding import draw
from xlt.stages.forgetting import old_languages, scores_before, told
from xlt.stages.negatives import with_negatives
from xlt.stages.parts import LearnedPart, beside, by_dataset, check_fit, configs, read, refuse_splitting
from xlt.stages.protocols import settle, whole_or_part
from xlt.stages.pseudo_labels import survey
from xlt.stages.quarantine import set_aside
from xlt.stages.scoring import mean_score, score_parts, show
from xlt.stages.setup import accelerator_of, data_lineage, end_tracking, tokenizer_of
from xlt.stages.streaming import lineage
from xlt.tokenization.load import tokenizer_hash
from xlt.training.candidates import Candidates
from xlt.training.checkpoint import Checkpoints
from xlt.training.layers import Layers
from xlt.training.layers import rows as learning_rows
from xlt.training.loop import Choice, Pace, Progress, fit, summary
from xlt.training.optimizer import LearningRate, adamw
from xlt.training.progress import Screen
from xlt.training.sharding import put_together, shard
from xlt.training.tracking import MetricsLog
from xlt.types import Gold, Labels, closed


@dataclass(frozen=True)
class Recipe:
    """What a training stage is: which languages it learns from, and how its checkpoint is chosen.

    languages: as asked in the config (None: all); key: the config key to blame. choose: keep the checkpoint that is best on their dev data
    (else the last one is kept). labelled: the task has a closed set of labels.

    These follow from the protocol of a fine-tuning (`xlt.stages.protocols`). judged: whose dev data are scored (None: those learned). source: what
    the model calls its source languages (None: those learned). protocol: its stamp. task: of the model that goes on with its own head.
    """

    languages: list[str] | None
    key: str
    choose: bool
    labelled: bool = False
    judged: list[str] | None = None
    source: list[str] | None = None
    protocol: dict | None = None
    task: dict | None = None
    before: bool = False  # score the dev data before the first update, too


def train(cfg, recipe: Recipe) -> float:
    """Run a training stage from config to metrics.json; returns the mean dev score that a sweep optimises."""
    refuse_splitting(cfg)
    run = RunDirectory.open(cfg.run.dir, cfg.stage, cfg.resolved, cfg.run.overwrite, shared=True)
    accelerator = accelerator_of(cfg)
    try:
        return _train(cfg, recipe, run, accelerator, Screen())
    finally:
        end_tracking(accelerator)  # trackers write what they hold back, also after a signal


def _train(cfg, recipe: Recipe, run: RunDirectory, accelerator, screen: Screen) -> float:
    asked, wanted = cfg, recipe
    if recipe.labelled:
        cfg, recipe = settle(cfg, recipe, screen)
    objective, settings = cfg.objective, cfg.train
    tokenizer = tokenizer_of(cfg)
    parts = read(cfg, recipe.languages, recipe.key, recipe.labelled, tokenizer, run, screen, recipe.judged)
    main = parts[0]
    if recipe.choose and not main.dev:
        raise ConfigError(
            f"dataset: {main.cfg.dataset.name} has no dev split for {', '.join(main.languages)}, by which the checkpoint is chosen; add one, or map dataset.split_names.dev"
        )
    text = adversarial.read_text(asked, main, recipe.labelled, tokenizer)
    lineages = {part: lineage_of(part) for part in parts}
    run.record(
        {
            "data": {part.named(key): digest for part, data in lineages.items() for key, digest in data.items()}
            | ({} if text is None else text.lineage),
            "tokenizer": tokenizer_hash(tokenizer),
            "parent": parent_lineage(cfg.model.init_from),
            **({"beside": models} if (models := beside(parts)) else {}),
        }
    )

    labels = (recipe.task["labels"] if recipe.task else label_names(main.cfg, main.tables)) if recipe.labelled else None
    protocol = recipe.protocol
    if recipe.labelled and protocol is None:
        protocol = whole_or_part(main.cfg.dataset, main.cfg.objective.view, main.languages)
    spoken = [code for part in parts for code in (*part.languages, *part.dev)]
    spoken += adversarial.spoken(text)
    if getattr(objective, "continues_task", False):
        model = continue_task(cfg, tokenizer, spoken)
    else:
        goes_on = recipe.task is not None
        model = build(cfg.model, objective.head, objective, labels, tokenizer, cfg.seed, goes_on, spoken)
        model.task |= {
            "source_languages": main.languages if recipe.source is None else recipe.source,
            **({"protocol": protocol, "selection": "source-dev" if recipe.choose else "last"} if protocol else {}),
            "dataset": main.cfg.dataset.name,
            "max_length": main.cfg.train.max_length,
            "objective": cfg.resolved["objective"],
        }
        if recipe.labelled and main.name:  # what is scored later is the task alone
            model.task["objective"] = cfg.resolved["objective"]["parts"][main.name]["objective"]
    adapting.adapt(cfg, model, main.languages, tokenizer, screen, lambda other: train(other, wanted))
    if hasattr(objective, "prepare"):
        objective.prepare(model)
    parts = with_negatives([part.read_by(model) for part in parts], model, tokenizer, accelerator, run, screen)
    survey(model, parts[0], accelerator, screen)
    feed, sampling = draw(cfg, parts, labels, tokenizer)
    layers = Layers(model, settings, feed.steps)
    layers.prepare(cfg.seed)
    courses = layers.courses()
    learning = layers.table(courses, adapting.learning_rate(cfg))
    announce(screen, cfg, model, sampling, feed.steps)
    screen.table(*learning_rows(learning))
    trained = cost(model)
    check_fit(cfg, parts, model)

    against = None if text is None else adversarial.opponent(text, model, parts[0], feed.steps, accelerator)
    model.fused = cfg.hardware.fused and not cfg.hardware.sharded  # a sharded model's gradients are autograd's
    model = accelerator.prepare_model(
        model, evaluation_mode=True
    )  # no DistributedDataParallel, see xlt.training.reduction
    if cfg.hardware.sharded:
        shard(model)
    optimizer = adamw(model, (settings.beta1, settings.beta2), settings.epsilon, settings.weight_decay, courses)
    plain: TransferModel = accelerator.unwrap_model(model)
    if hasattr(plain, "teacher"):
        plain.teacher.model.to(accelerator.device)
    probed, before = None, {}
    if text is not None:
        probed = parts[0].vocabulary.read_by(plain, list(text.tables))
        before = adversarial.probe(model, text, probed, accelerator)
    opponents = {} if against is None else {"adversary": (against.discriminator, against.optimizer)}
    checkpoints = Checkpoints(run.path / "checkpoints", settings.keep, screen.warn, opponents, run.identity)
    progress = resume(checkpoints, plain, optimizer, screen) if run.resumed else Progress()
    if progress.position:
        feed.seek(progress.position)

    began = (
        scores_before(run, progress.step > 0, lambda: score_parts(model, parts, labels, accelerator, None))
        if recipe.before
        else {}
    )

    def validate() -> tuple[dict, float]:
        figures = score_parts(model, parts, labels, accelerator, settings.eval_rows)
        return figures, mean_score(figures, objective.metric)

    warmup = round(settings.warmup if settings.warmup >= 1 else settings.warmup * feed.steps)
    with screen.counting("training", feed.steps, progress.step):
        progress = fit(
            model=model,
            objective=objective,
            batches=feed.batches,
            optimizer=optimizer,
            learning_rate=LearningRate(adapting.learning_rate(cfg), settings.schedule.value, warmup, feed.steps),
            accelerator=accelerator,
            pace=Pace(feed.steps, settings.log_every, settings.eval_every, settings.save_every, cfg.hardware.workers),
            seed=cfg.seed,
            max_grad_norm=settings.max_grad_norm,
            checkpoints=checkpoints,
            progress=progress,
            validate=validate if any(part.dev for part in parts) else None,
            choice=Choice(objective.higher_is_better[objective.metric]) if recipe.choose else None,
            log=MetricsLog(run.path / "metrics.jsonl", progress.step, progress.unvalidated, accelerator),
            screen=screen,
            position=feed.position,
            candidates=Candidates(run.path / "candidates", settings.candidates),
            opponent=against,
            perturbation=cfg.perturbation,
            adapter=plain.adapter,
            skips=settings.nonfinite is NonFiniteUpdate.skip,
        )
    feed.close()
    if progress.best_step not in (None, feed.steps):
        checkpoints.load(progress.best_step, plain, None)
        screen.say(f"kept the checkpoint of step {progress.best_step}, the best on the source languages' dev data")
    figures, settled = score_and_settle(model, parts, labels, accelerator)
    parameters = sum(p.numel() for p in plain.parameters())
    if settled:
        plain.task["objective"] = {**plain.task["objective"], **settled}
    after = {} if text is None else adversarial.probe(model, text, probed, accelerator)
    put_together(plain)
    adapting.write(plain, tokenizer, run.path, adapting.merges(cfg))
    run.finish(
        {
            **set_aside(cfg, run.path),
            "selection": "source-dev" if recipe.choose else "last",
            **({"protocol": protocol} if protocol else {}),
            "step": progress.best_step or progress.step,
            **({"skipped_updates": progress.skipped} if settings.nonfinite is NonFiniteUpdate.skip else {}),
            "results": by_dataset(parts, lambda part: {k: v for k, v in figures.items() if part.owns(k)}),
            "n": by_dataset(parts, lambda part: {part.named(code): len(t) for code, t in part.dev.items()}),
            "split": "dev",
            "higher_is_better": objective.higher_is_better,
            "sampling": [
                {**({"part": name} if name else {}), **vars(line)} for name, table in sampling.items() for line in table
            ],
            **told(began, figures, old_languages(cfg), objective.metric, screen),
            **({"cleaning": cleaning} if (cleaning := cleaning_of(parts)) else {}),
            "parameters": parameters,
            "trained": trained,
            "learning": learning,
            **({} if text is None else {"adversarial": adversarial.summary(text, before, after)}),
            "efficiency": {
                "seconds": round(progress.seconds, 1),
                "tokens": progress.tokens,
                "tokens_per_second": round(progress.tokens / max(progress.seconds, 1e-9), 1),
                "peak_memory_bytes": peak_memory(),
                "processes": processes.world(),
            },
        }
    )
    if main.name and figures:
        show(screen, "dev, by part", figures)
    screen.say(
        f"{run.path}: done after {progress.step} updates, {progress.tokens:,} tokens{'; ' + summary(figures) if figures else ''}"
    )
    return mean_score(figures, objective.metric)


def score_and_settle(model, parts: list[LearnedPart], labels: Labels | None, accelerator) -> tuple[dict, dict]:
    """The scores on all dev data, and the fields of the main part's objective that they decide (a threshold)."""
    outputs, golds = {}, {}
    settle = getattr(parts[0].cfg.objective, "settle", None)

    def scored(language: str, out: dict, gold: Gold) -> None:
        outputs[language], golds[language] = out, gold

    figures = score_parts(model, parts, labels, accelerator, None, scored if settle else None)
    return figures, settle(outputs, golds) if settle and outputs else {}


def lineage_of(part: LearnedPart) -> dict[str, str]:
    """What identifies the rows of a part, for the manifest."""
    dataset, view = part.cfg.dataset, part.cfg.objective.view
    learned = lineage(dataset, view, part.languages) if part.streamed else data_lineage(part.tables)
    return learned | data_lineage(part.dev)


def cleaning_of(parts: list[LearnedPart]) -> dict:
    """What cleaning removed; of a mixture by part. {} where nothing was cleaned."""
    found = {part.name: summary_of_cleaning(part.cleaned) for part in parts if part.cleaned}
    return found.get("", found)


def continue_task(cfg, tokenizer, languages: list[str]) -> TransferModel:
    """A fine-tuned model that stays what it is, with a copy of it as it is now for its teacher."""
    name = type(cfg.objective).__name__
    if cfg.model.init_from is None:
        raise ConfigError(
            f"model.init_from: {name} continues a fine-tuned model; give the run directory of `xlt finetune`, for example "
            "model.init_from=runs/main/finetune"
        )
    task = read_labelled_task(cfg.model.init_from)
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


def label_names(cfg, tables: dict[str, Table]) -> Labels:
    """The names of the task's labels: those the data set declares, else those of the source languages' training rows, sorted. [] if it has none.

    Of a task with several closed sets {set: names}; the data set declares the first.
    """
    names = {}
    for which in closed(cfg.objective):
        missing = [language for language, table in tables.items() if table.met(which) is None]
        if missing:
            raise ConfigError(
                f"dataset: {cfg.dataset.name}, language {missing[0]}: its rows have no {which}; map dataset.columns.{which} to the column that holds it"
            )
        declared = None if names else cfg.dataset.labels()
        if not names and not declared and getattr(cfg.objective, "ordered", False):
            raise ConfigError(
                f"dataset.label_names: {cfg.dataset.name} does not say in which order its labels are, and {type(cfg.objective).__name__} needs it; list them "
                "from the lowest to the highest"
            )
        names[which] = declared or sorted({name for table in tables.values() for name in table.met(which)})
        if not names[which]:
            raise ConfigError(
                f"dataset: {cfg.dataset.name}, {', '.join(tables)}: no row has any of {which}, so there is nothing to learn; check dataset.columns.{which}"
            )
    return names if len(names) > 1 else next(iter(names.values()), [])


def resume(checkpoints: Checkpoints, model, optimizer, screen: Screen) -> Progress:
    """The progress of the newest whole checkpoint, its weights in place; a fresh start if the run was stopped before its first."""
    step = checkpoints.newest()
    if step is None:
        screen.say("the run was interrupted before its first checkpoint: starting from the beginning")
        return Progress()
    state = checkpoints.load(step, model, optimizer)
    screen.say(f"resuming after update {step}")
    return Progress(**(state if processes.leads() else {**state, "losses": {}}))


def announce(screen: Screen, cfg, model: TransferModel, sampling: dict[str, list], steps: int) -> None:
    """What is about to be trained, on what."""
    config = model.backbone.config
    millions = sum(p.numel() for p in model.parameters()) / 1e6
    origin = f"from {cfg.model.init_from}" if cfg.model.init_from else "random weights"
    screen.say(
        f"{cfg.stage}: {type(model.backbone).__name__} ({config.num_hidden_layers} layers x {config.hidden_size}, {millions:.1f} M parameters, {origin}), {steps} updates"
    )

    def known(value: float | None, form: str) -> str:
        return "unknown" if value is None else format(value, form)

    for name, table in sampling.items():
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
        weight = f" (weight {cfg.objective.parts[name].weight})" if name else ""
        screen.table(
            f"{f'{name}{weight}: ' if name else ''}{title_of(configs(cfg)[name].train)}",
            ["language", "rows", "tokens", "share", "tokens drawn", "epochs"],
            lines,
        )

"""From the parts of a run to what the loop is fed with: a plan or a stream for each, and the updates in which their batches meet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from xlt.data.encode import Table, gather
from xlt.data.plan import Plan
from xlt.data.sampling import share_table
from xlt.objectives.mixture import Mixture
from xlt.stages.drawing import micro_batches, shares_of
from xlt.stages.forgetting import is_old, replayed_languages
from xlt.stages.parts import LearnedPart, blamed
from xlt.stages.setup import changed
from xlt.stages.streaming import Feed, open_feed
from xlt.types import Batch, Labels, closed_sets
from xlt.vocabulary import Vocabulary


def draw(cfg, parts: list[LearnedPart], labels: Labels | None, tokenizer) -> tuple[Feed, dict[str, list]]:
    """(what the loop is fed with, {part: sampling table})."""

    def fed(part: LearnedPart, cfg) -> Feed:
        known = labels if part is parts[0] else None
        with blamed(part.name):
            if part.streamed:
                return open_feed(cfg, part.vocabulary, tokenizer, part.languages)
            plan, steps, table = make_plan(cfg, cfg.objective, part.vocabulary, part.tables)
        return Feed(steps, table, batches_of(plan, part.tables, known, cfg.objective, part.vocabulary, cfg))

    main = parts[0]
    if not main.name:
        feed = fed(main, main.cfg)
        return feed, {main.name: feed.table}
    steps = cfg.train.steps
    if cfg.train.epochs is not None:  # passes over the main part's rows
        steps = fed(main, main.cfg).steps * cfg.objective.turns
    draws_PS = cfg.objective.takes_part(steps)
    feeds = {}
    for part, draws_S in zip(parts, draws_PS, strict=True):
        updates = changed(part.cfg.train, steps=int(draws_S.sum()), epochs=None)
        feeds[part.name] = fed(part, changed(part.cfg, train=updates))
    return mixed(cfg.objective, draws_PS, feeds), {name: feed.table for name, feed in feeds.items()}


def mixed(mixture: Mixture, draws_PS: np.ndarray, feeds: dict[str, Feed]) -> Feed:
    """The batches of all parts that take part in an update, each with its part's name and weight.

    draws_PS: who takes part. A part's n-th update, whichever of the run's it is, has the n-th batch of its own stream.
    """
    before_PS = np.pad(np.cumsum(draws_PS, 1), ((0, 0), (1, 0)))  # also at the run's end

    def joined(step: int) -> list[Batch]:
        return [
            replace(batch, part=name, weight=part.schedule(step))
            for i, (name, part) in enumerate(mixture.parts.items())
            if draws_PS[i, step]
            for batch in feeds[name].batches(int(before_PS[i, step]))
        ]

    def position(step: int) -> dict:
        places = {name: feeds[name].position(int(before_PS[i, step])) for i, name in enumerate(mixture.parts)}
        return {name: place for name, place in places.items() if place}

    def seek(places: dict) -> None:
        for name, place in places.items():
            feeds[name].seek(place)

    def close() -> None:
        for feed in feeds.values():
            feed.close()

    return Feed(draws_PS.shape[1], [], joined, position, seek, close)


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
        shares_of(settings, rows, tokens, [is_old(code, replayed_languages(cfg)) for code in rows]),
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
    plan: Plan, tables: dict[str, Table], labels: Labels | None, objective, vocabulary: Vocabulary, cfg
) -> Callable[[int], list[Batch]]:
    """step -> the micro-batches of that update."""
    streams = list(tables.values())
    golds = [t.gold(closed_sets(objective, labels)) for t in streams]

    def batches(step: int) -> list[Batch]:
        draw = plan.batch(step)
        rows = gather(streams, draw.streams, draw.rows, draw.epochs, cfg.seed, golds)
        return micro_batches(objective, rows, cfg.hardware, vocabulary, cfg.train.max_length)

    return batches

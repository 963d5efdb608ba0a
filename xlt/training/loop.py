"""The only training loop. It knows updates, sums of loss and counts; not languages, files of text, or what the objective means.

A loss is a sum: it is divided once, by the count of the whole update (or of its part, in a mixture), so micro-batches change nothing but
speed. Every random number of update k is a function of (seed, k), so a run killed anywhere and resumed from a checkpoint ends in the same
weights, bit for bit.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from xlt import noise, processes, signals
from xlt.errors import Interrupted, NonFinite
from xlt.training import tally
from xlt.training.adversary import Opponent
from xlt.training.candidates import Candidates
from xlt.training.checkpoint import Checkpoints
from xlt.training.layers import thaw
from xlt.training.memory import in_room, update
from xlt.training.optimizer import LearningRate, clip, set_rates
from xlt.training.perturbation import FGM, FreeLB
from xlt.training.progress import Screen
from xlt.training.reduction import sum_gradients
from xlt.training.tracking import MetricsLog
from xlt.types import Batch, BatchOf, Objective, loss_function

MOST_SKIPPED = 3  # updates in a row that are not finite: more are no accident


@dataclass(frozen=True)
class Pace:
    """When things happen, in updates; 0: only at the end. workers: batches prepared ahead in a thread."""

    steps: int
    log_every: int
    eval_every: int
    save_every: int
    workers: int

    def due(self, every: int, step: int) -> bool:
        """Whether something that happens `every` updates happens after update `step`."""
        return step == self.steps or (every > 0 and step % every == 0)


@dataclass
class Progress:
    """Where a run is: all that a checkpoint holds beside weights and moments.

    at_a_time: rows of a batch that there was room for, None while there was for all. losses: since the last log line (see `xlt.training.tally`). best: step and score of the chosen checkpoint. unvalidated: a signal came before the
    validation that was due after `step` was done. position: where a stream goes on, {} where rows are planned. skipped: updates left out for a loss or gradient that was
    not finite, and how many of them just before.
    """

    step: int = 0
    tokens: int = 0
    losses: dict = field(default_factory=dict)
    best_step: int | None = None
    best_score: float | None = None
    scores: dict = field(default_factory=dict)
    seconds: float = 0.0
    unvalidated: bool = False
    position: dict = field(default_factory=dict)
    at_a_time: int | None = None
    skipped: int = 0
    skipped_in_a_row: int = 0


@dataclass(frozen=True)
class Choice:
    """How a checkpoint is chosen: the mean of a score on the source languages' dev data. None of it looks at a target language."""

    higher_is_better: bool

    def better(self, score: float, best: float | None) -> bool:
        """Strictly better, so of equal ones the earlier is kept."""
        return best is None or (score > best if self.higher_is_better else score < best)


def fit(
    model,
    objective: Objective,
    batches: BatchOf,
    optimizer: torch.optim.Optimizer,
    learning_rate: LearningRate,
    accelerator,
    pace: Pace,
    seed: int,
    max_grad_norm: float,
    checkpoints: Checkpoints,
    progress: Progress,
    validate: Callable[[], tuple[dict, float]] | None,
    choice: Choice | None,
    log: MetricsLog,
    screen: Screen,
    position: Callable[[int], dict] | None = None,
    candidates: Candidates | None = None,
    opponent: Opponent | None = None,
    perturbation: FGM | FreeLB | None = None,
    adapter: Any = None,
    skips: bool = False,
) -> Progress:
    """Run updates `progress.step`..steps. batches(k): the micro-batches of update k. validate(): (what to log, the score that chooses).
    position(k): of a stream, what a checkpoint must hold to go on with update k. candidates: get the weights of each validation. opponent: plays against
    the model in each update. perturbation: of the embeddings, in each pass. adapter: what learns in place of the whole model (`xlt.models.adapters.protocol`).
    skips: leave an update out that is not finite, instead of ending; the third in a row ends it all the same.

    NonFinite before an update that would spoil the weights; Interrupted after a signal, with a checkpoint written.
    """

    def save() -> None:
        progress.seconds = time.monotonic() - started
        progress.position = {} if position is None else position(progress.step)
        collect(progress)
        checkpoints.save(progress.step, model, optimizer, vars(progress), progress.best_step)

    def judge() -> bool:
        """Validate; whether the score is the best so far. After a signal, what was trained is saved and validated by the next try."""
        progress.unvalidated = True
        try:
            progress.scores, score = validate()
            if worst := [metric for metric, by in progress.scores.items() if not all(map(math.isfinite, by.values()))]:
                raise processes.agreed(
                    NonFinite(
                        f"validation after update {progress.step}: {worst[0]} is not finite, so the weights have run away; the last checkpoint is from "
                        "before that: lower train.learning_rate or raise train.warmup"
                    )
                )
        except Interrupted:
            save()
            raise
        finally:
            model.train()
        progress.unvalidated = False
        if candidates is not None:
            candidates.save(progress.step, model)
        improved = choice is not None and choice.better(score, progress.best_score)
        if improved:
            progress.best_step, progress.best_score = progress.step, score
        log.write(progress.step, {"validation": progress.scores, "chosen": improved})
        screen.say(f"step {progress.step}  {summary(progress.scores)}{'  *' if improved else ''}")
        return improved

    def differentiate(step: int, counts: dict[str, int], window: list[Batch]) -> tuple[list, list]:
        """The losses of the batches and of their rows, their gradients added to the parameters'."""
        torch.manual_seed(int(noise.key(seed, "dropout", step, *others) >> 1))
        losses, rows = [], []
        for batch in window:
            batch, count = batch.to(accelerator.device), max(counts[batch.part], 1)
            if perturbation is None:
                outcome = model(compute, batch)
                accelerator.backward(batch.weight * (outcome[0] if isinstance(outcome, tuple) else outcome) / count)
            else:
                key = int(noise.key(seed, "perturbation", step))
                outcome = perturbation.backward(model, compute, batch, batch.weight / count, accelerator.backward, key)
            loss, by_row = outcome if isinstance(outcome, tuple) else (outcome, None)
            losses.append(loss.detach())
            rows.append(by_row)
        return losses, rows

    compute = loss_function(objective)
    others = () if processes.leads() else (processes.rank(),)  # one process draws as it would alone
    model.train()
    started, begun, tokens_before = time.monotonic() - progress.seconds, time.monotonic(), progress.tokens
    if progress.unvalidated and judge():
        save()
    if adapter is not None:
        adapter.begin(pace.steps)
    for step, window in _ahead(batches, progress.step, pace.steps, pace.workers):
        said = processes.gather((tally.counts_of(window), sum(batch.tokens for batch in window)))
        counts = tally.added(own for own, _ in said)
        thaw(optimizer, step)
        work = partial(differentiate, step, counts)
        undo = partial(optimizer.zero_grad, set_to_none=True)
        (losses, rows), window, progress.at_a_time = in_room(work, window, progress.at_a_time, undo, screen.warn)
        if opponent is not None:
            opponent.play(model, step)
        sum_gradients(model.parameters())
        if adapter is not None:
            adapter.before_update()
        norm = clip(model.parameters(), max_grad_norm)
        losses = torch.stack(losses).tolist()  # only now: reading a number would make an accelerator wait
        finite = all(processes.gather(all(map(math.isfinite, losses)) and math.isfinite(float(norm))))
        if finite:
            set_rates(optimizer, learning_rate(step))
            update(optimizer)
            if adapter is not None:
                adapter.after_update(step + 1)
            rows = [[] if by_row is None else by_row.tolist() for by_row in rows]
            tally.add(progress.losses, window, counts, losses, rows)
        else:
            mean = sum(b.weight * loss / max(counts[b.part], 1) for b, loss in zip(window, losses, strict=True))
            found = f"update {step + 1}: the loss is {mean:g} and the gradient's norm {float(norm):g}{suspects(window, losses, rows)}"
            give_up(found, progress, skips, learning_rate(step), screen)
        progress.skipped_in_a_row = 0 if finite else progress.skipped_in_a_row + 1
        progress.skipped += not finite
        optimizer.zero_grad(set_to_none=True)
        progress.step = step + 1
        progress.tokens += sum(tokens for _, tokens in said)

        note = None
        if finite and pace.due(pace.log_every, progress.step):
            speed = (progress.tokens - tokens_before) / (time.monotonic() - begun)
            collect(progress)
            means = tally.means(progress.losses) if processes.leads() else {}
            log.write(
                progress.step,
                {
                    **means,
                    "learning_rate": learning_rate(step),
                    "grad_norm": float(norm),
                    "tokens": progress.tokens,
                    "tokens_per_second": round(speed, 1),
                    **({} if opponent is None else {"adversarial": opponent.figures}),
                    **({} if adapter is None else adapter.facts()),
                    **({"skipped_updates": progress.skipped} if skips else {}),
                },
            )
            note = f"{tally.note(means)}  {speed:,.0f} tokens/s" if means else None
            progress.losses = {}
        screen.advance(progress.step, note)
        improved = validate is not None and pace.due(pace.eval_every, progress.step) and judge()
        signum = max(number or 0 for number in processes.gather(signals.requested()))
        if improved or signum or pace.due(pace.save_every, progress.step):
            save()
        if signum and progress.step < pace.steps:
            raise processes.agreed(
                Interrupted(
                    signum,
                    f"stopped by signal {signum} after update {progress.step} of {pace.steps}; checkpoint saved, run the same command again to go on",
                )
            )
    return progress


def give_up(found: str, progress: Progress, skips: bool, rate: float, screen: Screen) -> None:
    """NonFinite, or a warning where an update that is not finite is left out and it is not the third in a row. found: what, and by which rows."""
    remedy = f"lower train.learning_rate (now {rate:g}), raise train.warmup, or use hardware.precision=fp32"
    if skips and progress.skipped_in_a_row + 1 < MOST_SKIPPED:
        screen.warn(f"{found}; it is left out (train.nonfinite=skip)")
        return
    third = f", and so it was in the {MOST_SKIPPED - 1} updates before" if skips else ""
    raise processes.agreed(
        NonFinite(f"{found}{third}; no weight was changed by it and the last checkpoint is good: {remedy}")
    )


def collect(progress: Progress) -> None:
    """The losses that all processes counted become the first one's, which writes them."""
    found = processes.gather(progress.losses)
    if len(found) > 1:
        progress.losses = tally.joined(found) if processes.leads() else {}


def suspects(window: list[Batch], losses: list[float], rows: list) -> str:
    """The rows whose loss is not finite, those of their batch where losses are not told by row; "" where all are finite."""
    found = []
    for batch, loss, by_row in zip(window, losses, rows, strict=True):
        if math.isfinite(loss):
            continue
        bad = (
            range(batch.rows)
            if by_row is None
            else [i for i, (x, _) in enumerate(by_row.tolist()) if not math.isfinite(x)]
        )
        found += [
            f"{batch.languages[i]} {batch.numbers[i]}" for i in bad if i < min(len(batch.numbers), len(batch.languages))
        ]
    more = f" and {len(found) - 20} more" if len(found) > 20 else ""
    return f", by rows {', '.join(found[:20])}{more}" if found else ""


def summary(figures: dict[str, dict[str, float]]) -> str:
    """metric mean over languages, for one line."""
    return "  ".join(f"{metric} {sum(by.values()) / len(by):.4f}" for metric, by in sorted(figures.items()) if by)


def _ahead(batches: BatchOf, start: int, stop: int, workers: int) -> Iterator[tuple[int, list[Batch]]]:
    """(step, micro-batches), prepared in one thread while the model works: order and content do not depend on it."""
    if not workers:
        yield from ((step, batches(step)) for step in range(start, stop))
        return
    with ThreadPoolExecutor(1) as thread:
        waiting: deque = deque()
        following = iter(range(start, stop))
        for step in range(start, stop):
            while len(waiting) <= workers and (ahead := next(following, None)) is not None:
                waiting.append(thread.submit(batches, ahead))
            yield step, waiting.popleft().result()

"""From the train settings to who is drawn, whichever way `train.sampling` names, and from the rows drawn to what the model is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from xlt import processes
from xlt.config.schema import Hardware, Sampling, Train
from xlt.data.plan import like_lengths
from xlt.data.sampling import Shares, alpha_shares, language_shares, replayed, unimax, weight_shares
from xlt.errors import ConfigError
from xlt.types import Batch, Rows
from xlt.vocabulary import Vocabulary


def shares_of(train: Train, rows: dict[str, int], tokens: dict[str, int], old: Sequence[bool] = ()) -> Shares:
    """Shares of the rows drawn, per language. rows, tokens: what each has; tokens as they cost in a batch. old: which of them train.replay is of."""
    if train.replay is not None:
        return replayed(shares_of(replace(train, replay=None), rows, tokens), old, train.replay)
    if train.sampling is Sampling.weights:
        return Shares.fixed(list(weight_shares(rows, train.weights).values()))
    if train.sampling is Sampling.unimax:
        return Shares.fixed(_unimax(train, rows, tokens))
    return alpha_shares(rows, train.alpha)


def title_of(train: Train) -> str:
    """How languages are drawn, in words."""
    if train.sampling is Sampling.weights:
        return "languages drawn by train.weights"
    if train.sampling is Sampling.unimax:
        return f"languages drawn evenly, none more than {train.epoch_cap:g} times (UniMax)"
    return f"languages drawn with p^{train.alpha}"


def micro_batches(objective, rows: Rows, hardware: Hardware, vocabulary: Vocabulary, max_length: int) -> list[Batch]:
    """The rows of an update in batches of hardware.micro_batch_size, else by length where that saves padding; in one, that is encoded in pieces, where the loss is no sum over rows."""
    size, least = hardware.micro_batch_size, hardware.group_tokens
    count = whole_count(objective, rows)
    rows = own_rows(objective, rows, vocabulary, max_length)
    if size is not None and objective.separable:
        parts = [rows.slice(i, i + size) for i in range(0, len(rows), size)]
    elif least is not None and objective.separable:
        parts = [rows.take(group) for group in like_lengths(costs_of(objective, rows, vocabulary, max_length), least)]
    else:
        parts = [rows]
    piece = None if objective.separable else size
    return [collated(objective, part, vocabulary, max_length, piece, count) for part in parts]


def whole_count(objective, rows: Rows) -> int | None:
    """What an update's loss is divided by where it cannot be told from the parts of several processes: the first one's alone, so that it is summed once."""
    if processes.world() == 1 or not hasattr(objective, "count_whole"):
        return None
    return objective.count_whole(rows.languages) if processes.leads() else 0


def collated(
    objective, rows: Rows, vocabulary: Vocabulary, max_length: int, piece: int | None, count: int | None
) -> Batch:
    """The rows as one batch, which knows how to be cut further (see `xlt.training.memory`). count: in place of its own."""
    batch = objective.collate(rows, vocabulary, max_length)
    if count is not None:
        batch = replace(batch, count=count)

    def recut(most: int) -> list[Batch]:
        if not objective.separable:
            return [replace(whole, piece=most)]
        starts = range(0, len(rows), most)
        return [collated(objective, rows.slice(i, i + most), vocabulary, max_length, None, None) for i in starts]

    numbers = () if rows.numbers is None else tuple(rows.numbers.tolist())
    cuts = objective.separable or getattr(objective, "caches_gradients", False)
    cuts = cuts and not hasattr(objective, "prepare")  # what it keeps beside the model (a queue) would change twice
    whole = replace(batch, languages=tuple(rows.languages), piece=piece, numbers=numbers, recut=recut if cuts else None)
    return whole


def costs_of(objective, rows: Rows, vocabulary: Vocabulary, max_length: int) -> np.ndarray:
    """Tokens (R,) that each row has in a batch."""
    lengths = np.stack([np.fromiter(map(len, segment), np.int64) for segment in rows.segments], 1)
    return objective.row_length(lengths, vocabulary, max_length)


def own_rows(objective, rows: Rows, vocabulary: Vocabulary, max_length: int) -> Rows:
    """The rows of an update that this process computes: all, where it is alone."""
    world = processes.world()
    if world == 1:
        return rows
    if len(rows) < world:
        raise ConfigError(
            f"train.batch_size: an update of {len(rows)} rows cannot be shared by {world} processes; raise train.batch_size or train.batch_tokens, or lower "
            "hardware.processes"
        )
    return rows.take(dealt(costs_of(objective, rows, vocabulary, max_length), world)[processes.rank()])


def dealt(costs: np.ndarray, world: int) -> list[np.ndarray]:
    """The numbers of the rows, of `costs` (R,), of each process: longest first, there and back again, so that all have as much to do. In the rows' order."""
    order = np.argsort(-costs, kind="stable")
    turns = np.arange(len(order)) % (2 * world)
    owner = np.minimum(turns, 2 * world - 1 - turns)
    return [np.sort(order[owner == i]) for i in range(world)]


def _unimax(train: Train, rows: dict[str, int], tokens: dict[str, int]) -> list[float]:
    """In tokens where the batches have a budget of tokens, else in rows."""
    language_shares(rows, 1.0)  # at least one has rows
    unit, sizes = ("rows", rows) if train.batch_tokens is None else ("tokens", tokens)
    total = sum(sizes.values())
    budget = train.steps * (train.batch_tokens or train.batch_size) if train.epochs is None else train.epochs * total
    if budget > train.epoch_cap * total:
        raise ConfigError(
            f"train.epoch_cap: with at most {train.epoch_cap:g} passes there are {train.epoch_cap * total:,.0f} {unit} to draw, and the run draws "
            f"{budget:,.0f}; lower train.steps or train.epochs, or raise train.epoch_cap to {budget / total:.2f} or more"
        )
    given = unimax(sizes, budget, train.epoch_cap)
    drawn = {code: given[code] * rows[code] / sizes[code] if sizes[code] else 0.0 for code in rows}  # in rows
    return [n / sum(drawn.values()) for n in drawn.values()]

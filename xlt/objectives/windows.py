"""Texts longer than the model reads, as overlapping windows of one batch: each token is judged where it sees most of what is around it. No objective of its own.

A row stays one row: it costs what its windows cost, and one prediction comes back for each of its words (cf. Devlin et al. 2019, appendix A.5, and the
"max context" of their SQuAD code). Windows are all as long as the model allows; the last one begins so early that it is, too. Of two texts the second
is cut into windows, and each of them has the first before it (a question and its context).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from xlt.errors import ConfigError
from xlt.types import Rows
from xlt.vocabulary import Vocabulary, model_inputs


@dataclass(frozen=True)
class PairWindows:
    """Windows on the second texts of all rows of a batch, each behind the first text of its row. W windows, in the rows' order.

    tensors: what the model reads (W, L). row_W: row of each window. begin_W: the token of the second text with which it begins; column_W: where
    that one stands in it; size_W: how many tokens of the second text it holds. judges: of each token of a row's second text, its window of the W by
    `judges`.
    """

    tensors: dict[str, torch.Tensor | None]
    tokens: int
    row_W: np.ndarray
    begin_W: np.ndarray
    column_W: np.ndarray
    size_W: np.ndarray
    judges: list[np.ndarray]


@dataclass(frozen=True)
class Windows:
    """Windows of all rows of a batch, and where in them the chosen tokens of each row are. W windows, B rows, M chosen tokens in the rows' order.

    tensors: what the model reads (W, L). first_B: each row's first window. where_M: place of each chosen token among the W * L. row_M: its row.
    """

    tensors: dict[str, torch.Tensor | None]
    tokens: int
    first_B: torch.Tensor
    where_M: torch.Tensor
    row_M: torch.Tensor


def check_overlap(overlap: float) -> None:
    """ConfigError if it is no share that leaves something to go on with."""
    if not 0 <= overlap < 1:
        raise ConfigError(f"objective.overlap: {overlap} is not in [0, 1); 0.25 shares a quarter of a window")


def shape(vocabulary: Vocabulary, max_length: int, overlap: float) -> tuple[int, int]:
    """(tokens of a text in a window, how many of them the next one has, too). ConfigError if there is room for none."""
    room = max_length - vocabulary.overhead(1)
    if room < 1:
        raise ConfigError(
            f"train.max_length: {max_length} has room for no token beside the {vocabulary.overhead(1)} special ones; raise it"
        )
    return room, int(room * overlap)


def room_beside(first_R: np.ndarray, vocabulary: Vocabulary, max_length: int) -> np.ndarray:
    """int64 (R,): tokens of a second text in a window behind first texts of `first_R` tokens. ConfigError if there is room for none."""
    room_R = max_length - vocabulary.overhead(2) - first_R
    if (room_R < 1).any():
        raise ConfigError(
            f"train.max_length: {max_length} has room for no token of a context beside {int(first_R.max())} of its question and the "
            f"{vocabulary.overhead(2)} special ones; raise it, or lower objective.question_length"
        )
    return room_R


def begins(length: int, room: int, shared: int) -> np.ndarray:
    """int64 (windows,): the token with which each window on a text of `length` tokens begins. room, shared: see `shape`."""
    if length <= room:
        return np.zeros(1, np.int64)
    count = 1 + -(-(length - room) // (room - shared))
    return np.minimum(np.arange(count) * (room - shared), length - room)


def costs(lengths: np.ndarray, vocabulary: Vocabulary, max_length: int, overlap: float) -> np.ndarray:
    """int64 (R,): tokens of all windows on texts of `lengths` (R,)."""
    room, shared = shape(vocabulary, max_length, overlap)
    return (np.minimum(lengths, room) + vocabulary.overhead(1)) * _counts(lengths, room, shared)


def pair_costs(
    first_R: np.ndarray, lengths: np.ndarray, vocabulary: Vocabulary, max_length: int, overlap: float
) -> np.ndarray:
    """int64 (R,): tokens of all windows on second texts of `lengths` (R,), each behind `first_R` (R,) tokens."""
    room_R = room_beside(first_R, vocabulary, max_length)
    each_R = np.minimum(lengths, room_R) + first_R + vocabulary.overhead(2)
    return each_R * _counts(lengths, room_R, (room_R * overlap).astype(np.int64))


def _counts(lengths: np.ndarray, room: np.ndarray | int, shared: np.ndarray | int) -> np.ndarray:
    """How many windows `begins` finds."""
    return 1 + -(-np.maximum(lengths - room, 0) // (room - shared))


def judges(places: np.ndarray, begins: np.ndarray, length: int, room: int) -> np.ndarray:
    """int64 (M,): for each of `places` in a text, the window in which it is farthest from an edge where the text was cut; the first of equals.

    The text's own ends are no such edges: nothing is hidden behind them.
    """
    left_MW = places[:, None] - begins
    right_MW = begins + min(room, length) - 1 - places[:, None]
    outside_MW = (left_MW < 0) | (right_MW < 0)
    left_MW = np.where(begins == 0, length, left_MW)
    right_MW = np.where(begins + room >= length, length, right_MW)
    return np.where(outside_MW, -1, np.minimum(left_MW, right_MW)).argmax(1)


def cut(rows: Rows, places: Sequence[np.ndarray], vocabulary: Vocabulary, max_length: int, overlap: float) -> Windows:
    """The first text of each row in windows. places: of each row, tokens of that text that something is said about."""
    room, shared = shape(vocabulary, max_length, overlap)
    texts, languages, first, window, column, row = [], [], [], [], [], []
    for i, (ids, wanted) in enumerate(zip(rows.segments[0], places, strict=True)):
        starts = begins(len(ids), room, shared)
        judge = judges(wanted, starts, len(ids), room)
        first.append(len(texts))
        window.append(len(texts) + judge)
        column.append(len(vocabulary.prefix) + wanted - starts[judge])
        row.append(np.full(len(wanted), i))
        texts += [ids[start : start + room] for start in starts.tolist()]
        languages += [rows.languages[i]] * len(starts)
    ids_WL, lengths_W = vocabulary.pad_rows([vocabulary.join((text,), max_length) for text in texts])
    where_M = np.concatenate(window) * ids_WL.shape[1] + np.concatenate(column)
    return Windows(
        tensors=model_inputs(ids_WL, lengths_W) | vocabulary.language_input(languages),
        tokens=int(lengths_W.sum()),
        first_B=torch.tensor(first),
        where_M=torch.from_numpy(where_M.astype(np.int64)),
        row_M=torch.from_numpy(np.concatenate(row)),
    )


def cut_second(rows: Rows, first_length: int, vocabulary: Vocabulary, max_length: int, overlap: float) -> PairWindows:
    """The second text of each row in windows, behind the first `first_length` tokens of its first text."""
    heads = [ids[:first_length] for ids in rows.segments[0]]
    rooms = room_beside(np.array([len(ids) for ids in heads]), vocabulary, max_length)
    texts, row, begin, column, size, judge = [], [], [], [], [], []
    for i, (head, ids, room) in enumerate(zip(heads, rows.segments[1], rooms.tolist(), strict=True)):
        starts = begins(len(ids), room, int(room * overlap))
        judge.append(len(texts) + judges(np.arange(len(ids)), starts, len(ids), room))
        row.append(np.full(len(starts), i))
        begin.append(starts)
        column.append(np.full(len(starts), len(vocabulary.prefix) + len(head) + len(vocabulary.between)))
        size.append(np.full(len(starts), min(room, len(ids))))
        texts += [vocabulary.join((head, ids[start : start + room]), max_length) for start in starts.tolist()]
    ids_WL, lengths_W = vocabulary.pad_rows(texts)
    row_W, column_W = np.concatenate(row), np.concatenate(column)
    tensors = model_inputs(ids_WL, lengths_W) | vocabulary.second_text(column_W, lengths_W, ids_WL.shape[1])
    return PairWindows(
        tensors=tensors | vocabulary.language_input([rows.languages[i] for i in row_W.tolist()]),
        tokens=int(lengths_W.sum()),
        row_W=row_W,
        begin_W=np.concatenate(begin),
        column_W=column_W,
        size_W=np.concatenate(size),
        judges=judge,
    )

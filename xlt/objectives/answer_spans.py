"""Between characters of a context and its tokens: which tokens an answer is, what a span of tokens says, and the best spans. Knows no model."""

from __future__ import annotations

import unicodedata
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional as F


class Answer(NamedTuple):
    """A stretch of a context. score: the logits of its begin and end, summed."""

    text: str
    start: int
    score: float


def visible(offsets: np.ndarray, text: str) -> np.ndarray:
    """int64 (L, 2): `offsets` of tokens in `text` without the white space at either edge, which tokenizers count to the word behind it, and with
    the marks that a tokenizer drops (the vowel signs of Devanagari, where BERT strips accents), which belong to the letter before them.

    Of a token that is nothing but white space, the end is not behind the begin.
    """
    if not len(offsets):
        return np.zeros((0, 2), np.int64)
    offsets = np.stack([offsets[:, 0], _with_marks(offsets, text)[offsets[:, 1]]], 1)
    seen = np.flatnonzero(~np.fromiter(map(str.isspace, text), bool, len(text)))
    after = np.searchsorted(seen, offsets[:, 0])  # the first character seen from each begin on
    before = np.searchsorted(seen, offsets[:, 1])  # and the first one behind each end
    edges = np.concatenate([[0], seen + 1])
    return np.stack([np.append(seen, len(text))[after], edges[before]], 1)


def _with_marks(offsets: np.ndarray, text: str) -> np.ndarray:
    """int64 (characters + 1,): for each place in `text`, the first one from it on that holds no mark which no token covers."""
    begun = np.bincount(offsets[:, 0], minlength=len(text) + 1) - np.bincount(offsets[:, 1], minlength=len(text) + 1)
    stop = np.arange(len(text) + 1)
    for i in np.flatnonzero(begun.cumsum()[:-1] == 0)[::-1].tolist():
        if unicodedata.category(text[i])[0] == "M":
            stop[i] = stop[i + 1]
    return stop


def tokens_of(start: int, stop: int, visible_L2: np.ndarray) -> tuple[int, int] | None:
    """(first, last) token that holds a character of start..stop; None if none does (it is white space, or the tokenizer drops it)."""
    begin_L, end_L = visible_L2.T
    inside = np.flatnonzero((begin_L < stop) & (end_L > start) & (begin_L < end_L))
    return (int(inside[0]), int(inside[-1])) if len(inside) else None


def said(spans_K2: np.ndarray, scores_K: np.ndarray, visible_L2: np.ndarray, context: str) -> list[Answer]:
    """What each span of tokens says, in the context's own characters; of spans that say the same (tokens may share a character) the first."""
    found: dict[tuple[int, int], Answer] = {}
    for (first, last), score in zip(spans_K2.tolist(), scores_K.tolist(), strict=True):
        start, stop = int(visible_L2[first, 0]), int(visible_L2[last, 1])
        found.setdefault((start, stop), Answer(context[start:stop], start, score))
    return list(found.values())


def best(
    start_WL: torch.Tensor, end_WL: torch.Tensor, windows_B: list[int], count: int, longest: int
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Of each row, the `count` best spans: (int64 (K, 3) of window, first and last place in it; their scores (K,)), the best first.

    start_WL, end_WL: logits, -inf where no span may begin or end. windows_B: windows of each row. longest: places of a span. All spans are looked at,
    where the SQuAD code of Devlin et al. 2019 combines the 20 best begins with the 20 best ends. K is smaller where there are not as many spans.
    """
    ends_WLK = F.pad(end_WL, (0, longest - 1), value=-torch.inf).unfold(1, longest, 1)
    scores_WLK, found, done = start_WL[..., None] + ends_WLK, [], 0
    width = start_WL.shape[1]
    for windows in windows_B:
        flat = scores_WLK[done : done + windows].flatten()
        scores, which = flat.topk(min(count, len(flat)))
        scores, which = scores[scores != -torch.inf], which[scores != -torch.inf]  # NaN stays, for who asks for numbers
        first = which // longest % width
        spans = torch.stack([which // (longest * width) + done, first, first + which % longest], 1)
        found.append((spans, scores))
        done += windows
    return found

"""Links between the words of two sentences as text, and what they are worth against gold: Pharaoh's format, precision, recall, F1 and AER.

What a word is, where a text is not given as words, is here, too: links are numbers of words.
"""

from __future__ import annotations

import re
import unicodedata

import numpy as np

from xlt import surface

_LINK = re.compile(r"(\d+)([-p])(\d+)")


def word_spans(text: str, tokenized: bool) -> np.ndarray:
    """int64 (W, 2): begin and end in characters of each word: what stands between white space, and, if the text is not `tokenized`, each letter of a
    script that is written without it (Chinese, Japanese, Thai, Khmer, Lao, Burmese, Tibetan), with the marks that hang on it."""
    spans: list[list[int]] = []
    grows = False  # whether the next character may belong to the last word
    for place, letter in enumerate(text):
        if letter.isspace():
            grows = False
            continue
        alone = not tokenized and surface.stands_alone(letter)
        hangs = unicodedata.category(letter)[0] == "M" and place and not text[place - 1].isspace()
        if alone or not (grows or hangs):
            spans.append([place, place])
        spans[-1][1] = place + 1
        grows = not alone and (grows or not hangs)
    return np.array(spans, np.int64).reshape(-1, 2)


def words_of(spans_W2: np.ndarray, offsets_L2: np.ndarray) -> np.ndarray:
    """int64 (L, 2): first and last of the words that each sub-word overlaps, by characters; the last is before the first where there is none."""
    first = np.searchsorted(spans_W2[:, 1], offsets_L2[:, 0], side="right")
    last = np.searchsorted(spans_W2[:, 0], offsets_L2[:, 1], side="left") - 1
    empty = offsets_L2[:, 0] >= offsets_L2[:, 1]
    return np.stack([first, np.where(empty, first - 1, last)], 1)


def parse(text: str, first: int) -> np.ndarray:
    """int64 (n, 3): source word, target word, 1 if the link is sure (`i-j`) and 0 if it is possible (`ipj`), from 0. first: how the text calls the
    first word. ValueError, with a sentence, for what is none; a link that is both is sure."""
    found: dict[tuple[int, int], int] = {}
    for item in text.split():
        match = _LINK.fullmatch(item)
        if match is None:
            raise ValueError(f"{item!r} is no link; write i-j, or ipj for a possible one")
        i, j = int(match[1]) - first, int(match[3]) - first
        if min(i, j) < 0:
            raise ValueError(f"{item!r} counts words from 0, and the first is to be {first}; set objective.gold_from=0")
        found[i, j] = max(found.get((i, j), 0), int(match[2] == "-"))
    return np.array([(i, j, sure) for (i, j), sure in found.items()], np.int64).reshape(-1, 3)


def pharaoh(links_N2: np.ndarray) -> str:
    """`0-0 1-2 ...`."""
    return " ".join(f"{i}-{j}" for i, j in links_N2.tolist())


def counts(links_N2: np.ndarray, gold_N3: np.ndarray) -> tuple[int, int, int, int]:
    """(links that are sure, links that are possible or sure, links, sure ones of the gold): what `xlt.metrics` makes precision, recall, F1 and AER of
    (Och and Ney 2003, section 6)."""
    sure = {(i, j) for i, j, is_sure in gold_N3.tolist() if is_sure}
    possible = {(i, j) for i, j, _ in gold_N3.tolist()}
    said = {(i, j) for i, j in links_N2.tolist()}
    return len(said & sure), len(said & possible), len(said), len(sure)

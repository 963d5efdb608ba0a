"""Tags of a sentence carried to its translation along links between words (annotation projection: Yarowsky, Ngai and Wicentowski 2001).

Spans as Ehrmann, Turchi and Steinberger 2011 and Jain et al. 2019 do it: from the first to the last word that a span is linked to. What happens at
gaps and conflicts, which the papers leave to heuristics of their own, is said here.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np


class Span(NamedTuple):
    """Words begin..end (end excluded) of a kind."""

    begin: int
    end: int
    kind: str


class Claim(NamedTuple):
    """What a span of the source lays claim to: linked words of the target with the strength of each, and the summed strength."""

    strength: float
    at: dict[int, float]
    kind: str


def spans(tags: list[str]) -> list[Span]:
    """Of IOB2 tags."""
    found: list[Span] = []
    for place, tag in enumerate(tags):
        if tag.startswith("B-"):
            found.append(Span(place, place + 1, tag[2:]))
        elif tag.startswith("I-"):
            found[-1] = found[-1]._replace(end=place + 1)
    return found


def project_spans(
    tags: list[str], links_N2: np.ndarray, strengths_N: np.ndarray, size: int, max_gap: int | None
) -> tuple[list[str], int]:
    """(IOB2 tags of the target's `size` words, spans of the source that were carried). tags: IOB2 of the source.

    A span becomes the words from the first to the last one that its words are linked to, whatever is between. Where more than `max_gap` words
    between two of them are not linked to it, it is cut there and the part with the larger summed strength is taken, the first of equals (null:
    it is never cut). Spans are placed from the strongest on; of a later one that runs into others the free run of the largest summed strength is
    left, from its first to its last linked word, and without any it is lost. So is a span without links.
    """
    claims = [claim for span in spans(tags) if (claim := _claim(span, links_N2, strengths_N, max_gap))]
    projected, carried = ["O"] * size, 0
    for claim in sorted(claims, key=lambda c: (-c.strength, min(c.at))):
        begin, end = min(claim.at), max(claim.at) + 1
        free = [run for run in _runs([j for j in range(begin, end) if projected[j] == "O"], 0) if claim.at.keys() & run]
        if not free:
            continue
        run = max(free, key=lambda run: sum(claim.at.get(j, 0.0) for j in run))
        own = [j for j in run if j in claim.at]
        projected[own[0]] = f"B-{claim.kind}"
        projected[own[0] + 1 : own[-1] + 1] = [f"I-{claim.kind}"] * (own[-1] - own[0])
        carried += 1
    return projected, carried


def _claim(span: Span, links_N2: np.ndarray, strengths_N: np.ndarray, max_gap: int | None) -> Claim | None:
    at: dict[int, float] = {}
    for (i, j), strength in zip(links_N2.tolist(), strengths_N.tolist(), strict=True):
        if span.begin <= i < span.end:
            at[j] = max(at.get(j, 0.0), strength)
    if not at:
        return None
    runs = [sorted(at)] if max_gap is None else _runs(sorted(at), max_gap)
    run = max(runs, key=lambda run: sum(at[j] for j in run))
    return Claim(sum(at[j] for j in run), {j: at[j] for j in run}, span.kind)


def _runs(places: list[int], gap: int) -> list[list[int]]:
    """Rising places, cut where more than `gap` are missing."""
    runs: list[list[int]] = []
    for place in places:
        if runs and place - runs[-1][-1] <= gap + 1:
            runs[-1].append(place)
        else:
            runs.append([place])
    return runs


def project_words(tags: list[str], links_N2: np.ndarray, strengths_N: np.ndarray, size: int) -> list[str | None]:
    """The tag of each of the target's `size` words: that of the source word of its strongest link, the first of equals; None without a link."""
    best: dict[int, tuple[float, int]] = {}
    for (i, j), strength in zip(links_N2.tolist(), strengths_N.tolist(), strict=True):
        best[j] = max(best.get(j, (-np.inf, 0)), (strength, -i))
    return [tags[-best[j][1]] if j in best else None for j in range(size)]


def fill_words(sentences: list[tuple[list[str], list[str | None]]], otherwise: str) -> list[list[str]]:
    """The tags of all sentences (words, tags), where words without a tag have the one that the same word, case ignored, has most often where it has
    one (the first met of equals); `otherwise`, if it has one nowhere."""
    votes: dict[str, Counter] = {}
    for words, tags in sentences:
        for word, tag in zip(words, tags, strict=True):
            if tag is not None:
                votes.setdefault(word.lower(), Counter())[tag] += 1
    most = {word: counted.most_common(1)[0][0] for word, counted in votes.items()}
    return [
        [most.get(word.lower(), otherwise) if tag is None else tag for word, tag in zip(words, tags, strict=True)]
        for words, tags in sentences
    ]

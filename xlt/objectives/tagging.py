"""What objectives that tag words do alike: which tokens stand for words, what IOB2 allows, and how tags are scored. No objective of its own.

They take the first four functions as their methods, and have the fields scheme, repair and overlap.
"""

from __future__ import annotations

from enum import Enum

import numpy as np
import torch

from xlt import metrics
from xlt.errors import BadRow
from xlt.objectives import windows
from xlt.types import Gold
from xlt.vocabulary import Vocabulary

SPANS = {"f1": True, "precision": True, "recall": True, "f1_conll": True}  # higher is better


class Scheme(str, Enum):
    """bio: B-X begins a span of X, I-X goes on with it, O is none (IOB2). plain: each word's tag is its own (parts of speech)."""

    bio = "bio"
    plain = "plain"


def texts(self, row: dict) -> tuple[list[str]]:
    """The words."""
    return (row["tokens"],)


def annotate(self, row: dict, encodings: tuple) -> dict[str, np.ndarray | list[str]]:
    """tags, and starts: the first sub-word of each word. BadRow for what is not IOB2."""
    bio = self.scheme is Scheme.bio
    tags = checked(row["tokens"], row["tags"], self.repair) if bio else row["tags"]
    return {"tags": tags, "starts": encodings[0].word_starts()}


def annotation(self) -> str:
    """What decides the notes."""
    return f"tags {self.scheme.value} {self.repair}"


def row_length(self, lengths: np.ndarray, vocabulary: Vocabulary, max_length: int) -> np.ndarray:
    """All windows on the words."""
    return windows.costs(lengths[:, 0], vocabulary, max_length, self.overlap)


def checked(words: list[str], tags: list[str], repair: bool) -> list[str]:
    """The tags, if they are IOB2. repair: an I-X that nothing of X stands before begins a span, as conlleval reads it. BadRow if they are not."""
    read, before = [], "O"
    for i, (word, tag) in enumerate(zip(words, tags, strict=True)):
        kind, _, name = tag.partition("-")
        if tag != "O" and (kind not in ("B", "I") or not name):
            raise BadRow(
                f"tags[{i}] of {word!r} is {tag!r}, and IOB2 knows O, B-NAME and I-NAME; convert the tags, or set objective.scheme=plain"
            )
        if kind == "I" and before not in (f"B-{name}", f"I-{name}"):
            if not repair:
                raise BadRow(
                    f"tags[{i}] of {word!r} is {tag}, but {f'{before} stands before it' if i else 'nothing stands before it'}: in IOB2 B-{name} begins "
                    "a span; correct it, or set objective.repair=true to read it so"
                )
            tag = f"B-{name}"
        read.append(tag)
        before = tag
    return read


def predicted(logits: list[np.ndarray], gold: Gold) -> tuple[list[list[str]], list[list[str]]]:
    """(predicted tags, gold tags) of each row. ValueError if a row has not one prediction for each of its words."""
    names, guesses, truths = gold.names["tags"], [], []
    for i, (logits_MN, tags) in enumerate(zip(logits, gold.notes["tags"], strict=True)):
        if len(logits_MN) != len(tags):
            raise ValueError(f"row {i + 1}: {len(logits_MN)} predictions for {len(tags)} words")
        guesses.append([names[n] for n in logits_MN.argmax(-1)])
        truths.append([names[n] for n in tags])
    return guesses, truths


def span_sums(guesses: list[list[str]], truths: list[list[str]]) -> dict[str, metrics.Sums]:
    """f1, precision, recall: strict IOB2, where a span that does not begin with B- is none; f1_conll: as conlleval counts."""
    return {
        **metrics.span_sums(guesses, truths, strict=True),
        "f1_conll": metrics.span_sums(guesses, truths, strict=False)["f1"],
    }


def per_row(values_MN: torch.Tensor, row_M: torch.Tensor, rows: int) -> list[torch.Tensor]:
    """B tensors: the values of each row, which stand together."""
    return list(values_MN.split(torch.bincount(row_M, minlength=rows).tolist()))

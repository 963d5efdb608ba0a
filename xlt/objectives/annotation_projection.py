"""Annotation projection: the tags of a sentence's words become tags of its translation's (Yarowsky, Ngai and Wicentowski 2001). Trains nothing.

`xlt align` links the words with an encoder, carries the tags along the links, and writes a training set for the other language. How: `xlt.alignment.projection`.
Labels of whole sentences are carried by `label_projection`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar, NamedTuple

import numpy as np

from xlt import metrics
from xlt.alignment import projection
from xlt.errors import ConfigError
from xlt.objectives import plain_text, tagging
from xlt.objectives.word_alignment import WordAlignment, as_words
from xlt.types import Batch, Gold, Rows
from xlt.vocabulary import Vocabulary


class Project(str, Enum):
    """What is carried. ner: spans, in IOB2. pos: a tag for each word, such as UPOS."""

    ner = "ner"
    pos = "pos"


class Projected(NamedTuple):
    """A sentence of the other language. words and tags, as many; of: words or spans of which a tag was to be had; share of them that have one."""

    words: list[str]
    tags: list[str]
    found: int
    of: int

    @property
    def share(self) -> float:
        """1 where there is nothing to be had."""
        return self.found / self.of if self.of else 1.0


@dataclass(frozen=True, kw_only=True)
class AnnotationProjection:
    """aligner: an objective word_alignment. max_gap: of spans. min_carried, min_density: the share of a sentence's spans that must be carried, and of its
    words that must be linked to a tagged one, or it is left out of what is written. otherwise: the tag of words whose like is linked nowhere.

    repair: read a stray I-X as conlleval does, instead of refusing the row.
    """

    project: Project
    aligner: Any
    max_gap: int | None
    min_carried: float
    min_density: float
    otherwise: str
    repair: bool

    kind: ClassVar[str] = "projector"
    view: ClassVar[str] = "tagged_parallel"
    head: ClassVar[str] = "encoder"
    separable: ClassVar[bool] = True

    def __post_init__(self):
        problems = []
        if not isinstance(self.aligner, WordAlignment):
            problems.append(
                f"objective.aligner: {self.aligner!r} links no words; choose it with /objective@objective.aligner=word_alignment"
            )
        if self.max_gap is not None and self.max_gap < 0:
            problems.append(f"objective.max_gap: {self.max_gap} is below 0; null never cuts a span")
        problems += [
            f"objective.{name}: {getattr(self, name)} is not in [0, 1]; 0 keeps all sentences"
            for name in ("min_carried", "min_density")
            if not 0 <= getattr(self, name) <= 1
        ]
        if problems:
            raise ConfigError(problems)

    modules = plain_text.modules

    @property
    def layer(self) -> int | None:
        """The aligner's."""
        return self.aligner.layer

    @property
    def metric(self) -> str:
        """Where the target has gold tags."""
        return "f1" if self.project is Project.ner else "accuracy"

    @property
    def suffix(self) -> str:
        """Of the files that are written: BIO in two columns, or CoNLL-U."""
        return "conll" if self.project is Project.ner else "conllu"

    @property
    def higher_is_better(self) -> dict[str, bool]:
        """coverage: spans, or words, that have a tag. kept: sentences that are written. Against gold tags: of spans F1; of words the accuracy of those
        with a link, and of all."""
        against = ("f1", "precision", "recall") if self.project is Project.ner else ("accuracy", "accuracy_filled")
        return dict.fromkeys((*against, "coverage", "kept"), True)

    def texts(self, row: dict) -> tuple[str | list[str], ...]:
        return row["source"], row["target"]

    @property
    def annotation(self) -> str:
        """What decides the notes."""
        return f"{self.aligner.annotation} {self.project.value} {self.repair}"

    def annotate(self, row: dict, encodings: tuple) -> dict[str, np.ndarray]:
        """The aligner's. BadRow for what is not IOB2, where it has to be."""
        if self.project is Project.ner:
            tagging.checked(row["source"], row["source_tags"], self.repair)
        return self.aligner.annotate(row, encodings)

    def row_length(self, lengths: np.ndarray, vocabulary: Vocabulary, max_length: int) -> np.ndarray:
        """The aligner's."""
        return self.aligner.row_length(lengths, vocabulary, max_length)

    def collate(self, rows: Rows, vocabulary: Vocabulary, max_length: int) -> Batch:
        """The aligner's."""
        return self.aligner.collate(rows, vocabulary, max_length)

    def predict(self, model, batch: Batch) -> dict[str, list]:
        """The aligner's."""
        return self.aligner.predict(model, batch)

    def project_rows(self, outputs: dict[str, list[np.ndarray]], gold: Gold) -> list[Projected]:
        """Every row's target, whether or not it is to be kept."""
        columns = zip(gold.rows, outputs["links"], outputs["strengths"], strict=True)
        if self.project is Project.ner:
            return [self._spans(*each) for each in columns]
        made = [
            (words, projection.project_words(row["source_tags"], found, strengths, len(words)))
            for row, found, strengths in columns
            for words in [self._words(row)]
        ]
        filled = projection.fill_words(made, self.otherwise)
        return [
            Projected(words, tags, sum(tag is not None for tag in linked), len(words))
            for (words, linked), tags in zip(made, filled, strict=True)
        ]

    def keeps(self, sentence: Projected) -> bool:
        """Whether it is to be learned from."""
        return sentence.share >= (self.min_carried if self.project is Project.ner else self.min_density)

    def _spans(self, row: dict, links_N2: np.ndarray, strengths_N: np.ndarray) -> Projected:
        words, tags = self._words(row), tagging.checked(row["source"], row["source_tags"], self.repair)
        projected, carried = projection.project_spans(tags, links_N2, strengths_N, len(words), self.max_gap)
        return Projected(words, projected, carried, len(projection.spans(tags)))

    def _words(self, row: dict) -> list[str]:
        return as_words(row["target"], self.aligner.tokenized)

    def statistics(self, outputs: dict[str, list[np.ndarray]], gold: Gold) -> dict[str, metrics.Sums]:
        """Of all rows, kept or not; against gold tags where the target has them."""
        sentences = self.project_rows(outputs, gold)
        found = {
            "coverage": metrics.Sums(np.array([(s.found, s.of) for s in sentences]), "ratio"),
            "kept": metrics.Sums(np.array([(self.keeps(s), 1) for s in sentences]), "ratio"),
        }
        if not all("target_tags" in row for row in gold.rows):
            return found
        truths = [row["target_tags"] for row in gold.rows]
        if self.project is Project.ner:
            truths = [tagging.checked(s.words, tags, self.repair) for s, tags in zip(sentences, truths, strict=True)]
            return metrics.span_sums([s.tags for s in sentences], truths, strict=True) | found
        linked = [{j for _, j in links_N2.tolist()} for links_N2 in outputs["links"]]
        right = [[a == b for a, b in zip(s.tags, tags, strict=True)] for s, tags in zip(sentences, truths, strict=True)]
        covered = [(sum(each[j] for j in at), len(at)) for each, at in zip(right, linked, strict=True)]
        filled = [(sum(each), len(each)) for each in right]
        return {
            "accuracy": metrics.Sums(np.array(covered), "ratio"),
            "accuracy_filled": metrics.Sums(np.array(filled), "ratio"),
        } | found

    def score(self, outputs: dict[str, list[np.ndarray]], gold: Gold) -> dict[str, float]:
        return metrics.scores(self.statistics(outputs, gold))

    def records(self, outputs: dict[str, list[np.ndarray]], gold: Gold) -> Iterator[dict]:
        """The words and tags that a row's target is given."""
        for sentence in self.project_rows(outputs, gold):
            yield {"tokens": sentence.words, "prediction": sentence.tags, "kept": self.keeps(sentence)}

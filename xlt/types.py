"""What passes between the rooms: rows, batches, sums of loss, and the Protocols of the things a config names.

Shape legend, used as suffix of array and tensor names everywhere: B rows of a batch, L tokens of a row (padded), D width of the model,
V size of the vocabulary, N labels of a task, M masked positions of a batch, P pairs. `ids_BL` is then a matrix of token ids.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

import numpy as np

if TYPE_CHECKING:  # the command line imports this module's neighbours without paying for torch
    import torch

    from xlt.vocabulary import Vocabulary


@runtime_checkable
class Dataset(Protocol):
    """Labelled or plain text in several languages. Rows are dicts; which keys they have follows from the view (see `xlt.data.sources`)."""

    name: str

    def views(self) -> tuple[str, ...]:
        """Of: text, parallel, classification, multilabel, regression, tagging, tagged_parallel, qa, retrieval, dictionary, recommendation, multiple_choice, dialog, entities."""

    def languages(self, view: str) -> list[str]:
        """Sorted codes; pairs such as `en-de` where the view is parallel, tagged_parallel, dictionary or entities."""

    def splits(self, view: str, language: str) -> list[str]:
        """Of: train, dev, test."""

    def rows(self, view: str, language: str, split: str) -> Iterator[dict]:
        """All rows in a fixed order, read anew at each call."""

    def labels(self) -> list[str] | None:
        """The closed set of labels, in the order of their ids, where the data set declares one."""

    def fingerprint(self, view: str, language: str, split: str) -> str:
        """Hex digest that changes with the rows."""


@dataclass(frozen=True, eq=False)
class KnowledgeGraph:
    """A graph of facts in one language. ids, names: of its N entities; relations: names of its R relations.

    triples_T3: int64, of each of T facts the numbers of head, relation and tail.
    """

    ids: list[str]
    names: list[str]
    relations: list[str]
    triples_T3: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Rows:
    """Encoded rows, drawn for one update or one prediction pass. R rows.

    segments: one list per text of a row (a sentence; a sentence and its translation; premise and hypothesis), each with R arrays of token ids
        without special tokens.
    labels: int64 (R,), or None.
    keys: uint64 (R,), identity of (seed, language, row, epoch): all noise of a row is drawn from it, so it does not depend on its batch.
    languages: language or pair of each row.
    notes: what the objective noted of each row when it was encoded (its `annotate`): R arrays each. numbers: int64 (R,), of each row in its table, or None.
    """

    segments: list[list[np.ndarray]]
    labels: np.ndarray | None
    keys: np.ndarray
    languages: list[str]
    notes: Mapping[str, list[np.ndarray]] = field(default_factory=dict)
    numbers: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.languages)

    def slice(self, start: int, stop: int) -> Rows:
        """Rows start..stop, as views."""
        labels = None if self.labels is None else self.labels[start:stop]
        notes = {name: arrays[start:stop] for name, arrays in self.notes.items()}
        segments = [segment[start:stop] for segment in self.segments]
        numbers = None if self.numbers is None else self.numbers[start:stop]
        return Rows(segments, labels, self.keys[start:stop], self.languages[start:stop], notes, numbers)

    def take(self, chosen: np.ndarray) -> Rows:
        """The rows of these numbers (n,), in that order."""
        labels, numbers = None if self.labels is None else self.labels[chosen], chosen.tolist()
        notes = {name: [arrays[i] for i in numbers] for name, arrays in self.notes.items()}
        segments = [[segment[i] for i in numbers] for segment in self.segments]
        own = None if self.numbers is None else self.numbers[chosen]
        return Rows(segments, labels, self.keys[chosen], [self.languages[i] for i in numbers], notes, own)


# names of a task's labels; of a task with several closed sets, each set by its name
Labels = list[str] | dict[str, list[str]]


@dataclass(frozen=True)
class Gold:
    """What the rows of one language and split should be predicted as, in their order. R rows.

    labels: int64 (R,), the number of each row's label in names["label"]; None where the task has no such set.
    names: the closed sets of the task, as the model knows them. notes: what the objective noted of each row; names as numbers in their set.
    size: R. read: the rows of the data set anew, of which the first R are meant. language: of the data set's own spelling.
    """

    labels: np.ndarray | None
    names: Mapping[str, list[str]] = field(default_factory=dict)
    notes: Mapping[str, Sequence[np.ndarray]] = field(default_factory=dict)
    size: int = 0
    read: Callable[[], Iterator[dict]] = lambda: iter(())
    language: str = ""

    @cached_property
    def rows(self) -> list[dict]:
        """The rows of the data set, with their texts."""
        return list(itertools.islice(self.read(), self.size))

    def first(self, rows: int | None) -> Gold:
        """Of the first `rows` rows (None: of all)."""
        if rows is None or rows >= self.size:
            return self
        labels = None if self.labels is None else self.labels[:rows]
        notes = {name: note[:rows] for name, note in self.notes.items()}
        return replace(self, labels=labels, notes=notes, size=rows)


@dataclass(frozen=True)
class Batch:
    """Tensors of one forward pass. count: what the summed loss is divided by; tokens: real (not padded) tokens.

    part, weight: of a mixture, whose loss this is and by what its mean is multiplied. languages: of each row, for the log. piece: rows (or texts) that an
    objective with `caches_gradients` encodes at a time; None: all. numbers: of each row in its table, from 0, where it has one. recut(n): the same rows, n
    computed at a time; None where that cannot be.
    """

    tensors: Mapping[str, torch.Tensor | None]
    count: int
    tokens: int
    rows: int
    part: str = ""
    weight: float = 1.0
    languages: tuple[str, ...] = ()
    piece: int | None = None
    numbers: tuple[int, ...] = ()
    recut: Callable[[int], list[Batch]] | None = field(default=None, compare=False, repr=False)

    def __getitem__(self, name: str) -> torch.Tensor | None:
        return self.tensors[name]

    def to(self, device: torch.device) -> Batch:
        """The same batch on `device`."""
        moved = {k: None if v is None else v.to(device, non_blocking=True) for k, v in self.tensors.items()}
        return replace(self, tensors=moved)


@runtime_checkable
class Objective(Protocol):
    """What a model learns: what it reads, how a row is encoded and noised, its loss, what it predicts and how that is scored.

    view: the view of a data set that it reads. head: the kind of model it needs (one of `xlt.models.heads.KINDS`). An objective may have `require(backbone)`: ConfigError if that model lacks what it needs.
    separable: whether a batch may be cut into micro-batches without changing the loss (not so for in-batch negatives). `caches_gradients`: if it is true, a batch that
    may not be cut is at least encoded `batch.piece` rows at a time (see `xlt.objectives.pieces`).
    metric: name of the score that chooses among checkpoints; higher_is_better: for every score.

    These are optional. `prepare(model)`: what it needs beside the model while it learns, put there once, before the first update. `loss_by_row`: the loss and, as float (rows, 2) without gradient, each row's loss and count, for the log per language.
    `count_whole(languages)`: the count of a batch of rows in these languages, where the loss is of all rows at once and the counts of parts do not add up to it.
    `compare`: from {language: outputs}, scores {metric: {language: score}} that need several languages.
    `annotate(row, encodings)`: {note: what the batch or the scores will need to know of a row}, asked once, when the row is encoded; an array of
    whole numbers or floats (any number of entries, of one shape), or a list of names. encodings: of each text of the row, where its tokens stand
    in it (`xlt.data.subwords.Encoding`). `annotation`: a string that changes with what annotate returns; it must be there if annotate is.
    `closed`: the notes, or "label", whose names are a closed set that the model learns from its training data: ("label",) where it is missing.
    `ordered`: if it is true, the order of the first set means something, so the data set must declare it.
    `settle(outputs, golds)`: from {language: outputs} and {language: gold} of the dev data when the training ends, {field: value} of what they
    decide about the objective as the model is scored with it later.
    `statistics(outputs, gold)`: {metric: what each row adds to it}, so that scores get intervals: a figure a row (R,) where the score is their mean,
    else `xlt.metrics.Sums`. A score that is no function of sums over rows is left out. With it, `score` may be `metrics.scores(self.statistics(...))`.
    `fits`, `fitted(dev, languages)`: if `fits` is true, what scores each language is made of dev data first; {language: (objective, facts)} from
    {language: (outputs, gold)}. `scores_any`: though its view is a task's, it needs no parameters of its own, so any encoder can be scored.
    `records(outputs, gold)`: of each row a dict for predictions/*.jsonl, whose id and language the stage adds.

    `texts` and `annotate` may raise BadRow with what is wrong with a row and its remedy; its file and line are added.
    """

    view: ClassVar[str]
    head: ClassVar[str]
    separable: ClassVar[bool]
    metric: ClassVar[str]
    higher_is_better: ClassVar[dict[str, bool]]

    def texts(self, row: dict) -> tuple[str | list[str] | tuple[str, ...], ...]:
        """The texts of a row that become segments; of a list of words, or a tuple of texts, each is tokenized by itself (see `xlt.data.subwords`)."""

    def modules(self, width: int, labels: Labels | None) -> dict[str, torch.nn.Module]:
        """New parameters that it needs beside the model's, by name."""

    def row_length(self, lengths: np.ndarray, vocabulary: Vocabulary, max_length: int) -> np.ndarray:
        """Tokens (R,) that rows with segments of `lengths` (R, segments) cost in a batch; of a row that becomes several windows, all of theirs."""

    def collate(self, rows: Rows, vocabulary: Vocabulary, max_length: int) -> Batch:
        """Noise, cut, join and pad rows."""

    def loss(self, model: Any, batch: Batch) -> torch.Tensor:
        """Scalar: the SUM over what `batch.count` counts."""

    def predict(self, model: Any, batch: Batch) -> dict[str, torch.Tensor | list[torch.Tensor]]:
        """Outputs: tensors whose first dimension is the row, or lists of one tensor a row."""

    def score(self, outputs: dict[str, Outputs], gold: Gold) -> dict[str, float]:
        """Scores of one language from the outputs of all its rows."""


Outputs = np.ndarray | list[np.ndarray]  # of all rows: the first dimension, or the list, is the row
BatchOf = Callable[[int], list[Batch]]


def closed_sets(objective: Objective, labels: Labels | None) -> dict[str, list[str]]:
    """The names of each closed set of the objective."""
    if isinstance(labels, dict):
        return labels
    return dict.fromkeys(closed(objective)[:1], labels) if labels else {}


def closed(objective: Objective) -> tuple[str, ...]:
    """Names of its closed sets."""
    return getattr(objective, "closed", ("label",))


def solves(objective: Any) -> bool:
    """Whether it is a closed form, which no loop trains."""
    return getattr(objective, "kind", None) == "solver"


def aligns_entities(objective: Any) -> bool:
    """Whether it links the entities of two knowledge graphs."""
    return getattr(objective, "kind", None) == "entities"


def learns_words(objective: Any) -> bool:
    """Whether it learns static word vectors, which are no model."""
    return getattr(objective, "kind", None) == "words"


def only_scores(objective: Any) -> bool:
    """Whether it scores models and has nothing to teach them."""
    return getattr(objective, "kind", None) == "scorer"


def links(objective: Any) -> bool:
    """Whether it links words of translations with a model as it is: an aligner, which may be scored, or a projector, which writes training data."""
    return getattr(objective, "kind", None) in ("aligner", "projector")


def loss_function(objective: Objective) -> Callable[[Any, Batch], Any]:
    """`loss_by_row` of an objective that has it, else `loss`."""
    return getattr(objective, "loss_by_row", objective.loss)

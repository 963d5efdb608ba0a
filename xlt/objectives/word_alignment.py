"""Word alignment: which words of a sentence and its translation mean each other, by the states of any encoder. Links words and trains nothing.

`xlt align` writes the links of all rows, `xlt zero-shot-eval` scores a test split that has gold links. Training for it: `self_training_alignment`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from xlt import metrics
from xlt.alignment import links
from xlt.alignment import word_alignment as alignment
from xlt.alignment.word_alignment import Method, Similarity
from xlt.errors import BadRow, ConfigError
from xlt.objectives import plain_text, sentence_pairs, windows
from xlt.types import Batch, Gold, Rows
from xlt.vocabulary import Vocabulary

SIDES = sentence_pairs.SIDES
OURS = ("where", "words", "size")  # tensors of a side that no model reads


@dataclass(frozen=True, kw_only=True)
class WordAlignment:
    """method, similarity: see `xlt.alignment.word_alignment`; similarity null: that of the method's paper. softmax_threshold, entmax_threshold: of
    probabilities of similarity / temperature. alpha, rounds: of itermax. distortion: how much words in the same order are preferred. layer null: two thirds of the way up. overlap: see `xlt.objectives.windows`.

    tokenized: words are what stands between white space; else characters of scripts written without it are words, too. A row with gold links is
    taken to be tokenized, and one that has its words as a list is. gold_from: the number of the first word in gold links.
    """

    method: Method
    similarity: Similarity | None
    temperature: float
    softmax_threshold: float
    entmax_threshold: float
    alpha: float
    rounds: int
    distortion: float
    layer: int | None
    overlap: float
    tokenized: bool
    gold_from: int

    kind: ClassVar[str] = "aligner"
    view: ClassVar[str] = "parallel"
    head: ClassVar[str] = "encoder"
    separable: ClassVar[bool] = True
    metric: ClassVar[str] = "aer"
    higher_is_better: ClassVar[dict[str, bool]] = {"aer": False, "f1": True, "precision": True, "recall": True}
    needs: ClassVar[str] = "gold links, a column `alignment` (see dataset=aligned_files)"  # where it is to be scored

    def __post_init__(self):
        sentence_pairs.check_layer(self.layer)
        windows.check_overlap(self.overlap)
        problems = []
        if self.temperature <= 0:
            problems.append(f"objective.temperature: {self.temperature} is not positive; awesome-align has 1")
        problems += [
            f"objective.{name}: {getattr(self, name)} is not in [0, 1); it is a probability"
            for name in ("softmax_threshold", "entmax_threshold")
            if not 0 <= getattr(self, name) < 1
        ]
        if not 0 <= self.alpha <= 1:
            problems.append(f"objective.alpha: {self.alpha} is not in [0, 1]; SimAlign has 0.9")
        if not 0 <= self.distortion <= 1:
            problems.append(f"objective.distortion: {self.distortion} is not in [0, 1]; SimAlign has 0, or 0.5")
        if self.rounds < 1:
            problems.append(f"objective.rounds: {self.rounds} is below 1; SimAlign has 2")
        if self.gold_from not in (0, 1):
            problems.append(f"objective.gold_from: {self.gold_from} is neither 0 nor 1")
        if self.measure is Similarity.dot and (self.distortion or self.method is Method.itermax):
            what = "objective.distortion" if self.distortion else "itermax"
            problems.append(f"objective.similarity: {what} scales it, so it must not be negative; take cosine")
        if problems:
            raise ConfigError(problems)

    modules = plain_text.modules

    @property
    def measure(self) -> Similarity:
        """The similarity, where none is named that of the method's paper."""
        return self.similarity or (Similarity.dot if self.method.soft else Similarity.cosine)

    def texts(self, row: dict) -> tuple[str | list[str], ...]:
        return row["source"], row["target"]

    @property
    def annotation(self) -> str:
        """What decides the notes."""
        return f"words {self.tokenized} {self.gold_from}"

    def annotate(self, row: dict, encodings: tuple) -> dict[str, np.ndarray]:
        """source, target: of each sub-word (L, 2) the first and last word that it is of. sizes: words of both. gold: (n, 3) as `links.parse` gives
        it; judged: whether there is any gold. BadRow for links that cannot be read or lead to no word."""
        tokenized, notes, sizes = self.tokenized or "alignment" in row, {}, []
        for side, encoding in zip(SIDES, encodings, strict=True):
            notes[side], words = words_of(row[side], encoding, tokenized)
            sizes.append(words)
        return {
            **notes,
            "sizes": np.array(sizes, np.int64),
            "gold": self._gold(row, sizes),
            "judged": np.array(["alignment" in row], np.int64),
        }

    def _gold(self, row: dict, sizes: list[int]) -> np.ndarray:
        try:
            gold_N3 = links.parse(row.get("alignment", ""), self.gold_from)
        except ValueError as error:
            raise BadRow(f"alignment: {error}") from None
        for i, j, _ in gold_N3.tolist():
            if i >= sizes[0] or j >= sizes[1]:
                raise BadRow(
                    f"alignment: {i + self.gold_from}-{j + self.gold_from} leads to no word, for there are {sizes[0]} and {sizes[1]}; words are what "
                    "stands between white space, and their numbers begin at objective.gold_from"
                )
        return gold_N3

    def row_length(self, lengths: np.ndarray, vocabulary: Vocabulary, max_length: int) -> np.ndarray:
        """All windows on both sides."""
        return sum(windows.costs(lengths[:, i], vocabulary, max_length, self.overlap) for i in (0, 1))

    def collate(self, rows: Rows, vocabulary: Vocabulary, max_length: int) -> Batch:
        """{source, target}_: what the model reads (windows, L); where (M,): place of each sub-word among the windows * L; size (B,): sub-words of
        each row; words (M, 2): of each sub-word. Sub-words that are of no word are left out, and so is the mark of a word's begin by itself."""
        tensors, tokens = {}, 0
        for i, side in enumerate(SIDES):
            kept = [
                np.flatnonzero((words_L2[:, 1] >= words_L2[:, 0]) & ~vocabulary.is_mark[ids])
                for words_L2, ids in zip(rows.notes[side], rows.segments[i], strict=True)
            ]
            spoken = [vocabulary.spoken(code, i) for code in rows.languages]
            alone = replace(rows, segments=[rows.segments[i]], languages=spoken)
            cut = windows.cut(alone, kept, vocabulary, max_length, self.overlap)
            words = [words_L2[places] for words_L2, places in zip(rows.notes[side], kept, strict=True)]
            found = {
                **cut.tensors,
                "where": cut.where_M,
                "words": torch.from_numpy(np.concatenate(words).astype(np.int64)),
                "size": torch.tensor([len(places) for places in kept]),
            }
            tensors |= {f"{side}_{name}": value for name, value in found.items()}
            tokens += cut.tokens
        return Batch(tensors, count=len(rows), tokens=tokens, rows=len(rows))

    def states(self, model, batch: Batch, side: str) -> tuple[torch.Tensor, torch.Tensor]:
        """(states_BSD of the sub-words of one side, bool real_BS) at the layer whose states are compared."""
        inputs = sentence_pairs.one_side(batch, side)
        layer = alignment.level(self.layer, model.backbone.config.num_hidden_layers)
        hidden_WLD = model.hidden({k: v for k, v in inputs.items() if k not in OURS}, layer)
        states_MD = hidden_WLD.flatten(0, 1)[inputs["where"]].float()
        return padded(states_MD, inputs["size"])

    def likeness(
        self, x_BSD: torch.Tensor, y_BTD: torch.Tensor, source_BS: torch.Tensor, target_BT: torch.Tensor
    ) -> torch.Tensor:
        """similarity_BST of the sub-words, of which source_BS and target_BT are real."""
        likeness_BST = alignment.similarity(x_BSD, y_BTD, self.measure)
        return alignment.distorted(likeness_BST, source_BS, target_BT, self.distortion)

    def extract(
        self, x_BSD: torch.Tensor, y_BTD: torch.Tensor, source_BS: torch.Tensor, target_BT: torch.Tensor
    ) -> torch.Tensor:
        """bool links_BST between sub-words."""
        likeness_BST = self.likeness(x_BSD, y_BTD, source_BS, target_BT)
        if self.method.soft:
            entmax = self.method is Method.entmax
            both = alignment.directions(likeness_BST / self.temperature, source_BS, target_BT, entmax)
            return alignment.soft_links(*both, self.entmax_threshold if entmax else self.softmax_threshold)
        if self.method is Method.itermax:
            return alignment.itermax_links(likeness_BST, source_BS, target_BT, self.alpha, self.rounds)
        extract = {Method.argmax: alignment.argmax_links, Method.match: alignment.match_links}[self.method]
        return extract(likeness_BST, source_BS, target_BT)

    def predict(self, model, batch: Batch) -> dict[str, list[torch.Tensor]]:
        """Of each row links (n, 2) between words, and strengths (n,): the cosine of the most similar sub-words that are linked, in [0, 1]."""
        (x_BSD, source_BS), (y_BTD, target_BT) = (self.states(model, batch, side) for side in SIDES)
        links_BST = self.extract(x_BSD, y_BTD, source_BS, target_BT).cpu().numpy()
        strengths_BST = alignment.similarity(x_BSD.detach(), y_BTD.detach(), Similarity.cosine).cpu().numpy()
        of_words = [batch[f"{side}_words"].cpu().split(batch[f"{side}_size"].tolist()) for side in SIDES]
        each = [
            alignment.between_words(links_ST[: len(s), : len(t)], strengths_ST, s.numpy(), t.numpy())
            for links_ST, strengths_ST, s, t in zip(links_BST, strengths_BST, *of_words, strict=True)
        ]
        found = [[torch.from_numpy(column) for column in columns] for columns in zip(*each, strict=True)]
        return {"links": found[0], "strengths": found[1]}

    def statistics(self, outputs: dict[str, list[np.ndarray]], gold: Gold) -> dict[str, metrics.Sums]:
        """Of the rows that have gold links; none if no row has."""
        notes = zip(outputs["links"], gold.notes["gold"], gold.notes["judged"], strict=True)
        counts = [links.counts(found, truth) if judged[0] else (0, 0, 0, 0) for found, truth, judged in notes]
        if not any(judged[0] for judged in gold.notes["judged"]):
            return {}
        formulas = {"aer": "aer", "f1": "link_f1", "precision": "link_precision", "recall": "link_recall"}
        return {name: metrics.Sums(np.array(counts, np.int64), formula) for name, formula in formulas.items()}

    def score(self, outputs: dict[str, list[np.ndarray]], gold: Gold) -> dict[str, float]:
        return metrics.scores(self.statistics(outputs, gold))

    def records(self, outputs: dict[str, list[np.ndarray]], gold: Gold) -> Iterator[dict]:
        """The words of both sides, and the links in Pharaoh's format."""
        for row, found in zip(gold.rows, outputs["links"], strict=True):
            tokenized = self.tokenized or "alignment" in row
            given = {"gold": row["alignment"]} if "alignment" in row else {}
            yield {side: as_words(row[side], tokenized) for side in SIDES} | {"alignment": links.pharaoh(found)} | given


def padded(states_MD: torch.Tensor, size_B: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(states_BSD, bool real_BS) of the states of all rows, one row after the other."""
    states_BSD = pad_sequence(list(states_MD.split(size_B.tolist())), batch_first=True)
    if not states_BSD.shape[1]:
        states_BSD = states_MD.new_zeros(len(size_B), 1, states_MD.shape[1])
    real_BS = torch.arange(states_BSD.shape[1], device=size_B.device) < size_B[:, None]
    return states_BSD, real_BS


def words_of(text: str | list[str], encoding, tokenized: bool) -> tuple[np.ndarray, int]:
    """(int64 (L, 2), the first and last word of each sub-word, last before first where it is of none; how many words there are)."""
    if isinstance(text, str):
        spans_W2 = links.word_spans(text, tokenized)
        return links.words_of(spans_W2, encoding.offsets), len(spans_W2)
    return np.stack([encoding.words, encoding.words], 1), len(text)


def as_words(text: str | list[str], tokenized: bool) -> list[str]:
    """The words of a side."""
    if isinstance(text, list):
        return text
    return [text[begin:end] for begin, end in links.word_spans(text, tokenized).tolist()]

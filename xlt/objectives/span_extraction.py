"""The answer to a question as a stretch of its context: where it begins and where it ends (SQuAD; Devlin et al. 2019, sections 4.2 and 4.3).

A context longer than the model reads is cut into overlapping windows behind the question. A window without the answer is taught to point to its
first token, [CLS], which stands for no answer; a question without one differs only in that all of its windows are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from xlt import answers, metrics
from xlt.errors import BadRow, ConfigError
from xlt.objectives import answer_spans, losses, windows
from xlt.objectives.answer_spans import Answer
from xlt.types import Batch, Gold, Labels, Outputs, Rows
from xlt.vocabulary import Vocabulary

OURS = ("words", "judged", "starts", "ends", "row", "shift")


@dataclass(frozen=True, kw_only=True)
class SpanExtraction:
    """The loss is the mean cross-entropy of begin and end in each window, over [CLS] and the tokens of the context.

    question_length: tokens of a question, of which no more are read. overlap: share of a window that the next one has, too. max_answer_length: tokens
    of a predicted answer. n_best: answers looked at and written down. unanswerable: a question may have no answer, and scores are SQuAD 2.0's;
    null_threshold: none is given if its score is above that of the best answer by more; null: fitted on dev data when the training ends.
    """

    question_length: int
    overlap: float
    max_answer_length: int
    n_best: int
    unanswerable: bool
    null_threshold: float | None

    view: ClassVar[str] = "qa"
    head: ClassVar[str] = "encoder"
    separable: ClassVar[bool] = True
    closed: ClassVar[tuple[str, ...]] = ()
    metric: ClassVar[str] = "f1"

    def __post_init__(self):
        windows.check_overlap(self.overlap)
        for name in ("question_length", "max_answer_length", "n_best"):
            if getattr(self, name) < 1:
                raise ConfigError(f"objective.{name}: {getattr(self, name)} is not above 0; give a larger one")
        if self.null_threshold is not None and not self.unanswerable:
            raise ConfigError(
                f"objective.null_threshold: {self.null_threshold} is for questions that may have no answer; set objective.unanswerable=true, or it to null"
            )

    @property
    def higher_is_better(self) -> dict[str, bool]:
        """f1, exact_match: MLQA's rule of each language; _squad: SQuAD's English rule, by which XTREME scores XQuAD and TyDiQA."""
        names = ["f1", "exact_match", "f1_squad", "exact_match_squad"]
        return dict.fromkeys(names + ["f1_answerable", "unanswerable_found"] * self.unanswerable, True)

    @property
    def annotation(self) -> str:
        """What decides the notes, and which rows are refused."""
        return f"answers {self.unanswerable}"

    loss = losses.loss

    def texts(self, row: dict) -> tuple[str, str]:
        return row["question"], row["context"]

    def annotate(self, row: dict, encodings: tuple) -> dict[str, np.ndarray]:
        """places: characters (L, 2) of each token of the context; answers: first and last token (A, 2) of each answer."""
        known, context = row["answers"], row["context"]
        if not known["text"] and not self.unanswerable:
            raise BadRow(
                f"it has no answer{_named(row)}; leave the row out, or set objective.unanswerable=true for questions that may have none"
            )
        if "" in known["text"]:
            raise BadRow(
                f"one of its answers is empty{_named(row)}; leave it out of answers, which may be an empty list"
            )
        places = answer_spans.visible(encodings[1].offsets, context)
        each = zip(known["text"], known["answer_start"], strict=True)
        found = [answer_spans.tokens_of(start, start + len(text), places) for text, start in each]
        spans = [span for span in found if span is not None]
        return {"places": places, "answers": np.array(spans, np.int64).reshape(-1, 2)}

    def modules(self, width: int, labels: Labels | None) -> dict[str, nn.Module]:
        return {"span": nn.Linear(width, 2)}

    def row_length(self, lengths: np.ndarray, vocabulary: Vocabulary, max_length: int) -> np.ndarray:
        """All windows, each with the question."""
        question_R = np.minimum(lengths[:, 0], self.question_length)
        return windows.pair_costs(question_R, lengths[:, 1], vocabulary, max_length, self.overlap)

    def collate(self, rows: Rows, vocabulary: Vocabulary, max_length: int) -> Batch:
        cut = windows.cut_second(rows, self.question_length, vocabulary, max_length, self.overlap)
        shape = tuple(cut.tensors["input_ids"].shape)
        words_WL, judged_WL, targets_W2 = (
            np.zeros(shape, bool),
            np.zeros(shape, bool),
            np.zeros((shape[0], 2), np.int64),
        )
        each = zip(cut.row_W.tolist(), cut.begin_W.tolist(), cut.column_W.tolist(), cut.size_W.tolist(), strict=True)
        for w, (row, begin, column, size) in enumerate(each):
            begin_L, end_L = rows.notes["places"][row][begin : begin + size].T
            words_WL[w, column : column + size] = begin_L < end_L
            judged_WL[w, column : column + size] = (begin_L < end_L) & (cut.judges[row][begin : begin + size] == w)
            spans = rows.notes["answers"][row] - begin
            inside = spans[(spans[:, 0] >= 0) & (spans[:, 1] < size)]
            targets_W2[w] = (
                inside[0] + column if len(inside) else 0
            )  # of several answers the first that the window holds
        ours = {"words": words_WL, "judged": judged_WL, "starts": targets_W2[:, 0], "ends": targets_W2[:, 1]}
        ours |= {"row": cut.row_W, "shift": cut.begin_W - cut.column_W}
        tensors = {**cut.tensors, **{name: torch.from_numpy(array) for name, array in ours.items()}}
        return Batch(tensors, count=shape[0], tokens=cut.tokens, rows=len(rows))

    def logits(self, model, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """(begin_WL, end_WL)."""
        hidden_WLD = model.hidden({k: v for k, v in batch.tensors.items() if k not in OURS})
        return model.heads["span"](hidden_WLD).float().unbind(-1)

    def loss_by_row(self, model, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        other_WL = ~batch["words"]
        other_WL[:, 0] = False  # [CLS]
        begin_WL, end_WL = (logits_WL.masked_fill(other_WL, -torch.inf) for logits_WL in self.logits(model, batch))
        losses_W = F.cross_entropy(begin_WL, batch["starts"], reduction="none")
        losses_W = (losses_W + F.cross_entropy(end_WL, batch["ends"], reduction="none")) / 2
        each = [losses.by_row(v, batch["row"], batch.rows) for v in (losses_W.detach(), torch.ones_like(losses_W))]
        return losses_W.sum(), torch.stack(each, 1)

    def predict(self, model, batch: Batch) -> dict[str, torch.Tensor | list[torch.Tensor]]:
        """spans (K, 2): first and last token of the context, and scores (K,), of the best answers of each row; null (B,): the score of none, the
        smallest over the row's windows. An answer counts in the window in which its first token sees most of what is around it.
        """
        begin_WL, end_WL = self.logits(model, batch)
        null_W = begin_WL[:, 0] + end_WL[:, 0]
        begin_WL = begin_WL.masked_fill(~batch["judged"], -torch.inf)
        end_WL = end_WL.masked_fill(~batch["words"], -torch.inf)
        windows_B = torch.bincount(batch["row"], minlength=batch.rows).tolist()
        found = answer_spans.best(begin_WL, end_WL, windows_B, self.n_best, self.max_answer_length)
        spans = [spans_K3[:, 1:] + batch["shift"][spans_K3[:, 0], None] for spans_K3, _ in found]
        null_B = torch.stack([null.min() for null in null_W.split(windows_B)])
        return {"spans": spans, "scores": [scores_K for _, scores_K in found], "null": null_B}

    def best_answers(self, outputs: Mapping[str, Outputs], gold: Gold) -> Iterator[list[Answer]]:
        """Of each row, its n best; [] for a context without a word."""
        each = zip(outputs["spans"], outputs["scores"], gold.notes["places"], gold.rows, strict=True)
        for spans_K2, scores_K, places, row in each:
            yield answer_spans.said(spans_K2, scores_K, places, row["context"])

    def odds(self, outputs: Mapping[str, Outputs]) -> np.ndarray:
        """(R,): how far the score of no answer is above that of the best one."""
        top = [scores_K[0] if len(scores_K) else 0.0 for scores_K in outputs["scores"]]
        return np.asarray(outputs["null"], np.float64) - np.array(top, np.float64)

    def statistics(self, outputs: Mapping[str, Outputs], gold: Gold) -> dict[str, np.ndarray | metrics.Sums]:
        """By both rules, means over the rows; without a threshold, by the one that is best for these rows."""
        figures, known = {}, _known(gold)
        top = _top(self.best_answers(outputs, gold))
        silent_R = self._silent(outputs, gold, top)
        predicted = ["" if silent else text for text, silent in zip(top, silent_R, strict=True)]
        for suffix, words in (("", answers.mlqa_words(gold.language)), ("_squad", answers.squad_words)):
            found_R2 = answers.scores(predicted, known, words, self.unanswerable)
            figures |= {f"f1{suffix}": found_R2[:, 1], f"exact_match{suffix}": found_R2[:, 0]}
            if self.unanswerable and not suffix:
                has_R = np.array([bool(texts) for texts in known])
                parts = {"f1_answerable": (found_R2[:, 1], has_R), "unanswerable_found": (found_R2[:, 0], ~has_R)}
                figures |= {
                    name: metrics.Sums(np.stack([each_R * of_R, of_R], 1), "ratio")
                    for name, (each_R, of_R) in parts.items()
                    if of_R.any()
                }
        return figures

    def score(self, outputs: Mapping[str, Outputs], gold: Gold) -> dict[str, float]:
        return metrics.scores(self.statistics(outputs, gold))

    def records(self, outputs: Mapping[str, Outputs], gold: Gold) -> Iterator[dict]:
        """The answer to each question, the gold ones, where it begins in the context, its score, the n best, and the odds that there is none."""
        n_best = list(self.best_answers(outputs, gold))
        silent_R, odds_R = self._silent(outputs, gold, _top(n_best)), self.odds(outputs)
        for row, found, silent, odds in zip(gold.rows, n_best, silent_R, odds_R, strict=True):
            top = None if silent or not found else found[0]
            yield {
                "question": row["question"],
                "answers": row["answers"]["text"],
                "prediction": top.text if top else "",
                "start": top.start if top else None,
                "score": round(top.score, 6) if top else None,
                **({"null_odds": round(float(odds), 6)} if self.unanswerable else {}),
                "n_best": [{"text": a.text, "start": a.start, "score": round(a.score, 6)} for a in found],
            }

    def settle(self, outputs: Mapping[str, Mapping[str, Outputs]], golds: Mapping[str, Gold]) -> dict[str, float]:
        """The threshold that is best on the dev data of all source languages together, by F1; nothing where one is given or none is needed."""
        if not self.unanswerable or self.null_threshold is not None:
            return {}
        parts = []
        for language, out in outputs.items():
            gold = golds[language]
            parts.append(self._choices(out, gold, _top(self.best_answers(out, gold))))
        return {"null_threshold": answers.best_threshold(*map(np.concatenate, zip(*parts, strict=True)))}

    def _silent(self, outputs: Mapping[str, Outputs], gold: Gold, top: list[str]) -> np.ndarray:
        """bool (R,): whether no answer is given. top: the best answer of each row."""
        if not self.unanswerable:
            return np.zeros(gold.size, bool)
        threshold = self.null_threshold
        if threshold is None:
            threshold = answers.best_threshold(*self._choices(outputs, gold, top))
        return self.odds(outputs) > threshold

    def _choices(
        self, outputs: Mapping[str, Outputs], gold: Gold, top: list[str]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of each row (R,): the odds that it has no answer, its F1 with its best answer (`top`), and with none."""
        words, known = answers.mlqa_words(gold.language), _known(gold)
        answered_R, silent_R = (answers.scores(texts, known, words, True)[:, 1] for texts in (top, [""] * len(top)))
        return self.odds(outputs), answered_R, silent_R


def _top(n_best: Iterable[list[Answer]]) -> list[str]:
    """The best answer of each row; "" where there is none."""
    return [found[0].text if found else "" for found in n_best]


def _known(gold: Gold) -> list[list[str]]:
    """The answers that each row has."""
    return [row["answers"]["text"] for row in gold.rows]


def _named(row: dict) -> str:
    return f" (id {row['id']})" if "id" in row else ""

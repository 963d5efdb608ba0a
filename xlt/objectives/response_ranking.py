"""Response ranking in dialog: of several responses, which one was given, from a persona and what was said before. Hits@1/k and MRR (Zhang et al. 2018).

Context and response are encoded apart by one encoder and compared by cosine; it learns from the other responses of its batch (the Bi-encoder of Humeau et al. 2020,
section 4.2). A row is scored among its own `candidates` where it has some, else among responses drawn from other dialogs of the language. Scores any encoder as it is, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import torch

from xlt import metrics, noise
from xlt.errors import BadRow, ConfigError
from xlt.models.pooling import Pool
from xlt.objectives import plain_text, ranking, sentence_pairs
from xlt.types import Batch, Gold, Rows
from xlt.vocabulary import Vocabulary, model_inputs


class Judged(NamedTuple):
    """Of each row: the numbers of its candidates, the right one first, their scores, and the rank of the right one from 1."""

    candidates: list[list[int]]
    scores: list[np.ndarray]
    ranks: np.ndarray


@dataclass(frozen=True, kw_only=True)
class ResponseRanking:
    """negatives: responses drawn beside the right one for a row without candidates, the same for every model; fewer where the language has not so many. seed: of the draw.

    The persona is one text and all turns another, joined by what stands between two texts. Of a context that is too long the longer of both is cut, of the turns the
    oldest. layer null: the last.
    """

    temperature: float
    pool: Pool
    layer: int | None
    negatives: int
    seed: int

    view: ClassVar[str] = "dialog"
    head: ClassVar[str] = "encoder"
    separable: ClassVar[bool] = False
    caches_gradients: ClassVar[bool] = True
    closed: ClassVar[tuple[str, ...]] = ()
    scores_any: ClassVar[bool] = True
    annotation: ClassVar[str] = f"responses 1, {ranking.ANNOTATION}"
    metric: ClassVar[str] = "hits_at_1"
    higher_is_better: ClassVar[dict[str, bool]] = {"hits_at_1": True, "mrr": True}

    def __post_init__(self):
        sentence_pairs.check_layer(self.layer)
        sentence_pairs.check_temperature(self.temperature)
        if self.negatives < 1:
            raise ConfigError(f"objective.negatives: {self.negatives} is below 1; Zhang et al. 2018 draw 19")

    modules = plain_text.modules
    loss, loss_by_row, predict = ranking.loss, ranking.loss_by_row, ranking.predict

    def texts(self, row: dict) -> tuple[tuple[str, ...], ...]:
        """The persona before the turns, and the response before other candidates."""
        context = (*row.get("persona", ()), *row["history"])
        if not context:
            raise BadRow("history is empty and there is no persona, so nothing is answered; remove the row")
        return context, (row["response"], *row.get("candidates", ()))

    def annotate(self, row: dict, encodings: tuple) -> dict[str, np.ndarray]:
        """Where each text begins, how many are of the persona, what responses say, and in which dialog (none: it is not known)."""
        dialog = [str(row["doc"])] if "doc" in row else []
        return {
            "context_begins": encodings[0].word_starts(),
            "persona": np.array([len(row.get("persona", ()))]),
            "document_begins": encodings[1].word_starts(),
            "document_says": ranking.identities(self.texts(row)[1]),
            "right": np.array([1]),
            "dialog": ranking.identities(dialog),
        }

    def row_length(self, lengths: np.ndarray, vocabulary: Vocabulary, max_length: int) -> np.ndarray:
        """As if there were one response and it were read whole: how many candidates there are is not known here."""
        return np.minimum(lengths[:, 0] + vocabulary.overhead(2), max_length) + lengths[:, 1] + vocabulary.overhead(1)

    def collate(self, rows: Rows, vocabulary: Vocabulary, max_length: int) -> Batch:
        tensors, tokens = ranking.documents(rows, 1, vocabulary, max_length)
        each = zip(rows.segments[0], rows.notes["context_begins"], rows.notes["persona"], strict=True)
        contexts = [context(ids, begins, int(n), vocabulary, max_length) for ids, begins, (n,) in each]
        ids_BL, lengths_B = vocabulary.pad_rows([vocabulary.join(texts, max_length) for texts in contexts])
        frame = len(vocabulary.prefix) + len(vocabulary.between)
        second_B = np.array([frame + len(texts[0]) if len(texts) == 2 else ids_BL.shape[1] for texts in contexts])
        inputs = model_inputs(ids_BL, lengths_B) | vocabulary.language_input(rows.languages, 0)
        inputs |= vocabulary.second_text(second_B, lengths_B, ids_BL.shape[1])
        tensors |= {f"context_{name}": value for name, value in inputs.items()}
        return Batch(tensors, count=len(rows), tokens=tokens + int(lengths_B.sum()), rows=len(rows))

    def asking(self, model, batch: Batch) -> torch.Tensor:
        """vectors_BD of the contexts."""
        return ranking.unit_vectors(self, model, batch, "context")

    def statistics(self, outputs: dict, gold: Gold) -> dict[str, np.ndarray]:
        """Of each row whether the right response is first, and 1 / its rank. Among equal scores it comes last, so that vectors that are all the same find nothing."""
        ranks_R = self._judged(outputs, gold, self._numbered(outputs, gold)).ranks
        return {"hits_at_1": ranks_R == 1, "mrr": 1 / ranks_R}

    def score(self, outputs: dict, gold: Gold) -> dict[str, float]:
        return metrics.scores(self.statistics(outputs, gold))

    def records(self, outputs: dict, gold: Gold) -> Iterator[dict]:
        """Persona, history and response, its rank among how many candidates, and the one that is first."""
        of = self._numbered(outputs, gold)
        responses = [self.texts(row)[1] for row in gold.rows]
        for row, candidates, scores, rank in zip(gold.rows, *self._judged(outputs, gold, of), strict=True):
            first = candidates[0] if rank == 1 else candidates[1 + int(scores[1:].argmax())]
            mention, place = of.first[first]
            given = {name: row[name] for name in ("persona", "history", "response") if name in row}
            yield {**given, "rank": int(rank), "candidates": len(candidates), "prediction": responses[mention][place]}

    @staticmethod
    def _numbered(outputs: dict, gold: Gold) -> ranking.Numbered:
        return ranking.numbered(outputs, gold, {})

    def _judged(self, outputs: dict, gold: Gold, of: ranking.Numbered) -> Judged:
        responses = list(dict.fromkeys(mine[0] for mine in of.mine))
        place = {number: i for i, number in enumerate(responses)}
        dialogs = [tuple(gold.notes["dialog"][i].ravel().tolist()) for i in range(gold.size)]
        said: dict[tuple, set[int]] = {}  # in each dialog
        for dialog, mine in zip(dialogs, of.mine, strict=True):
            said.setdefault(dialog, set()).add(place[mine[0]])
        keys = noise.combine(noise.key("responses", self.seed), np.arange(gold.size))
        chosen, scores = [], []
        for i, (dialog, mine) in enumerate(zip(dialogs, of.mine, strict=True)):
            candidates = list(dict.fromkeys(mine))  # those who list them may list the right one, too
            if len(candidates) == 1:
                out = said[dialog] if dialog else {place[mine[0]]}
                candidates += [responses[n] for n in drawn(len(responses), out, self.negatives, keys[i])]
            chosen.append(candidates)
            scores.append((of.vectors_UD[candidates] * outputs["asking"][i]).sum(1))  # equal vectors, equal scores
        ranks = np.array([1 + int((s[1:] >= s[0]).sum()) for s in scores])
        return Judged(chosen, scores, ranks)


def context(
    ids: np.ndarray, begins: np.ndarray, persona: int, vocabulary: Vocabulary, max_length: int
) -> tuple[np.ndarray, ...]:
    """The persona (its first `persona` texts) and the turns of a context, as far as they fit; without what there is none of."""
    texts = np.split(ids, begins[1:])
    between = np.array(vocabulary.between, ids.dtype)

    def joined(parts: list[np.ndarray]) -> np.ndarray:
        return np.concatenate([part for text in parts for part in (between, text)][1:])

    if persona == len(texts):
        return vocabulary.cut((joined(texts),), max_length)
    turns = joined(texts[persona:])[::-1]  # what is cut is a text's end
    *before, turns = vocabulary.cut((joined(texts[:persona]), turns) if persona else (turns,), max_length)
    return *before, turns[::-1]


def drawn(size: int, out: set[int], count: int, key: np.uint64) -> list[int]:
    """`count` different numbers below `size` that are not in `out`, all if they are fewer: a uniform draw that depends on the key alone (Bentley and Floyd 1987)."""
    left = size - len(out)
    tops = np.arange(max(left - count, 0), left)
    chosen: set[int] = set()
    for top, number in zip(tops.tolist(), (noise.uniform(noise.combine(key, tops)) * (tops + 1)).astype(np.int64).tolist(), strict=True):  # fmt: skip
        chosen.add(top if number in chosen else number)
    numbers, gone = [], sorted(out)
    for number in sorted(chosen):
        for passed in gone:
            number += number >= passed
        numbers.append(number)
    return numbers

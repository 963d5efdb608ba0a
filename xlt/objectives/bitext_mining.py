"""Bitext mining: which sentences of two languages are translations of each other, where many have none. Scores any encoder and trains none.

The task of BUCC (Zweigenbaum et al. 2018) by the margin of Artetxe and Schwenk 2019; the threshold is fitted on dev data, never on what is scored.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch

from xlt import metrics, noise
from xlt.alignment import mining
from xlt.alignment.mining import Margin, Matching, Pairs
from xlt.errors import ConfigError
from xlt.models.pooling import Pool
from xlt.objectives import sentence_pairs
from xlt.types import Batch, Gold


@dataclass(frozen=True, kw_only=True)
class BitextMining:
    """threshold: a pair counts from this score on; null: fitted on the dev data of each pair of languages, or where it has none on those of all others together.

    unpaired: share of the pairs of which only one side is given, in turn, so that there is something that must not be found; 0 where the data has such
    sentences of its own. A sentence that stands in several rows is one sentence.
    """

    margin: Margin
    k: int
    matching: Matching
    threshold: float | None
    unpaired: float
    pool: Pool
    layer: int | None

    kind: ClassVar[str] = "scorer"
    view: ClassVar[str] = "parallel"
    head: ClassVar[str] = "encoder"
    separable: ClassVar[bool] = True
    metric: ClassVar[str] = "f1"
    higher_is_better: ClassVar[dict[str, bool]] = {"f1": True, "precision": True, "recall": True}

    def __post_init__(self):
        sentence_pairs.check_layer(self.layer)
        problems = []
        if self.k < 1:
            problems.append(f"objective.k: {self.k} is below 1; Artetxe and Schwenk 2019 take 4")
        if not 0 <= self.unpaired < 1:
            problems.append(f"objective.unpaired: {self.unpaired} is not in [0, 1); with 0 every sentence has its pair")
        if problems:
            raise ConfigError(problems)

    texts, modules, row_length = sentence_pairs.texts, sentence_pairs.modules, sentence_pairs.row_length
    collate = sentence_pairs.collate

    def predict(self, model, batch: Batch) -> dict[str, torch.Tensor]:
        return sentence_pairs.predict(self, model, batch)

    @property
    def fits(self) -> bool:
        """Whether `fitted` has something to do."""
        return self.threshold is None

    def fitted(self, dev: dict[str, tuple[dict, Gold]], languages: list[str]) -> dict[str, tuple[BitextMining, dict]]:
        """{pair of languages: (the same with its threshold, what metrics.json says of it)}. dev: outputs and gold of those that have dev data, one at least."""
        found = {code: self._mined(outputs, gold) for code, (outputs, gold) in dev.items()}
        pooled_P = torch.cat([pairs.scores for pairs, _, _ in found.values()])
        order_P = pooled_P.sort(descending=True, stable=True).indices
        right_P = torch.cat([right_P for _, right_P, _ in found.values()])
        shared = mining.fit_threshold(pooled_P[order_P], right_P[order_P], sum(n for _, _, n in found.values()))
        own = {code: mining.fit_threshold(pairs.scores, right_P, n) for code, (pairs, right_P, n) in found.items()}
        chosen = {code: own.get(code, shared) for code in languages}
        facts: dict[str, Any] = {code: {"threshold": t, "dev": code if code in own else "all"} for code, t in chosen.items()}  # fmt: skip
        return {code: (replace(self, threshold=t), facts[code]) for code, t in chosen.items()}

    def score(self, outputs: dict[str, np.ndarray], gold: Gold) -> dict[str, float]:
        """Of the pairs at or above the threshold."""
        return metrics.scores(self.statistics(outputs, gold))

    def statistics(self, outputs: dict[str, np.ndarray], gold: Gold) -> dict[str, metrics.Sums]:
        """Right, mined and true pairs of each row: a true pair's is its own, also where it was mined; of any other mined pair that of its source sentence.

        What is resampled are the pairs that were mined and should have been; the sentences among which they were sought, and the threshold, stay.
        """
        (source, _, true), (pairs, right_P, _) = self._sides(gold), self._mined(outputs, gold)
        counts_R3, kept_P = np.zeros((gold.size, 3), np.int64), pairs.scores >= self.threshold
        counts_R3[list(true.values()), 2] = 1
        columns = (column[kept_P].tolist() for column in (pairs.source, pairs.target, right_P))
        for i, j, ok in zip(*columns, strict=True):
            counts_R3[true[i, j] if ok else source[i], :2] += (ok, 1)
        return {name: metrics.Sums(counts_R3, name) for name in self.higher_is_better}

    def records(self, outputs: dict[str, np.ndarray], gold: Gold) -> Iterator[dict]:
        """Of each row's source sentence, what was put to it: the target's text, the score, whether it was kept and is right; nulls without candidate."""
        (source, target, _), (pairs, right_P, _) = self._sides(gold), self._mined(outputs, gold)
        columns = (column.tolist() for column in (*pairs, right_P))
        found = {gold.rows[source[i]]["source"]: (gold.rows[target[j]]["target"], s, ok) for i, j, s, ok in zip(*columns, strict=True)}  # fmt: skip
        for row in gold.rows:
            text, score, ok = found.get(row["source"], (None, None, False))
            shown = None if score is None else round(score, 6)
            mined = score is not None and score >= self.threshold
            yield {"source": row["source"], "found": text, "score": shown, "mined": mined, "right": ok}

    def _mined(self, outputs: dict[str, np.ndarray], gold: Gold) -> tuple[Pairs, torch.Tensor, int]:
        """(all candidate pairs as numbers of different sentences, which of them are right, how many true ones there are)."""
        source, target, true = self._sides(gold)
        x_ND, y_MD = (torch.from_numpy(outputs[side][rows]) for side, rows in (("source", source), ("target", target)))
        pairs = mining.mine(x_ND, y_MD, self.k, self.margin, self.matching)
        return pairs, mining.right(pairs, true), len(true)

    def _sides(self, gold: Gold) -> tuple[list[int], list[int], dict[tuple[int, int], int]]:
        """(rows of the different source sentences, rows of the different target sentences, the true pairs of both with the first row of each)."""
        hidden = noise.uniform(noise.combine(noise.key("unpaired"), np.arange(gold.size))) < self.unpaired
        turn = hidden.cumsum() % 2
        sides: tuple[dict[str, int], dict[str, int]] = ({}, {})
        first: tuple[list[int], list[int]] = ([], [])
        true: dict[tuple[int, int], int] = {}
        for row, (each, alone, which) in enumerate(zip(gold.rows, hidden.tolist(), turn.tolist(), strict=True)):
            numbers = []
            for side, name in enumerate(sentence_pairs.SIDES):
                if alone and which == side:
                    continue
                if each[name] not in sides[side]:
                    first[side].append(row)
                numbers.append(sides[side].setdefault(each[name], len(sides[side])))
            if not alone:
                true.setdefault(tuple(numbers), row)
        return *first, true

"""Sentences that know their document, in languages that are translations of each other, as retrieval and as recommendation. It reads no file itself.

Retrieval: a headline or sentence finds its document. Recommendation: after some sentences of a document the next one is taken, as a reader takes the next article.
Queries (or what was read) and documents (or what comes next) are in one language, or in two: a pair QUERIES-DOCUMENTS with the pivot on one side.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from xlt.data.rows import View
from xlt.data.sources import unknown_language
from xlt.errors import ConfigError, DataError

VIEWS = (View.retrieval.value, View.recommendation.value)
Sentences = dict[Any, dict[Any, str]]  # document -> id of a sentence -> its text, both in the file's order


class Query(str, Enum):
    """title: the first sentence, which finds the rest of its document. sentence: each one finds the whole."""

    title = "title"
    sentence = "sentence"


@dataclass(frozen=True, kw_only=True)
class Documents:
    """sentences: a data set of text with `id` (the same for a translation) and `doc`. history: sentences before the next one that are given."""

    name: str
    root: str | None  # for the interpolations in YAML; not read here
    sentences: Any
    pivot: str
    query: Query
    history: int

    def __post_init__(self) -> None:
        problems = []
        columns = getattr(self.sentences, "columns", {"id": "", "doc": ""})
        if missing := [name for name in ("id", "doc") if name not in columns]:
            problems.append(
                f"dataset.sentences.columns: {' and '.join(missing)} is not mapped, and documents are put together by it; add it as `OURS: NAME_IN_THE_FILE`"
            )
        if self.history < 1:
            problems.append(
                f"dataset.history: {self.history} is below 1; give how many sentences go before the next one"
            )
        if problems:
            raise ConfigError(problems)

    def views(self) -> tuple[str, ...]:
        """Both."""
        return VIEWS

    def labels(self) -> None:
        """There are none."""
        return None

    def languages(self, view: str) -> list[str]:
        """Each by itself, and each with the pivot in either direction."""
        if view not in VIEWS:
            raise DataError(
                f"dataset {self.name}: no view {view}; it has {', '.join(VIEWS)}: choose another objective or dataset"
            )
        codes = self.sentences.languages("text")
        if self.pivot not in codes:
            raise unknown_language("dataset.pivot", self.name, self.pivot, codes)
        others = [code for code in codes if code != self.pivot]
        return sorted(
            [*codes, *(f"{self.pivot}-{code}" for code in others), *(f"{code}-{self.pivot}" for code in others)]
        )

    def splits(self, view: str, language: str) -> list[str]:
        """Those that both sides have."""
        sides = self._sides(view, language)
        return [s for s in self.sentences.splits("text", sides[0]) if s in self.sentences.splits("text", sides[1])]

    def rows(self, view: str, language: str, split: str) -> Iterator[dict]:
        """Of documents and sentences that both sides have, in the order of the first."""
        ask, answer = (self._read(side, split) for side in self._sides(view, language))
        made = self._retrieval if view == View.retrieval else self._recommendation
        count = 0
        for document, sentences in ask.items():
            shared = [number for number in sentences if number in answer.get(document, {})]
            for count, row in enumerate(made(document, shared, sentences, answer.get(document, {})), count + 1):  # noqa: B007, B020
                yield row
        if not count:
            raise DataError(
                f"dataset {self.name}, language {language}, split {split}: no document has two sentences; check dataset.sentences.columns.doc"
            )

    def fingerprint(self, view: str, language: str, split: str) -> str:
        """Of both sides and the settings."""
        digests = [self.sentences.fingerprint("text", side, split) for side in self._sides(view, language)]
        rules = [digests, self.query.value, self.history, view, language, split]
        return hashlib.sha256(json.dumps(rules).encode()).hexdigest()

    def _retrieval(self, document: Any, shared: list, ask: dict, answer: dict) -> Iterator[dict]:
        if len(shared) < 2:
            return
        if self.query is Query.title:
            yield {"id": str(document), "query": ask[shared[0]], "positives": [" ".join(answer[n] for n in shared[1:])]}
            return
        for number in shared:
            yield {"id": str(number), "query": ask[number], "positives": [" ".join(answer[n] for n in shared)]}

    def _recommendation(self, document: Any, shared: list, ask: dict, answer: dict) -> Iterator[dict]:
        """The first sentence of a document is next to nothing, but one to choose among."""
        for place in range(1, len(shared)):
            history = [ask[number] for number in shared[max(0, place - self.history) : place]]
            rest = [answer[shared[0]]] if place == 1 else []
            yield {"id": str(shared[place]), "history": history, "next": answer[shared[place]], "candidates": rest}

    def _read(self, language: str, split: str) -> Sentences:
        found: Sentences = {}
        for row in self.sentences.rows("text", language, split):
            found.setdefault(row["doc"], {})[row["id"]] = row["text"]
        return found

    def _sides(self, view: str, language: str) -> tuple[str, str]:
        if language not in self.languages(view):
            raise unknown_language("language", self.name, language, self.languages(view))
        codes = self.sentences.languages("text")
        if language in codes:
            return language, language
        return next((a, b) for a in codes for b in codes if f"{a}-{b}" == language)

"""The demo's world as knowledge graphs: things have names in each language, and each graph holds facts of its own, drawn from what can be said.

A sentence such as "Anna buys bread on Monday" is the facts (Anna, food_buys food, bread) and (Anna, food_buys day, Monday). Ids and relations tell nothing of
the other language. The target of conf/dataset/demo_graphs.yaml.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from xlt import files, noise
from xlt.data.sources import unknown_language
from xlt.data.world import generate as world
from xlt.errors import ConfigError, DataError
from xlt.types import KnowledgeGraph

SPLIT = "links"


@dataclass(frozen=True, kw_only=True)
class DemoGraphs:
    """pivot: the language that all pairs end with. sayings: of each frame, how many sentences a graph has the facts of. seed_share: as in `xlt.data.graphs`."""

    name: str
    pivot: str
    sayings: int
    seed_share: float

    def __post_init__(self) -> None:
        problems = []
        if self.pivot not in world.languages():
            problems.append(
                f"dataset.pivot: the world does not speak {self.pivot}; there are {', '.join(world.languages())}"
            )
        if self.sayings <= 0:
            problems.append(f"dataset.sayings: {self.sayings} is not above 0; give a larger one")
        if not 0 < self.seed_share <= 1:
            problems.append(f"dataset.seed_share: {self.seed_share} is not in (0, 1]; 0.3 is usual")
        if problems:
            raise ConfigError(problems)

    def views(self) -> tuple[str, ...]:
        """Entities only."""
        return ("entities",)

    def labels(self) -> list[str] | None:
        """There are none."""
        return None

    def languages(self, view: str) -> list[str]:
        """Every language with the pivot."""
        return [f"{code}-{self.pivot}" for code in world.languages() if code != self.pivot]

    def splits(self, view: str, language: str) -> list[str]:
        """One, of which the run's seed draws."""
        if language not in self.languages(view):
            raise unknown_language("language", self.name, language, self.languages(view))
        return [SPLIT]

    def rows(self, view: str, language: str, split: str) -> Iterator[dict]:
        """Ids of each thing that both graphs have."""
        if split not in self.splits(view, language):
            raise DataError(f"dataset {self.name}, {language}: no {split} split; it has {SPLIT}")
        source, target = (self._numbers(code) for code in language.split("-"))
        for thing, number in source.items():
            if thing in target:
                codes = language.split("-")
                yield {"source": f"{codes[0]}{number}", "target": f"{codes[1]}{target[thing]}"}

    def locate(self, view: str, language: str, split: str, number: int) -> str:
        """No file; the number of the link."""
        return f"{self.name} {language} link {number + 1}"

    def graphs(self, language: str) -> tuple[KnowledgeGraph, KnowledgeGraph]:
        """The graphs of both languages."""
        self.splits("entities", language)
        source, target = (self._graph(code) for code in language.split("-"))
        return source, target

    def fingerprint(self, view: str, language: str, split: str) -> str:
        """Of the world's files and the settings."""
        own = [f"{code}.yaml" for code in ("meaning", *language.split("-"))]
        read = [files.sha256(world.ROOT / name) for name in own]
        return hashlib.sha256(
            "\n".join([*read, str(world.VERSION), str(self.sayings), str(self.seed_share)]).encode()
        ).hexdigest()

    def _facts(self, code: str) -> list[tuple[tuple[str, str], str, tuple[str, str]]]:
        """(thing, relation, thing); a thing is a type and a concept."""
        found = []
        for frame, slots in world.meaning().frames.items():
            numbers = world.numbers(frame, slots)
            for number in numbers[
                noise.permutation(noise.key(world.VERSION, "graph", code, frame), len(numbers))[: self.sayings]
            ]:
                filling = world.fill(slots, int(number))
                first, *others = ((slot, filling[slot.name]) for slot in slots)
                found += [
                    ((first[0].type, first[1]), f"{frame} {slot.name}", (slot.type, thing)) for slot, thing in others
                ]
        return list(dict.fromkeys(found))

    def _numbers(self, code: str) -> dict[tuple[str, str], int]:
        """The things of a graph, numbered in an order of the language's own."""
        things = sorted({thing for head, _, tail in self._facts(code) for thing in (head, tail)})
        order = noise.permutation(noise.key(world.VERSION, "things", code), len(things)).tolist()
        return {things[at]: number for number, at in enumerate(order)}

    def _graph(self, code: str) -> KnowledgeGraph:
        numbers, facts = self._numbers(code), self._facts(code)
        relations = {name: number for number, name in enumerate(sorted({relation for _, relation, _ in facts}))}
        order = noise.permutation(noise.key(world.VERSION, "relations", code), len(relations)).tolist()
        triples = [(numbers[head], order[relations[relation]], numbers[tail]) for head, relation, tail in facts]
        forms = world.language(code).forms
        names = [world.plain(forms[kind][thing]["cite"]) for kind, thing in numbers]
        ids = [f"{code}{number}" for number in range(len(numbers))]
        return KnowledgeGraph(
            ids, names, [f"{code} relation {number}" for number in range(len(order))], np.array(triples, np.int64)
        )

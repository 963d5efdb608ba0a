"""Two knowledge graphs of each pair of languages, and links between their entities: files of ids, triples and links in tab-separated columns.

Where there is no file of entities, those of the triples are all there are, and their names are what stands there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote

import numpy as np

from xlt import files
from xlt.data import patterns
from xlt.data.lines import lines
from xlt.data.sources import unknown_language
from xlt.errors import ConfigError, DataError
from xlt.types import KnowledgeGraph


@dataclass(frozen=True, kw_only=True)
class GraphFiles:
    """entities: pattern of the files `id, name`, with {root}, {lang} (a pair) and {side}; null: there are none. triples: of `head, relation, tail`; links: of
    `source id, target id`, with {split} instead of {side}.

    sides: what the files of the first and the second graph are called. split_names: the files' names of our splits, several joined by +; null: none.
    seed_share: of all links together, how many are seeds, drawn by the run's seed; null: those of the train split are, and those of test are tested.
    """

    name: str
    root: str | None
    entities: str | None
    triples: str
    links: str
    sides: list[str]
    split_names: dict[str, str | None]
    seed_share: float | None
    max_line: int

    def __post_init__(self) -> None:
        wanted = {
            "triples": (self.triples, "side"),
            "links": (self.links, "split"),
            "entities": (self.entities, "side"),
        }
        problems = [
            f"dataset.{key}: no {{{hole}}} in {pattern!r}; add {{lang}} and {{{hole}}}"
            for key, (pattern, own) in wanted.items()
            for hole in ("lang", own)
            if pattern is not None and hole not in patterns.holes(pattern)
        ]
        if len(self.sides) != 2 or len(set(self.sides)) != 2:
            problems.append(
                f"dataset.sides: {self.sides} must be two different names, as the files of the two graphs have"
            )
        if self.seed_share is not None and not 0 < self.seed_share <= 1:
            problems.append(
                f"dataset.seed_share: {self.seed_share} is not in (0, 1]; 0.3 is usual, null takes the splits as they are"
            )
        if problems:
            raise ConfigError(problems)

    def views(self) -> tuple[str, ...]:
        """Entities only."""
        return ("entities",)

    def labels(self) -> list[str] | None:
        """There are none."""
        return None

    def languages(self, view: str) -> list[str]:
        """Pairs of which there are links."""
        return sorted(self._links)

    def splits(self, view: str, language: str) -> list[str]:
        """Those of which all files are there."""
        if language not in self._links:
            raise unknown_language("language", self.name, language, self.languages(view))
        return [ours for ours, theirs in self._names.items() if all(name in self._links[language] for name in theirs)]

    def rows(self, view: str, language: str, split: str) -> Iterator[dict]:
        """source and target: ids of the same thing in the two graphs. DataError for a line without two of them, or an entity that has a link already."""
        seen: list[dict[str, str]] = [{}, {}]
        for place, cells in self._located(language, split):
            for side, cell in enumerate(cells):
                if cell in seen[side]:
                    raise DataError(
                        f"{place}: {cell} is linked already at {seen[side][cell]}; keep one link of each entity"
                    )
                seen[side][cell] = place
            yield {"source": cells[0], "target": cells[1]}

    def locate(self, view: str, language: str, split: str, number: int) -> str:
        """Where the link of that number (from 0) stands: "PATH line 7"."""
        return list(self._located(language, split))[number][0]

    def graphs(self, language: str) -> tuple[KnowledgeGraph, KnowledgeGraph]:
        """The graphs of both languages of a pair, in its order. DataError for a line that does not fit, with path and line."""
        source, target = (self._graph(language, side) for side in self.sides)
        return source, target

    def fingerprint(self, view: str, language: str, split: str) -> str:
        """Of the links of a split and both graphs."""
        paths = self._paths(language, split) + [p for side in self.sides for p in self._graph_files(language, side)]
        read = [[path.name, files.sha256(path)] for path in paths]
        return hashlib.sha256(json.dumps([read, self.seed_share]).encode()).hexdigest()

    @cached_property
    def _names(self) -> dict[str, list[str]]:
        return {ours: theirs.split("+") for ours, theirs in self.split_names.items() if theirs is not None}

    @cached_property
    def _links(self) -> dict[str, dict[str, Path]]:
        """{pair: {split as the files call it: file}}."""
        names = dict.fromkeys(name for theirs in self._names.values() for name in theirs)
        found: dict[str, dict[str, Path]] = {}
        for (pair, split, _), paths in patterns.find(self._root, self.links, names).items():
            found.setdefault(pair, {})[split] = paths[0]
        if odd := [pair for pair in found if "-" not in pair]:
            raise DataError(
                f"{next(iter(found[odd[0]].values()))}: {odd[0]} is not a pair of languages; name it for example zh-{odd[0]}"
            )
        return found

    @property
    def _root(self) -> str:
        if self.root is None:
            raise DataError(f"dataset {self.name}: no folder is named, and it is not on the hub; give dataset.root=DIR")
        return self.root

    def _paths(self, language: str, split: str) -> list[Path]:
        offered = self.splits("entities", language)
        if split not in offered:
            raise DataError(
                f"dataset {self.name}, {language}: no {split} split; it has {', '.join(offered) or 'none'}: correct dataset.split_names"
            )
        return [self._links[language][name] for name in self._names[split]]

    def _located(self, language: str, split: str) -> Iterator[tuple[str, list[str]]]:
        return (row for path in self._paths(language, split) for row in self._cells(path, ["source id", "target id"]))

    def _graph_files(self, language: str, side: str) -> list[Path]:
        """Entities, if there is a file of them, and triples."""
        found = []
        for pattern in (self.entities, self.triples):
            if pattern is not None:
                paths = patterns.find(self._root, pattern.replace("{lang}", language).replace("{side}", side), [])
                found.append(paths[None, None, None][0])
        return found

    def _graph(self, language: str, side: str) -> KnowledgeGraph:
        *entities, triples = self._graph_files(language, side)
        numbers, names = self._entities(entities[0]) if entities else ({}, [])
        relations: dict[str, int] = {}
        found: list[tuple[int, int, int]] = []
        for place, (head, relation, tail) in self._cells(triples, ["head", "relation", "tail"]):
            for entity in (head, tail):
                if entity not in numbers and entities:
                    raise DataError(f"{place}: {entity} is no id of {entities[0]}; add it there, or remove the line")
                numbers.setdefault(entity, len(numbers))
            found.append((numbers[head], relations.setdefault(relation, len(relations)), numbers[tail]))
        if not found:
            raise DataError(f"{triples}: no triples; fill the file, or leave the pair {language} out")
        ids = list(numbers)
        names = names or [readable(entity) for entity in ids]
        return KnowledgeGraph(ids, names, list(relations), np.array(found, np.int64))

    def _entities(self, path: Path) -> tuple[dict[str, int], list[str]]:
        numbers: dict[str, int] = {}
        names = []
        for place, (entity, name) in self._cells(path, ["id", "name"]):
            if entity in numbers:
                raise DataError(f"{place}: the id {entity} was given before; give each entity its own")
            numbers[entity] = len(numbers)
            names.append(readable(name))
        return numbers, names

    def _cells(self, path: Path, columns: list[str]) -> Iterator[tuple[str, list[str]]]:
        for number, line in lines(path, self.max_line):
            if not line.strip():
                continue
            cells = [cell.strip() for cell in line.split("\t")]
            if len(cells) != len(columns) or not all(cells):
                raise DataError(
                    f"{path} line {number}: {line[:60]!r} where {', '.join(columns)} are expected, with a tab between two; repair or remove the line"
                )
            yield f"{path} line {number}", cells


def readable(name: str) -> str:
    """An entity's name as a person writes it: of a URI what follows its last `/` or `#`, without percent signs and underscores."""
    if "://" in name:
        local = name.partition("://")[2]
        path = local.partition("/resource/")[2] or local.rstrip("/").rpartition("#" if "#" in local else "/")[2]
        name = unquote(path or name)
    return " ".join(name.replace("_", " ").split()) or name

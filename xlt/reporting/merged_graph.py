"""Two knowledge graphs and the links between them as files: the links, and both graphs as one."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xlt.types import KnowledgeGraph

COLUMNS = ("head", "relation", "tail")
ENTITY = ("id", "source", "source_name", "target", "target_name")


@dataclass(frozen=True, eq=False)
class Merged:
    """graphs, codes: of source and target. seeds_P2, links_Q2: numbers of entities that are the same, known and found; similarity_Q: of the found ones."""

    graphs: tuple[KnowledgeGraph, KnowledgeGraph]
    codes: tuple[str, str]
    seeds_P2: np.ndarray
    links_Q2: np.ndarray
    similarity_Q: np.ndarray

    def write_links(self, folder: Path) -> None:
        """links.tsv: source id, target id, both names, similarity; the found ones, in their order."""
        source, target = self.graphs
        lines = [
            f"{source.ids[i]}\t{target.ids[j]}\t{source.names[i]}\t{target.names[j]}\t{value:.6f}\n"
            for (i, j), value in zip(self.links_Q2.tolist(), self.similarity_Q.tolist(), strict=True)
        ]
        (folder / "links.tsv").write_text("".join(lines), encoding="utf-8")

    def write_graph(self, folder: Path, form: str) -> None:
        """triples and entities, as tsv or jsonl. An entity of both graphs has its source's id, ids begin with the language's code; equal triples stand once.

        Relations of the same name are the same, as in learning; the others have the language's code before them.
        """
        own = self.merged_ids()
        shared = set.intersection(*(set(graph.relations) for graph in self.graphs))
        called = [
            [name if name in shared else f"{code}:{name}" for name in graph.relations]
            for code, graph in zip(self.codes, self.graphs, strict=True)
        ]
        triples = dict.fromkeys(
            (own[side][head], called[side][relation], own[side][tail])
            for side, graph in enumerate(self.graphs)
            for head, relation, tail in graph.triples_T3.tolist()
        )
        _write(folder / f"triples.{form}", form, COLUMNS, triples)
        _write(folder / f"entities.{form}", form, ENTITY, self.entities(own))

    def merged_ids(self) -> list[list[str]]:
        """The id in the merged graph of each entity of either."""
        own = [
            [f"{code}:{entity}" for entity in graph.ids] for code, graph in zip(self.codes, self.graphs, strict=True)
        ]
        for i, j in [*self.seeds_P2.tolist(), *self.links_Q2.tolist()]:
            own[1][j] = own[0][i]
        return own

    def entities(self, own: list[list[str]]) -> Iterable[tuple[str, ...]]:
        """Of each entity of the merged graph its id, and id and name in either graph; "" where it is not in it."""
        sides: dict[str, list[str]] = {}
        for side, graph in enumerate(self.graphs):
            for merged, entity, name in zip(own[side], graph.ids, graph.names, strict=True):
                sides.setdefault(merged, [""] * 4)[2 * side : 2 * side + 2] = [entity, name]
        return ((merged, *cells) for merged, cells in sides.items())


def _write(path: Path, form: str, columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            cells = (
                json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False)
                if form == "jsonl"
                else "\t".join(row)
            )
            file.write(f"{cells}\n")

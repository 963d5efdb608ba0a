"""Shops of the demo world: in each language a market with items of its own, and customers who like some of them. Knows no sizes and no rows.

An item is two words that are sold together ("guitar + waltz"), as each language writes them. A customer has a favourite word of a department and takes the items
that have it, among a few others: what is next can be told from what the items say, in any language.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from xlt import noise
from xlt.data.world import generate as world

DEPARTMENTS = (
    ("dish", "spice"),
    ("instrument", "piece"),
    ("game", "clothes"),
    ("sight", "vehicle"),
    ("remedy", "illness"),
    ("food", "drink"),
)
SIDE = 4  # words of each of the two types that a market sells: 4 x 4 items a department
STRAYS = 2  # items of any department that a customer takes at most beside the favourites
SPLITS = (("recommendation", "train"), ("recommendation", "dev"), ("recommendation", "test"))
MOST = 100_000  # customers of a split


@cache
def catalogue(code: str) -> tuple[str, ...]:
    """Items of a language's market: department by department, then by the first word, then by the second."""
    forms, found = world.language(code).forms, []
    for types in DEPARTMENTS:
        first, second = ([world.plain(forms[t][concept]["cite"]) for concept in _sold(code, t)] for t in types)
        found += [f"{a} + {b}" for a in first for b in second]
    return tuple(found)


def _sold(code: str, kind: str) -> list[str]:
    """Concepts of a type that a market has."""
    concepts = world.meaning().concepts[kind]
    return [concepts[i] for i in noise.permutation(noise.key(world.VERSION, "shop", code, kind), len(concepts))[:SIDE]]


def customer(code: str, split: str, number: int) -> tuple[list[int], int]:
    """(items taken, in their order; the item taken next), as places in the catalogue. The next one has the favourite's word and was not taken yet."""
    key = noise.key(world.VERSION, "customer", code, split, number)
    department, side, word, strays = (
        int(noise.uniform(noise.combine(key, i)) * n) for i, n in enumerate((len(DEPARTMENTS), 2, SIDE, STRAYS + 1))
    )
    others = noise.permutation(noise.combine(key, 4), SIDE)
    liked = department * SIDE * SIDE + (word * SIDE + others if side == 0 else others * SIDE + word)
    away = (noise.uniform(noise.combine(noise.combine(key, 5), np.arange(strays))) * len(catalogue(code))).astype(int)
    *taken, following = liked.tolist()
    taken += [item for item in away.tolist() if item != following]
    return [taken[i] for i in noise.permutation(noise.combine(key, 6), len(taken))], following

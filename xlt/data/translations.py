"""The sentences of a parallel data set, each of them once, and which are translations of each other; in parts that share no meaning.

For what looks at sentences by themselves: of a data set with the same sentences in many languages, a pair a row would hold each one many times.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from xlt import languages, noise
from xlt.errors import DataError
from xlt.types import Dataset


class Part(IntEnum):
    """What a sentence is for. Language means are those of all that are not scored; a probe is trained on half of these.

    Less such a mean, the mean of the probe's half is half the difference of the halves' errors, and that of the scored part is less half their sum: these do
    not covary, so a probe cannot learn how the means are wrong. From one half alone, both would be wrong in the same way, and any language be recognised by it.
    """

    scored = 0
    rest = 1
    probe = 2


@dataclass(frozen=True)
class Translations:
    """texts: {language: its different sentences}. pairs: {pair: (places_P in the first language's sentences, in the second's)}.

    parts: {language: int8 (n,)}, the part of each; a sentence and all of its translations are in the same.
    """

    texts: dict[str, list[str]]
    pairs: dict[str, tuple[np.ndarray, np.ndarray]]
    parts: dict[str, np.ndarray]

    def of(self, pair: str, part: Part) -> tuple[np.ndarray, np.ndarray]:
        """Of a pair, those of one part."""
        source_P, target_P = self.pairs[pair]
        inside_P = self.parts[languages.pair(pair)[0]][source_P] == part
        return source_P[inside_P], target_P[inside_P]


def read_translations(dataset: Dataset, pairs: list[str], split: str, rows: int | None, share: float) -> Translations:
    """The first `rows` rows of each pair (null: all). share: of the meanings, those that are not scored, half of them for the
    probe; drawn by what they say, and so the same in every run.

    In a pair each sentence counts once, with the first translation that it has there. DataError if a part would have fewer than 4 pairs.
    """
    numbers: dict[str, dict[str, int]] = {}
    found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for pair in pairs:
        sides = [numbers.setdefault(code, {}) for code in languages.pair(pair)]
        seen: tuple[set[str], set[str]] = (set(), set())
        places: list[tuple[int, int]] = []
        for row in itertools.islice(dataset.rows("parallel", pair, split), rows):
            texts = row["source"], row["target"]
            if texts[0] in seen[0] or texts[1] in seen[1]:
                continue
            for text, known in zip(texts, seen, strict=True):
                known.add(text)
            places.append(tuple(side.setdefault(t, len(side)) for side, t in zip(sides, texts, strict=True)))
        source_P, target_P = np.array(places, np.int64).reshape(-1, 2).T
        found[pair] = source_P, target_P
    translations = Translations({code: list(known) for code, known in numbers.items()}, found, {})
    translations.parts.update(_parts(translations, share))
    for pair in pairs:
        sizes = [len(translations.of(pair, part)[0]) for part in Part]
        if min(sizes) < 4:
            raise DataError(
                f"dataset {dataset.name}, {pair}, {split}: {sum(sizes)} pairs of different sentences, of which {sizes[0]} are to be scored, and {sizes[1]} and "
                f"{sizes[2]} to give means and a probe, are too few; give more, or leave the pair out"
            )
    return translations


def _parts(translations: Translations, share: float) -> dict[str, np.ndarray]:
    """{language: the part of each of its sentences}. What translations tie together is one meaning, known by the hash of its least text."""
    codes, texts = list(translations.texts), translations.texts
    start = dict(zip(codes, np.cumsum([0, *map(len, texts.values())]).tolist(), strict=False))
    parent = list(range(sum(map(len, texts.values()))))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for pair, (source_P, target_P) in translations.pairs.items():
        first, second = (start[code] for code in languages.pair(pair))
        for i, j in zip(source_P.tolist(), target_P.tolist(), strict=True):
            a, b = root(first + i), root(second + j)
            parent[max(a, b)] = min(a, b)
    least: dict[int, tuple[str, str]] = {}
    for code in codes:
        for i, text in enumerate(texts[code]):
            at = root(start[code] + i)
            least[at] = min(least.get(at, (code, text)), (code, text))
    ranked = sorted(least, key=lambda at: int(noise.key("part", *least[at])))
    half = round(share * len(ranked) / 2)
    part = (
        dict.fromkeys(ranked, Part.scored)
        | dict.fromkeys(ranked[:half], Part.rest)
        | dict.fromkeys(ranked[half : 2 * half], Part.probe)
    )
    return {code: np.array([part[root(start[code] + i)] for i in range(len(texts[code]))], np.int8) for code in codes}

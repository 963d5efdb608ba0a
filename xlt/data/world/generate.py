"""Sentences and texts from the authored world: reads its YAML, fills frames, and says which fillings belong to which split.

It knows no sizes and no rows; those are in `xlt.data.demo`. A filling is a number: the mixed-radix index of a frame's fillers.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml

from xlt import noise

VERSION = 1  # raise it when other sentences, or other fillings per split, come out of the same YAML
ROOT = Path(__file__).parent
PIVOT = "en"
CAPITALS = re.compile(r"\w")
MARK = {"PER": "\ue000", "LOC": "\ue001", "ORG": "\ue002"}  # before a name; END is behind it
END = "\ue003"
MARKS = re.compile("[\ue000-\ue003]")
MOST = 4096  # fillings of a frame that are used at most, spread evenly over all that there are

# Every filling of a frame belongs to one split of one view, so no sentence is in two.
SHARES = {
    ("text", "train"): 0.30,
    ("text", "dev"): 0.02,
    ("parallel", "train"): 0.18,
    ("parallel", "dev"): 0.03,
    ("parallel", "test"): 0.05,
    ("classification", "train"): 0.17,
    ("classification", "dev"): 0.04,
    ("classification", "test"): 0.06,
    ("tagging", "train"): 0.09,
    ("tagging", "dev"): 0.02,
    ("tagging", "test"): 0.04,
}
STORY_SHARES = {("qa", "train"): 0.70, ("qa", "dev"): 0.10, ("qa", "test"): 0.20}
WORD_SHARES = {("dictionary", "train"): 0.75, ("dictionary", "test"): 0.25}


class Slot(NamedTuple):
    """A hole of a frame. name: as in templates, `city2`; type: of its concepts; ids: those that may fill it."""

    name: str
    type: str
    ids: tuple[str, ...]


class Piece(NamedTuple):
    """A hole in a template: `{slot.form}`, or `{slot.form@other}`, whose form is chosen by the other slot's `g`."""

    slot: str
    form: str
    agrees: str


@dataclass(frozen=True)
class Meaning:
    """What can be said. frames and stories: slots by id; topics, sentiments: ids of frames by label; ask: slots asked for."""

    concepts: dict[str, list[str]]
    words: list[str]
    entities: dict[str, str]
    frames: dict[str, tuple[Slot, ...]]
    topics: dict[str, list[str]]
    sentiments: dict[str, list[str]]
    others: list[str]
    stories: dict[str, tuple[Slot, ...]]
    ask: dict[str, list[str]]


@dataclass(frozen=True)
class Language:
    """How one language says it. forms: type -> concept -> form -> text, names marked; templates: by frame, or (story, part)."""

    forms: dict[str, dict[str, dict[str, str]]]
    templates: dict[str | tuple[str, str], list[str | Piece]]


def read(path: Path) -> dict:
    """A YAML file, by the C parser where it is there."""
    return yaml.load(path.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


@cache
def languages() -> tuple[str, ...]:
    """Codes of the languages that are written down, sorted."""
    return tuple(sorted(path.stem for path in ROOT.glob("*.yaml") if path.stem != "meaning"))


@cache
def meaning() -> Meaning:
    """meaning.yaml, read once."""
    raw = read(ROOT / "meaning.yaml")

    def slots(names: list[str]) -> tuple[Slot, ...]:
        return tuple(slot(name, raw["concepts"], raw["subsets"]) for name in names)

    groups = [*raw["topics"].values(), *raw["sentiments"].values(), raw["others"]]
    return Meaning(
        concepts=raw["concepts"],
        words=raw["words"],
        entities=raw["entities"],
        frames={frame: slots(names) for group in groups for frame, names in group.items()},
        topics={label: list(group) for label, group in raw["topics"].items()},
        sentiments={label: list(group) for label, group in raw["sentiments"].items()},
        others=list(raw["others"]),
        stories={story: slots(entry["slots"]) for story, entry in raw["stories"].items()},
        ask={story: entry["ask"] for story, entry in raw["stories"].items()},
    )


def slot(name: str, concepts: dict, subsets: dict) -> Slot:
    """`city2` is a city; the name of a subset is a slot of its type with fewer concepts."""
    kind = name.rstrip("2")
    if kind in subsets:
        return Slot(name, subsets[kind]["of"], tuple(subsets[kind]["only"]))
    return Slot(name, kind, tuple(concepts[kind]))


@cache
def language(code: str) -> Language:
    """One language's file, read once."""
    raw, entities = read(ROOT / f"{code}.yaml"), meaning().entities
    forms = {
        kind: {name: inflect(entry, raw["paradigms"], entities.get(kind)) for name, entry in entries.items()}
        for kind, entries in raw["concepts"].items()
    }
    templates: dict = {name: pieces(text) for name, text in raw["frames"].items()}
    for story, parts in raw["stories"].items():
        templates |= {(story, part): pieces(text) for part, text in parts.items()}
    return Language(forms, templates)


def inflect(entry: str, paradigms: dict[str, dict[str, str]], label: str | None) -> dict[str, str]:
    """Forms of `stem/paradigm | form=text | ...`: `_` in a paradigm stands for the stem, `cite` is the dictionary's form.

    The name in the forms of an entity is marked: the stem with what is written right behind it, or what stands in
    brackets in `form=text`.
    """
    head, *changes = entry.split(" | ")
    stem, _, paradigm = head.partition("/")
    forms = {"cite": "_"} | (paradigms[paradigm] if paradigm else {})
    open_, close = (MARK[label], END) if label else ("", "")
    named = {form: re.sub(r"_(\S*)", lambda m: open_ + stem + m[1] + close, text) for form, text in forms.items()}
    for form, _, text in (change.partition("=") for change in changes):
        named[form] = text.replace("[", open_).replace("]", close)
    return {"nom": named["cite"]} | named


def pieces(template: str) -> list[str | Piece]:
    """`{slot}` is its form nom, `{slot.form}` another, `{slot@other}` the form that the other slot's `g` names."""
    parts: list[str | Piece] = []
    for at, text in enumerate(re.split(r"\{([^}]*)\}", template)):
        name, _, agrees = text.partition("@")
        slot_name, _, form = name.partition(".")
        parts.append(Piece(slot_name, form or ("" if agrees else "nom"), agrees) if at % 2 else text)
    return parts


def size(slots: Sequence[Slot]) -> int:
    """How many fillings there are; a second slot of a name differs from the first."""
    return int(np.prod([len(s.ids) - s.name.endswith("2") for s in slots]))


def fill(slots: Sequence[Slot], number: int) -> dict[str, str]:
    """The concept of each slot."""
    chosen: dict[str, int] = {}
    for s in slots:
        number, at = divmod(number, len(s.ids) - s.name.endswith("2"))
        chosen[s.name] = at + (s.name.endswith("2") and at >= chosen[s.name[:-1]])
    return {s.name: s.ids[chosen[s.name]] for s in slots}


@cache
def numbers(frame: str, slots: tuple[Slot, ...]) -> np.ndarray:
    """At most MOST different fillings in an order of their own: one from each of as many equal stretches."""
    total = size(slots)
    most = min(total, MOST)
    start = np.arange(most, dtype=np.uint64) * np.uint64(total) // np.uint64(most)
    stop = np.arange(1, most + 1, dtype=np.uint64) * np.uint64(total) // np.uint64(most)
    inside = noise.combine(noise.key(VERSION, frame, "inside"), np.arange(most)) % (stop - start)
    return (start + inside)[noise.permutation(noise.key(VERSION, frame), most)]


def share(
    items: Sequence | np.ndarray, shares: dict[tuple[str, str], float], view: str, split: str
) -> Sequence | np.ndarray:
    """The items that belong to a split of a view."""
    edges = np.rint(np.cumsum([0.0, *shares.values()]) * len(items)).astype(int)
    at = list(shares).index((view, split))
    return items[edges[at] : edges[at + 1]]


def say(
    code: str, template: str | tuple[str, str], slots: Sequence[Slot], filling: dict[str, str]
) -> list[tuple[str, str]]:
    """The pieces of a sentence with the slot that each fills ("" for words of the frame); names are marked."""
    spoken = language(code)
    forms = {s.name: spoken.forms[s.type][filling[s.name]] for s in slots}
    said = []
    for piece in spoken.templates[template]:
        if isinstance(piece, str):
            said.append(("", piece))
            continue
        chosen = piece.form
        if piece.agrees:
            chosen = "_".join(filter(None, [chosen, forms[piece.agrees]["g"]]))
        said.append((piece.slot, forms[piece.slot][chosen]))
    return said


def sentence(code: str, frame: str, slots: Sequence[Slot], filling: dict[str, str]) -> str:
    """One sentence with its names marked, beginning with a capital where the script has them."""
    text = "".join(piece for _, piece in say(code, frame, slots, filling))
    return CAPITALS.sub(lambda first: first[0].upper(), text, count=1)


def plain(marked: str) -> str:
    """The sentence without marks."""
    return MARKS.sub("", marked)

"""The demo data set: rows of every view, made from the authored world in `xlt/data/world` and so the same everywhere.

It says how many rows there are and what is in them; how a sentence is made, and which sentences belong to which split,
is in `xlt.data.world.generate`. The target of conf/dataset/demo.yaml.
"""

import hashlib
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum

import numpy as np

from xlt import files, noise
from xlt.data.markets import with_catalogue
from xlt.data.rows import View
from xlt.data.sources import PAIRED, unknown_language
from xlt.data.world import generate as world
from xlt.data.world import shops
from xlt.errors import ConfigError, DataError

VIEWS = (
    View.classification,
    View.text,
    View.parallel,
    View.tagging,
    View.qa,
    View.dictionary,
    View.retrieval,
    View.recommendation,
)
SHARES = world.SHARES | world.STORY_SHARES | world.WORD_SHARES
SIZED = (*SHARES, *shops.SPLITS)  # all splits there are; retrieval has those of qa
TOKENS = re.compile("[\ue000-\ue003]|[\\w\u064b-\u0652]+['’]?|[^\\w\\s]")  # Arabic vowel signs are no \w
CHARACTERS = re.compile("[\ue000-\ue003]|\\S")
UNSPACED = ("zh",)
Item = tuple[str, int]  # a frame and one of its fillings


class Task(str, Enum):
    """What the labels of view classification say."""

    topic = "topic"
    sentiment = "sentiment"


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Eight languages that say the same things. Rows of one id say the same in every language, but those of `text`.

    No sentence of a split of parallel, classification or tagging is in another split or view, nor in the text.
    """

    name: str
    task: Task
    text_sizes: dict[str, int]  # sentences of text to train on, by language: rich and poor ones
    sizes: dict[str, dict[str, int]]  # rows per language, by view and split

    def __post_init__(self) -> None:
        problems = [self._unknown(code) for code in self.text_sizes if code not in world.languages()]
        problems += [
            f"dataset.text_sizes: no size for {code}; add `{code}: 1000`"
            for code in world.languages()
            if code not in self.text_sizes
        ]
        for view, split in SIZED:
            if (view, split) != ("text", "train") and view != "dictionary" and split not in self.sizes.get(view, {}):
                problems.append(f"dataset.sizes.{view}.{split}: has no value; give the number of rows")
        known = {view: {s for v, s in SIZED if v == view} for view, _ in SIZED if view != "dictionary"}
        for view, splits in self.sizes.items():
            for split in splits:
                if split not in known.get(view, ()):
                    problems.append(f"dataset.sizes.{view}.{split}: there is no such split; there are {_listed(known)}")
        if problems:
            raise ConfigError(problems)
        for view, split in SIZED:
            counts = [self.text_sizes[c] for c in self.text_sizes] if (view, split) == ("text", "train") else []
            for wanted in counts or ([] if view == "dictionary" else [self.sizes[view][split]]):
                if not 0 < wanted <= (most := self._most(view, split)):
                    key = "text_sizes" if counts else f"sizes.{view}.{split}"
                    problems.append(f"dataset.{key}: {wanted} is not between 1 and {most}, all that the world can say")
        if problems:
            raise ConfigError(problems)

    def views(self) -> tuple[str, ...]:
        """The main view first."""
        return tuple(view.value for view in VIEWS)

    def labels(self) -> list[str]:
        """Of the task, sorted."""
        return sorted(self._groups())

    def languages(self, view: str) -> list[str]:
        """Sorted codes; pairs `en-X` where the view is parallel or dictionary; in retrieval both, for questions in English and texts in X."""
        self._check_view(view)
        pairs = [f"{world.PIVOT}-{code}" for code in world.languages() if code != world.PIVOT]
        if view == View.retrieval:
            return sorted([*world.languages(), *pairs])
        return pairs if view in PAIRED else list(world.languages())

    def splits(self, view: str, language: str) -> list[str]:
        """The same for every language."""
        if language not in self.languages(view):
            raise unknown_language("language", self.name, language, self.languages(view))
        return [split for v, split in SIZED if v == (View.qa if view == View.retrieval else view)]

    def rows(self, view: str, language: str, split: str) -> Iterator[dict]:
        """Made anew at each call."""
        if split not in self.splits(view, language):
            raise DataError(
                f"dataset {self.name}, language {language}: no {split} split; it has "
                f"{', '.join(self.splits(view, language))}: choose one of them"
            )
        return getattr(self, f"_{View(view).value}")(language, split)

    def fingerprint(self, view: str, language: str, split: str) -> str:
        """SHA-256 over the world's files and the settings that decide these rows."""
        codes = language.split("-")
        digests = [files.sha256(world.ROOT / f"{name}.yaml") for name in ("meaning", *codes)]
        sized = View.qa.value if view == View.retrieval else view
        size = self.text_sizes[language] if (view, split) == ("text", "train") else self.sizes.get(sized, {}).get(split)
        rules = [world.VERSION, self.task.value if view == View.classification else None, size]
        return hashlib.sha256(json.dumps([digests, rules, view, language, split]).encode()).hexdigest()

    def _text(self, language: str, split: str) -> Iterator[dict]:
        size = self.text_sizes[language] if split == "train" else self.sizes["text"][split]
        for item in _spread(list(world.meaning().frames), "text", split, size, language):
            yield {"text": _plain(language, item)}

    def _parallel(self, pair: str, split: str) -> Iterator[dict]:
        source, target = pair.split("-")
        size = self._size(View.parallel, split)
        for number, item in enumerate(_spread(list(world.meaning().frames), "parallel", split, size)):
            yield {"id": f"{split}-{number}", "source": _plain(source, item), "target": _plain(target, item)}

    def _classification(self, language: str, split: str) -> Iterator[dict]:
        groups = self._groups()
        size = self._size(View.classification, split)
        each = [_spread(frames, "classification", split, -(-size // len(groups))) for frames in groups.values()]
        mixed = [
            pair for items in zip(*each, strict=True) for pair in zip(groups, items, strict=True)
        ]  # labels in turn
        for number, at in enumerate(noise.permutation(noise.key(world.VERSION, self.task.value, split), size)):
            label, item = mixed[at]
            yield {"id": f"{split}-{number}", "text": _plain(language, item), "label": label}

    def _tagging(self, language: str, split: str) -> Iterator[dict]:
        for number, item in enumerate(_spread(_naming(), "tagging", split, self._size(View.tagging, split))):
            tokens, tags = tag(_marked(language, item), language in UNSPACED)
            yield {"id": f"{split}-{number}", "tokens": tokens, "tags": tags}

    def _retrieval(self, language: str, split: str) -> Iterator[dict]:
        """Each question of qa that names something, once, with all texts of its language or the pair's second that answer it."""
        asking, *telling = language.split("-")
        both = self._qa(asking, split), self._qa((telling or [asking])[0], split)
        texts: dict[str, list[str]] = {}
        for (story, chosen, asked), question, told in zip(self._asked(split), *both, strict=True):
            if any(slot for slot, _ in world.say(world.PIVOT, (story, asked), world.meaning().stories[story], chosen)):
                texts.setdefault(question["question"], []).append(told["context"])
        for number, (question, contexts) in enumerate(texts.items()):
            yield {"id": f"{split}-{number}", "query": question, "positives": list(dict.fromkeys(contexts))}

    def _recommendation(self, language: str, split: str) -> Iterator[dict]:
        items, users = shops.catalogue(language), []
        for number in range(self._size(View.recommendation, split)):
            taken, following = shops.customer(language, split, number)
            users.append({"id": f"{split}-{number}", "history": [items[i] for i in taken], "next": items[following]})
        return iter(users if split == "train" else with_catalogue(users, list(items)))

    def _qa(self, language: str, split: str) -> Iterator[dict]:
        for number, (story, chosen, asked) in enumerate(self._asked(split)):
            slots = world.meaning().stories[story]
            said = [(slot, world.plain(text)) for slot, text in world.say(language, (story, "text"), slots, chosen)]
            at = next(i for i, (slot, _) in enumerate(said) if slot == asked)
            context, start = "".join(text for _, text in said), sum(len(text) for _, text in said[:at])
            answer = {"text": [said[at][1]], "answer_start": [start]}
            question = world.plain(world.sentence(language, (story, asked), slots, chosen))
            yield {"id": f"{split}-{number}", "question": question, "context": context, "answers": answer}

    def _asked(self, split: str) -> Iterator[tuple[str, dict[str, str], str]]:
        """(story, the concept of each slot, the slot asked for)."""
        stories, ask = world.meaning().stories, world.meaning().ask
        for number, (story, filling) in enumerate(_spread(list(stories), "qa", split, self._size(View.qa, split))):
            yield story, world.fill(stories[story], filling), ask[story][number % len(ask[story])]

    def _dictionary(self, pair: str, split: str) -> Iterator[dict]:
        source, target = (world.language(code).forms for code in pair.split("-"))
        meanings: dict[str, list[str]] = {}
        for kind in world.meaning().words:
            for concept, forms in source[kind].items():
                word = target[kind][concept]["cite"]
                if word not in meanings.setdefault(forms["cite"], []):
                    meanings[forms["cite"]].append(word)
        words = [list(meanings)[i] for i in noise.permutation(noise.key(world.VERSION, "words"), len(meanings))]
        for word in world.share(words, world.WORD_SHARES, "dictionary", split):
            for translation in meanings[word]:
                yield {"word": word, "translation": translation}

    def _groups(self) -> dict[str, list[str]]:
        return world.meaning().topics if self.task is Task.topic else world.meaning().sentiments

    def _size(self, view: View, split: str) -> int:
        return self.sizes[view.value][split]

    def _most(self, view: str, split: str) -> int:
        if view == View.recommendation:
            return shops.MOST
        if view == View.classification:
            groups = self._groups().values()
            return len(groups) * min(_count(frames, view, split) for frames in groups)
        frames = {View.tagging: _naming, View.qa: lambda: list(world.meaning().stories)}
        return _count(frames.get(View(view), lambda: list(world.meaning().frames))(), view, split)

    def _check_view(self, view: str) -> None:
        if view not in self.views():
            raise DataError(
                f"dataset {self.name}: no view {view}; it has {', '.join(self.views())}: choose another objective or "
                "dataset"
            )

    def _unknown(self, code: str) -> str:
        near = get_close_matches(code, world.languages(), 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(world.languages())}"
        return f"dataset.text_sizes: the world does not speak {code}; {hint}"


def tag(marked: str, unspaced: bool) -> tuple[list[str], list[str]]:
    """Tokens and IOB2 tags of a sentence with marked names: words and signs, or characters where words are not spaced."""
    tokens, tags, label, begins = [], [], None, False
    labels = {mark: name for name, mark in world.MARK.items()}
    for token in (CHARACTERS if unspaced else TOKENS).findall(marked):
        if token in labels:
            label, begins = labels[token], True
        elif token == world.END:
            label = None
        else:
            tokens.append(token)
            tags.append("O" if label is None else f"{'B' if begins else 'I'}-{label}")
            begins = False
    return tokens, tags


def _spread(frames: list[str], view: str, split: str, size: int, language: str = "") -> list[Item]:
    """`size` items, as many of each frame as there are, in mixed order. language: a draw of its own."""
    turns = itertools.zip_longest(*([(f, int(n)) for n in _numbers(f, view, split, language)] for f in frames))
    items = list(itertools.islice((item for turn in turns for item in turn if item is not None), size))
    return [items[i] for i in noise.permutation(noise.key(world.VERSION, view, split, language), len(items))]


def _numbers(frame: str, view: str, split: str, language: str) -> np.ndarray:
    slots = (world.meaning().frames | world.meaning().stories)[frame]
    shares = world.STORY_SHARES if view == View.qa else world.SHARES
    found = world.share(world.numbers(frame, slots), shares, view, split)
    return found[noise.permutation(noise.key(world.VERSION, frame, language), len(found))] if language else found


def _count(frames: list[str], view: str, split: str) -> int:
    return sum(len(_numbers(frame, view, split, "")) for frame in frames)


def _naming() -> list[str]:
    """Frames that name a person, place or organisation."""
    meaning = world.meaning()
    return [frame for frame, slots in meaning.frames.items() if any(slot.type in meaning.entities for slot in slots)]


def _marked(language: str, item: Item) -> str:
    slots = world.meaning().frames[item[0]]
    return world.sentence(language, item[0], slots, world.fill(slots, item[1]))


def _plain(language: str, item: Item) -> str:
    return world.plain(_marked(language, item))


def _listed(known: dict[str, set[str]]) -> str:
    return ", ".join(f"{view}.{split}" for view, splits in known.items() for split in sorted(splits))

"""Data sets with known faults, from a seed: the same bytes at every call. What was planted, and where, is returned."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import yaml

from xlt.config import paths
from xlt.config.build import build_node

ALPHABETS = {
    "en": "abcdefghijklmnop",
    "ru": "абвгдежзиклмнопр",
    "ar": "ابتثجحخدذرزسشصضط",
    "hi": "कखगघचछजझटठडढतथदध",
    "el": "αβγδεζηθικλμνξοπ",
    "he": "אבגדהוזחטיכלמנסע",
}
LABELS = ("bad", "fair", "good")


def dataset(folder: Path, preset: str = "classification_files", **changes):
    """The data set of that preset with its files in `folder`."""
    node = yaml.safe_load((paths.conf_dir() / "dataset" / f"{preset}.yaml").read_text(encoding="utf-8"))
    return build_node({**node, "name": "dirty", "root": str(folder), **changes}, "dataset")


def words(draw: Random, language: str, count: int) -> list[str]:
    """Made-up words in the language's script."""
    return ["".join(draw.choices(ALPHABETS[language], k=draw.randint(2, 8))) for _ in range(count)]


def sentence(draw: Random, language: str, least: int = 8, most: int = 20) -> str:
    """Some of them."""
    return " ".join(words(draw, language, draw.randint(least, most)))


def labelled(folder: Path, draw: Random, languages=("en", "ru"), sizes=(40, 10, 10), labels=LABELS) -> Path:
    """<folder>/<language>/{train,dev,test}.jsonl; ids go on through the splits, and are those of the other languages' translations."""
    for language in languages:
        number = 0
        for split, size in zip(("train", "dev", "test"), sizes, strict=True):
            rows = []
            for _ in range(size):
                rows.append(
                    {"id": number, "text": sentence(draw, language), "label": labels[number * 7 % 11 % len(labels)]}
                )
                number += 1
            write(folder / language / f"{split}.jsonl", [json.dumps(row, ensure_ascii=False) for row in rows])
    return folder


def parallel(folder: Path, draw: Random, rows: int, shift: int = 0, at: int = 0) -> Path:
    """<folder>/train.en-ru.{en,ru}: sides whose lengths and numbers go together; from line `at` on the second stands `shift` lines later."""
    left, right = [], []
    for _ in range(rows):
        length = max(3, round(draw.lognormvariate(2.6, 0.5)))
        number = f" {draw.randint(1, 2000)}" if draw.random() < 0.2 else ""
        left.append(" ".join(words(draw, "en", length)) + number)
        right.append(" ".join(words(draw, "ru", max(2, round(length * draw.lognormvariate(0, 0.2))))) + number)
    right[at:at] = [sentence(draw, "ru") for _ in range(shift)]
    write(folder / "train.en-ru.en", left)
    write(folder / "train.en-ru.ru", right[:rows])
    return folder


def write(path: Path, lines: list[str | bytes], end: bytes = b"\n") -> Path:
    """Lines as bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join((line if isinstance(line, bytes) else line.encode()) + end for line in lines))
    return path


def plant(path: Path, draw: Random, bad: list[bytes]) -> list[int]:
    """Put the lines somewhere after the first; returns their numbers, ascending, and keeps their order."""
    lines = path.read_bytes().split(b"\n")[:-1]
    places = sorted(draw.sample(range(1, len(lines) + len(bad)), len(bad)))
    for place, line in zip(places, bad, strict=True):
        lines.insert(place, line)
    path.write_bytes(b"\n".join(lines) + b"\n")
    return [place + 1 for place in places]

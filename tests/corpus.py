"""A small corpus in made-up languages, written as the files a user would have. The same bytes on every machine and at every call."""

from __future__ import annotations

from pathlib import Path
from random import Random

from tests.toy import word_tokenizer

LANGUAGES = ("en", "de", "sw")
LABELS = ("bad", "good")
_ONSETS = {"en": "bdfg", "de": "klmn", "sw": "prst"}


def words(language: str) -> list[str]:
    """64 words of a language; the i-th words of all languages mean the same."""
    return [a + b + c + "o" for a in _ONSETS[language] for b in "aeiu" for c in "bkmt"]


def sentence(language: str, number: int) -> list[str]:
    """Words of the number-th sentence, 3 to 14 of them; sentence `number` of every language is a translation."""
    draw = Random(number)
    return [words(language)[int(draw.random() ** 2 * 64)] for _ in range(3 + int(draw.random() * 12))]


def write_text(folder: Path, sizes: dict[str, int]) -> Path:
    """<folder>/<language>/{train,dev}.txt; sizes: training sentences per language."""
    for language, size in sizes.items():
        _lines(folder / language / "train.txt", [" ".join(sentence(language, i)) for i in range(size)])
        _lines(folder / language / "dev.txt", [" ".join(sentence(language, 10_000 + i)) for i in range(12)])
    return folder


def write_labelled(folder: Path, rows: int = 60) -> Path:
    """<folder>/<language>/{train,dev,test}.tsv: the label is good where the first word is one of the first eight."""
    for language in LANGUAGES:
        for split, start, size in (("train", 0, rows), ("dev", 20_000, 16), ("test", 30_000, 20)):
            texts = [sentence(language, start + i) for i in range(size)]
            lines = [f"{' '.join(t)}\t{LABELS[words(language).index(t[0]) < 8]}" for t in texts]
            _lines(folder / language / f"{split}.tsv", ["text\tlabel", *lines])
    return folder


def write_parallel(folder: Path, rows: int = 60) -> Path:
    """<folder>/en-de/{train,dev}.tsv."""
    for split, start, size in (("train", 0, rows), ("dev", 40_000, 16)):
        pairs = [" ".join(sentence("en", i)) + "\t" + " ".join(sentence("de", i)) for i in range(start, start + size)]
        _lines(folder / "en-de" / f"{split}.tsv", ["source\ttarget", *pairs])
    return folder


def write_dictionary(folder: Path) -> Path:
    """<folder>/{en-de,en-sw}/{train,test}.tsv: word and translation."""
    for other in ("de", "sw"):
        pairs = ["\t".join(pair) for pair in zip(words("en"), words(other), strict=True)]
        _lines(folder / f"en-{other}" / "train.tsv", pairs[:40])
        _lines(folder / f"en-{other}" / "test.tsv", pairs[40:])
    return folder


def write_vectors(folder: Path) -> str:
    """<folder>/<language>.vec, 8 numbers a word; returns the path with {lang} as objective.vectors wants it."""
    for language in LANGUAGES:
        draw = Random(language)
        rows = [f"{word} " + " ".join(f"{draw.random() - 0.5:.4f}" for _ in range(8)) for word in words(language)]
        _lines(folder / f"{language}.vec", [f"{len(rows)} 8", *rows])
    return str(folder / "{lang}.vec")


def write_tokenizer(folder: Path) -> Path:
    """Every word of every language is one token."""
    word_tokenizer([word for language in LANGUAGES for word in words(language)]).save_pretrained(folder)
    return folder


def _lines(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")

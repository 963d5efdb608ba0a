"""Predictions in the layouts that other people's scorers read: one function a layout, from the lines of predictions/*.jsonl to files of its own.

A layout is added to `LAYOUTS`; `xlt zero-shot-eval export=NAME` then writes it below <run>/exports/NAME.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from xlt import files, languages
from xlt.errors import ConfigError, DataError


@dataclass(frozen=True)
class Layout:
    """views: the views whose predictions it can hold; datasets: the data sets, by name (empty: any).

    write(folder, dataset, language, lines): the files of one language.
    """

    views: tuple[str, ...]
    write: Callable[[Path, str, str, list[dict]], None]
    datasets: Collection[str] = ()


def chosen(name: str | None, objective, dataset: str) -> Layout | None:
    """The layout of that name, one of `LAYOUTS`, for the predictions of `objective`; None for none. ConfigError if it cannot hold them."""
    if name is None:
        return None
    layout, kind = LAYOUTS[name], type(objective).__name__
    if objective.view not in layout.views or not hasattr(objective, "records"):
        fitting = [other for other, each in LAYOUTS.items() if objective.view in each.views]
        raise ConfigError(
            f"export: {name} holds predictions on {' or '.join(layout.views)}, and {kind} reads {objective.view}; leave export out"
            + (f", or take {' or '.join(fitting)}" if fitting else "")
        )
    if layout.datasets and dataset not in layout.datasets:
        raise ConfigError(
            f"export: {name} knows no data set {dataset}; leave export out, or, if it is one of those it knows ({', '.join(layout.datasets)}), say so by dataset.name"
        )
    return layout


def squad(folder: Path, dataset: str, language: str, lines: list[dict]) -> None:
    """<dataset>.<language>.json {id: answer}, as evaluate-v1.1.py, evaluate-v2.0.py and mlqa_evaluation_v1.py read it; where questions may have no
    answer, <dataset>.<language>.na_prob.json {id: probability of none} for evaluate-v2.0.py's --na-prob-file.
    """
    by_id: dict[str, dict] = {}
    for line in lines:
        if by_id.setdefault(str(line["id"]), line) is not line:
            raise DataError(
                f"dataset {dataset}, language {language}: two rows have the id {line['id']}, and export=squad holds one answer for each; "
                "give each row its own, or leave export out"
            )
    files.write_json(folder / f"{dataset}.{language}.json", {key: line["prediction"] for key, line in by_id.items()})
    if all("null_odds" in line for line in lines):
        odds = {key: line["null_odds"] for key, line in by_id.items()}
        files.write_json(folder / f"{dataset}.{language}.na_prob.json", {key: sigmoid(x) for key, x in odds.items()})


def sigmoid(x: float) -> float:
    """Of log odds, the probability."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def conll(folder: Path, dataset: str, language: str, lines: list[dict]) -> None:
    """<dataset>.<language>.conll: word, gold tag and predicted tag of each word, a blank line after each sentence, as conlleval reads it (Tjong Kim Sang
    and Buchholz 2000). Its columns end at a blank, so blanks inside a word become underscores.
    """
    rows = []
    for line in lines:
        words = ["_".join(word.split()) or "_" for word in line["tokens"]]
        rows += [" ".join(columns) for columns in zip(words, line["tags"], _tags(line), strict=True)]
        rows.append("")
    files.write_text(folder / f"{dataset}.{language}.conll", "".join(f"{row}\n" for row in rows))


XTREME = {"pawsx": "pawsx", "xnli": "xnli", "panx": "panx", "wikiann": "panx", "udpos": "udpos", "xquad": "xquad", "mlqa": "mlqa",
          "tydiqa_goldp": "tydiqa", "tatoeba": "tatoeba"}  # fmt: skip  # our data sets, and the folders that its evaluate.py knows


def xtreme(folder: Path, dataset: str, language: str, lines: list[dict]) -> None:
    """<task>/test-<language>.tsv, or .json for questions, as evaluate.py of github.com/google-research/xtreme reads a prediction folder.

    A label a line; a tag a line and a blank line after each sentence; {id: answer}; of sentence retrieval, for each sentence of the other language
    the number (from 0) of the English one that it finds. That task's official labels are for its English sentences in an order of their own.
    """
    place, tags = folder / XTREME[dataset], "tags" in lines[0]
    code = _other_than_english(language)
    if "question" in lines[0]:
        files.write_json(place / f"test-{code}.json", {str(line["id"]): line["prediction"] for line in lines})
        return
    if "found_by_source" in lines[0]:
        english_first = languages.canonical(languages.pair(language)[0]) == "en"
        told = [line["found_by_target" if english_first else "found_by_source"] for line in lines]
    else:
        told = ["".join(f"{tag}\n" for tag in _tags(line)) if tags else line["prediction"] for line in lines]
    files.write_text(place / f"test-{code}.tsv", "".join(f"{each}\n" for each in told))


def _tags(line: dict) -> list[str]:
    """The predicted tags of a row, which may have an intent beside them."""
    said = line["prediction"]
    return said["tags"] if isinstance(said, dict) else said


def _other_than_english(language: str) -> str:
    """XTREME's code of a language, which is ISO 639-1; of a pair, of the one that is not English."""
    if not languages.known(language):
        language = next((code for code in languages.pair(language) if languages.canonical(code) != "en"), "en")
    return languages.canonical(language)


LAYOUTS = {
    "squad": Layout(("qa",), squad),
    "conll": Layout(("tagging",), conll),
    "xtreme": Layout(("classification", "tagging", "qa", "parallel"), xtreme, XTREME),
}

"""What a row of each view must hold: from a raw row with the file's column names to a checked row with ours.

A column may be named by several names, `label|category`: the first that the file has is taken; `title+body`: both texts, a
blank between them. `#` is the row's number among those of its file: the id where lines of several files belong together and
none is written.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import Enum

from xlt.errors import BadRow


class View(str, Enum):
    """What the rows of a data set are."""

    text = "text"
    parallel = "parallel"
    classification = "classification"
    multilabel = "multilabel"
    regression = "regression"
    tagging = "tagging"
    qa = "qa"
    retrieval = "retrieval"
    dictionary = "dictionary"
    recommendation = "recommendation"


REQUIRED = {
    View.text: ("text",),
    View.parallel: ("source", "target"),
    View.classification: ("text", "label"),
    View.multilabel: ("text", "labels"),
    View.regression: ("text", "score"),
    View.tagging: ("tokens", "tags"),
    View.qa: ("id", "question", "context", "answers"),
    View.retrieval: ("query", "positives"),
    View.dictionary: ("word", "translation"),
    View.recommendation: ("history", "next"),
}
OPTIONAL = {
    View.text: ("doc",),
    View.classification: ("text_pair",),
    View.multilabel: ("text_pair",),
    View.regression: ("text_pair",),
    View.tagging: ("label",),
    View.retrieval: ("candidates",),
    View.recommendation: ("candidates",),
}
FIELDS = {
    view: ("id", *(name for name in names if name != "id"), *OPTIONAL.get(view, ())) for view, names in REQUIRED.items()
}
KNOWN = sorted({name for names in FIELDS.values() for name in names})


def projector(view: View, columns: dict[str, str], labels: list[str] | None, max_line: int) -> Callable[[dict], dict]:
    """The function that makes a row of `view` from a raw row, or raises BadRow.

    columns: ours -> theirs. labels: the only ones allowed. max_line: characters of a text.
    """
    wanted = [(ours, columns[ours].split("|"), _CHECKS.get(ours, _text)) for ours in FIELDS[view] if ours in columns]
    known = None if labels is None else set(labels)

    def project(raw: dict) -> dict:
        row = {ours: check(ours, _value(raw, ours, theirs), max_line) for ours, theirs, check in wanted}
        if view is View.tagging and len(row["tokens"]) != len(row["tags"]):
            raise BadRow(
                f"{len(row['tokens'])} tokens but {len(row['tags'])} tags{_named(row)}; give each token one tag"
            )
        if known is not None and view in _LABELLED:
            for label in _LABELLED[view](row):
                if label not in known:
                    raise BadRow(
                        f"label {label!r} is not one of {', '.join(labels)}; correct it, or add it to "
                        "dataset.label_names"
                    )
        if view is View.qa:
            _check_answers(row)
        return row

    return project


def _value(raw: dict, ours: str, theirs: list[str]) -> object:
    for name in theirs:
        if name in raw:
            return raw[name]
        if raw.keys() >= {*(parts := name.split("+"))}:
            texts = [raw[part] for part in parts if raw[part]]
            return " ".join(texts) if all(isinstance(text, str) for text in texts) else texts
    raise BadRow(
        f"no column {' or '.join(theirs)}; it has {', '.join(map(str, raw))}: name the right one in "
        f"dataset.columns.{ours}"
    )


def _text(name: str, value: object, max_line: int) -> str:
    if not isinstance(value, str):
        raise BadRow(f"{name} is {_shown(value)} where a string is expected; correct or remove the row")
    if not value or value.isspace():
        raise BadRow(f"{name} is empty; remove the row, or fill it in")
    if "\0" in value:
        raise BadRow(f"{name} holds a NUL character; remove it")
    if len(value) > max_line:
        raise BadRow(f"{name} is longer than {max_line} characters; split or remove it, or raise dataset.max_line")
    return value


def _label(name: str, value: object, max_line: int) -> str:
    if isinstance(value, str) and value and not value.isspace():
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise BadRow(f"{name} is {_shown(value)} where a name is expected; correct or remove the row")


def _id(name: str, value: object, max_line: int) -> str | int:
    if isinstance(value, (str, int)) and not isinstance(value, bool) and value != "":
        return value
    raise BadRow(f"{name} is {_shown(value)} where a string or a whole number is expected; correct or remove the row")


def _texts(name: str, value: object, max_line: int) -> list[str]:
    if not isinstance(value, list) or not value:
        raise BadRow(f"{name} is {_shown(value)} where a list of strings is expected; correct or remove the row")
    return [_text(f"{name}[{i}]", item, max_line) for i, item in enumerate(value)]


def _some_texts(name: str, value: object, max_line: int) -> list[str]:
    """There may be none."""
    return [] if value == [] else _texts(name, value, max_line)


def _item(name: str, value: object, max_line: int) -> str | int:
    """What names an item, or the item's text."""
    return _text(name, value, max_line) if isinstance(value, str) else _id(name, value, max_line)


def _items(name: str, value: object, max_line: int) -> list[str | int]:
    if not isinstance(value, list) or not value:
        raise BadRow(f"{name} is {_shown(value)} where a list of items is expected; correct or remove the row")
    return [_item(f"{name}[{i}]", item, max_line) for i, item in enumerate(value)]


def _tags(name: str, value: object, max_line: int) -> list[str]:
    if not isinstance(value, list):
        raise BadRow(f"{name} is {_shown(value)} where a list of names is expected; correct or remove the row")
    return [_label(f"{name}[{i}]", item, max_line) for i, item in enumerate(value)]


def _labels(name: str, value: object, max_line: int) -> list[str]:
    """There may be none, and none twice."""
    labels = _tags(name, value, max_line)
    if len(set(labels)) < len(labels):
        raise BadRow(f"{name} is {_shown(value)}, where each label may stand once; remove the others")
    return labels


def _number(name: str, value: object, max_line: int) -> float:
    """Also as it is written in a table."""
    try:
        if not isinstance(value, bool) and math.isfinite(number := float(value)):
            return number
    except (TypeError, ValueError, OverflowError):
        pass
    raise BadRow(f"{name} is {_shown(value)} where a number is expected; correct or remove the row")


def _answers(name: str, value: object, max_line: int) -> dict:
    """SQuAD's {"text": [...], "answer_start": [...]}, also from a list of {"text", "start" or "answer_start"}."""
    try:
        if isinstance(value, list):
            value = {
                "text": [a["text"] for a in value],
                "answer_start": [a["start"] if "start" in a else a["answer_start"] for a in value],
            }
        texts, starts = list(value["text"]), list(value["answer_start"])
        if len(texts) == len(starts) and all(isinstance(t, str) for t in texts) and all(type(s) is int for s in starts):
            return {"text": texts, "answer_start": starts}
    except (KeyError, TypeError):
        pass
    raise BadRow(f"{name} is {_shown(value)} where a list of {{text, start}} is expected; correct or remove the row")


def _check_answers(row: dict) -> None:
    for text, start in zip(row["answers"]["text"], row["answers"]["answer_start"], strict=True):
        if start < 0 or row["context"][start : start + len(text)] != text:
            found = row["context"][max(start, 0) :][: len(text)]
            raise BadRow(
                f"the answer {text!r} is not at character {start} of its context, {found!r} is{_named(row)}; correct "
                "the offset"
            )


def _shown(value: object) -> str:
    text = repr(value)
    return "missing" if value is None else text if len(text) <= 60 else text[:57] + "..."


def _named(row: dict) -> str:
    return f" (id {row['id']})" if "id" in row else ""


_LABELLED = {  # the labels of a row that are of the set that a data set declares
    View.classification: lambda row: [row["label"]],
    View.multilabel: lambda row: row["labels"],
    View.tagging: lambda row: row["tags"],
}
_CHECKS = {
    "id": _id,
    "doc": _id,
    "label": _label,
    "labels": _labels,
    "score": _number,
    "tokens": _texts,
    "tags": _tags,
    "positives": _texts,
    "candidates": _some_texts,
    "history": _items,
    "next": _item,
    "answers": _answers,
}

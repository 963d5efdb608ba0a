"""What a row of each view must hold: from a raw row with the file's column names to a checked row with ours.

A column may be named by several names, `label|category`: the first that the file has is taken. `title+body` are several of the
file's columns: one text with a blank between them, or where ours is a list (`choice1+choice2`) its members. `#` is the row's
number among those of its file: the id where lines of several files belong together and none is written.
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
    tagged_parallel = "tagged_parallel"
    qa = "qa"
    retrieval = "retrieval"
    dictionary = "dictionary"
    recommendation = "recommendation"
    multiple_choice = "multiple_choice"
    dialog = "dialog"
    conversation = "conversation"  # a whole dialog, which `xlt.data.dialogs` unfolds to rows of `dialog`


REQUIRED = {
    View.text: ("text",),
    View.parallel: ("source", "target"),
    View.classification: ("text", "label"),
    View.multilabel: ("text", "labels"),
    View.regression: ("text", "score"),
    View.tagging: ("tokens", "tags"),
    View.tagged_parallel: ("source", "target", "source_tags"),
    View.qa: ("id", "question", "context", "answers"),
    View.retrieval: ("query", "positives"),
    View.dictionary: ("word", "translation"),
    View.recommendation: ("history", "next"),
    View.multiple_choice: ("premise", "choices", "label"),
    View.dialog: ("history", "response"),
    View.conversation: ("turns",),
}
OPTIONAL = {
    View.text: ("doc",),
    View.parallel: ("alignment",),
    View.tagged_parallel: ("target_tags",),
    View.classification: ("text_pair",),
    View.multilabel: ("text_pair",),
    View.regression: ("text_pair",),
    View.tagging: ("label",),
    View.retrieval: ("candidates",),
    View.recommendation: ("candidates",),
    View.multiple_choice: ("question",),
    View.dialog: ("persona", "candidates", "doc"),
    View.conversation: ("persona",),
}
FIELDS = {
    view: ("id", *(name for name in names if name != "id"), *OPTIONAL.get(view, ())) for view, names in REQUIRED.items()
}
KNOWN = sorted({name for names in FIELDS.values() for name in names})


def projector(view: View, columns: dict[str, str], labels: list[str] | None, max_line: int) -> Callable[[dict], dict]:
    """The function that makes a row of `view` from a raw row, or raises BadRow.

    columns: ours -> theirs. labels: the only ones allowed; of multiple choice, what labels call the first choice, the
    second and so on (None: 0, 1, ...), and a row's label is the number of its choice, from 0. max_line: characters of a text.
    """
    checks = _CHECKS | _CHECKS_OF.get(view, {})
    wanted = [(ours, columns[ours].split("|"), checks.get(ours, _text)) for ours in FIELDS[view] if ours in columns]
    known = None if labels is None else set(labels)

    def project(raw: dict) -> dict:
        row = {ours: check(ours, _value(raw, ours, theirs, check is _text), max_line) for ours, theirs, check in wanted}
        for words, tags in _TAGGED.get(view, ()):
            _check_tags(row, words, tags)
        if known is not None and view in _LABELLED:
            for label in _LABELLED[view](row):
                if label not in known:
                    raise BadRow(
                        f"label {label!r} is not one of {', '.join(labels)}; correct it, or add it to "
                        "dataset.label_names",
                        f"label {label!r}",
                    )
        if view is View.qa:
            _check_answers(row)
        if view is View.multiple_choice:
            row["label"] = _choice(row, labels)
        return row

    return project


def _value(raw: dict, ours: str, theirs: list[str], text: bool) -> object:
    for name in theirs:
        if name in raw:
            return raw[name]
        if raw.keys() >= {*(parts := name.split("+"))}:
            values = [raw[part] for part in parts]
            return " ".join(filter(None, values)) if text and all(isinstance(v, str | None) for v in values) else values
    raise BadRow(
        f"no column {' or '.join(theirs)}; it has {', '.join(map(str, raw))}: name the right one in "
        f"dataset.columns.{ours}",
        "no such column",
    )


def _text(name: str, value: object, max_line: int) -> str:
    if not isinstance(value, str):
        raise BadRow(f"{name} is {_shown(value)} where a string is expected; correct or remove the row")
    if not value or value.isspace():
        raise BadRow(f"{name} is empty; remove the row, or fill it in", f"{name} is empty")
    if "\0" in value:
        raise BadRow(f"{name} holds a NUL character; remove it", "NUL character")
    if len(value) > max_line:
        raise BadRow(
            f"{name} is longer than {max_line} characters; split or remove it, or raise dataset.max_line", "too long"
        )
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


def _words(name: str, value: object, max_line: int) -> str | list[str]:
    """A text, or its words."""
    return (_texts if isinstance(value, list) else _text)(name, value, max_line)


def _links(name: str, value: object, max_line: int) -> str:
    """Links between words as text; there may be none."""
    return "" if value == "" else _text(name, value, max_line)


def _choices(name: str, value: object, max_line: int) -> list[str]:
    choices = _texts(name, value, max_line)
    if len(choices) == 1:
        raise BadRow(f"{name} has one text, and there is nothing to choose; give two or more, or remove the row")
    return choices


def _choice(row: dict, labels: list[str] | None) -> int:
    """The number of the right choice, from 0."""
    count = len(row["choices"])
    names = [str(i) for i in range(count)] if labels is None else labels[:count]
    if row["label"] not in names:
        raise BadRow(
            f"label {row['label']!r} is not one of {', '.join(names)}, by which its {count} choices go{_named(row)}; correct it, or list in "
            "dataset.label_names what labels call the first choice, the second and so on"
        )
    return names.index(row["label"])


def _turns(name: str, value: object, max_line: int) -> list[str]:
    """What the speakers say in turn, also from a list of such lists ([user, response] pairs)."""
    if isinstance(value, list) and value and all(isinstance(item, list) for item in value):
        value = [text for item in value for text in item]
    return _texts(name, value, max_line)


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


def _check_tags(row: dict, words: str, tags: str) -> None:
    if tags not in row:
        return
    if isinstance(row[words], str):
        raise BadRow(
            f"{words} is a text, but it has {tags}{_named(row)}; give its words as a list, one for each tag", "tags"
        )
    if len(row[words]) != len(row[tags]):
        raise BadRow(
            f"{len(row[words])} {words} but {len(row[tags])} {tags}{_named(row)}; give each token one tag", "tags"
        )


def _check_answers(row: dict) -> None:
    for text, start in zip(row["answers"]["text"], row["answers"]["answer_start"], strict=True):
        if start < 0 or row["context"][start : start + len(text)] != text:
            found = row["context"][max(start, 0) :][: len(text)]
            raise BadRow(
                f"the answer {text!r} is not at character {start} of its context, {found!r} is{_named(row)}; correct "
                "the offset",
                "answer",
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
    View.tagged_parallel: lambda row: [*row["source_tags"], *row.get("target_tags", ())],
}
_CHECKS = {
    "id": _id,
    "doc": _id,
    "label": _label,
    "labels": _labels,
    "score": _number,
    "tokens": _texts,
    "tags": _tags,
    "source_tags": _tags,
    "target_tags": _tags,
    "alignment": _links,
    "positives": _texts,
    "candidates": _some_texts,
    "history": _items,
    "next": _item,
    "answers": _answers,
    "choices": _choices,
    "persona": _some_texts,
    "turns": _turns,
}
_TAGGED = {  # columns of words, and that of their tags
    View.tagging: [("tokens", "tags")],
    View.tagged_parallel: [("source", "source_tags"), ("target", "target_tags")],
}
_CHECKS_OF = {
    View.dialog: {"history": _some_texts},
    View.tagged_parallel: {"source": _texts, "target": _words},
}  # of columns that mean something else in another view

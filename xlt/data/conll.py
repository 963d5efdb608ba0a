"""Sentences of one token a line: CoNLL-U, and the plain columns of CoNLL shared tasks and BIO files. Rows hold a list per column."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from xlt.data.lines import lines
from xlt.errors import DataError

CONLLU = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
_BLANKS = re.compile(r"[ \t]+")  # not str.split: no-break spaces occur inside tokens


def conllu(path: Path, max_line: int) -> Iterator[tuple[int, dict]]:
    """Columns `form`, `upos`, ... as lists, and the comments (`text`, `sent_id`) as strings; universaldependencies.org/format.html.

    Lines of multiword tokens (1-2) and of empty nodes (1.1) are left out: the syntactic words carry the tags.
    """
    for begin, block in _blocks(path, max_line):
        comments = dict(re.split(r"\s*=\s*", line[1:].strip(), maxsplit=1) for _, line in block if line.startswith("#") and "=" in line)
        words = []
        for number, line in block:
            if line.startswith("#"):
                continue
            cells = line.split("\t")
            if len(cells) != len(CONLLU):
                raise DataError(f"{path} line {number}: {len(cells)} columns where CoNLL-U has 10, separated by tabs; repair the line, or use dataset.format=conll")
            if cells[0].isdigit():
                words.append(cells)
        if words:
            yield begin, comments | dict(zip(CONLLU, map(list, zip(*words, strict=True)), strict=True))


def conll(path: Path, max_line: int) -> Iterator[tuple[int, dict]]:
    """Columns `1`, `2`, ... from the left and `-1`, `-2`, ... from the right, separated by tabs if the file has any, else by blanks.

    At the start of a sentence, a line that begins with `# ` is a comment unless it has the file's number of columns and no `=`
    (then it is the token #). -DOCSTART- lines are no tokens.
    """
    tabs: bool | None = None
    width: int | None = None
    for begin, block in _blocks(path, max_line):
        words = []
        for number, line in block:
            if tabs is None and not line.startswith("# "):
                tabs = "\t" in line
            cells = line.split("\t") if tabs else _BLANKS.split(line.strip(" \t"))
            if not words and line.startswith("# ") and ("=" in line or len(cells) != width):
                continue
            if cells[0] == "-DOCSTART-":
                continue
            width = width or len(cells)
            if len(cells) != width:
                raise DataError(f"{path} line {number}: {len(cells)} columns where the file has {width}; repair the line (a sentence ends with an empty line)")
            words.append(cells)
        if words:
            columns = [list(column) for column in zip(*words, strict=True)]
            yield begin, {str(i + 1): c for i, c in enumerate(columns)} | {str(i - len(columns)): c for i, c in enumerate(columns)}


def _blocks(path: Path, max_line: int) -> Iterator[tuple[int, list[tuple[int, str]]]]:
    """Runs of lines between empty lines, with the number of the first."""
    block: list[tuple[int, str]] = []
    for number, line in lines(path, max_line):
        if line.strip(" \t"):
            block.append((number, line))
        elif block:
            yield block[0][0], block
            block = []
    if block:
        yield block[0][0], block

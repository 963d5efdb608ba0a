"""Sentences of one token a line: CoNLL-U, and the columns of CoNLL shared tasks and BIO files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from xlt.data.faults import Fault, Found, refuse
from xlt.data.lines import marked

CONLLU = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
DOCSTART = "-DOCSTART-"


def conllu(path: Path, max_line: int, found: Found = refuse) -> Iterator[tuple[int, dict | None]]:
    """Columns `form`, `upos`, ... as lists, and the comments (`text`, `sent_id`) as strings;
    see universaldependencies.org/format.html.

    Lines of multiword tokens (1-2) and of empty nodes (1.1) are left out: the syntactic words carry the tags.
    """
    for begin, block in _blocks(path, max_line, found):
        if block is None:
            yield begin, None
            continue
        comments = dict(
            re.split(r"\s*=\s*", line[1:].strip(), maxsplit=1)
            for _, line in block
            if line.startswith("#") and "=" in line
        )
        words, whole = [], True
        for number, line in block:
            if line.startswith("#"):
                continue
            cells = line.split("\t")
            if len(cells) != len(CONLLU):
                what = f"{len(cells)} columns where CoNLL-U has 10, separated by tabs; repair the line, or use dataset.format=conll"
                found(Fault(f"{path} line {number}", what, "columns", row=line))
                whole = False
            elif cells[0].isdigit():
                words.append(cells)
        if not whole:
            yield begin, None
        elif words:
            yield begin, comments | dict(zip(CONLLU, map(list, zip(*words, strict=True)), strict=True))


def conll(path: Path, max_line: int, found: Found = refuse) -> Iterator[tuple[int, dict | None]]:
    """Columns `1`, `2`, ... from the left and `-1`, `-2`, ... from the right, separated by tabs if the
    file has any, else by blanks.

    At the start of a sentence, a line that begins with `# ` is a comment, unless it has the file's number of columns
    and no `=` (then it is the token #). -DOCSTART- lines are no tokens.
    """
    tabs, width = False, 0
    for begin, block in _blocks(path, max_line, found):
        if block is None:
            yield begin, None
            continue
        sample = next((line for _, line in block if not line.startswith(("# ", DOCSTART))), None)
        if not width and sample is not None:
            tabs = "\t" in sample
            width = len(_cells(sample, tabs))
        words, whole = [], True
        for number, line in block:
            cells = _cells(line, tabs)
            if line.startswith(DOCSTART) or (
                not words and line.startswith("# ") and ("=" in line or len(cells) != width)
            ):
                continue
            if len(cells) != width:
                what = (
                    f"{len(cells)} columns where the file has {width}; repair the line (an empty line ends a sentence)"
                )
                found(Fault(f"{path} line {number}", what, "columns", row=line))
                whole = False
            else:
                words.append(cells)
        if not whole:
            yield begin, None
        elif words:
            columns = [list(column) for column in zip(*words, strict=True)]
            yield (
                begin,
                {str(i + 1): c for i, c in enumerate(columns)} | {str(i - width): c for i, c in enumerate(columns)},
            )


def _cells(line: str, tabs: bool) -> list[str]:
    # not str.split(): no-break spaces and the like occur inside tokens
    return line.split("\t") if tabs else re.split(r"[ \t]+", line.strip(" \t"))


def _blocks(path: Path, max_line: int, found: Found) -> Iterator[tuple[int, list[tuple[int, str]] | None]]:
    """Runs of lines between empty lines, with the number of the first; None for one that has a faulty line."""
    block: list[tuple[int, str | None]] = []
    for number, line in marked(path, max_line, found):
        if line is None or line.strip(" \t"):
            block.append((number, line))
        elif block:
            yield block[0][0], _whole(block)
            block = []
    if block:
        yield block[0][0], _whole(block)


def _whole(block: list[tuple[int, str | None]]) -> list[tuple[int, str]] | None:
    return None if any(line is None for _, line in block) else block

"""Data sets: files in a folder or a table on the hub (Files), and several of them as one (Mixture).

The dataclasses are targets of conf/dataset/*.yaml and hold no values of their own. They say where rows are and what they are called; how a
format is read is in `xlt.data.readers`, what a row must hold in `xlt.data.rows`.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property, lru_cache
from itertools import combinations
from pathlib import Path
from typing import Any

from xlt import files
from xlt.data import hub, patterns, readers
from xlt.data.readers import Format
from xlt.data.rows import KNOWN, REQUIRED, BadRow, View, projector
from xlt.errors import ConfigError, DataError


@dataclass(frozen=True, kw_only=True)
class Files:
    """One data set, one file (or hub config) per language and split.

    Beside `view`, it offers `text` where the rows have a text, and `parallel` where `align_on` names the column by which rows of different
    languages are translations of each other.
    """

    name: str
    view: View
    root: str | None  # folder of the data; null: take it from the hub
    pattern: str  # where a file lies, see xlt.data.patterns
    format: Format
    columns: dict[str, str]  # our column: theirs. `a|b`: the first that is there. Numbers: columns of tables without header
    splits: dict[str, str]  # our split: theirs. `a|b`: the first that is there
    labels: list[str] | None  # the closed set, in the order of their ids
    languages_: list[str] | None
    align_on: str | None
    pivot: str | None  # pairs are pivot-X; null: all pairs
    hub: str | None
    hub_config: str | None  # with {lang}, {flores} (its FLORES-200 code), {source} or {target}
    max_line: int  # characters

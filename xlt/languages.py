"""The languages: code, name, script, family, direction, and the other codes by which data sets call them.

A code is ISO 639-1 where there is one, else ISO 639-3. The list is xlt/languages.tsv, one language a line; data sets keep their own
spelling, and this room says which of them mean the same.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from xlt.errors import ConfigError

_RIGHT_TO_LEFT = {"Arab", "Hebr", "Thaa", "Syrc", "Nkoo"}


@dataclass(frozen=True)
class Language:
    """One language. script: ISO 15924, the usual one. aliases: other codes for it, as data sets write them."""

    code: str
    iso639_3: str
    name: str
    script: str
    family: str
    aliases: tuple[str, ...]

    @property
    def direction(self) -> str:
        """ltr or rtl, from the script."""
        return "rtl" if self.script in _RIGHT_TO_LEFT else "ltr"


def info(code: str) -> Language:
    """The language of a code or alias. ConfigError with the nearest code if there is none."""
    return _table()[canonical(code)]


def canonical(code: str) -> str:
    """xlt's code for any known one: eng, eng_Latn, en-US and EN are en. ConfigError if it is not known."""
    if str(code) in ("True", "False"):
        raise ConfigError(f'{code} is not a language code; YAML reads a bare no as False: quote it, "no"')
    for candidate in _spellings(str(code)):
        if candidate in _aliases():
            return _aliases()[candidate]
    near = difflib.get_close_matches(str(code).lower(), _aliases(), 1)
    raise ConfigError(f"{code!r} is not a known language code{f'; did you mean {near[0]}?' if near else '; use ISO 639-1 or 639-3, for example en or kab'}")


def known(code: str) -> bool:
    """Whether it is the code or an alias of a language."""
    return any(candidate in _aliases() for candidate in _spellings(str(code)))


def flores(code: str) -> str:
    """The FLORES-200 code, for example eng_Latn."""
    language = info(code)
    listed = [a for a in language.aliases if len(a) == 8 and a[3] == "_"]
    return listed[0][:4] + listed[0][4:].capitalize() if listed else f"{language.iso639_3}_{language.script}"


def script(code: str) -> str:
    """ISO 15924 script; of a code that names one (zho_Hant), that one."""
    tail = str(code).replace("-", "_").rpartition("_")[2]
    return tail if len(tail) == 4 and tail.istitle() else info(code).script


def family(code: str) -> str:
    """Language family."""
    return info(code).family


def pair(code: str) -> tuple[str, str]:
    """("en", "de") of en-de. ConfigError if it is not two known codes."""
    parts = str(code).split("-")
    for cut in range(1, len(parts)):
        left, right = "-".join(parts[:cut]), "-".join(parts[cut:])
        if known(left) and known(right):
            return left, right
    raise ConfigError(f"{code!r} is not a pair of language codes; write it as en-de")


def _spellings(code: str):
    """What to look up, the most exact first: en_US, then without region or script."""
    plain = code.strip().lower().replace("-", "_")
    yield plain
    head, _, tail = plain.partition("_")
    if tail and (len(tail) in (2, 4) or tail.isdigit()):  # a region or a script says no other language
        yield head


@cache
def _table() -> dict[str, Language]:
    table = {}
    for line in (Path(__file__).with_name("languages.tsv")).read_text(encoding="utf-8").split("\n")[1:]:
        if line:
            code, iso, name, writing, group, aliases = line.split("\t")
            table[code] = Language(code, iso, name, writing, group, tuple(aliases.split()))
    return table


@cache
def _aliases() -> dict[str, str]:
    found = {}
    for language in _table().values():
        for alias in (language.iso639_3, *language.aliases):
            found.setdefault(alias.lower().replace("-", "_"), language.code)
    found.update({code: code for code in _table()})
    return found

"""The languages: code, name, script, family, direction, and the other codes by which data sets call them.

A code is ISO 639-1 where there is one, else ISO 639-3. The list is xlt/languages.tsv, one language a line; data sets keep their own
spelling, and this room says which of them mean the same. It decides nothing about a data set: `als` is Albanian here (FLORES, ISO),
though Wikipedia's `als` is Alemannic, and `dz` is Dzongkha, though AfriSenti's is Algerian Arabic.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from xlt.errors import ConfigError

_RIGHT_TO_LEFT = {"Adlm", "Arab", "Avst", "Hebr", "Nkoo", "Orkh", "Syrc", "Thaa"}
_SECOND_SCRIPTS = {
    "Adlm",
    "Bali",
    "Hani",
    "Hira",
    "Java",
    "Kana",
    "Mtei",
    "Sund",
}  # beside those that are some language's usual one
_TRADITIONAL = {"zh_tw", "zh_hk", "zh_mo"}
_FLORES = {"no": "nob"}  # FLORES-200 knows the two written standards, not the language


@dataclass(frozen=True)
class Language:
    """One language. script: ISO 15924, the usual one or that which the code names. aliases: other codes for it, as data sets write them."""

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
    """The language of a code or alias; of a code that names a script (kas_Deva, zh-TW), in that script. ConfigError if it is not known."""
    language = _table()[canonical(code)]
    written = _script_in(code)
    return replace(language, script=written) if written else language


def canonical(code: str) -> str:
    """xlt's code for any known one: eng, eng_Latn, en-US and EN are en. ConfigError with the nearest code if it is not known."""
    if found := _lookup(code):
        return found
    if str(code) in ("True", "False"):
        raise ConfigError(f'{code} is not a language code; YAML reads a bare no as False: quote it, "no"')
    near = _near(str(code))
    raise ConfigError(
        f"{code!r} is not a known language code; "
        + (f"did you mean {near}?" if near else "use ISO 639-1 or 639-3, for example en or kab")
    )


def known(code: str) -> bool:
    """Whether it is the code or an alias of a language."""
    return _lookup(code) is not None


def flores(code: str) -> str:
    """The FLORES-200 code, for example eng_Latn; for a language that FLORES has not, one made in the same way."""
    language = info(code)
    listed = [alias[:3] for alias in language.aliases if len(alias) == 8 and alias[3] == "_"]
    return f"{_FLORES.get(language.code) or (listed or [language.iso639_3])[0]}_{language.script}"


def script(code: str) -> str:
    """ISO 15924 script; of a code that names one (zho_Hant), that one; of a pair those of both, if they differ (Latn-Cyrl)."""
    return _of_each(code, lambda single: info(single).script)


def family(code: str) -> str:
    """Language family; of a pair those of both, if they differ."""
    return _of_each(code, lambda single: info(single).family)


def _of_each(code: str, of: Callable[[str], str]) -> str:
    sides = (code,) if known(code) or "-" not in code else pair(code)
    return "-".join(dict.fromkeys(map(of, sides)))


def pair(code: str) -> tuple[str, str]:
    """("en", "de") of en-de, both as written. ConfigError if it is not two known codes joined by a hyphen."""
    parts = str(code).split("-")
    for cut in range(1, len(parts)):
        left, right = "-".join(parts[:cut]), "-".join(parts[cut:])
        if known(left) and known(right):
            return left, right
    raise ConfigError(f"{code!r} is not a pair of language codes; write it as en-de")


def _lookup(code: str) -> str | None:
    """The most exact reading first: all of it, then without its last subtag, as far as those name a script or a region."""
    parts = str(code).strip().replace("-", "_").split("_")
    for kept in range(len(parts), 0, -1):
        if found := _codes().get("_".join(parts[:kept]).lower()):
            return found
        if not _is_subtag(parts[kept - 1]):
            return None
    return None


def _is_subtag(part: str) -> bool:
    """A script, a region (a small-letter one only where it is no language too: en-de is a pair, en-us is not), or CC-100's `rom`."""
    region = len(part) == 2 and part.isalpha() and (part.isupper() or part.lower() not in _codes())
    return part.title() in _scripts() or region or (len(part) == 3 and part.isdigit()) or part.lower() == "rom"


def _script_in(code: str) -> str | None:
    """The script that a code names, if it names one."""
    head, *subtags = str(code).strip().replace("-", "_").split("_")
    if f"{head}_{''.join(subtags[-1:])}".lower() in _TRADITIONAL and "Hans" not in subtags:
        return "Hant"
    return next(
        (
            "Latn" if tag.lower() == "rom" else tag.title()
            for tag in subtags
            if tag.lower() == "rom" or tag.title() in _scripts()
        ),
        None,
    )


def _near(code: str) -> str | None:
    """A code that the user may have meant: that of a language of this name, else one spelled alike."""
    for language in _table().values():
        if language.name.lower() == code.strip().lower():
            return language.code
    spelled = {
        alias.lower(): alias
        for language in _table().values()
        for alias in (*language.aliases, language.iso639_3, language.code)
    }
    return next((spelled[near] for near in difflib.get_close_matches(code.lower().replace("-", "_"), spelled, 1)), None)


@cache
def _table() -> dict[str, Language]:
    """code -> language, read once."""
    table = {}
    for line in Path(__file__).with_name("languages.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        code, iso639_3, name, writing, group, aliases = line.split("\t")
        table[code] = Language(code, iso639_3, name, writing, group, tuple(aliases.split()))
    return table


@cache
def _codes() -> dict[str, str]:
    """Any spelling, in small letters with underscores -> code. Where a dialect shares its ISO 639-3 code, the language has it."""
    codes = {
        alias.lower(): language.code
        for language in _table().values()
        for alias in (language.iso639_3, *language.aliases)
    }
    return codes | {code: code for code in _table()}


@cache
def _scripts() -> frozenset[str]:
    return frozenset({language.script for language in _table().values()} | _SECOND_SCRIPTS)

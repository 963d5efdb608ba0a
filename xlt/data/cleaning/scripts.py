"""Letters and the scripts they are written in, as Unicode's Script_Extensions has them, and the folded form in which texts are compared.

Knows characters only: which script a language uses is in `xlt.languages`.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from functools import cache

import regex

_PARTS = {"Jpan": ("Hira", "Kana", "Hani"), "Kore": ("Hang", "Hani"), "Hang": ("Hang", "Hani")}
_PARTS |= dict.fromkeys(("Hans", "Hant"), ("Hani", "Bopo"))
_LETTERS = regex.compile(r"[\p{L}\p{M}]+")
_ASCII_WORDLESS = re.compile(r"[^a-z0-9]+")
_WORDLESS = regex.compile(r"[^\p{L}\p{M}\p{N}]+")


def members(*scripts: str) -> str:
    """The inside of a character class with all characters of these ISO 15924 scripts. ValueError for a script that Unicode does not name."""
    parts = [part for script in scripts for part in _PARTS.get(script, (script,))]
    inside = "".join(rf"\p{{scx={part}}}" for part in parts)
    try:
        if not all(len(script) == 4 and script.isalpha() for script in scripts):
            raise regex.error("not a code")
        regex.compile(f"[{inside} ]")
    except regex.error:
        raise ValueError(f"{', '.join(scripts)}: not all are four-letter codes of scripts that Unicode has") from None
    return inside


@cache
def letters_of(scripts: tuple[str, ...]) -> regex.Pattern:
    """Runs of letters and marks of these scripts."""
    if not scripts:
        return regex.compile(r"(?!)")
    return regex.compile(rf"[[\p{{L}}\p{{M}}]&&[{members(*scripts)}]]+", regex.V1)


def count(pattern: regex.Pattern, text: str) -> int:
    """Characters in all matches."""
    return sum(map(len, pattern.findall(text)))


def letters(text: str) -> int:
    """Letters and marks: a vowel sign of Devanagari is a mark, and no symbol."""
    return count(_LETTERS, text)


def folded(text: str) -> str:
    """The form in which two texts are the same if they differ in case, width, punctuation and white space only; a text without letter and
    number stands for itself.

    NFKC, casefold, runs of anything but letters, marks and numbers as one blank.
    """
    if text.isascii():
        return _ASCII_WORDLESS.sub(" ", text.lower()).strip() or " ".join(text.split())
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return _WORDLESS.sub(" ", plain).strip() or " ".join(text.split())


def key_of(text: str) -> int:
    """64 bits of BLAKE2b: a billion texts collide with a probability of 3 %."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def unknown(name: str, codes: list[str]) -> list[str]:
    """A sentence for the field `name` of a filter, if not all of `codes` are scripts."""
    try:
        members(*codes)
    except ValueError as error:
        return [f"cleaning.filters: {name}: {error}"]
    return []

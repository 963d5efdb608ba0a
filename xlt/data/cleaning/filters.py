"""The filters that look at one text alone: each is a frozen dataclass whose numbers stand in conf/cleaning, and one method.

`apply(text, language)` gives the text, perhaps changed, or None if its row goes. A filter with `changes` only ever changes, and is applied
to dev and test text too; the others only keep or remove. Which language is meant by a code is in `xlt.languages`.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import ClassVar

import regex

from xlt import languages
from xlt.data.cleaning import scripts
from xlt.errors import ConfigError


class Form(str, Enum):
    """Unicode normalisation form (UAX 15). NFKC also unifies width, ligatures and superscripts: 2 of x² and 2 become one."""

    nfc = "nfc"
    nfkc = "nfkc"


@dataclass(frozen=True, kw_only=True)
class Normalise:
    """Canonically equal texts become equal."""

    form: Form

    name: ClassVar[str] = "normalise"
    changes: ClassVar[bool] = True

    def apply(self, text: str, language: str) -> str:
        """The text in its form."""
        return unicodedata.normalize(self.form.value.upper(), text)


_SPACED = regex.compile(r"[\p{L}\p{N}]\S*")


@dataclass(frozen=True, kw_only=True)
class Length:
    """Neither fragments nor texts beyond all bounds: `min_words` words or `enough_letters` letters (Turkish says in one word what English
    says in three). A word is what white space separates, if a letter or number is in it; of scripts that are written without,
    `letters_per_word` letters are one.
    """

    min_words: int
    enough_letters: int
    max_characters: int | None
    letters_per_word: int
    unspaced: list[str]  # ISO 15924

    name: ClassVar[str] = "length"
    changes: ClassVar[bool] = False

    def __post_init__(self):
        problems = []
        for field in ("min_words", "enough_letters", "letters_per_word"):
            if getattr(self, field) < 1:
                problems.append(
                    f"cleaning.filters: Length.{field}: {getattr(self, field)} is not above 0; give 1 or more"
                )
        if self.max_characters is not None and self.max_characters < 1:
            problems.append(
                f"cleaning.filters: Length.max_characters: {self.max_characters} is not above 0; null switches it off"
            )
        problems += scripts.unknown("Length.unspaced", self.unspaced)
        if problems:
            raise ConfigError(problems)

    def apply(self, text: str, language: str) -> str | None:
        """The text if it is within the bounds."""
        if self.max_characters is not None and len(text) > self.max_characters:
            return None
        if sum(map(str.isalpha, text)) >= self.enough_letters or self.words(text) >= self.min_words:
            return text
        return None

    def words(self, text: str) -> float:
        """Words as defined above."""
        if text.isascii():
            return len(_SPACED.findall(text))
        dense = scripts.letters_of(tuple(self.unspaced))
        return len(_SPACED.findall(dense.sub(" ", text))) + scripts.count(dense, text) / self.letters_per_word


@dataclass(frozen=True, kw_only=True)
class Symbols:
    """Tables, code and remains of markup: more than `max_share` of the characters that are not white space are neither letter nor mark."""

    max_share: float

    name: ClassVar[str] = "symbols"
    changes: ClassVar[bool] = False

    def __post_init__(self):
        _share("Symbols.max_share", self.max_share)

    def apply(self, text: str, language: str) -> str | None:
        """The text if it has few enough."""
        seen = sum(map(len, text.split()))
        if seen and seen - sum(map(str.isalpha, text)) <= self.max_share * seen:
            return text  # without looking for marks, which take longer
        return text if seen and seen - scripts.letters(text) <= self.max_share * seen else None


@dataclass(frozen=True, kw_only=True)
class RepeatedLines:
    """Texts of several lines in which lines recur: duplicates are all occurrences but the first (Rae et al. 2021, table A1)."""

    max_share: float  # of the lines
    max_character_share: float  # of the characters in lines

    name: ClassVar[str] = "repeated_lines"
    changes: ClassVar[bool] = False

    def __post_init__(self):
        _share("RepeatedLines.max_share", self.max_share)
        _share("RepeatedLines.max_character_share", self.max_character_share)

    def apply(self, text: str, language: str) -> str | None:
        """The text if few enough of its lines are repeated."""
        if "\n" not in text:
            return text
        lines = [line for line in map(str.strip, text.split("\n")) if line]
        seen: set[str] = set()
        again = [line for line in lines if line in seen or seen.add(line)]
        many = len(again) > self.max_share * len(lines)
        long = sum(map(len, again)) > self.max_character_share * sum(map(len, lines))
        return None if many or long else text


@dataclass(frozen=True, kw_only=True)
class ScriptAgreement:
    """At least `min_share` of the letters are of a script in which the language is written: its usual one, or one that `also` lists.

    A text without letters and a language that xlt does not know are not judged. After the script check of GlotCC (Kargaran et al. 2024).
    """

    min_share: float
    also: dict[str, list[str]]  # language: ISO 15924 scripts beside its usual one

    name: ClassVar[str] = "script"
    changes: ClassVar[bool] = False

    def __post_init__(self):
        _share("ScriptAgreement.min_share", self.min_share)
        problems = []
        for code, more in self.also.items():
            if not languages.known(code):
                problems.append(
                    f"cleaning.filters: ScriptAgreement.also: {code!r} is not a known language code; correct it"
                )
            problems += scripts.unknown(f"ScriptAgreement.also.{code}", more)
        if problems:
            raise ConfigError(problems)

    def apply(self, text: str, language: str) -> str | None:
        """The text if it is in such a script."""
        wanted = self._scripts(language)
        if wanted is None or (text.isascii() and "Latn" in wanted):
            return text
        found = scripts.count(scripts.letters_of(wanted), text)
        if found >= self.min_share * len(text):
            return text  # without counting letters
        return text if found >= self.min_share * scripts.letters(text) else None

    def _scripts(self, language: str) -> tuple[str, ...] | None:
        if language not in self._known:
            found = None
            if languages.known(language):
                code = languages.canonical(language)
                more = [s for other, listed in self.also.items() if languages.canonical(other) == code for s in listed]
                found = tuple(dict.fromkeys([languages.script(language), *more]))
            self._known[language] = found
        return self._known[language]

    @cached_property
    def _known(self) -> dict[str, tuple[str, ...] | None]:
        return {}


def _share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ConfigError(f"cleaning.filters: {name}: {value} is not in [0, 1]; give a share")

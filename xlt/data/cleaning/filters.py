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


_NEVER = (  # controls, soft hyphen, bidi marks, invisible operators, BOM, annotation, tags outside flags, surrogates, private use, non-characters
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u061c\u180e\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb"
    "\\p{Cs}\\p{Co}\\p{Noncharacter_Code_Point}\U000e0001]|(?<!\U0001f3f4[\U000e0020-\U000e007f]*)[\U000e0020-\U000e007f]"
)
_INVISIBLE = regex.compile(f"(?:{_NEVER})+")
_JOINERS, _ZERO_SPACES = regex.compile("[\u200c\u200d]+"), regex.compile("\u200b+")
_BREAKS, _BLANKS = regex.compile("\r\n?"), regex.compile(r"(?:(?!\n)[\s\x1c-\x1f])+")
_AROUND_BREAKS, _MANY_BREAKS = regex.compile(" ?\n ?"), regex.compile("\n{3,}")
_WORD = regex.compile(r"[\p{L}\p{M}\p{N}]")
_SPACED = regex.compile(r"[\p{L}\p{N}]\S*")
_EMOJI, _BEFORE_JOINER = (
    regex.compile(r"\p{Extended_Pictographic}"),
    regex.compile(r"[\p{Extended_Pictographic}\ufe0f\U0001f3fb-\U0001f3ff]"),
)


@dataclass(frozen=True, kw_only=True)
class Characters:
    """Characters that nobody sees go, unless the script needs them; white space becomes single blanks and, between lines, line feeds.

    ZWNJ and ZWJ stay after a letter, mark or digit where they touch a script of `joiners` (Persian plurals, Indic half forms: Unicode
    Standard 9.2 and 12.1, UAX 31 section 2.3), and between emoji (UTS 51); ZWSP stays between letters of `zero_width_spaces`, which are
    written without blanks (UAX 14, class SA). Bidi marks and embeddings go: they order the display, and logical order needs none.
    """

    joiners: list[str]  # ISO 15924
    zero_width_spaces: list[str]

    name: ClassVar[str] = "characters"
    changes: ClassVar[bool] = True

    def __post_init__(self):
        problems = _unknown_scripts("Characters.joiners", self.joiners)
        problems += _unknown_scripts("Characters.zero_width_spaces", self.zero_width_spaces)
        if problems:
            raise ConfigError(problems)

    def apply(self, text: str, language: str) -> str:
        """The text without them; it may be empty then."""
        if text.isprintable() and "  " not in text and text == text.strip(" "):
            return text  # all of the characters in question are not printable, in Python's sense; this alone is fast
        text = _INVISIBLE.sub("", text)
        text = _ZERO_SPACES.sub(self._zero_space, _JOINERS.sub(self._joiner, text))
        text = _BLANKS.sub(" ", _BREAKS.sub("\n", text))
        return _MANY_BREAKS.sub("\n\n", _AROUND_BREAKS.sub("\n", text)).strip()

    def _joiner(self, found: regex.Match) -> str:
        before, after = _around(found)
        if before and _WORD.match(before) and (self._joining.match(before) or self._joining.match(after)):
            return found[0][0]
        emoji = found[0] == "\u200d" and _BEFORE_JOINER.match(before) and _EMOJI.match(after)
        return found[0] if emoji else ""

    def _zero_space(self, found: regex.Match) -> str:
        before, after = _around(found)
        return "\u200b" if self._unspaced.match(before) and self._unspaced.match(after) else ""

    @cached_property
    def _joining(self) -> regex.Pattern:
        return scripts.letters_of(tuple(self.joiners))

    @cached_property
    def _unspaced(self) -> regex.Pattern:
        return scripts.letters_of(tuple(self.zero_width_spaces))


def _around(found: regex.Match) -> tuple[str, str]:
    text, begin, end = found.string, found.start(), found.end()
    return text[begin - 1 : begin] if begin else "", text[end : end + 1]


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
        problems += _unknown_scripts("Length.unspaced", self.unspaced)
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
            problems += _unknown_scripts(f"ScriptAgreement.also.{code}", more)
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


def _unknown_scripts(name: str, codes: list[str]) -> list[str]:
    try:
        scripts.members(*codes)
    except ValueError as error:
        return [f"cleaning.filters: {name}: {error}"]
    return []

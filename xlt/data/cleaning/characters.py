"""Characters that nobody sees, and white space: a filter of its own, for what may go depends on the script around it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import regex

from xlt.data.cleaning import scripts
from xlt.errors import ConfigError

_NEVER = (  # controls, soft hyphen, bidi marks, invisible operators, BOM, annotation, tags outside flags, surrogates, private use, non-characters
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u061c\u180e\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb"
    "\\p{Cs}\\p{Co}\\p{Noncharacter_Code_Point}\U000e0001]|(?<!\U0001f3f4[\U000e0020-\U000e007f]*)[\U000e0020-\U000e007f]"
)
_INVISIBLE = regex.compile(f"(?:{_NEVER})+")
_JOINERS, _ZERO_SPACES = regex.compile("[\u200c\u200d]+"), regex.compile("\u200b+")
_BREAKS, _BLANKS = regex.compile("\r\n?"), regex.compile(r"(?:(?!\n)[\s\x1c-\x1f])+")
_AROUND_BREAKS, _MANY_BREAKS = regex.compile(" ?\n ?"), regex.compile("\n{3,}")
_WORD = regex.compile(r"[\p{L}\p{M}\p{N}]")
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
        problems = scripts.unknown("Characters.joiners", self.joiners)
        problems += scripts.unknown("Characters.zero_width_spaces", self.zero_width_spaces)
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

"""Text as words, for what learns word vectors: small letters, and what stands between blanks and punctuation. Scripts without blanks have to be split beforehand."""

from __future__ import annotations

import regex

_WORD = regex.compile(r"[\p{L}\p{N}][\p{L}\p{M}\p{N}'’-]*")  # the vowel signs of Indic scripts are marks


def words(text: str) -> list[str]:
    """A letter or digit begins a word; marks, apostrophes and hyphens go on with it."""
    return _WORD.findall(text.lower())

"""What the tokens of a vocabulary look like: which begin a word, which end a sentence, which name a language. Sees no text.

A word is what stands between blanks, as the tokenizer marks them (SentencePiece's ▁, byte-level BPE's Ġ, WordPiece's missing ##). Scripts without blanks
(Han, kana, Thai, Khmer, Lao, Burmese, Tibetan) would make a whole sentence one word, so there every token is a word, as in BERT's Chinese model.
"""

from __future__ import annotations

import unicodedata

import numpy as np

from xlt import languages

_NO_BLANKS = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x0F00, 0x109F),  # Tibetan, Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x2E80, 0x31FF),  # Han radicals and punctuation, kana, bopomofo
    (0x3400, 0x9FFF),
    (0xA980, 0xA9DF),  # Javanese
    (0xF900, 0xFAFF),
    (0xFF00, 0xFFEF),  # full-width and half-width forms
    (0x20000, 0x3FFFF),
)
_ENDS = frozenset(".!?…‽。！？｡．।॥؟۔።፧᙮៕།။")
_CLOSES = "\"'”’»›)]}」』）】〉》"
_OPENS = frozenset("¿¡“‘«‹([{「『（【〈《\"'")


def texts(tokenizer) -> tuple[list[str], np.ndarray]:
    """(text of each token without the mark of its kind, bool V whether a blank or the mark's absence says that it begins a word)."""
    tokens = [token or "" for token in tokenizer.convert_ids_to_tokens(range(len(tokenizer)))]
    marks = {mark: sum(token.startswith(mark) for token in tokens) for mark in ("▁", "Ġ", "##")}
    mark = max(marks, key=marks.get)
    if not marks[mark]:  # a vocabulary of whole words
        return tokens, np.ones(len(tokens), bool)
    marked = np.array([token.startswith(mark) for token in tokens])
    if mark == "Ġ":
        from tokenizers.decoders import ByteLevel

        decoder = ByteLevel()
        tokens = [decoder.decode([token]).lstrip(" ") for token in tokens]
    else:
        tokens = [token.removeprefix(mark) for token in tokens]
    return tokens, ~marked if mark == "##" else marked


def word_starts(tokenizer) -> np.ndarray:
    """bool V: tokens that begin a word wherever they stand. (The first token of a text begins one whatever it looks like.)"""
    found, starts = texts(tokenizer)
    return starts | np.array([bool(text) and stands_alone(text[0]) for text in found])


def sentence_ends(tokenizer) -> np.ndarray:
    """bool V: tokens that end in a full stop of some script, closing quotes and brackets after it allowed. Abbreviations look the same."""
    return np.array([text.rstrip(_CLOSES)[-1:] in _ENDS for text in texts(tokenizer)[0]])


def sentence_begins(tokenizer) -> np.ndarray:
    """bool V: tokens that may be a sentence's first: no closing punctuation."""
    return np.array(
        [not text or text[0] in _OPENS or unicodedata.category(text[0])[0] != "P" for text in texts(tokenizer)[0]]
    )


def language_tokens(tokenizer) -> dict[str, int]:
    """code -> id of the token that stands for the language: en_XX (mBART), eng_Latn (NLLB), __en__ (M2M), <en> or [en]."""
    found = {}
    others = {tokenizer.convert_tokens_to_ids(token) for token in _named(tokenizer)}
    for token, number in tokenizer.get_added_vocab().items():
        code = token.strip("_<>[]")
        marked = code != token or len(code) in (5, 8)  # en_XX and eng_Latn have no brackets
        if marked and number not in others and languages.known(code):
            found.setdefault(languages.canonical(code), number)
    return found


def _named(tokenizer) -> list[str]:
    """Tokens with a role: <pad> is no Paumari."""
    roles = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
    return [token for role in roles if (token := getattr(tokenizer, role, None)) is not None]


def stands_alone(letter: str) -> bool:
    """Whether a token beginning so is a word by itself: a letter of a script without blanks, no mark that hangs on the letter before it."""
    point = ord(letter)
    return point >= 0x0E00 and any(a <= point <= b for a, b in _NO_BLANKS) and unicodedata.category(letter)[0] != "M"

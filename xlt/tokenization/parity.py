"""How a tokenizer treats each language: pieces per word, words that are cut, unknown pieces, and pieces per piece of the same text in another
language. Reads text and learns nothing, so that a tokenizer can be chosen before anything is trained.
"""

from __future__ import annotations

import re

import numpy as np

HIGHER_IS_BETTER = {
    "fertility": False,
    "continued_words": False,
    "characters_per_token": True,
    "unknown_rate": False,
    "byte_rate": False,
    "parity": False,
}
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
_BATCH = 1000  # texts encoded at once


def fertility(tokenizer, texts: list[str]) -> dict[str, float]:
    """What becomes of the words of `texts` (at least one word in all), special tokens not counted.

    fertility: pieces per word (Acs 2019; Rust et al. 2021, section 3.2). continued_words: share of words in two or more pieces (ibid.).
    characters_per_token: characters per piece, blanks among them. unknown_rate, byte_rate: shares of the pieces that are unknown, or stand for one
    byte of a character that has no piece.

    Words are what white space separates, so of languages without it (zh, ja, th) fertility counts pieces per phrase: compare characters per
    piece there, or parity.
    """
    byte_V = np.zeros(len(tokenizer), bool)
    byte_V[[i for piece, i in tokenizer.get_vocab().items() if _BYTE.fullmatch(piece)]] = True
    pieces = words = cut = unknown = in_bytes = 0
    for start in range(0, len(texts), _BATCH):
        batch = texts[start : start + _BATCH]
        encoded = tokenizer(batch, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        for text, ids, spans in zip(batch, encoded["input_ids"], encoded["offset_mapping"], strict=True):
            each = np.asarray(ids, np.int64)
            pieces += len(each)
            unknown += 0 if tokenizer.unk_token_id is None else int((each == tokenizer.unk_token_id).sum())
            in_bytes += int(byte_V[each].sum())
            per_word = pieces_per_word(text, spans)
            words += len(per_word)
            cut += int((per_word > 1).sum())
    return {
        "fertility": pieces / words,
        "continued_words": cut / words,
        "characters_per_token": sum(map(len, texts)) / pieces,
        "unknown_rate": unknown / pieces,
        "byte_rate": in_bytes / pieces,
    }


def pieces_per_word(text: str, spans: list[tuple[int, int]]) -> np.ndarray:
    """How many pieces hold a character of each word that white space separates. spans: [begin, end) of each piece in the text.

    A piece that holds characters of two words counts for the last of them, one of white space alone for none.
    """
    begins = np.asarray([m.start() for m in re.finditer(r"\S+", text)], np.int64)
    ends = np.asarray([m.end() for m in re.finditer(r"\S+", text)], np.int64)
    span_T2 = np.asarray(spans, np.int64).reshape(-1, 2)
    word_T = np.searchsorted(begins, span_T2[:, 1], side="left") - 1  # the last word that begins before the piece ends
    held = (word_T >= 0) & (span_T2[:, 1] > span_T2[:, 0])
    held[held] &= span_T2[held, 0] < ends[word_T[held]]
    return np.bincount(word_T[held], minlength=len(begins))


def premium(tokenizer, texts: list[str], pivot: list[str]) -> float:
    """Parity of a language with the pivot: pieces of `texts` by pieces of their translations, in all; 1: parity (Petrov et al. 2023, section 3,
    who define it for a sentence and call it the language's premium)."""
    counted = [
        sum(len(ids) for ids in tokenizer(side, add_special_tokens=False, verbose=False)["input_ids"])
        for side in (texts, pivot)
    ]
    return counted[0] / counted[1]

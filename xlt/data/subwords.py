"""From texts to the ids of their sub-words, by the tokenizer of the model: fast where ids are all that is wanted, else with where each came from."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# a list: the words of one text, each of them cut by itself; a tuple: texts that do not belong together
Text = str | list[str] | tuple[str, ...]


@dataclass(frozen=True)
class Encoding:
    """One text as the tokenizer cut it. L tokens, no special ones.

    offsets: int64 (L, 2), begin and end of each token in the text, in characters; of a text given as words, in its word. A tuple's texts are words here.
    words: int64 (L,), rising: which word each token is of. Of a text given as words every word has a token: one that the tokenizer makes
    nothing of (U+200B) has its unknown token. Of a plain text, what the tokenizer takes for words; -1 where it takes nothing for one.
    """

    ids: np.ndarray
    offsets: np.ndarray
    words: np.ndarray

    def word_starts(self) -> np.ndarray:
        """int64 (words,): the first token of each word, of a text given as words."""
        return np.flatnonzero(np.diff(self.words, prepend=-1))


def dtype_of(tokenizer) -> np.dtype:
    """Of stored ids."""
    return np.dtype(np.uint16 if len(tokenizer) <= 2**16 else np.int32)


def encoder(tokenizer) -> Callable[[list[str]], tuple[np.ndarray, np.ndarray]]:
    """The function from texts to (ids of all one after the other, tokens of each), no special ones added. Threads may share it.

    The ids are those of `tokenizer(texts, add_special_tokens=False)`; the backend alone is asked where that adds nothing, which saves a third.
    """
    dtype, plain = dtype_of(tokenizer), _plain(tokenizer)

    def backend(texts: list[str]) -> list[list[int]]:
        return [e.ids for e in tokenizer.backend_tokenizer.encode_batch_fast(texts, add_special_tokens=False)]

    def whole(texts: list[str]) -> list[list[int]]:
        return tokenizer(texts, add_special_tokens=False, return_attention_mask=False, verbose=False)["input_ids"]

    def encode(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        ids = backend(texts) if plain else whole(texts)
        lengths = np.fromiter(map(len, ids), np.int64, len(ids))
        return np.fromiter(itertools.chain.from_iterable(ids), dtype, int(lengths.sum())), lengths

    return encode if plain else _one_at_a_time(encode)


def encodings(tokenizer) -> Callable[[list[Text]], list[Encoding]]:
    """The function from texts, plain or as words, to how the tokenizer cuts each. Threads may share it."""
    plain = _plain(tokenizer)
    roles = (tokenizer.unk_token_id, tokenizer.mask_token_id, tokenizer.pad_token_id, tokenizer.eos_token_id)
    unknown = next((number for number in roles if number is not None), 0)

    def ask(texts: list[Text], words: bool) -> list:
        if plain:
            return tokenizer.backend_tokenizer.encode_batch(texts, is_pretokenized=words, add_special_tokens=False)
        return tokenizer(texts, is_split_into_words=words, add_special_tokens=False, verbose=False).encodings

    gap = _gap(ask)

    def spaced(words: list[str]) -> list[str]:
        return [words[0], *(gap + word for word in words[1:])] if gap and words else list(words)

    def encode(texts: list[Text]) -> list[Encoding]:
        found: dict[int, Encoding] = {}
        for kind, form in ((str, str), (list, spaced), (tuple, list)):
            which = [i for i, text in enumerate(texts) if isinstance(text, kind)]
            asked = [form(texts[i]) for i in which]
            for i, e in zip(which, ask(asked, kind is not str) if asked else [], strict=True):
                found[i] = _encoding(e) if kind is str else _with_all_words(_encoding(e), len(texts[i]), unknown)
        return [found[i] for i in range(len(texts))]

    return encode if plain else _one_at_a_time(encode)


def _plain(tokenizer) -> bool:
    """Whether its backend does all that it does."""
    from transformers import TokenizersBackend

    kind = type(tokenizer)
    tokenizer([""], add_special_tokens=False)  # sets truncation, padding and what special tokens in the text are
    return all(
        getattr(kind, name, None) is getattr(TokenizersBackend, name, None)
        for name in ("__call__", "_encode_plus", "_batch_encode_plus")
    )


def _gap(ask: Callable) -> str:
    """What must stand before a word that is not the first, so that it is cut as in running text: a blank for GPT-2's tokenizer, which takes
    the words of a list for pieces of one word; nothing for most."""
    (running,) = ask(["ab ab"], False)
    (given,), (spaced,) = ask([["ab", "ab"]], True), ask([["ab", " ab"]], True)
    return " " if given.ids != running.ids and spaced.ids == running.ids else ""


def _encoding(e) -> Encoding:
    words = [-1 if word is None else word for word in e.word_ids]
    return Encoding(np.array(e.ids, np.int64), np.array(e.offsets, np.int64).reshape(-1, 2), np.array(words, np.int64))


def _with_all_words(e: Encoding, count: int, unknown: int) -> Encoding:
    missing = np.setdiff1d(np.arange(count), e.words)
    if not len(missing):
        return e
    at = np.searchsorted(e.words, missing)
    return Encoding(np.insert(e.ids, at, unknown), np.insert(e.offsets, at, 0, axis=0), np.insert(e.words, at, missing))


def _one_at_a_time(function: Callable) -> Callable:
    """A tokenizer of its own making may not be asked by two threads at once."""
    from threading import Lock

    lock = Lock()

    def locked(texts: list):
        with lock:
            return function(texts)

    return locked

"""A fast tokenizer as the plain data of its tokenizer.json, and a tokenizer made of changed data. What trimming and extending share.

Knows Unigram, BPE (of bytes or characters) and WordPiece; knows no model.
"""

from __future__ import annotations

import itertools
import json
import re

from xlt.errors import ConfigError

KINDS = ("Unigram", "BPE", "WordPiece")
BYTE_PIECE = re.compile(r"<0x[0-9A-F]{2}>")
_SPECIAL = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_SETTINGS = ("model_max_length", "padding_side", "truncation_side", "model_input_names", "clean_up_tokenization_spaces")


def data_of(tokenizer, key: str) -> dict:
    """The content of its tokenizer.json, merges as pairs. ConfigError blaming `key` for a kind that is not known."""
    data = json.loads(tokenizer.backend_tokenizer.to_str())
    model = data["model"]
    if model["type"] not in KINDS:
        raise ConfigError(
            f"{key}: its tokenizer is {model['type']}, and only {', '.join(KINDS)} can be changed; take another model"
        )
    if model["type"] == "BPE":
        if model.get("end_of_word_suffix") or model.get("continuing_subword_prefix"):
            raise ConfigError(
                f"{key}: its BPE marks pieces within or at the end of words by letters of their own, which xlt cannot change; take another model"
            )
        model["merges"] = [tuple(m.split(" ")) if isinstance(m, str) else tuple(m) for m in model["merges"]]
    data["truncation"] = data["padding"] = None
    return data


def rebuilt(tokenizer, data: dict):
    """A transformers tokenizer of that data, with the special tokens and settings of `tokenizer`."""
    import tokenizers
    from transformers import PreTrainedTokenizerFast

    named = {name: str(value) for name in _SPECIAL if (value := getattr(tokenizer, name, None)) is not None}
    more = [t for t in getattr(tokenizer, "extra_special_tokens", None) or [] if str(t) not in named.values()]
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizers.Tokenizer.from_str(json.dumps(data, ensure_ascii=False)),
        **named,
        **({"extra_special_tokens": [str(t) for t in more]} if more else {}),
        **{name: getattr(tokenizer, name) for name in _SETTINGS if hasattr(tokenizer, name)},
    )


def pieces_of(tokenizer) -> dict[int, str]:
    """{id: piece}, added tokens among them, in the order of the ids."""
    return dict(sorted((i, piece) for piece, i in tokenizer.get_vocab().items()))


def words_of(tokenizer, text: str) -> list[str]:
    """What the tokenizer's model is asked to segment: the text, normalised and cut into words, as the tokenizers library does it."""
    backend = tokenizer.backend_tokenizer
    text = backend.normalizer.normalize_str(text) if backend.normalizer else text
    return [word for word, _ in backend.pre_tokenizer.pre_tokenize_str(text)] if backend.pre_tokenizer else [text]


def works_on_bytes(data: dict) -> bool:
    """Whether its characters are those that stand for bytes (GPT-2's)."""
    return '"ByteLevel"' in json.dumps([data["pre_tokenizer"], data["normalizer"]])


def ranks_of(data: dict) -> dict[tuple[str, str], int]:
    """The rank of each BPE merge; lower is earlier."""
    return {pair: rank for rank, pair in enumerate(data["model"]["merges"])}


def derivation(piece: str, ranks: dict[tuple[str, str], int]) -> list[str]:
    """All symbols that arise when BPE makes `piece` of its characters: those, what is merged on the way, and what is left.

    Merges inside a piece do not depend on the text around it, for a merge across its edge would never have been undone.
    """
    symbols = list(piece)
    seen = list(symbols)
    while len(symbols) > 1:
        rank, i = min((ranks.get(pair, len(ranks)), i) for i, pair in enumerate(itertools.pairwise(symbols)))
        if rank == len(ranks):
            break
        symbols[i : i + 2] = [symbols[i] + symbols[i + 1]]
        seen.append(symbols[i])
    return seen


def longest_first(word: str, vocabulary, prefix: str, longest: int) -> tuple[list[str], bool]:
    """(pieces found, whether the whole word is made of them) by WordPiece's greedy longest match. longest: characters of the longest piece."""
    pieces, start = [], 0
    while start < len(word):
        mark = prefix if start else ""
        ends = range(min(len(word), start + longest), start, -1)
        end = next((e for e in ends if mark + word[start:e] in vocabulary), None)
        if end is None:
            return pieces, False
        pieces.append(mark + word[start:end])
        start = end
    return pieces, True

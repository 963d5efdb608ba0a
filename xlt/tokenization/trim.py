"""A tokenizer with fewer pieces that encodes some text as before: the pieces in that text, and what they are made by. Abdaoui et al. 2020, section 3.

That holds because segmentation chooses a best one, and the best of all is the best of fewer, where what decides between them is kept, too: for
Unigram the lowest score, which sets that of unknown characters, for BPE the merges on the way, for WordPiece what a word without segmentation
begins with. Knows no model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from xlt.tokenization.surgery import (
    BYTE_PIECE,
    data_of,
    derivation,
    longest_first,
    pieces_of,
    ranks_of,
    rebuilt,
    words_of,
    works_on_bytes,
)

_BATCH = 1000  # texts encoded at once
Texts = Callable[[], Iterable[str]]  # anew at each call


def count(tokenizer, texts: Texts) -> np.ndarray:
    """counts_V of the pieces in the texts."""
    counts_V = np.zeros(len(tokenizer), np.int64)
    for batch in _batches(texts()):
        for ids in tokenizer(batch, add_special_tokens=False, verbose=False)["input_ids"]:
            np.add.at(counts_V, ids, 1)
    return counts_V


def needed(tokenizer, texts: Texts, min_count: int, also: Iterable[int], key: str) -> np.ndarray:
    """kept_K: sorted ids of the pieces to keep. also: ids that something else names."""
    data = data_of(tokenizer, key)
    model, ids = data["model"], tokenizer.get_vocab()
    kept = {i for i in also if 0 <= i < len(tokenizer)} | set(
        np.flatnonzero(count(tokenizer, texts) >= min_count).tolist()
    )
    kept |= {token["id"] for token in data["added_tokens"]} | set(tokenizer.all_special_ids)
    kept |= {i for piece, i in ids.items() if BYTE_PIECE.fullmatch(piece)}
    words = {word for text in texts() for word in words_of(tokenizer, text)}
    characters = {c for word in words for c in word}
    if model["type"] == "Unigram":
        scores = [score for _, score in model["vocab"]]
        kept |= {model["unk_id"], int(np.argmin(scores))} - {None}
    elif model["type"] == "BPE":
        if works_on_bytes(data):
            import tokenizers

            characters |= set(tokenizers.pre_tokenizers.ByteLevel.alphabet())
        ranks, pieces = ranks_of(data), pieces_of(tokenizer)
        kept |= {ids[s] for i in list(kept) for s in derivation(pieces[i], ranks) if s in ids}
    else:
        characters |= {model["continuing_subword_prefix"] + c for c in characters}
        kept |= {ids[piece] for piece in _failing(model, words)}
    kept |= {ids[c] for c in characters if c in ids}
    if model.get("unk_token") in ids:
        kept.add(ids[model["unk_token"]])
    return np.asarray(sorted(kept), np.int64)


def _failing(model: dict, words: Iterable[str]) -> Iterator[str]:
    """What WordPiece finds of words before it gives them up: without it, another segmentation might be found."""
    vocabulary, prefix = model["vocab"], model["continuing_subword_prefix"]
    longest = max(map(len, vocabulary))
    for word in words:
        pieces, whole = longest_first(word, vocabulary, prefix, longest)
        if not whole:
            yield from pieces


def cut(tokenizer, kept_K: np.ndarray, key: str):
    """The tokenizer with only the pieces kept_K, whose n-th one gets id n."""
    data, pieces = data_of(tokenizer, key), pieces_of(tokenizer)
    new = {int(old): n for n, old in enumerate(kept_K)}
    names = {pieces[i]: n for i, n in new.items()}
    model = data["model"]
    if model["type"] == "Unigram":
        model["vocab"] = [model["vocab"][i] for i in new if i < len(model["vocab"])]
        model["unk_id"] = new.get(model["unk_id"])
    else:
        model["vocab"] = {piece: n for piece, n in names.items() if piece in model["vocab"]}
    if model["type"] == "BPE":
        known = model["vocab"]
        model["merges"] = [(a, b) for a, b in model["merges"] if a in known and b in known and a + b in known]
    data["added_tokens"] = [{**t, "id": new[t["id"]]} for t in data["added_tokens"]]
    _renumber(data["post_processor"], names)
    return rebuilt(tokenizer, data)


def _renumber(node, names: dict[str, int]) -> None:
    """Ids of special tokens in a post-processor: TemplateProcessing's lists, BERT's and RoBERTa's pairs (token, id)."""
    for part in (node or {}).get("processors", [node] if node else []):
        for token in part.get("special_tokens", {}).values():
            token["ids"] = [names[t] for t in token["tokens"]]
        for name in ("sep", "cls"):
            if name in part:
                part[name] = [part[name][0], names[part[name][0]]]


def changed_texts(old, new, new_ids_V: np.ndarray, texts: Texts) -> tuple[int, int]:
    """(texts that the new tokenizer encodes otherwise, texts). new_ids_V: the new id of each old one, -1 where it is gone."""
    changed = total = 0
    for batch in _batches(texts()):
        before, after = (t(batch, verbose=False)["input_ids"] for t in (old, new))
        total += len(batch)
        changed += sum(new_ids_V[a].tolist() != b for a, b in zip(before, after, strict=True))
    return changed, total


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    for text in texts:
        batch.append(text)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch

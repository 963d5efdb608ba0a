"""Pieces for new languages in a tokenizer that exists. Its own pieces keep their ids, scores and merges; new ones get the ids after all of them.

What happens to old text is not the same in the three kinds, and nowhere nothing: a new piece that occurs in old text may be taken there, too. How
often is measured by the stage (`xlt.tokenization.trim.changed_texts`).

Unigram: pieces and scores are learned by sentencepiece. Taking both models' log probabilities as they are is their mixture in equal parts, up to a
constant for each piece; another `mixture` adds log(m / (1 - m)) to the new pieces' scores. None falls below the lowest old score, which sets that
of unknown characters. BPE: merges are learned on top of what the old ones make of the new text, and come after them, so each can be reached and
every old merge is done first. (Pieces of a BPE learned apart would often not be: old merges have eaten what they are made of.) WordPiece takes the
longest match, so new pieces need nothing but to be there. Knows no model.
"""

from __future__ import annotations

import heapq
import io
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable

from xlt.errors import ConfigError
from xlt.tokenization.surgery import BYTE_PIECE, data_of, rebuilt, words_of, works_on_bytes

_ROUNDS = 4  # sizes of a unigram model that are tried until it has enough pieces that are new


def extended(tokenizer, texts: list[str], pieces: int, coverage: float, mixture: float, threads: int, key: str):
    """(the tokenizer with at most `pieces` more, those pieces in the order of their ids). ConfigError if the text has no new ones.

    coverage: share of the text's running characters that have a piece of their own afterwards (of bytes all have). mixture: of Unigram only.
    """
    data = data_of(tokenizer, key)
    model, known = data["model"], tokenizer.get_vocab()
    if sorted(known.values()) != list(range(len(known))):
        raise ConfigError(
            f"{key}: the ids of its tokenizer have gaps, so new ones would not come after all of them; take another model"
        )
    if model["type"] == "Unigram":
        if "Metaspace" not in str(data["pre_tokenizer"]):
            raise ConfigError(
                f"{key}: its unigram tokenizer does not mark words with a blank as SentencePiece does; take another model"
            )
        scored = _unigram(tokenizer, texts, known, pieces, coverage, threads)
        shift, least = math.log(mixture / (1 - mixture)), min(score for _, score in model["vocab"])
        beyond = sorted(
            (i, piece) for piece, i in known.items() if i >= len(model["vocab"])
        )  # added tokens get a place of their own
        model["vocab"] += [(piece, 0.0) for _, piece in beyond]
        model["vocab"] += [(piece, max(score + shift, least)) for piece, score in scored]
        added = [piece for piece, _ in scored]
    else:
        learn = _bpe if model["type"] == "BPE" else _word_pieces
        added = learn(tokenizer, data, texts, pieces, coverage)
        model["vocab"] |= {piece: len(known) + i for i, piece in enumerate(added)}
    if not added:
        raise ConfigError(
            "languages.train: its text has no piece that this tokenizer lacks; give other languages, or more text"
        )
    return rebuilt(tokenizer, data), added


def _unigram(tokenizer, texts: list[str], known, pieces: int, coverage: float, threads: int) -> list[tuple[str, float]]:
    """New (piece, score): characters first, then the most probable."""
    import sentencepiece

    form = tokenizer.backend_tokenizer.normalizer
    sentences = [form.normalize_str(t) if form else t for t in texts]
    size, found = pieces + 3, []
    for _ in range(_ROUNDS):
        model = io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(sentences), model_writer=model, model_type="unigram", vocab_size=size, hard_vocab_limit=False,
                character_coverage=coverage, normalization_rule_name="identity", num_threads=threads, max_sentence_length=100_000, minloglevel=2,
            )  # fmt: skip
        except RuntimeError as error:
            if found:
                break  # more pieces than this text has
            raise ConfigError(
                f"mode.pieces: {pieces} cannot be learned from this text; lower it, or give more text ({str(error).strip()[-120:]})"
            ) from error
        learned = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
        before = len(found)
        found = [(learned.id_to_piece(i), learned.get_score(i)) for i in range(3, learned.get_piece_size())]
        found = [(piece, score) for piece, score in found if piece not in known]
        if len(found) >= pieces or len(found) == before:
            break
        size += pieces - len(found)
    return sorted(found, key=lambda each: (len(each[0]) > 1, -each[1], each[0]))[:pieces]


def _bpe(tokenizer, data: dict, texts: list[str], pieces: int, coverage: float) -> list[str]:
    """New characters and pieces; their merges are put behind the old ones in `data`."""
    import json

    import tokenizers

    model = data["model"]
    words = Counter(
        part for text in texts for word in words_of(tokenizer, text) for part in re.split("(?=▁)", word) if part
    )
    added = [] if works_on_bytes(data) else _characters(words, model["vocab"], coverage)[:pieces]
    start = {**data, "model": {**model, "vocab": model["vocab"] | {c: len(tokenizer) + i for i, c in enumerate(added)}}}
    old = tokenizers.Tokenizer.from_str(json.dumps(start)).model
    segmented = {word: [token.value for token in old.tokenize(word)] for word in words}
    known = set(start["model"]["vocab"]) | set(tokenizer.get_vocab())
    for left, right in merges(segmented, words, {model.get("unk_token")}):
        if left + right not in known:
            if len(added) == pieces:
                break
            added.append(left + right)
            known.add(left + right)
        model["merges"].append((left, right))
    return added


def _characters(words: Counter, known, coverage: float) -> list[str]:
    """Characters without a piece, the most frequent first, until pieces cover that share of the text."""
    counts = Counter()
    for word, n in words.items():
        for c in word:
            counts[c] += n
    covered, least = sum(n for c, n in counts.items() if c in known), coverage * counts.total()
    found = []
    for c, n in sorted(counts.items(), key=lambda each: (-each[1], each[0])):
        if c not in known and covered < least:
            found.append(c)
            covered += n
    return found


def merges(segmented: dict[str, list[str]], counts: dict[str, int], never: set) -> Iterable[tuple[str, str]]:
    """BPE (Sennrich et al. 2016, section 3.2) from words that are cut already: the pair that is most frequent, merged, and so on while one comes
    twice; of equally frequent ones the first in the order of letters. never: symbols that are not merged, beside pieces for bytes."""
    symbols = [list(parts) for parts in segmented.values()]
    weight = [counts[word] for word in segmented]
    pairs, where = Counter(), defaultdict(set)
    apart = {s for parts in symbols for s in parts if s in never or BYTE_PIECE.fullmatch(s)}

    def tally(i: int, sign: int) -> None:
        for pair in zip(symbols[i], symbols[i][1:], strict=False):
            if not apart & set(pair):
                pairs[pair] += sign * weight[i]
                where[pair].add(i)
                touched.add(pair)

    touched: set[tuple[str, str]] = set()
    for i in range(len(symbols)):
        tally(i, 1)
    queue = [(-n, pair) for pair, n in pairs.items()]
    heapq.heapify(queue)
    while queue:
        n, best = heapq.heappop(queue)
        if -n != pairs[best]:
            continue  # counted anew since
        if -n < 2:
            return
        yield best
        touched = set()
        for i in sorted(where.pop(best)):
            tally(i, -1)
            symbols[i] = _merged(symbols[i], best)
            tally(i, 1)
        for pair in touched:
            if pairs[pair] > 0:
                heapq.heappush(queue, (-pairs[pair], pair))


def _merged(symbols: list[str], pair: tuple[str, str]) -> list[str]:
    """Every occurrence of the pair made one, from the left."""
    found, i = [], 0
    while i < len(symbols):
        both = i + 1 < len(symbols) and (symbols[i], symbols[i + 1]) == pair
        found.append(symbols[i] + symbols[i + 1] if both else symbols[i])
        i += 1 + both
    return found


def _word_pieces(tokenizer, data: dict, texts: list[str], pieces: int, coverage: float) -> list[str]:
    """New ones of those that the tokenizers library learns, in its order: characters, then by merges."""
    import tokenizers
    from tokenizers import models, trainers

    model, backend = data["model"], tokenizer.backend_tokenizer
    words = Counter(word for text in texts for word in words_of(tokenizer, text))
    characters = Counter(c for word, n in words.items() for c in word for _ in range(n))
    kept, covered = 0, 0
    for _, n in characters.most_common():
        if covered >= coverage * characters.total():
            break
        kept, covered = kept + 1, covered + n
    core = tokenizers.Tokenizer(models.WordPiece(unk_token=model["unk_token"]))
    core.normalizer, core.pre_tokenizer = backend.normalizer, backend.pre_tokenizer
    prefix = model["continuing_subword_prefix"]
    core.train_from_iterator(
        texts,
        trainers.WordPieceTrainer(
            vocab_size=2 * kept + 3 * pieces, limit_alphabet=kept, continuing_subword_prefix=prefix, show_progress=False
        ),
    )
    known = tokenizer.get_vocab()
    learned = sorted(core.get_vocab().items(), key=lambda each: (len(each[0].removeprefix(prefix)) > 1, each[1]))
    return [piece for piece, _ in learned if piece not in known][:pieces]


def parts_of(tokenizer, piece: str) -> list[int]:
    """Ids of the old tokenizer's pieces of a new one; none where it knows nothing of it."""
    known, unknown = tokenizer.get_vocab(), tokenizer.unk_token_id
    model = tokenizer.backend_tokenizer.model
    prefix = getattr(model, "continuing_subword_prefix", None)
    if prefix and piece.startswith(prefix) and len(piece) > len(prefix):
        from xlt.tokenization.surgery import longest_first

        inside = {p.removeprefix(prefix) for p in known if p.startswith(prefix)}  # all of it continues a word
        found, whole = longest_first(piece.removeprefix(prefix), _Continuing(inside, prefix), prefix, 100)
        return [known[p if p.startswith(prefix) else prefix + p] for p in found] if whole else []
    return [token.id for token in model.tokenize(piece) if token.id != unknown]


class _Continuing:
    """Whether a piece is there as one that continues a word, with its mark or without."""

    def __init__(self, inside: set[str], prefix: str):
        self.inside, self.prefix = inside, prefix

    def __contains__(self, piece: str) -> bool:
        return piece.removeprefix(self.prefix) in self.inside

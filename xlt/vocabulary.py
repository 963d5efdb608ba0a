"""What an objective must know of a tokenizer, its special tokens and where they stand, and of what else the model reads. Holds no text."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from xlt import languages as registry
from xlt import surface
from xlt.errors import ConfigError


@dataclass(frozen=True)
class Vocabulary:
    """Special tokens of a tokenizer, read off its own output on a probe, so that rows joined here equal rows joined by it.

    prefix, between, suffix: ids before the first text, between two texts, after the last.
    pair_types: whether the second text of a pair has token type 1 (BERT) or 0 (XLM-R).
    bos, eos: what a row begins and ends with where an objective needs that; None where the tokenizer has no such token.
    languages: those that the model has an embedding of, in the order of their ids; None: it has no language embeddings.
    segments: whether the model has embeddings of its own for the first and the second text of a row.
    counts: int64 (V,), how often each token occurs in the training data, where the objective asks for it (`reads_counts`).
    """

    size: int
    pad: int
    mask: int | None
    prefix: tuple[int, ...]
    between: tuple[int, ...]
    suffix: tuple[int, ...]
    pair_types: bool
    special: tuple[int, ...]
    bos: int | None
    eos: int | None
    tokenizer: Any = field(repr=False, compare=False)
    languages: tuple[str, ...] | None = None
    segments: bool = False
    counts: np.ndarray | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of(cls, tokenizer) -> Vocabulary:
        """From a transformers tokenizer. ConfigError if it has no padding token."""
        if tokenizer.pad_token_id is None:
            raise ConfigError(
                "tokenizer: it has no padding token; train one with `xlt tokenize` or set pad_token in its tokenizer_config.json"
            )
        plain = {t: tuple(tokenizer(t, add_special_tokens=False)["input_ids"]) for t in ("a", "b")}
        pair = tokenizer("a", "b", return_token_type_ids=True)
        ids = tuple(pair["input_ids"])
        first = _find(ids, plain["a"], 0)
        second = _find(ids, plain["b"], first + len(plain["a"]))
        return cls(
            size=len(tokenizer),
            pad=tokenizer.pad_token_id,
            mask=tokenizer.mask_token_id,
            prefix=ids[:first],
            between=ids[first + len(plain["a"]) : second],
            suffix=ids[second + len(plain["b"]) :],
            pair_types=bool(pair["token_type_ids"][second]),
            special=tuple(sorted(tokenizer.all_special_ids)),
            bos=tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.cls_token_id,
            eos=tokenizer.eos_token_id if tokenizer.eos_token_id is not None else tokenizer.sep_token_id,
            tokenizer=tokenizer,
        )

    @cached_property
    def starts_word(self) -> np.ndarray:
        """bool V; see `xlt.surface`."""
        return surface.word_starts(self.tokenizer)

    @cached_property
    def is_mark(self) -> np.ndarray:
        """bool V: the mark of a word's begin by itself (SentencePiece's ▁ before a Chinese character), which holds no text."""
        return np.array([not text for text in surface.texts(self.tokenizer)[0]])

    @cached_property
    def ends_sentence(self) -> np.ndarray:
        """bool V."""
        return surface.sentence_ends(self.tokenizer)

    @cached_property
    def begins_sentence(self) -> np.ndarray:
        """bool V."""
        return surface.sentence_begins(self.tokenizer)

    @cached_property
    def language_tokens(self) -> dict[str, int]:
        """xlt's code of a language -> id of its token."""
        return surface.language_tokens(self.tokenizer)

    def language_token(self, language: str) -> int:
        """ConfigError if the tokenizer has none for the language."""
        if (code := registry.canonical(language)) not in self.language_tokens:
            raise ConfigError(
                f"tokenizer: it has no token for the language {language} (it has {', '.join(self.language_tokens) or 'none for any'}); "
                "take mBART's, train one with tokenizer.language_tokens=true, or set objective.language_tokens=false"
            )
        return self.language_tokens[code]

    def require_mask(self, objective: str) -> int:
        """The mask token. ConfigError if the tokenizer has none."""
        if self.mask is None:
            raise ConfigError(f"tokenizer: it has no mask token, which objective={objective} needs")
        return self.mask

    def overhead(self, segments: int) -> int:
        """Special tokens in a row of one or two texts."""
        return len(self.prefix) + len(self.suffix) + (len(self.between) if segments == 2 else 0)

    def cut(self, texts: tuple[np.ndarray, ...], max_length: int) -> tuple[np.ndarray, ...]:
        """The texts without what would make their row longer than max_length: of two, the longer one loses tokens first."""
        room = max_length - self.overhead(len(texts))
        if len(texts) == 1:
            return (texts[0][:room],)
        a, b = texts
        if len(a) + len(b) <= room:
            return texts
        half = (
            room + (len(a) > len(b))
        ) // 2  # an odd token goes to the longer text, or the second, as in the tokenizers library
        keep_a = min(len(a), max(room - len(b), half))
        return a[:keep_a], b[: room - keep_a]

    def join(self, texts: tuple[np.ndarray, ...], max_length: int) -> np.ndarray:
        """One row of ids with special tokens, at most max_length of them."""
        parts = [self.prefix, *(p for text in self.cut(texts, max_length) for p in (text, self.between))]
        return np.concatenate([*parts[:-1], self.suffix]).astype(np.int64)

    def pad_rows(self, rows: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """ids_BL int64 and lengths_B int64."""
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        ids_BL = np.full((len(rows), int(lengths.max())), self.pad, np.int64)
        ids_BL[np.arange(ids_BL.shape[1]) < lengths[:, None]] = np.concatenate(rows)
        return ids_BL, lengths

    def read_by(self, model: Any, languages: list[str]) -> Vocabulary:
        """The same for a model (`xlt.models.build.TransferModel`) that reads rows in these languages. ConfigError for one it has no embedding of."""
        known = replace(self, languages=model.languages, segments=model.segments)
        if known.languages is not None:
            known.language_ids(language_codes(languages))
        return known

    def language_ids(self, codes: list[str]) -> np.ndarray:
        """int64 (R,): ids of the languages of rows. ConfigError for one that the model has no embedding of."""
        known = {code: i for i, code in enumerate(self.languages)}
        wanted = {code: known.get(_same(code)) for code in set(codes)}
        if missing := sorted(code for code, i in wanted.items() if i is None):
            raise ConfigError(
                f"model: it has no language embedding for {', '.join(missing)}, nor were they solved into its space (it has {', '.join(self.languages)}); leave out these languages, or train a model on them"
            )
        return np.array([wanted[code] for code in codes], np.int64)

    def language_input(self, codes: list[str], side: int | None = None) -> dict[str, torch.Tensor]:
        """{"language_ids": (R,)} where the model has language embeddings, else nothing. For texts in one language each: that of their row, or the
        first or second (side 0 or 1) of its pair."""
        if self.languages is None:
            return {}
        return {"language_ids": torch.from_numpy(self.language_ids([self.spoken(code, side) for code in codes]))}

    @staticmethod
    def spoken(code: str, side: int | None) -> str:
        """The language of one side (0 or 1) of a pair; of a language by itself, or without side, as it is."""
        return code if side is None or not _is_pair(code) else registry.pair(code)[side]

    def second_text(self, first_B: np.ndarray, lengths_B: np.ndarray, width: int) -> dict[str, torch.Tensor]:
        """token_type_ids and segment_ids of pairs whose second text begins at `first_B`, as far as the tokenizer or the model tells the texts apart."""
        if not (self.pair_types or self.segments):
            return {}
        places = np.arange(width)
        types_BL = torch.from_numpy(((places >= first_B[:, None]) & (places < lengths_B[:, None])).astype(np.int64))
        names = [
            name for name, wanted in (("token_type_ids", self.pair_types), ("segment_ids", self.segments)) if wanted
        ]
        return dict.fromkeys(names, types_BL)

    def is_special(self, ids: np.ndarray) -> np.ndarray:
        """bool of the same shape."""
        table = np.zeros(self.size, bool)
        table[list(self.special)] = True
        return table[ids]


def model_inputs(ids_BL: np.ndarray, lengths_B: np.ndarray) -> dict[str, torch.Tensor | None]:
    """input_ids and attention_mask. The mask is None where no row is padded: attention without a mask is the same and faster."""
    width = ids_BL.shape[1]
    full = bool((lengths_B == width).all())
    mask = None if full else torch.from_numpy((np.arange(width) < lengths_B[:, None]).astype(np.int64))
    return {"input_ids": torch.from_numpy(ids_BL), "attention_mask": mask}


def language_codes(languages: list[str]) -> list[str]:
    """The single languages in languages and pairs, as xlt's codes, sorted: those that a model trained on them has embeddings of."""
    singles = [single for code in languages for single in (registry.pair(code) if _is_pair(code) else (code,))]
    return sorted({_same(code) for code in singles})


def _is_pair(code: str) -> bool:
    return "-" in code and not registry.known(code)


def _same(code: str) -> str:
    """xlt's code of a language, so that eng_Latn and en share an embedding; a code of the data set's own stays as it is."""
    return registry.canonical(code) if registry.known(code) else code


def _find(ids: tuple[int, ...], part: tuple[int, ...], start: int) -> int:
    for i in range(start, len(ids) - len(part) + 1):
        if ids[i : i + len(part)] == part:
            return i
    raise ConfigError(
        "tokenizer: its special tokens cannot be read off a pair of texts; use a tokenizer that joins two texts unchanged"
    )

"""Denoising for encoder-decoders: the encoder reads a spoiled text, the decoder writes the whole one (Lewis et al. 2020; multilingual: Liu et al. 2020, mBART)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from xlt.errors import ConfigError
from xlt.models.heads import decoder_ids, decoder_states
from xlt.objectives import plain_text, prediction
from xlt.types import Batch, Rows
from xlt.vocabulary import Vocabulary, model_inputs


@dataclass(frozen=True, kw_only=True)
class Denoising:
    """Predict all tokens of a text from its noised form. noise: `TextInfilling` or `WordNoise` of `xlt.objectives.text_noise`.

    language_tokens: both sides carry the token of the text's language where the tokenizer puts its own, at the end if it puts none (mBART: X </s> <lang>;
    the decoder then begins with <lang>). Else both sides are framed as the tokenizer frames a text, without language. What the decoder begins with is the
    model's own rule.
    """

    noise: Any
    language_tokens: bool

    view: ClassVar[str] = "text"
    head: ClassVar[str] = "seq2seq-lm"
    separable: ClassVar[bool] = True
    metric: ClassVar[str] = "loss"
    higher_is_better: ClassVar[dict[str, bool]] = prediction.HIGHER_IS_BETTER

    def __post_init__(self):
        if not hasattr(self.noise, "spoil"):
            raise ConfigError(
                f"objective.noise: {self.noise!r} is no noise; take the node of objective=denoising or objective=word_denoising"
            )

    texts, modules = plain_text.texts, plain_text.modules
    loss, loss_by_row = prediction.loss, prediction.loss_by_row
    predict, score, statistics = prediction.predict, prediction.score, prediction.statistics

    def row_length(self, lengths: np.ndarray, vocabulary: Vocabulary, max_length: int) -> np.ndarray:
        extra = 2 if self.language_tokens else vocabulary.overhead(1)
        return 2 * np.minimum(lengths[:, 0] + extra, max_length)  # both sides

    def collate(self, rows: Rows, vocabulary: Vocabulary, max_length: int) -> Batch:
        frames = {language: self.frame(language, vocabulary) for language in set(rows.languages)}
        framed = [frames[language] for language in rows.languages]
        rooms = [max_length - len(before) - len(after) for before, after in framed]
        texts = [ids[:room].astype(np.int64) for ids, room in zip(rows.segments[0], rooms, strict=True)]
        noised = self.noise.spoil(texts, rows.keys, vocabulary)  # masks too many may make it longer
        noised = [ids[:room] for ids, room in zip(noised, rooms, strict=True)]
        ids_BL, lengths_B = vocabulary.pad_rows(_frame(noised, framed))
        targets_BL, targets_B = vocabulary.pad_rows(_frame(texts, framed))
        real_BL = np.arange(targets_BL.shape[1]) < targets_B[:, None]
        tensors = model_inputs(ids_BL, lengths_B) | vocabulary.language_input(rows.languages)
        tensors |= prediction.predicted(targets_BL, np.flatnonzero(real_BL))
        tensors["labels"] = torch.from_numpy(np.where(real_BL, targets_BL, -100))
        total = int(targets_B.sum())
        return Batch(tensors, count=total, tokens=total + int(lengths_B.sum()), rows=len(rows))

    def frame(self, language: str, vocabulary: Vocabulary) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """(ids before a text of the language, ids after it). ConfigError if a token for it is missing."""
        before, after = vocabulary.prefix, vocabulary.suffix
        if not self.language_tokens:
            return before, after
        token, known = vocabulary.language_token(language), set(vocabulary.language_tokens.values())
        if known & {*before, *after}:
            return tuple(token if i in known else i for i in before), tuple(token if i in known else i for i in after)
        if vocabulary.eos is None:
            raise ConfigError(
                "tokenizer: it has no token for the end of a text, which objective=denoising needs; set its eos_token"
            )
        return (), (vocabulary.eos, token)

    def hidden(self, model, batch: Batch) -> torch.Tensor:
        """hidden_BLD of the decoder."""
        encoded_BLD = model.hidden(prediction.inputs(batch))
        read_BL = decoder_ids(model.backbone, batch["labels"])
        return decoder_states(model.backbone, encoded_BLD, batch["attention_mask"], read_BL)


def _frame(texts: list[np.ndarray], framed: list[tuple]) -> list[np.ndarray]:
    pairs = zip(texts, framed, strict=True)
    return [np.concatenate([before, ids, after]).astype(np.int64) for ids, (before, after) in pairs]

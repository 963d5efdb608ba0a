"""A data set in memory and a tokenizer of whole words, for tests that need both without a file."""

from __future__ import annotations

import hashlib
import json

import tokenizers
from transformers import PreTrainedTokenizerFast


class Toy:
    """rows: {(view, language, split): [row, ...]}."""

    name = "toy"

    def __init__(self, rows, labels=None):
        self._rows, self._labels = rows, labels

    def views(self):
        return tuple(sorted({view for view, _, _ in self._rows}))

    def languages(self, view):
        return sorted({language for v, language, _ in self._rows if v == view})

    def splits(self, view, language):
        return [s for v, code, s in self._rows if (v, code) == (view, language)]

    def rows(self, view, language, split):
        return iter(self._rows[view, language, split])

    def labels(self):
        return self._labels

    def fingerprint(self, view, language, split):
        return hashlib.sha256(json.dumps(self._rows[view, language, split]).encode()).hexdigest()


def word_tokenizer(words, template="xlm-r"):
    """Ids 0..4 are <s> <pad> </s> <unk> <mask>; each word is one token."""
    vocabulary = {token: i for i, token in enumerate(["<s>", "<pad>", "</s>", "<unk>", "<mask>", *words])}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    pair = {"xlm-r": "<s> $A </s> </s> $B </s>", "bert": "<s> $A </s> $B:1 </s>:1"}[template]
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(single="<s> $A </s>", pair=pair, special_tokens=[("<s>", 0), ("</s>", 2)])
    names = {"bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "sep_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>", "mask_token": "<mask>"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)

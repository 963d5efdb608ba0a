"""Words, sentences and languages read off tokens, for each way in which tokenizers mark words."""

import numpy as np
import pytest
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from tests.toy import word_tokenizer
from xlt import surface
from xlt.errors import ConfigError
from xlt.objectives.text_noise import word_offsets
from xlt.tokenization.train import Kind, Normalization, SentencePiece, train
from xlt.vocabulary import Vocabulary

TEXT = [
    "the unreasonable effectiveness of transfer learning across languages is remarkable",
    "languages transfer effectively and reasonably across remarkable families of languages",
    "Übersetzung überträgt unvernünftig wirksam zwischen Sprachen und Familien",
    "कोई भाषा दूसरी भाषा से सीखती है और भाषा परिवार",
] * 30
CHINESE = "语言之间的迁移学习很有效"


def plain(kind):
    """A tokenizer of a few hundred pieces trained on the text above."""
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    if kind in ("unigram", "bpe"):
        spec = SentencePiece(
            kind=Kind[kind], vocab_size=345 if kind == "unigram" else 400, alpha=1.0, sample=None, max_repeats=1, byte_fallback=True, character_coverage=1.0, normalization=Normalization.none, lowercase=False, language_tokens=False,
        )  # fmt: skip
        return train(spec, TEXT + [CHINESE[i:] + CHINESE[:i] for i in range(len(CHINESE))], threads=1, max_length=64)
    if kind == "wordpiece":
        made = tokenizers.Tokenizer(models.WordPiece(unk_token="<unk>"))
        made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        trainer = trainers.WordPieceTrainer(vocab_size=150, special_tokens=special, show_progress=False)
    else:
        made = tokenizers.Tokenizer(models.BPE())
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
    made.train_from_iterator(TEXT, trainer)
    names = {
        "bos_token": "<s>",
        "eos_token": "</s>",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "mask_token": "<mask>",
    }
    return PreTrainedTokenizerFast(tokenizer_object=made, **names)


@pytest.mark.parametrize("kind", ["unigram", "bpe", "wordpiece", "bytelevel"])
def test_words_are_what_stands_between_blanks(kind):
    tokenizer = plain(kind)
    starts = surface.word_starts(tokenizer)
    assert len(starts) == len(tokenizer)
    split = 0
    for text in TEXT[:4]:
        ids = np.array(tokenizer(text, add_special_tokens=False)["input_ids"])
        words = text.split()
        begins = [0, *(i for i in range(1, len(ids)) if starts[ids[i]])]
        assert len(begins) == len(words)
        for word, a, b in zip(words, begins, [*begins[1:], len(ids)], strict=True):
            assert tokenizer.decode(ids[a:b]).replace(" ##", "").strip() == word
            split += b - a > 1
    assert split > 10, "no word was longer than a token, so nothing was tested"


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_where_no_blanks_are_written_every_token_is_a_word(kind):
    tokenizer = plain(kind)
    vocabulary = Vocabulary.of(tokenizer)
    ids = np.array(tokenizer(CHINESE, add_special_tokens=False)["input_ids"])
    whole = [t for t in tokenizer.convert_ids_to_tokens(ids) if not t.startswith("<0x") and t != "▁"]
    assert len(whole) > 1
    assert len(word_offsets(ids, vocabulary)) - 1 >= len(whole)


def test_a_vocabulary_of_words():
    assert surface.word_starts(word_tokenizer(["ab", "c"])).all()


def test_sentences_end_at_full_stops_of_any_script():
    tokenizer = word_tokenizer(["a", "a.", "है।", "好。", "هل؟", 'a."', "a,", "።", "3.5"])
    ends = dict(
        zip(tokenizer.convert_ids_to_tokens(range(len(tokenizer))), surface.sentence_ends(tokenizer), strict=True)
    )
    assert {t for t, end in ends.items() if end} == {"a.", "है।", "好。", "هل؟", 'a."', "።"}
    begins = dict(
        zip(tokenizer.convert_ids_to_tokens(range(len(tokenizer))), surface.sentence_begins(tokenizer), strict=True)
    )
    assert begins["a"] and begins["3.5"] and not begins["።"]


def test_language_tokens_of_every_style():
    tokenizer = word_tokenizer(["a", "b"])
    tokenizer.add_special_tokens(
        {"extra_special_tokens": ["en_XX", "deu_Latn", "__sw__", "<zh>", "[ar]", "<sep2>", "<other>"]}
    )
    found = Vocabulary.of(tokenizer).language_tokens
    ids = {code: tokenizer.convert_ids_to_tokens(number) for code, number in found.items()}
    assert ids == {"en": "en_XX", "de": "deu_Latn", "sw": "__sw__", "zh": "<zh>", "ar": "[ar]"}
    assert Vocabulary.of(tokenizer).language_token("eng_Latn") == found["en"]
    with pytest.raises(
        ConfigError, match=r"tokenizer: it has no token for the language fr \(it has en, de, sw, zh, ar\)"
    ):
        Vocabulary.of(tokenizer).language_token("fr")


def test_the_padding_token_is_no_language():
    assert Vocabulary.of(word_tokenizer(["a", "b"])).language_tokens == {}

"""Trimmed tokenizers segment the text that was counted as before, of every kind; by what each kind does, not by what it is hoped to do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tokenizers
import yaml
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from tests.tokenization.test_train import SCRIPTS, spec
from xlt.config.build import build_node
from xlt.config.paths import conf_dir
from xlt.tokenization.surgery import derivation, longest_first, pieces_of
from xlt.tokenization.train import Kind, train
from xlt.tokenization.trim import changed_texts, count, cut, needed


def demo_texts():
    node = yaml.safe_load((conf_dir() / "dataset" / "demo.yaml").read_text(encoding="utf-8"))
    data = build_node(node, "dataset")
    return {code: [r["text"] for r in data.rows("text", code, "train")][:300] for code in data.languages("text")}


TEXTS = demo_texts()
ALL = [text for texts in TEXTS.values() for text in texts] + SCRIPTS


def xlm_roberta(byte_fallback=True, kind=Kind.unigram):
    return train(
        replace(spec(kind, 1500), byte_fallback=byte_fallback, character_coverage=0.99), ALL, 1, 128, ["en", "de"]
    )


def byte_level():
    """GPT-2's."""
    core = tokenizers.Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.train_from_iterator(
        ALL,
        trainers.BpeTrainer(
            vocab_size=1500,
            special_tokens=["<|endoftext|>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="<|endoftext|>", bos_token="<|endoftext|>", pad_token="<|endoftext|>"
    )


def word_piece():
    """BERT's."""
    core = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    core.normalizer = normalizers.BertNormalizer(lowercase=False)
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.train_from_iterator(
        ALL,
        trainers.WordPieceTrainer(
            vocab_size=1500,
            limit_alphabet=250,
            special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
            show_progress=False,
        ),
    )
    core.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=64,
    )


KINDS = {
    "unigram": xlm_roberta,
    "unigram without bytes": lambda: xlm_roberta(False),
    "bpe of characters": lambda: xlm_roberta(kind=Kind.bpe),
    "bpe of characters without bytes": lambda: xlm_roberta(False, Kind.bpe),
    "bpe of bytes": byte_level,
    "word pieces": word_piece,
}


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request):
    return KINDS[request.param]()


@pytest.mark.parametrize("codes", [["sw"], ["ar", "zh"], ["de", "en", "ru"]], ids=",".join)
def test_counted_text_is_encoded_as_before(tokenizer, codes):
    texts = [t for code in codes for t in TEXTS[code]] + SCRIPTS[:5]
    kept_K = needed(tokenizer, lambda: texts, 1, [], "x")
    smaller = cut(tokenizer, kept_K, "x")
    assert len(smaller) == len(kept_K) < 0.9 * len(tokenizer)
    pieces, new_pieces = pieces_of(tokenizer), pieces_of(smaller)
    assert [new_pieces[i] for i in range(len(kept_K))] == [pieces[i] for i in kept_K.tolist()]
    for text in texts:
        assert [kept_K[i] for i in smaller(text)["input_ids"]] == tokenizer(text)["input_ids"]
        assert smaller.decode(smaller(text)["input_ids"]) == tokenizer.decode(tokenizer(text)["input_ids"])
    assert smaller.all_special_tokens == tokenizer.all_special_tokens
    assert smaller(*texts[:2])["input_ids"] == [kept_K.tolist().index(i) for i in tokenizer(*texts[:2])["input_ids"]]


def test_it_survives_being_saved(tokenizer, tmp_path):
    from transformers import AutoTokenizer

    kept_K = needed(tokenizer, lambda: TEXTS["sw"], 1, [], "x")
    smaller = cut(tokenizer, kept_K, "x")
    smaller.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert again(TEXTS["sw"])["input_ids"] == smaller(TEXTS["sw"])["input_ids"] and len(again) == len(smaller)
    assert again.all_special_ids == smaller.all_special_ids and again.model_max_length == smaller.model_max_length


def test_counts_are_those_of_the_pieces(tokenizer):
    counts_V = count(tokenizer, lambda: TEXTS["sw"])
    flat = [i for text in TEXTS["sw"] for i in tokenizer.encode(text, add_special_tokens=False)]
    assert counts_V.sum() == len(flat) and counts_V[flat[0]] == flat.count(flat[0])


def test_rare_pieces_can_be_left_out_and_the_texts_that_change_are_counted(tokenizer):
    texts = TEXTS["sw"]
    kept_K = needed(tokenizer, lambda: texts, 10, [], "x")
    smaller = cut(tokenizer, kept_K, "x")
    new_V = np.full(len(tokenizer), -1)
    new_V[kept_K] = np.arange(len(kept_K))
    other = sum([new_V[i] for i in tokenizer(t)["input_ids"]] != smaller(t)["input_ids"] for t in texts)
    assert changed_texts(tokenizer, smaller, new_V, lambda: texts) == (other, len(texts))
    assert 0 < other <= len(texts)


def test_a_derivation_is_what_bpe_does():
    ranks = {("a", "b"): 0, ("ab", "c"): 1, ("b", "c"): 2, ("x", "abc"): 3}
    assert derivation("xabc", ranks) == ["x", "a", "b", "c", "ab", "abc", "xabc"]
    assert derivation("bcbc", ranks) == ["b", "c", "b", "c", "bc", "bc"]  # never whole


def test_longest_match_is_what_word_pieces_do():
    vocabulary = {"a", "ab", "##c", "##bcd"}
    assert longest_first("abc", vocabulary, "##", 5) == (["ab", "##c"], True)
    assert longest_first("abcd", vocabulary, "##", 5) == (["ab", "##c"], False)


def test_a_word_without_pieces_gets_none_when_what_it_began_with_is_in_no_text():
    """`abcd` is unknown because `ab` is longer than `a`; without `ab` it would be a ##bcd."""
    core = tokenizers.Tokenizer(
        models.WordPiece({"[UNK]": 0, "a": 1, "ab": 2, "##c": 3, "##bcd": 4, "##b": 5}, unk_token="[UNK]")
    )
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    whole = PreTrainedTokenizerFast(tokenizer_object=core, unk_token="[UNK]")
    texts = ["abcd", "a", "abcd a"]
    smaller = cut(whole, needed(whole, lambda: texts, 1, [4], "x"), "x")
    assert [smaller.convert_ids_to_tokens(smaller(t)["input_ids"]) for t in texts] == [["[UNK]"], ["a"], ["[UNK]", "a"]]


def test_the_lowest_score_stays_because_unknown_characters_are_scored_by_it():
    vocabulary = [("<unk>", 0.0), ("a", -1.0), ("ab", -2.0), ("z", -30.0), ("xa", -13.0), ("▁", -1.0)]
    core = tokenizers.Tokenizer(models.Unigram(vocabulary, unk_id=0))
    core.pre_tokenizer = pre_tokenizers.Metaspace()
    whole = PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<unk>")
    texts = ["xa a"]  # x is unknown: x + a costs 30 + 10 + 1, xa 13; with -13 the lowest score, x + a would cost 24
    kept_K = needed(whole, lambda: texts, 1, [], "x")
    assert 3 in kept_K and whole.convert_ids_to_tokens(whole("xa")["input_ids"]) == ["▁", "xa"]

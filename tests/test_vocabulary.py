"""Rows joined by xlt equal rows joined by the tokenizer itself, truncation included."""

import numpy as np
import pytest

from tests.toy import word_tokenizer
from xlt.vocabulary import Vocabulary, model_inputs

WORDS = ["a", "b", *(f"w{i}" for i in range(30))]


@pytest.mark.parametrize("template", ["xlm-r", "bert"])
@pytest.mark.parametrize(("left", "right"), [(3, 5), (12, 2), (2, 12), (9, 9), (14, 11), (0, 7)])
@pytest.mark.parametrize("max_length", [11, 12, 40])
def test_pairs_join_and_cut_as_the_tokenizer_does(template, left, right, max_length):
    tokenizer = word_tokenizer(WORDS, template)
    vocabulary = Vocabulary.of(tokenizer)
    a, b = " ".join(WORDS[2 : 2 + left]), " ".join(WORDS[12 : 12 + right])
    expected = tokenizer(a, b, truncation="longest_first", max_length=max_length)["input_ids"]
    ours = vocabulary.join(
        tuple(np.array(tokenizer(t, add_special_tokens=False)["input_ids"], np.uint16) for t in (a, b)), max_length
    )
    assert ours.tolist() == expected
    assert vocabulary.pair_types == (template == "bert")


def test_single_texts_join_as_the_tokenizer_does():
    tokenizer = word_tokenizer(WORDS)
    ids = np.array(tokenizer("w1 w2 w3", add_special_tokens=False)["input_ids"])
    vocabulary = Vocabulary.of(tokenizer)
    assert vocabulary.join((ids,), 10).tolist() == tokenizer("w1 w2 w3")["input_ids"]
    assert vocabulary.join((ids,), 4).tolist() == tokenizer("w1 w2 w3", truncation=True, max_length=4)["input_ids"]


def test_padding_and_mask():
    vocabulary = Vocabulary.of(word_tokenizer(WORDS))
    ids_BL, lengths_B = vocabulary.pad_rows([np.array([0, 7, 2]), np.array([0, 7, 8, 9, 2])])
    assert ids_BL.tolist() == [[0, 7, 2, 1, 1], [0, 7, 8, 9, 2]] and lengths_B.tolist() == [3, 5]
    assert model_inputs(ids_BL, lengths_B)["attention_mask"].tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    assert model_inputs(ids_BL[1:], lengths_B[1:])["attention_mask"] is None


def test_the_sides_of_a_pair_are_spoken_and_a_language_alone_by_itself():
    assert [Vocabulary.spoken("en-sw", side) for side in (None, 0, 1)] == ["en-sw", "en", "sw"]
    assert [Vocabulary.spoken("zh-Hant", side) for side in (None, 0, 1)] == ["zh-Hant"] * 3

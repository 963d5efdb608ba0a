"""Answers score as the official scripts score them, which are written here once more, from their rules: SQuAD v1.1, SQuAD 2.0 and MLQA."""

from __future__ import annotations

import re
import string
import sys
import unicodedata
from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from xlt import answers

MLQA = ["en", "es", "de", "ar", "hi", "vi", "zh"]
PIECES = [
    *("the", "The", "an", "a", "theory", "der", "die", "Den", "eines", "el", "LAS", "una", "của", "là", "những", "ال", "السلام", "بال"),
    *("長城", "长城", "北京 2008年", "〇", "東京タワー", "ひらがな", "กรุงเทพ", "में", "भारत", "Москва", "한국어", "İstanbul", "ß", "Ελλάδα", "½", "🙂"),
    *("1,000.5", "U.S.", "l'an", "«", "»", "。", "、", "؟", "।", "-", "–", "$", "+", "`", "_", " ", "\u00a0", "\u3000", "\u200b", "\n"),
]  # fmt: skip
STRINGS = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=3)), max_size=6).map("".join)
PUNCTUATION = {chr(i) for i in range(sys.maxunicode) if unicodedata.category(chr(i))[0] == "P"} | {*string.punctuation}
ARTICLES = {
    "en": r"\b(a|an|the)\b",
    "es": r"\b(un|una|unos|unas|el|la|los|las)\b",
    "hi": None,
    "vi": r"\b(của|là|cái|chiếc|những)\b",
    "de": r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b",
    "ar": r"\sال^|ال",
    "zh": None,
}


def squad_normal(text):
    text = "".join(c for c in text.lower() if c not in set(string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def mlqa_normal(text, language):
    text = "".join(c for c in text.lower() if c not in PUNCTUATION)
    if ARTICLES[language]:
        text = re.sub(ARTICLES[language], " ", text)
    if language != "zh":
        return " ".join(text.split())
    segments, held = [], ""
    for character in text:
        if "\u4e00" <= character <= "\u9fa5" or character in PUNCTUATION:
            segments += [*held.split(), character]
            held = ""
        else:
            held += character
    return " ".join(s for s in segments + held.split() if s.strip())


def official(prediction, golds, normal):
    """(exact match, F1) by evaluate-v1.1.py and mlqa_evaluation_v1.py."""

    def f1(a, b):
        a, b = normal(a).split(), normal(b).split()
        same = sum((Counter(a) & Counter(b)).values())
        if same == 0:
            return 0.0
        precision, recall = same / len(a), same / len(b)
        return 2 * precision * recall / (precision + recall)

    return max(float(normal(prediction) == normal(g)) for g in golds), max(f1(prediction, g) for g in golds)


def official_2(prediction, golds, normal):
    """The same by evaluate-v2.0.py."""
    golds = [g for g in golds if normal(g)] or [""]

    def f1(gold, said):
        gold, said = normal(gold).split(), normal(said).split()
        if len(gold) == 0 or len(said) == 0:
            return int(gold == said)
        same = sum((Counter(gold) & Counter(said)).values())
        return 2 * (same / len(said)) * (same / len(gold)) / (same / len(said) + same / len(gold)) if same else 0

    return max(int(normal(g) == normal(prediction)) for g in golds), max(f1(g, prediction) for g in golds)


@given(STRINGS, st.lists(STRINGS, min_size=1, max_size=3))
@example("the", ["the"])
def test_squad(prediction, golds):
    found = answers.exact_and_f1(prediction, golds, answers.squad_words, unanswerable=False)
    assert found == pytest.approx(official(prediction, golds, squad_normal), abs=1e-6)


@given(STRINGS, st.lists(STRINGS, min_size=1, max_size=3), st.sampled_from(MLQA))
@example("die Mauer", ["Mauer"], "de")
@example("长城。", ["长城"], "zh")
def test_mlqa(prediction, golds, language):
    found = answers.exact_and_f1(prediction, golds, answers.mlqa_words(language), unanswerable=False)
    assert found == pytest.approx(official(prediction, golds, lambda text: mlqa_normal(text, language)), abs=1e-6)


@given(STRINGS, st.lists(STRINGS, max_size=3))
@example("", [])
@example("the", [])
@example("", ["the", "x"])
def test_squad_2(prediction, golds):
    found = answers.exact_and_f1(prediction, golds, answers.squad_words, unanswerable=True)
    assert found == pytest.approx(official_2(prediction, golds, squad_normal), abs=1e-6)


@pytest.mark.parametrize(
    ("language", "said", "gold", "mlqa", "squad"),
    [
        ("de", "die Mauer", "Mauer", (1, 1), (0, 2 / 3)),
        ("zh", "长城", "长城。", (1, 1), (0, 0)),
        ("zh", "在长城", "长城", (0, 0.8), (0, 0)),  # the trap: a Chinese answer is one word for SQuAD
        ("zh_TW", "在長城", "長城", (0, 0.8), (0, 0)),
        ("ar", "السلام", "سلام", (1, 1), (0, 0)),
        ("en", "the", "a", (1, 0), (1, 0)),  # no word in either: they match, and share nothing
        ("ja", "東京タワーで", "東京タワー", (0, 10 / 11), (0, 0)),
        ("jpn_Jpan", "JR 東京駅", "東京駅", (0, 6 / 7), (0, 2 / 3)),
        ("th", "ในกรุงเทพ", "กรุงเทพ", (0, 14 / 16), (0, 0)),
        ("ru", "в Москве", "Москве!", (0, 2 / 3), (0, 2 / 3)),
        ("tr", "a the", "the a", (0, 1), (1, 0)),  # no article of Turkish is known
        ("xx", "Москве!", "москве", (1, 1), (1, 1)),  # a code of the data set's own
    ],
)
def test_answers_that_the_two_rules_see_differently(language, said, gold, mlqa, squad):
    for words, expected in ((answers.mlqa_words(language), mlqa), (answers.squad_words, squad)):
        assert answers.exact_and_f1(said, [gold], words, False) == pytest.approx(expected)


def test_scores_are_by_row():
    found = answers.scores(["x", "y z", ""], [["x"], ["q", "y"], []], answers.squad_words, unanswerable=True)
    assert found.tolist() == [[1, 1], [0, pytest.approx(2 / 3)], [1, 1]]
    assert answers.scores([], [], answers.squad_words).shape == (0, 2)


ROWS = st.lists(
    st.tuples(st.integers(-3, 3), st.sampled_from([0, 0.5, 1]), st.sampled_from([0, 1])), min_size=1, max_size=8
)


@given(ROWS)
def test_no_threshold_is_better_than_the_best_one(rows):
    odds, answered, silent = (np.array(column, float) for column in zip(*rows, strict=True))

    def total(threshold):
        return np.where(odds > threshold, silent, answered).sum()

    found = answers.best_threshold(odds, answered, silent)
    assert total(found) == max(total(t) for t in np.arange(-5, 5, 0.5))

"""What a word is, how links are written, and what they are worth: by hand, and AER as its paper defines it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlt import metrics
from xlt.alignment import links

PAIRS = st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12)


def words(text, tokenized=False):
    return [text[a:b] for a, b in links.word_spans(text, tokenized).tolist()]


@pytest.mark.parametrize(
    "text, wanted",
    [
        ("The house , big .", ["The", "house", ",", "big", "."]),
        ("  two\u3000blanks \t here ", ["two", "blanks", "here"]),
        ("我愛你", ["我", "愛", "你"]),
        ("用GPU 訓練2次。", ["用", "GPU", "訓", "練", "2", "次", "。"]),
        ("カバン", ["カ", "バ", "ン"]),
        ("カハ\u3099ン", ["カ", "ハ\u3099", "ン"]),  # the mark of a voiced sound hangs on its letter
        ("ที่นี่", ["ที่", "นี่"]),
        ("अपना घर", ["अपना", "घर"]),
        ("", []),
    ],
)
def test_words_are_between_blanks_and_characters_where_there_are_none(text, wanted):
    assert words(text) == wanted


def test_tokenized_text_is_cut_at_blanks_alone():
    assert words("我們 住 在 這裡 。", tokenized=True) == ["我們", "住", "在", "這裡", "。"]


def test_a_sub_word_is_of_all_words_that_it_overlaps():
    spans = links.word_spans("ab 我愛 c", False)  # ab, 我, 愛, c
    offsets = np.array([[0, 1], [1, 2], [2, 5], [3, 4], [5, 7], [6, 7], [2, 2], [2, 3]])
    found = links.words_of(spans, offsets).tolist()
    assert found[:6] == [[0, 0], [0, 0], [1, 2], [1, 1], [3, 3], [3, 3]]
    assert all(last < first for first, last in found[6:]), "nothing, and a blank, are of no word"


def test_links_are_read_and_written():
    assert links.parse("0-0 2p1 1-3", 0).tolist() == [[0, 0, 1], [2, 1, 0], [1, 3, 1]]
    assert links.parse("1-1 3p2", 1).tolist() == [[0, 0, 1], [2, 1, 0]]
    assert links.parse("0p0 0-0 0p0", 0).tolist() == [[0, 0, 1]], "what is sure somewhere is sure"
    assert links.parse("", 0).shape == (0, 3)
    assert links.pharaoh(np.array([[0, 0], [2, 1]])) == "0-0 2-1" and links.pharaoh(np.empty((0, 2), int)) == ""


@pytest.mark.parametrize("text, sentence", [("0-0 1:2", "'1:2' is no link"), ("0-x", "'0-x' is no link")])
def test_what_is_no_link(text, sentence):
    with pytest.raises(ValueError, match=sentence):
        links.parse(text, 0)


def test_a_0_where_words_begin_at_1():
    with pytest.raises(ValueError, match="set objective.gold_from=0"):
        links.parse("1-0", 1)


def figures(*counts):
    each = np.array(counts)
    return {name: metrics.Sums(each, name).score for name in ("aer", "link_precision", "link_recall", "link_f1")}


def test_scores_by_hand():
    """Sure 0-0 and 1-1, possible 2-2 beside; said 0-0, 2-2, 3-3: 1 of 2 sure ones found, 2 of 3 said are possible."""
    gold, said = links.parse("0-0 1-1 2p2", 0), np.array([[0, 0], [2, 2], [3, 3]])
    assert links.counts(said, gold) == (1, 2, 3, 2)
    scores = figures(links.counts(said, gold))
    assert scores["link_precision"] == pytest.approx(2 / 3) and scores["link_recall"] == 0.5
    assert scores["aer"] == pytest.approx(1 - (1 + 2) / (3 + 2))
    assert scores["link_f1"] == pytest.approx(2 * (2 / 3) * 0.5 / (2 / 3 + 0.5))


@given(st.lists(st.tuples(PAIRS, PAIRS, PAIRS), min_size=1, max_size=4))
def test_scores_are_of_all_sentences_together_and_aer_of_sure_links_is_one_less_f1(sentences):
    counts, sure_only = [], []
    for said, sure, more in sentences:
        text = " ".join([f"{i}-{j}" for i, j in sure] + [f"{i}p{j}" for i, j in more])
        found = np.array(sorted(said), np.int64).reshape(-1, 2)
        counts.append(links.counts(found, links.parse(text, 0)))
        sure_only.append(links.counts(found, links.parse(" ".join(f"{i}-{j}" for i, j in sure), 0)))
    said, sure, possible = ({(n, *pair) for n, s in enumerate(sentences) for pair in s[k]} for k in (0, 1, 2))
    possible |= sure
    if said or sure:
        wanted = 1 - (len(said & sure) + len(said & possible)) / (len(said) + len(sure))
        assert figures(*counts)["aer"] == pytest.approx(wanted)
        assert figures(*sure_only)["aer"] == pytest.approx(1 - figures(*sure_only)["link_f1"])

"""New pieces: the old ones keep ids, scores and merges; new text takes fewer; what happens to old text is what each kind says."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest

from tests.tokenization.test_surgery import KINDS, TEXTS, word_piece
from xlt.errors import ConfigError
from xlt.tokenization.extend import extended, merges, parts_of
from xlt.tokenization.parity import fertility
from xlt.tokenization.surgery import data_of, pieces_of

NEW = ["ይህ አዲስ ቋንቋ ነው", "አዲስ ቋንቋ ይህ ነው ነው", "ቋንቋ አዲስ ይህ", "Kpɔ́ŋ gbe kpɔ́ŋ nyuie", "gbe nyuie kpɔ́ŋ gbe"] * 12
PIECES = 30


@pytest.fixture(scope="module", params=KINDS)
def both(request):
    old = KINDS[request.param]()
    return old, *extended(old, NEW, PIECES, 1.0, 0.5, 1, "x")


def test_old_pieces_keep_their_ids_and_new_ones_come_after(both):
    old, new, added = both
    assert 10 < len(added) <= PIECES and len(new) == len(old) + len(added)
    before, after = pieces_of(old), pieces_of(new)
    assert [after[i] for i in range(len(old))] == [before[i] for i in range(len(old))]
    assert [after[len(old) + i] for i in range(len(added))] == added
    assert new.all_special_ids == old.all_special_ids


def test_new_text_takes_fewer_pieces_and_every_piece_that_it_takes_is_reached(both):
    old, new, _added = both
    before, after = fertility(old, NEW), fertility(new, NEW)
    assert after["unknown_rate"] == after["byte_rate"] == 0
    if before["unknown_rate"] == 0:  # else much text is one unknown piece
        assert after["fertility"] < 0.8 * before["fertility"]
    used = {i for text in NEW for i in new(text)["input_ids"] if i >= len(old)}
    assert len(used) > 5


def test_scores_and_merges_of_old_pieces_are_what_they_were(both):
    old, new, _added = both
    before, after = (data_of(t, "x")["model"] for t in (old, new))
    if before["type"] == "Unigram":
        assert after["vocab"][: len(before["vocab"])] == before["vocab"]
        assert min(score for _, score in after["vocab"]) == min(score for _, score in before["vocab"])
        assert after["unk_id"] == before["unk_id"]
    elif before["type"] == "BPE":
        assert after["merges"][: len(before["merges"])] == before["merges"]


def test_old_text_without_any_new_piece_is_encoded_as_before(both):
    """Honestly no more than that: text in which a new piece occurs may change."""
    old, new, added = both
    letters = {p.strip("▁Ġ#") for p in added}
    texts = [t for code in ("zh", "ru", "ar") for t in TEXTS[code][:50]]
    clean = [t for t in texts if not any(i >= len(old) for i in new(t)["input_ids"])]
    assert len(clean) > 100 and letters
    assert [new(t)["input_ids"] for t in clean] == [old(t)["input_ids"] for t in clean]


def test_it_decodes_to_the_text_and_survives_being_saved(both, tmp_path):
    from transformers import AutoTokenizer

    old, new, _ = both
    new.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    for text in NEW[:5]:
        ids = new.encode(text, add_special_tokens=False)
        assert again.encode(text, add_special_tokens=False) == ids
        form = new.backend_tokenizer.normalizer
        if old.unk_token != "[UNK]":  # word pieces do not say where blanks were
            assert new.decode(ids).strip() == (form.normalize_str(text) if form else text)


def test_parts_of_a_new_piece_are_what_the_old_tokenizer_makes_of_it(both):
    old, _new, added = both
    for piece in added:
        parts = parts_of(old, piece)
        assert all(0 <= i < len(old) and i != old.unk_token_id for i in parts)
        marks = old.convert_ids_to_tokens(parts)
        if parts and not any(m.startswith("<0x") for m in marks):
            found = "".join(m.removeprefix("##") for m in marks)
            assert found in (piece, piece.removeprefix("##")) or (
                old.unk_token_id is not None and set(found) < set(piece)
            )


def test_a_piece_that_continues_a_word_is_cut_into_pieces_that_do():
    old = word_piece()
    assert old.convert_ids_to_tokens(parts_of(old, "##zzq")) == ["##z", "##z", "##q"]
    assert parts_of(old, "##ቋ") == []


def test_merges_are_those_of_bpe_by_its_definition():
    """Against the algorithm as the paper prints it: count all pairs anew after every merge."""
    words = Counter({"lower": 5, "lowest": 2, "newer": 6, "wider": 3, "new": 2, "bobobo": 4})
    segmented, expected = {w: list(w) for w in words}, []
    while True:
        pairs = Counter()
        for word, parts in segmented.items():
            for pair in itertools.pairwise(parts):
                pairs[pair] += words[word]
        if not pairs or max(pairs.values()) < 2:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        expected.append(best)
        for word, parts in segmented.items():
            joined, i = [], 0
            while i < len(parts):
                both = tuple(parts[i : i + 2]) == best
                joined.append("".join(parts[i : i + 1 + both]))
                i += 1 + both
            segmented[word] = joined
    assert list(merges({w: list(w) for w in words}, words, set())) == expected
    assert ("b", "o") in expected and len(expected) > 8


def test_pieces_for_bytes_and_unknown_characters_are_never_merged():
    words = {"x": 5}
    assert list(merges({"x": ["<0xE1>", "<0xBB>", "a", "b", "<unk>", "a", "b"]}, words, {"<unk>"})) == [("a", "b")]


def test_a_smaller_mixture_takes_old_text_less_often():
    from tests.tokenization.test_surgery import xlm_roberta

    old = xlm_roberta()
    text = [t for code in ("fr", "es") for t in TEXTS[code]]
    changed = {}
    for mixture in (0.5, 0.001):
        new, _ = extended(old, TEXTS["sw"], 200, 1.0, mixture, 1, "x")
        changed[mixture] = sum(new(t)["input_ids"] != old(t)["input_ids"] for t in text)
    assert changed[0.001] < changed[0.5]


def test_text_without_new_pieces_is_refused():
    with pytest.raises(ConfigError, match=r"languages.train: its text has no piece that this tokenizer lacks"):
        extended(word_piece(), ["a b"], 5, 1.0, 0.5, 1, "x")

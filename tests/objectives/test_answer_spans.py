"""An answer's characters become tokens and come back, in every script; and the best spans are the best of all, one by one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import tokenizers
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from xlt.data.subwords import encodings
from xlt.objectives import answer_spans

SCRIPTS = {
    "ar": "تأسست المدينة عام ١٩٣٩، وفيها ﷺ مسجد كبير؟",
    "de": "Die Straße führt über  „Brücken“ (1895–1943).",
    "el": "Η Ακρόπολη βρίσκεται στην Αθήνα·",
    "en": "The Panthers' defense gave up just 308 points.",
    "hi": "हिन्दी में क्षेत्रफल ३०८ अंक है।",
    "ja": "東京タワーは１９５８年に「完成」した。",
    "ru": "Ёлка растёт в Москве…",
    "th": "กรุงเทพมหานครเป็นเมืองหลวง",
    "vi": "Việt Nam\u00a0có 54 dân tộc",
    "zh": "夏季剧院位于萨克森花园（波兰语：Ogród Saski）中，½🙂",
}


def trained(kind: str) -> PreTrainedTokenizerFast:
    """A small tokenizer of that kind: sentence pieces with bytes for what is rare (XLM-R, mT5), or bytes throughout (GPT-2)."""
    if kind == "bytes":
        made = tokenizers.Tokenizer(tokenizers.models.BPE())
        made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel()
        trainer = tokenizers.trainers.BpeTrainer(vocab_size=340, initial_alphabet=made.pre_tokenizer.alphabet())
    elif kind == "words":
        made = tokenizers.Tokenizer(tokenizers.models.WordPiece(unk_token="[UNK]"))
        made.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=True)
        made.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
        trainer = tokenizers.trainers.WordPieceTrainer(vocab_size=260, special_tokens=["[UNK]"])
    else:
        made = tokenizers.Tokenizer(tokenizers.models.BPE(byte_fallback=True))
        made.normalizer = tokenizers.normalizers.NFKC()
        made.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
        trainer = tokenizers.trainers.BpeTrainer(
            vocab_size=480, limit_alphabet=120, special_tokens=[f"<0x{i:02X}>" for i in range(256)]
        )
    made.train_from_iterator([*SCRIPTS.values()] * 3, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", unk_token="[UNK]" if kind == "words" else None
    )


TOKENIZERS = {kind: encodings(trained(kind)) for kind in ("pieces", "bytes", "words")}


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("language", SCRIPTS)
def test_each_stretch_of_text_comes_back(kind, language):
    """As it is, where tokens begin and end with it; else with the rest of those tokens, and not one more."""
    text = SCRIPTS[language]
    (encoding,) = TOKENIZERS[kind]([text])
    places = answer_spans.visible(encoding.offsets, text)
    seen = [(b, e) for b, e in places.tolist() if b < e]
    assert {i for b, e in seen for i in range(b, e)} >= {i for i, c in enumerate(text) if not c.isspace()}
    exact = 0
    for start, stop in itertools.combinations(range(len(text) + 1), 2):
        span, inside = answer_spans.tokens_of(start, stop, places), set(range(start, stop))
        tokens = [i for i, (b, e) in enumerate(places.tolist()) if inside & set(range(b, e))]
        assert span == ((tokens[0], tokens[-1]) if tokens else None)
        if not (answer := text[start:stop].strip()):
            continue
        said = text[places[span[0], 0] : places[span[1], 1]]
        assert answer in said
        first = start + text[start:stop].index(answer)
        if not any(b < edge < e for b, e in seen for edge in (first, first + len(answer))):
            assert said == answer
            exact += 1
    assert exact > len(text), "many are whole tokens"


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([*"ab \n\u3000é長🙂"]), max_size=12).map("".join), st.data())
def test_offsets_lose_white_space_alone(text, data):
    count = data.draw(st.integers(0, 4))
    cuts = [sorted(data.draw(st.lists(st.integers(0, len(text)), min_size=2, max_size=2))) for _ in range(count)]
    found = answer_spans.visible(np.array(cuts, np.int64).reshape(-1, 2), text)
    assert found.shape == (count, 2)
    for (begin, end), (b, e) in zip(cuts, found.tolist(), strict=True):
        if text[begin:end].strip():
            assert text[b:e] == text[begin:end].strip() and begin <= b < e <= end
        else:
            assert b >= e


def test_of_spans_that_say_the_same_one_is_kept():
    places = np.array([[0, 1], [0, 1], [2, 3]])
    found = answer_spans.said(
        np.array([[0, 2], [1, 2], [0, 1], [2, 2]]), np.array([4.0, 3.0, 2.0, 1.0]), places, "長 b"
    )
    assert [tuple(a) for a in found] == [("長 b", 0, 4.0), ("長", 0, 2.0), ("b", 2, 1.0)]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 3), min_size=1, max_size=3),
    st.integers(1, 7),
    st.integers(1, 9),
    st.integers(1, 5),
    st.integers(0, 10**6),
)
def test_the_best_spans_are_the_best_of_all(windows, width, count, longest, seed):
    draw = torch.Generator().manual_seed(seed)
    start, end = (torch.randn(sum(windows), width, generator=draw) for _ in range(2))
    start[torch.rand(start.shape, generator=draw) < 0.3] = -torch.inf
    end[torch.rand(end.shape, generator=draw) < 0.3] = -torch.inf
    found, done = answer_spans.best(start, end, windows, count, longest), 0
    for (spans, scores), size in zip(found, windows, strict=True):
        each = [(float(start[w, i] + end[w, j]), (w, i, j)) for w in range(done, done + size)
                for i in range(width) for j in range(i, min(i + longest, width))]  # fmt: skip
        each = sorted((pair for pair in each if pair[0] > -np.inf), reverse=True)[:count]
        assert [tuple(span) for span in spans.tolist()] == [span for _, span in each]
        assert scores.tolist() == [score for score, _ in each]
        done += size


def test_what_is_not_a_number_is_handed_on():
    ((_, scores),) = answer_spans.best(torch.full((1, 3), torch.nan), torch.zeros(1, 3), [1], 2, 2)
    assert scores.isnan().all()

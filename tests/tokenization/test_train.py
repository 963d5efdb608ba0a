"""The saved tokenizer segments as sentencepiece does, loads as a plain transformers one, and gives every script back."""

import io
import unicodedata
from dataclasses import replace

import pytest
import sentencepiece
from transformers import AutoTokenizer

from xlt.errors import ConfigError
from xlt.tokenization.parity import fertility
from xlt.tokenization.train import (
    Kind,
    Normalization,
    SentencePiece,
    balanced_sample,
    draw_sentences,
    to_transformers,
    train,
)
from xlt.vocabulary import Vocabulary

SCRIPTS = [
    "The quick brown fox, it seems, jumps over 13 lazy dogs!",
    "Ça a été très long; où est l’été ? Größe, naïve, Łódź.",
    "Съешь же ещё этих мягких французских булок, да выпей чаю.",
    "我能吞下玻璃而不伤身体。你好，世界！",
    "私はガラスを食べられます。それは私を傷つけません。",
    "أنا قادر على أكل الزجاج و هذا لا يؤلمني؟",
    "मैं काँच खा सकता हूँ और मुझे उससे कोई चोट नहीं पहुंचती.",
    "나는 유리를 먹을 수 있어요. 그래도 아프지 않아요",
    "ฉันกินกระจกได้ แต่มันไม่ทำให้ฉันเจ็บ",
    "ᚠᛇᚻ᛫ᛒᛦᚦ᛫ᚠᚱᚩᚠᚢᚱ 😀 𓀀 ‮x‬ a\u200bb",
]


def spec(kind, size=420, normalization=Normalization.nfc):
    return SentencePiece(
        kind=kind,
        vocab_size=size,
        alpha=0.3,
        sample=None,
        max_repeats=4,
        byte_fallback=True,
        character_coverage=0.98,
        normalization=normalization,
        lowercase=False,
        language_tokens=False,
    )


def corpus():
    """400 sentences of made-up words: enough different ones for the pieces asked for."""
    syllables = ["ka", "lu", "mo", "sen", "tir", "bo", "ve", "nas", "pli", "gro", "hu"]
    words = [a + b + c for a in syllables for b in syllables for c in syllables]
    return [" ".join(words[(i * 7 + j * 131) % len(words)] for j in range(6)) + "." for i in range(400)]


@pytest.fixture(scope="module", params=list(Kind))
def trained(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param.value)
    train(spec(request.param), [*corpus(), *SCRIPTS * 3], threads=1, max_length=128).save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)


def test_every_script_comes_back(trained):
    for text in SCRIPTS:
        ids = trained(text)["input_ids"]
        assert trained.unk_token_id not in ids
        assert trained.decode(ids, skip_special_tokens=True) == " ".join(unicodedata.normalize("NFC", text).split())


@pytest.mark.parametrize("kind", list(Kind))
def test_without_case_a_word_is_the_same_everywhere_and_offsets_are_those_of_the_text(kind, tmp_path):
    train(replace(spec(kind), lowercase=True), [*corpus(), *SCRIPTS * 3], 1, 128).save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    for text in [*corpus()[:9], *SCRIPTS, "ÀÉÎ Große İstanbul ΣΊΣΥΦΟΣ ДА"]:
        lower = "".join(c.lower() for c in text)  # letter by letter: a final sigma would depend on what follows
        ids = again(text)["input_ids"]
        assert ids == again(lower)["input_ids"] == again(text.upper().lower() if text.isascii() else text)["input_ids"]
        assert again.decode(ids, skip_special_tokens=True) == " ".join(unicodedata.normalize("NFC", lower).split())
    assert again.tokenize("KALU kalu")[: len(again.tokenize("kalu"))] == again.tokenize("kalu")
    starts = {start for start, _ in again("Kalu MOSEN", return_offsets_mapping=True)["offset_mapping"]}
    assert 5 in starts or 4 in starts


def test_special_tokens_stand_where_xlm_r_has_them(trained):
    assert trained.convert_ids_to_tokens([0, 1, 2, 3]) == ["<s>", "<pad>", "</s>", "<unk>"]
    a, b = (trained(t, add_special_tokens=False)["input_ids"] for t in ("kalu", "mosen"))
    assert trained("kalu", "mosen")["input_ids"] == [0, *a, 2, 2, *b, 2]
    assert trained.mask_token_id == len(trained) - 1 and len(trained) == 420


@pytest.mark.parametrize("kind", list(Kind))
def test_segmentation_is_that_of_sentencepiece(kind):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*corpus(), *SCRIPTS * 3]), model_writer=model, model_type=kind.value, vocab_size=500, byte_fallback=True,
        character_coverage=0.98, normalization_rule_name="identity", minloglevel=2,
    )  # fmt: skip
    theirs = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    ours = to_transformers(model.getvalue(), spec(kind), 128)
    for text in [*corpus()[::7], *SCRIPTS]:
        assert ours.tokenize(text) == theirs.encode(text, out_type=str), text


def test_too_large_a_vocabulary_is_one_sentence():
    with pytest.raises(
        ConfigError, match=r"tokenizer.vocab_size: 30000 pieces cannot be learned from this text; lower it"
    ):
        train(spec(Kind.unigram, 30000), corpus()[:50], threads=1, max_length=128)


def test_sampling_draws_whole_passes_then_a_part():
    counts = balanced_sample({"en": 100, "sw": 10}, {"en": 0.6, "sw": 0.4}, total=100, max_repeats=3)
    assert counts == {"en": 60, "sw": 30}
    drawn = list(draw_sentences({"sw": ["a", "b", "c"]}, {"sw": 7}, seed=1))
    assert len(drawn) == 7
    assert all(drawn.count(x) in (2, 3) for x in "abc")


def test_fertility_counts(trained):
    report = fertility(trained, ["kata lumi", "kata"])
    ids = sum(len(trained(t, add_special_tokens=False)["input_ids"]) for t in ("kata lumi", "kata"))
    assert report["fertility"] == ids / 3 and report["characters_per_token"] == 13 / ids and report["unknown_rate"] == 0


def test_languages_have_tokens_where_they_are_asked_for(tmp_path):
    asked = replace(spec(Kind.unigram, size=400), language_tokens=True)
    tokenizer = train(asked, corpus(), 1, 64, ["en", "de", "zh"])
    assert len(tokenizer) == asked.vocab_size
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    ids = Vocabulary.of(again).language_tokens
    assert list(ids) == ["en", "de", "zh"] and set(ids.values()) == {len(again) - 3, len(again) - 2, len(again) - 1}
    assert set(ids.values()) <= set(again.all_special_ids), "a masked LM must not hide or predict them"
    plain = train(spec(Kind.unigram, size=400), corpus(), 1, 64, ["en", "de", "zh"])
    assert Vocabulary.of(plain).language_tokens == {}

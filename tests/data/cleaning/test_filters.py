"""Each filter against its definition, computed here in another way."""

import random
import re
import unicodedata

import pytest

from xlt.data.cleaning import scripts
from xlt.data.cleaning.characters import Characters
from xlt.data.cleaning.filters import Form, Length, Normalise, RepeatedLines, ScriptAgreement, Symbols
from xlt.errors import ConfigError

JOINERS = ["Arab", "Syrc", "Deva", "Beng", "Sinh", "Mlym", "Khmr"]
CHARACTERS = Characters(joiners=JOINERS, zero_width_spaces=["Thai", "Khmr"])
LENGTH = Length(
    min_words=3, enough_letters=15, max_characters=40, letters_per_word=2, unspaced=["Hani", "Hira", "Kana", "Thai"]
)
SYMBOLS = Symbols(max_share=0.4)
SCRIPT = ScriptAgreement(min_share=0.5, also={"sr": ["Latn"]})


@pytest.mark.parametrize(
    ("form", "text", "wanted"),
    [
        (Form.nfc, "e\u0301 ﬁ Ａ ²", "é ﬁ Ａ ²"),
        (Form.nfkc, "e\u0301 ﬁ Ａ ²", "é fi A 2"),
        (Form.nfc, "\u0958", "\u0915\u093c"),  # a composition exclusion of Devanagari
        (Form.nfc, "\u1112\u1161\u11ab", "한"),
    ],
)
def test_normalise(form, text, wanted):
    assert Normalise(form=form).apply(text, "en") == wanted


ZWNJ, ZWJ, ZWSP = "\u200c", "\u200d", "\u200b"
KEPT = {
    "Persian plural": f"کتاب{ZWNJ}ها",
    "Persian prefix": f"می{ZWNJ}خواهم",
    "Persian abbreviation": f"سال ه{ZWJ}. ق.",
    "Persian suffix on a Latin name": f"PDF{ZWNJ}ها",
    "Persian suffix on a digit": f"۲۰{ZWNJ}ها",
    "Arabic vowel sign, of script Inherited": f"کِتابَ{ZWNJ}ها",
    "Hindi half form": f"क्{ZWJ}ष",
    "Hindi visible virama": f"क्{ZWNJ}ष",
    "Bengali ya-phalaa": f"র{ZWJ}্যাব",
    "Sinhala touching letters": f"ක්{ZWJ}ෂ",
    "Malayalam chillu at the end": f"അവന്{ZWJ}",
    "family of emoji": f"👩{ZWJ}👩{ZWJ}👧",
    "emoji with colour and presentation": f"👩🏽{ZWJ}🚀 ❤️{ZWJ}🔥",
    "flag of tags": "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
    "Khmer words": f"សួស្តី{ZWSP}ពិភពលោក",
    "lines": "one\ntwo\n\nthree",
}
CHANGED = {
    "joiner in Latin": (f"in{ZWNJ}visible a{ZWJ}b", "invisible ab"),
    "joiner after a blank": (f"این {ZWNJ}کتاب", "این کتاب"),
    "joiner at the start": (f"{ZWNJ}کتاب", "کتاب"),
    "joiner twice": (f"می{ZWNJ}{ZWNJ}خواهم", f"می{ZWNJ}خواهم"),
    "joiner after a comma": (f"و ،{ZWNJ} و", "و ، و"),
    "joiner behind a removed mark": (f"کتاب\u200e{ZWNJ}ها", f"کتاب{ZWNJ}ها"),
    "lonely emoji joiner": (f"👩{ZWJ} x", "👩 x"),
    "zero-width space in Latin and Chinese": (f"a{ZWSP}b 你{ZWSP}好", "ab 你好"),
    "controls, BOM, soft hyphen": ("\ufeffa\x00b\x1bc\u00add\x7f", "abcd"),
    "bidi": ("\u200fשלום\u202a x\u2069", "שלום x"),
    "private use, non-characters, surrogates": ("a\ue000b\ufdd0c\ud800d\U0010ffff", "abcd"),
    "tags outside flags": ("a\U000e0041b", "ab"),
    "blanks": ("  a\tb \xa0 c\u2028d\x85e\u3000f  ", "a b c d e f"),
    "line ends": ("a \r\n b\rc\n\n\n\nd\n", "a\nb\nc\n\nd"),
    "nothing is left": ("\u200b\u200e ", ""),
}


@pytest.mark.parametrize("text", KEPT.values(), ids=KEPT)
def test_what_the_script_needs_stays(text):
    assert CHARACTERS.apply(text, "xx") == text


@pytest.mark.parametrize(("text", "wanted"), CHANGED.values(), ids=CHANGED)
def test_what_nobody_sees_goes(text, wanted):
    assert CHARACTERS.apply(text, "xx") == wanted
    assert CHARACTERS.apply(wanted, "xx") == wanted


def test_no_control_is_left_and_no_visible_character_is_lost():
    """All of Unicode, one by one between two letters."""
    bad, joining = [], set(map(ord, "\u200b\u200c\u200d"))
    for point in range(0x110000):
        char = chr(point)
        found = CHARACTERS.apply(f"a{char}b", "en")
        category = unicodedata.category(char)
        if char.isspace():
            wanted = "a\nb" if char in "\r\n" else "a b"
        elif (
            category in ("Cc", "Cs", "Co") or point in joining or point & 0xFFFE == 0xFFFE or 0xFDD0 <= point <= 0xFDEF
        ):
            wanted = "ab"
        elif category == "Cf":  # some are seen, such as the Arabic number sign
            continue
        else:
            wanted = f"a{char}b"
        if found != wanted:
            bad.append((hex(point), category, found))
    assert not bad


def test_idempotent_on_noise():
    draw = random.Random(0)
    pool = [
        *"ab c.\n",
        "\r",
        "\t",
        "\u2028",
        ZWNJ,
        ZWJ,
        ZWSP,
        "ک",
        "ا",
        "ة",
        "क",
        "्",
        "ก",
        "\u200e",
        "👩",
        "\ufe0f",
        "\ufeff",
    ]
    for _ in range(3000):
        once = CHARACTERS.apply("".join(draw.choices(pool, k=draw.randrange(1, 14))), "xx")
        assert CHARACTERS.apply(once, "xx") == once


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("one two three", True),
        ("one two", False),
        ("fifteen letters", False),  # 14 of them
        ("fifteen lettersx", True),
        ("123456789012345 1", False),
        ("one, two - !", False),  # signs are no words
        ("它是一种树", False),  # five letters: two and a half
        ("它是一种大树", True),
        ("東京 tower です", True),
        ("x " * 20, True),
        ("x " * 21, False),
    ],
)
def test_length(text, kept):
    assert LENGTH.apply(text, "xx") == (text if kept else None)


def test_length_without_upper_bound():
    assert Length(min_words=1, enough_letters=15, max_characters=None, letters_per_word=2, unspaced=[]).apply(
        "x" * 10**6, "en"
    )


def test_symbols_at_the_bound():
    assert SYMBOLS.apply("abc 1:", "en")  # 2 of 5
    assert SYMBOLS.apply("abc 1:2", "en") is None  # 3 of 6
    assert SYMBOLS.apply(" \n", "en") is None
    assert SYMBOLS.apply("हिन्दी में", "hi"), "vowel signs and viramas are no symbols"


def test_symbols_by_categories():
    draw = random.Random(1)
    for _ in range(500):
        text = "".join(draw.choices("aé我ि١1.,$ \n\U0001f600", k=20))
        seen = [c for c in text if not c.isspace()]
        share = sum(unicodedata.category(c)[0] not in "LM" for c in seen) / len(seen)
        assert (SYMBOLS.apply(text, "xx") is not None) == (share <= 0.4)


def test_repeated_lines():
    lines = RepeatedLines(max_share=0.3, max_character_share=0.2)
    assert lines.apply("a a a a a", "en"), "one line repeats nothing"
    assert lines.apply("long line one\nx\nx\nlong line two", "en"), "1 of 4 lines, 1 of 28 characters"
    assert lines.apply("x\nx\nx\nlong line", "en") is None, "2 of 4 lines"
    assert lines.apply("long line\nlong line\na\nb\nc\nd", "en") is None, "1 of 6 lines, but 9 of 22 characters"
    assert lines.apply("\n".join(["x"] * 4 + [f"long line {i}" for i in range(6)]), "en"), (
        "3 of 10 lines is no more than 30 %"
    )
    assert lines.apply("a\n\n \nb\n\nc", "en"), "empty lines are no lines"


def test_script():
    assert SCRIPT.apply("это по-русски, not English", "ru"), "11 of 21 letters"
    assert SCRIPT.apply("по-русски, not English at all", "ru") is None
    assert SCRIPT.apply("ово је", "sr") and SCRIPT.apply("ovo je", "sr_Latn") and SCRIPT.apply("ovo je", "sr")
    assert SCRIPT.apply("यह हिन्दी है", "hi") and SCRIPT.apply("yah hindi hai", "hi") is None
    assert (
        SCRIPT.apply("日本語とカナー", "ja") and SCRIPT.apply("한국어 漢字", "ko") and SCRIPT.apply("我们", "zho_Hant")
    )
    assert SCRIPT.apply("한국어", "ja") is None
    assert SCRIPT.apply("123 !?", "ru"), "nothing to judge"
    assert SCRIPT.apply("anything", "tlh-not-known"), "a language that xlt does not know"


def test_every_script_of_the_registry_has_letters():
    from xlt import languages

    codes = {languages.script(code) for code in languages._table()}
    assert len(codes) > 30
    for script in codes - {"Cans"} | {"Cans"}:
        scripts.letters_of((script,))
    assert scripts.count(scripts.letters_of(("Arab",)), "abc کتاب") == 4


def test_folded():
    same = ["Straße, 10 km!", "STRASSE 10 km", "straße\u00a010 ㎞ …"]
    assert len({scripts.folded(t) for t in same}) == 1
    assert scripts.folded("हिन्दी") == unicodedata.normalize("NFKC", "हिन्दी"), "marks stay"
    assert scripts.folded("10 km") != scripts.folded("11 km")
    assert scripts.folded(" ?! ") == "?!", "without letters a text stands for itself"
    assert re.fullmatch(r"[^\W_]+( [^\W_]+)*", scripts.folded("A-b_c  «d» 1.5"))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Characters(joiners=["Persian!"], zero_width_spaces=[]), "Characters.joiners: Persian!: not all are four-letter codes"),
        (lambda: Length(min_words=0, enough_letters=15, max_characters=None, letters_per_word=2, unspaced=[]), "Length.min_words: 0 is not above 0"),
        (lambda: Length(min_words=1, enough_letters=15, max_characters=0, letters_per_word=2, unspaced=[]), "Length.max_characters: 0 is not above 0"),
        (lambda: Length(min_words=1, enough_letters=15, max_characters=None, letters_per_word=2, unspaced=["Xx"]), "Length.unspaced: Xx: not all"),
        (lambda: Symbols(max_share=40), "Symbols.max_share: 40 is not in [0, 1]"),
        (lambda: RepeatedLines(max_share=0.3, max_character_share=2), "RepeatedLines.max_character_share: 2 is not in [0, 1]"),
        (lambda: ScriptAgreement(min_share=-1, also={}), "ScriptAgreement.min_share: -1 is not in [0, 1]"),
        (lambda: ScriptAgreement(min_share=0.5, also={"qqq": ["Latn"]}), "ScriptAgreement.also: 'qqq' is not a known language code"),
        (lambda: ScriptAgreement(min_share=0.5, also={"sr": ["Lat"]}), "ScriptAgreement.also.sr: Lat: not all are"),
    ],
)  # fmt: skip
def test_rules(make, sentence):
    with pytest.raises(ConfigError) as caught:
        make()
    assert [p for p in caught.value.problems if p.startswith(f"cleaning.filters: {sentence}")]

"""Agreement with a fastText model: a real one, learned here in a second, where the package is installed; and what is said where it is not."""

import random
import sys

import pytest

from xlt.data.cleaning import language_id
from xlt.data.cleaning.language_id import LanguageId
from xlt.errors import ConfigError

WORDS = {
    "eng_Latn": "the of and that",
    "deu_Latn": "der und nicht mit",
    "swh_Latn": "ya na katika kwa",
    "mis_Qaaa": "qa qb qc qd",
}


def sentence(code, seed):
    draw = random.Random(f"{code}{seed}")
    return " ".join(draw.choices(WORDS[code].split(), k=6))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    fasttext = pytest.importorskip("fasttext")
    folder = tmp_path_factory.mktemp("model")
    lines = [f"__label__{code} {sentence(code, i)}" for i in range(200) for code in WORDS]
    (folder / "train.txt").write_text("\n".join(lines) + "\n")
    found = fasttext.train_supervised(str(folder / "train.txt"), dim=4, epoch=20, thread=1, minCount=1, verbose=0)
    found.save_model(str(folder / "lid.bin"))
    words = fasttext.train_unsupervised(str(folder / "train.txt"), dim=4, epoch=1, thread=1, minCount=1, verbose=0)
    words.save_model(str(folder / "words.bin"))
    return folder


def lid(model, min_score=0.5, **also):
    return LanguageId(model=str(model / "lid.bin"), min_score=min_score, also=also)


@pytest.mark.parametrize("spelling", ["en", "eng", "eng_Latn"])
def test_agreement(model, spelling):
    f = lid(model)
    assert f.apply(sentence("eng_Latn", 1), spelling) == sentence("eng_Latn", 1)
    assert f.apply(sentence("deu_Latn", 1), spelling) is None
    assert f.apply("the of\nand that", spelling), "several lines are judged as one"
    assert f.apply("der \ud800", "de"), "a lone surrogate is no reason to fail"


def test_the_score_counts(model):
    mixed = "the of der und"
    guess, score = language_id._guess(language_id._load(str(model / "lid.bin")), mixed)
    assert 0 < score < 1
    code = guess.removeprefix("__label__")
    assert lid(model, score - 1e-6).apply(mixed, code) and lid(model, score + 1e-6).apply(mixed, code) is None


def test_languages_that_count_as_its_own(model):
    assert lid(model, de=["en"]).apply(sentence("eng_Latn", 2), "deu")
    assert lid(model, de=["en"]).apply(sentence("deu_Latn", 2), "en") is None, "in one direction"


def test_a_language_without_label_is_not_judged(model):
    f = lid(model)
    assert [f.judges(code) for code in ("en", "sw", "fr", "not-known")] == [True, True, False, False]
    assert f.apply(sentence("eng_Latn", 1), "fr")


def test_a_file_that_is_no_model(model):
    f = LanguageId(model=str(model / "train.txt"), min_score=0.5, also={})
    with pytest.raises(
        ConfigError, match=r"cleaning\.language_model: .*train\.txt is no fastText model \(.*\); give a \.bin or \.ftz"
    ):
        f.apply("x", "en")
    with pytest.raises(ConfigError, match=r"words\.bin holds word vectors; give a model that identifies languages"):
        LanguageId(model=str(model / "words.bin"), min_score=0.5, also={}).apply("x", "en")


def test_without_a_model_it_is_off():
    f = LanguageId(model=None, min_score=0.5, also={})
    assert f.off and f.apply("x", "en") == "x"


def test_without_the_package(tmp_path, monkeypatch):
    (tmp_path / "lid.ftz").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "fasttext", None)
    f = LanguageId(model=str(tmp_path / "lid.ftz"), min_score=0.5, also={})
    with pytest.raises(
        ConfigError, match=r"needs the package fasttext; `pip install 'xlt\[cleaning\]'`, or set it to null"
    ):
        f.apply("x", "en")


def test_rules(tmp_path):
    with pytest.raises(ConfigError) as caught:
        LanguageId(model=str(tmp_path / "no.ftz"), min_score=2, also={"qqq": ["en"]})
    assert [p.split(";")[0] for p in caught.value.problems] == [
        "cleaning.filters: LanguageId.min_score: 2 is not in [0, 1]",
        "cleaning.filters: LanguageId.also: 'qqq' is not a known language code",
        f"cleaning.language_model: {tmp_path / 'no.ftz'} is not a file",
    ]

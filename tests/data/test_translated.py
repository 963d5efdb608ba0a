"""Given translations in the place of rows: what comes from where, and that dev rows of a translated language are translations or none."""

import pytest

from tests.toy import Toy
from xlt.data.translated import Translated

VIEW = "classification"


def rows(*places):
    return {(VIEW, code, split): [{"text": f"{name} {code} {split}"}] for name, code, split in places}


ORIGINAL = Toy(rows(*(("original", code, split) for code in ("de", "en", "fr") for split in ("train", "dev", "test"))))
TRANSLATIONS = Toy(rows(("translated", "de", "train"), ("translated", "de", "test"), ("translated", "sw", "train")))


@pytest.mark.parametrize(
    "place, text",
    [(("de", "train"), "translated"), (("de", "test"), "original"), (("en", "train"), "original"), (("fr", "dev"), "original"), (("sw", "train"), "translated")],
)  # fmt: skip
def test_training_data_come_from_translations_where_there_are_some(place, text):
    data = Translated(ORIGINAL, TRANSLATIONS, ("train", "dev"))
    assert next(data.rows(VIEW, *place))["text"] == f"{text} {' '.join(place)}"
    whole = TRANSLATIONS if text == "translated" else ORIGINAL
    assert data.fingerprint(VIEW, *place) == whole.fingerprint(VIEW, *place)
    assert data.locate(VIEW, *place, 0) == f"dataset toy, language {place[0]}, split {place[1]}, row 1"


def test_a_translated_language_has_the_translations_dev_data_or_none():
    data = Translated(ORIGINAL, TRANSLATIONS, ("train", "dev"))
    assert data.languages(VIEW) == ["de", "en", "fr", "sw"]
    assert {code: data.splits(VIEW, code) for code in data.languages(VIEW)} == {
        "de": ["train", "test"], "en": ["train", "dev", "test"], "fr": ["train", "dev", "test"], "sw": ["train"],
    }  # fmt: skip


def test_of_test_data_only_the_test_split_moves():
    data = Translated(ORIGINAL, TRANSLATIONS, ("test",))
    assert next(data.rows(VIEW, "de", "test"))["text"] == "translated de test"
    assert next(data.rows(VIEW, "de", "dev"))["text"] == "original de dev"
    assert data.splits(VIEW, "sw") == []

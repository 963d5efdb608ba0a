"""Sentences are held once, translations stay together, and parts share no meaning."""

import pytest

from tests.toy import Toy
from xlt import languages
from xlt.data.translations import Part, read_translations
from xlt.errors import DataError


def rows(source, target, numbers):
    return [{"source": f"{source} {i}", "target": f"{target} {i}"} for i in numbers]


MANY = Toy(
    {
        ("parallel", f"en-{code}", "test"): rows("en", code, range(start, start + 40))
        for code, start in (("de", 0), ("sw", 20), ("fr", 0))
    }
)


def test_a_sentence_is_held_once_in_however_many_pairs_it_stands():
    data = read_translations(MANY, ["en-de", "en-fr", "en-sw"], "test", None, 0.5)
    assert {code: len(texts) for code, texts in data.texts.items()} == {"en": 60, "de": 40, "fr": 40, "sw": 40}
    for pair, (source_P, target_P) in data.pairs.items():
        first, second = languages.pair(pair)
        for i, j in zip(source_P, target_P, strict=True):
            assert data.texts[first][i].split()[1] == data.texts[second][j].split()[1]


def test_translations_are_in_one_part_also_through_a_third_language():
    chain = Toy(
        {
            ("parallel", "en-de", "test"): rows("en", "de", range(60)),
            ("parallel", "de-fr", "test"): rows("de", "fr", range(60)),
        }
    )
    data = read_translations(chain, ["en-de", "de-fr"], "test", None, 0.5)
    part_of = {
        text: part for code, texts in data.texts.items() for text, part in zip(texts, data.parts[code], strict=True)
    }
    assert all(part_of[f"en {i}"] == part_of[f"de {i}"] == part_of[f"fr {i}"] for i in range(60))
    assert [list(data.parts["en"]).count(part) for part in Part] == [30, 15, 15]
    for part in Part:
        source_P, target_P = data.of("de-fr", part)
        assert (data.parts["de"][source_P] == part).all() and (data.parts["fr"][target_P] == part).all()
    again = read_translations(chain, ["de-fr"], "test", None, 0.5)
    assert len(again.texts["de"]) == 60 and "en" not in again.texts


def test_a_sentence_counts_once_in_a_pair_and_only_the_first_rows_are_read():
    twice = Toy(
        {
            ("parallel", "en-de", "test"): [
                *rows("en", "de", range(30)),
                {"source": "en 3", "target": "de x"},
                {"source": "en y", "target": "de 4"},
            ]
        }
    )
    data = read_translations(twice, ["en-de"], "test", None, 0.5)
    assert len(data.pairs["en-de"][0]) == 30 and "de x" not in data.texts["de"] and "en y" not in data.texts["en"]
    assert len(read_translations(twice, ["en-de"], "test", 20, 0.5).texts["en"]) == 20


def test_too_few_is_said():
    few = Toy({("parallel", "en-de", "test"): rows("en", "de", range(12))})
    with pytest.raises(
        DataError,
        match=r"dataset toy, en-de, test: 12 pairs of different sentences, of which 6 are to be scored, and 3 and 3 to give means",
    ):
        read_translations(few, ["en-de"], "test", None, 0.5)

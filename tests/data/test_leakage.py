"""The guard against planted leaks: each is counted once by what gives it away, and nothing else is."""

import pytest

from tests import corpus
from tests.toy import Toy
from xlt.data.leakage import Action, LeakageGuard, Learned
from xlt.data.subset import Subset
from xlt.errors import ConfigError

VIEW = "classification"
NUMBERS = dict(ngram=5, bands=14, rows=8, threshold=0.8)


class Parallel(Toy):
    align_on = "id"


def text(language: str, number: int) -> str:
    return f"{' '.join(corpus.sentence(language, number))} {number}"


def row(language: str, number: int, **changes) -> dict:
    return {"id": number, "text": text(language, number), "label": "a"} | changes


def places(kind=Parallel, **tests):
    """English to learn from, rows 0 to 39; what is given to test on; English rows of its own to test on."""
    rows = {
        (VIEW, "en", "train"): [row("en", i) for i in range(40)],
        (VIEW, "en", "test"): [row("en", i) for i in range(100, 110)],
    }
    return kind(rows | {(VIEW, code, "test"): test for code, test in tests.items()})


def found(data, language, learned=None, **changes):
    guard = LeakageGuard(action=Action.report, **{**NUMBERS, **changes})
    return guard.search([Learned(learned or data, VIEW, ["en"])]).find(data, VIEW, language, "test")


CLEAN = [row("de", i) for i in range(200, 220)]


def test_planted_leaks_are_found_exactly():
    planted = [
        *CLEAN[:5],
        row("de", 3), row("de", 39),  # translations of what was learned, by their id
        *CLEAN[5:9],
        row("de", 301, text=text("en", 5)),  # left untranslated
        row("de", 302, text=f"  {text('en', 6).upper()}!"),  # the same but for case, punctuation and space
        row("de", 303, text=f"{' '.join([text('en', 7)] * 4)} so"),  # not alike: four times as long
        row("de", 11, text=text("en", 11)),  # both ways
        *CLEAN[9:],
    ]  # fmt: skip
    assert found(places(de=planted), "de") == {"id": [5, 6, 14], "text": [11, 12, 14]}


def test_nearly_the_same_text_is_found_and_less_is_not():
    long = " ".join(text("en", i) for i in range(4))
    data = Toy({(VIEW, "en", "train"): [row("en", 0, text=long)], (VIEW, "en", "test"): [
        row("en", 1, text=long + " x"), row("en", 2, text=long[: len(long) // 2]), row("en", 3, text="w" + long[1:])]})  # fmt: skip
    assert found(data, "en") == {"id": [], "text": [0, 2]}
    assert found(data, "en", threshold=1.0, rows=1) == {"id": [], "text": []}


def test_nothing_is_found_where_nothing_leaked():
    assert found(places(de=CLEAN), "de") == found(places(de=CLEAN), "en") == {"id": [], "text": []}


def test_ids_mean_nothing_in_data_that_are_not_parallel():
    assert found(places(Toy, de=[row("de", 3)]), "de") == {"id": [], "text": []}


def test_ids_mean_nothing_in_another_data_set():
    class Other(Parallel):
        name = "other"

    data = places(de=[row("de", 3)])
    assert found(data, "de", learned=Other(data._rows)) == {"id": [], "text": []}
    assert found(data, "de") == {"id": [0], "text": []}


def test_ids_that_begin_anew_in_each_split_mean_nothing():
    data = places(de=[row("de", 3)])
    data._rows[VIEW, "en", "test"] = [row("en", 100, id=0)]
    guard = LeakageGuard(action=Action.report, **NUMBERS)
    search = guard.search([Learned(data, VIEW, ["en"])])
    assert not search.by_id(data) and search.find(data, VIEW, "de", "test") == {"id": [], "text": []}


def test_of_a_subset_the_rows_that_are_left_are_looked_at():
    data = places(de=[row("de", 3), *CLEAN, row("de", 4)])
    kept = Subset(data, {(VIEW, "de", "test"): [2, 21], (VIEW, "en", "train"): [4, 5]})
    assert found(kept, "de") == {"id": [1], "text": []}


def test_pairs_and_tokens_are_texts_too():
    pair = {"text": text("en", 1), "text_pair": text("en", 2), "label": "a"}
    data = Toy({(VIEW, "en", "train"): [pair], (VIEW, "en", "test"): [{**pair, "text_pair": text("en", 3) * 3}, pair]})
    assert found(data, "en")["text"] == [1]
    tagged = {"tokens": text("en", 1).split(), "tags": []}
    data = Toy(
        {("tagging", "en", "train"): [tagged], ("tagging", "en", "test"): [{"tokens": ["other", "words"]}, tagged]}
    )
    search = LeakageGuard(action=Action.report, **NUMBERS).search([Learned(data, "tagging", ["en"])])
    assert search.find(data, "tagging", "en", "test")["text"] == [1]


@pytest.mark.parametrize(
    "changes, sentence",
    [(dict(bands=0), "leakage.bands: 0 is not above 0; give 1 or more"), (dict(threshold=1.5), r"leakage.threshold: 1.5 is not in \(0, 1\]")],
)  # fmt: skip
def test_wrong_numbers_are_sentences(changes, sentence):
    with pytest.raises(ConfigError, match=sentence):
        LeakageGuard(action=Action.report, **{**NUMBERS, **changes})


@pytest.mark.parametrize(
    ("view", "row"),
    [
        ("multiple_choice", lambda i: {"premise": text("en", i), "choices": [text("en", i + 50), text("en", i + 60)], "label": 0}),
        ("dialog", lambda i: {"history": [text("en", i), text("en", i + 50)], "response": text("en", i + 60)}),
        ("recommendation", lambda i: {"history": [text("en", i), text("en", i + 50)], "next": text("en", i + 60)}),
    ],
)  # fmt: skip
def test_rows_of_every_view_have_a_text(view, row):
    """The second test row is a training row; the first shares one of its texts."""
    test = [row(3) | {key: value for key, value in row(20).items() if key in ("choices", "history")}, row(7), row(30)]
    data = Toy({(view, "en", "train"): [row(i) for i in range(10)], (view, "en", "test"): test})
    guard = LeakageGuard(action=Action.report, **NUMBERS)
    assert guard.search([Learned(data, view, ["en"])]).find(data, view, "en", "test") == {"id": [], "text": [1]}

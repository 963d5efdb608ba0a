"""The demo world: every language says everything, each sentence well formed, and nothing of one split is in another."""

import collections
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from xlt.config.build import build_node
from xlt.data.demo import Demo, Task, tag
from xlt.data.world import generate as world
from xlt.data.world import shops
from xlt.errors import ConfigError, DataError

ROOT = Path(__file__).resolve().parents[2]
PRESET = yaml.safe_load((ROOT / "conf" / "dataset" / "demo.yaml").read_text(encoding="utf-8"))
LANGUAGES = ["ar", "de", "en", "es", "fr", "ru", "sw", "zh"]
SCRIPTS = {"ar": r"[\u0600-\u06ff]", "ru": r"[\u0400-\u04ff]", "zh": r"[\u4e00-\u9fff]"}
LABELLED = ("parallel", "classification", "tagging")


def demo(**changes) -> Demo:
    return build_node({**PRESET, **changes}, "dataset")


@pytest.fixture(scope="module")
def everything():
    """{language: [sentence of each frame with each concept of each slot at least once]}"""
    found = {}
    for code in LANGUAGES:
        found[code] = []
        for frame, slots in world.meaning().frames.items():
            longest = max(len(s.ids) for s in slots)
            for i in range(2 * longest):
                filling = {s.name: s.ids[(i + k + i // longest * 3 * k) % len(s.ids)] for k, s in enumerate(slots)}
                if all(filling[s.name] != filling.get(s.name[:-1]) for s in slots if s.name.endswith("2")):
                    found[code].append(world.plain(world.sentence(code, frame, slots, filling)))
    return found


def test_eight_languages_in_four_scripts():
    assert list(world.languages()) == LANGUAGES == sorted(PRESET["text_sizes"])


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_language_says_everything(code):
    raw, meaning = world.read(world.ROOT / f"{code}.yaml"), world.meaning()
    assert {kind: set(ids) for kind, ids in raw["concepts"].items()} == {k: set(v) for k, v in meaning.concepts.items()}
    assert set(raw["frames"]) == set(meaning.frames)
    assert {s: set(parts) for s, parts in raw["stories"].items()} == {
        s: {"text", *ask} for s, ask in meaning.ask.items()
    }
    for frame, slots in meaning.frames.items():  # no word of the meaning is left out of a sentence
        said = {part.slot for part in world.language(code).templates[frame] if not isinstance(part, str)}
        assert said == {slot.name for slot in slots}, frame


@pytest.mark.parametrize("code", LANGUAGES)
def test_sentences_are_well_formed(code, everything):
    assert len(everything[code]) > 4000
    end = "[。？！]$" if code == "zh" else "[.؟]$" if code == "ar" else "[.?!]$"
    for text in everything[code]:
        assert re.search(end, text), text
        signs = ".," if code == "fr" else ".,;:?!。，"  # French puts a blank before ; : ? !
        assert not re.search(rf"[{{}}_@|/\[\]]|  |\s[{signs}]|^\s|\s$", text), text
        if code in SCRIPTS:
            assert re.search(SCRIPTS[code], text) and not re.search("[A-Za-z]", text), text
        else:
            assert text.lstrip("¿¡")[0].isupper(), text
        if code == "zh":
            assert not re.search(r"[\s,.;:?!]", text), text
        if code == "ar":
            assert not re.search(r"[,;?]", text), text


BROKEN = {
    "en": r"\ba [aeio]\w|\ban [^aeiouh\W]|\b[Tt]he the\b|\bin the the\b",
    "de": r"\b(zu|bei) dem\b|\bin das\b|\b(der der|das das|den den)\b",
    "fr": r"\b(de|à) les?\b|(?<!-)\b([Ll]e|[Ll]a|[Dd]e|[Qq]ue|[Nn]e|[Ss]e) [aeiouéèêâîô]\w",
    "es": r"\b(a|de) el\b|\bla agua\b|\by (i|hi(?!e))\w|\bo (o|ho)\w",
    "ru": r"\bв вторник|\bв Франци|\bо (август|октябр|апрел)",
}


@pytest.mark.parametrize("code", BROKEN)
def test_no_broken_contraction_or_elision(code, everything):
    found = [text for text in everything[code] if re.search(BROKEN[code], text)]
    assert not found, found[:5]


@pytest.mark.parametrize(
    ("code", "frame", "filling", "said"),
    [
        ("de", "music_sings", {"person": "anna", "piece": "waltz", "family": "brother"}, "Anna singt einen Walzer für ihren Bruder."),
        ("de", "weather_closed", {"weather": "heat", "city": "vienna", "day": "friday"}, "Wegen der Hitze sind am Freitag alle Schulen in Wien geschlossen."),
        ("fr", "food_buys", {"person": "omar", "food": "bread", "day": "monday"}, "Lundi, Omar achète du pain au marché."),
        ("en", "money_earns", {"person": "omar", "profession": "engineer", "wage": "hundred"}, "Omar works as an engineer and earns one hundred dollars a week."),
    ],
)  # fmt: skip
def test_sentences_that_were_read(code, frame, filling, said):
    assert world.plain(world.sentence(code, frame, world.meaning().frames[frame], filling)) == said


def test_sizes_are_those_of_the_yaml():
    data = demo()
    for view in (*data.views()[:-2], "recommendation"):  # retrieval has no size of its own
        for language in data.languages(view):
            for split in data.splits(view, language):
                rows = list(data.rows(view, language, split))
                if (view, split) == ("text", "train"):
                    assert len(rows) == PRESET["text_sizes"][language]
                elif view != "dictionary":
                    assert len(rows) == PRESET["sizes"][view][split]
                assert len({row.get("id", i) for i, row in enumerate(rows)}) == len(rows)


@pytest.mark.parametrize("task", ["topic", "sentiment"])
def test_labels_are_balanced_and_the_same_in_every_language(task):
    data = demo(task=task)
    assert len(data.labels()) == {"topic": 7, "sentiment": 3}[task] and data.labels() == sorted(data.labels())
    for split in ("train", "dev", "test"):
        rows = {code: list(data.rows("classification", code, split)) for code in data.languages("classification")}
        gold = [(row["id"], row["label"]) for row in rows["en"]]
        assert all([(row["id"], row["label"]) for row in found] == gold for found in rows.values())
        counts = collections.Counter(label for _, label in gold)
        assert set(counts) == set(data.labels()) and max(counts.values()) - min(counts.values()) <= 1


@pytest.mark.parametrize("code", LANGUAGES)
def test_no_sentence_is_in_two_splits_or_views(code):
    data, seen = demo(), {}
    parts = [(demo(task=task), "classification", code, "text") for task in ("topic", "sentiment")]
    parts += [(data, "text", code, "text")]
    if code != "en":
        parts += [(data, "parallel", f"en-{code}", "target")]
    for source, view, language, column in parts:
        for split in source.splits(view, language):
            for row in source.rows(view, language, split):
                place = (view, split)
                assert seen.setdefault(row[column], place) == place, (row[column], place, seen[row[column]])


@pytest.mark.parametrize("code", LANGUAGES)
def test_tags_are_iob2_and_tokens_give_back_the_sentence(code):
    data = demo()
    for row in data.rows("tagging", code, "train"):
        assert len(row["tokens"]) == len(row["tags"])
        for before, here in zip(["O", *row["tags"]], row["tags"], strict=False):
            assert re.fullmatch("O|[BI]-(PER|LOC|ORG)", here)
            assert not here.startswith("I-") or before[1:] == here[1:]
        assert any(t != "O" for t in row["tags"])
    frame, slots = "other_works", world.meaning().frames["other_works"]
    for number in range(0, world.size(slots), 7):
        filling = world.fill(slots, number)
        marked = world.sentence(code, frame, slots, filling)
        tokens, tags = tag(marked, code == "zh")
        assert "".join(tokens) == re.sub(r"\s", "", world.plain(marked))
        assert sorted(t[2:] for t in tags if t.startswith("B")) == ["LOC", "ORG", "PER"]


@pytest.mark.parametrize("code", LANGUAGES)
def test_answers_stand_where_they_are_said_to_stand(code):
    data, asked = demo(), set()
    for row in data.rows("qa", code, "train"):
        (text,), (start,) = row["answers"]["text"], row["answers"]["answer_start"]
        assert row["context"][start : start + len(text)] == text and text.strip() == text
        assert row["question"][-1] in "?？؟" and text not in row["question"]
        asked.add(row["question"][:6])
    assert len(asked) > 5


def test_dictionary_splits_share_no_english_word():
    data = demo()
    for pair in data.languages("dictionary"):
        train, test = ({row["word"] for row in data.rows("dictionary", pair, split)} for split in ("train", "test"))
        assert len(train) > 150 and len(test) > 50 and not train & test


def test_text_of_two_languages_is_no_translation_of_each_other():
    data = demo()
    english = [row["text"] for row in data.rows("text", "en", "train")]
    assert len(set(english)) > 0.97 * len(english)
    first = world.meaning().frames
    assert len({tuple(world.numbers(f, s)[:5]) for f, s in first.items()}) > 50


def test_same_rows_in_every_process():
    code = (
        "import hashlib, json, yaml; from tests.data.test_demo import demo\n"
        "rows = [list(demo().rows(v, l, 'train')) for v, l in (('text', 'sw'), ('parallel', 'en-ru'), ('qa', 'zh'))]\n"
        "print(hashlib.sha256(json.dumps(rows).encode()).hexdigest())"
    )
    prints = {
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(prints) == 1


def test_fingerprint_changes_with_what_decides_the_rows():
    data = demo()
    small = demo(sizes={**PRESET["sizes"], "parallel": {"train": 10, "dev": 10, "test": 10}})
    assert data.fingerprint("parallel", "en-de", "train") != small.fingerprint("parallel", "en-de", "train")
    assert data.fingerprint("text", "de", "dev") == small.fingerprint("text", "de", "dev")
    topic, sentiment = (d.fingerprint("classification", "de", "test") for d in (data, demo(task=Task.sentiment.value)))
    assert topic != sentiment


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"text_sizes": {**PRESET["text_sizes"], "fi": 10}}, "dataset.text_sizes: the world does not speak fi"),
        ({"text_sizes": {"en": 10}}, "dataset.text_sizes: no size for ar; add `ar: 1000`"),
        ({"sizes": {"text": {"dev": 5}}}, "dataset.sizes.parallel.train: has no value; give the number of rows"),
        ({"sizes": {**PRESET["sizes"], "qa": {"trian": 5}}}, "dataset.sizes.qa.trian: there is no such split"),
        ({"text_sizes": {**PRESET["text_sizes"], "en": 10**7}}, "dataset.text_sizes: 10000000 is not between 1 and "),
        ({"task": "tone"}, "dataset.task"),
    ],
)
def test_sizes_that_cannot_be(changes, sentence):
    with pytest.raises(ConfigError) as error:
        demo(**changes)
    assert sentence in str(error.value)


def test_views_languages_and_splits_that_are_not_there():
    data = demo()
    for call, sentence in (
        (lambda: data.languages("speech"), "no view speech"),
        (lambda: data.splits("text", "fi"), "dataset demo has no fi"),
        (lambda: data.rows("text", "en", "test"), "no test split; it has train, dev"),
    ):
        with pytest.raises(DataError, match=sentence):
            call()


def test_rows_are_those_that_the_house_knows():
    """The same checks as for files: what `xlt.data.rows` demands of each view holds."""
    from xlt.data.rows import REQUIRED, View, projector

    data = demo()
    for view in data.views():
        columns = {name: name for name in (*REQUIRED[View(view)], *(["id"] if view in LABELLED else []))}
        check = projector(View(view), columns, None, 1000)
        for row in data.rows(view, data.languages(view)[0], "train"):
            assert check(json.loads(json.dumps(row)))


@pytest.mark.parametrize("code", LANGUAGES)
def test_shops_sell_a_market_of_their_own_and_customers_take_what_they_like(code):
    """What is next has a word in common with most of what was taken, and every item of the market is to be chosen among."""
    data, items = demo(), set(shops.catalogue(code))
    assert len(items) == 96 and not any(re.search("[\ue000-\ue003]|  ", item) for item in items)
    rows = list(data.rows("recommendation", code, "test"))
    assert {row["next"] for row in rows} | {text for row in rows for text in row["candidates"]} == items
    for row in rows:
        assert set(row["history"]) <= items and row["next"] not in row["history"] and 3 <= len(row["history"]) <= 5
        words = row["next"].split(" + ")
        assert max(sum(word in item.split(" + ") for item in row["history"]) for word in words) >= 3
    assert len({(tuple(row["history"]), row["next"]) for row in rows}) > 100


def test_markets_differ():
    sold = {
        code: tuple(word for kinds in shops.DEPARTMENTS for kind in kinds for word in sorted(shops._sold(code, kind)))
        for code in LANGUAGES
    }
    assert len(set(sold.values())) == len(LANGUAGES)


def test_questions_find_the_texts_that_answer_them_in_another_language():
    data = demo()
    assert data.languages("retrieval") == sorted([*LANGUAGES, *(f"en-{code}" for code in LANGUAGES if code != "en")])
    texts = {row["context"] for row in data.rows("qa", "sw", "test")}
    asked = {row["question"]: row["context"] for row in data.rows("qa", "en", "test")}
    rows, own = (list(data.rows("retrieval", language, "test")) for language in ("en-sw", "en"))
    assert len(rows) > 80 and max(len(row["positives"]) for row in rows) < 8
    assert all(set(row["positives"]) <= texts and row["query"] in asked for row in rows)
    assert [(row["query"], len(row["positives"])) for row in rows] == [
        (row["query"], len(row["positives"])) for row in own
    ]
    assert all(asked[row["query"]] in row["positives"] for row in own)

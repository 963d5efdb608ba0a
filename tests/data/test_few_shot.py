"""Shots: exactly k of each class, buckets that share none, the small among the large, and what is said where there are too few rows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.toy import Toy
from xlt.data.few_shot import FewShot, Start
from xlt.errors import ConfigError, DataError

CLASSES = ("a", "b", "c")


def shots(k, bucket=1, buckets=3, seed=1):
    return FewShot(k=k, bucket=bucket, buckets=buckets, seed=seed, start=Start.sequential)


def toy(labels, view="classification"):
    rows = [{"id": i, "text": f"t {i}", "label": label} for i, label in enumerate(labels)]
    return Toy({(view, code, split): rows for code in ("de", "en") for split in ("train", "dev")})


def drawn(data, few_shot, view="classification", language="de"):
    return list(few_shot.draw(data, view, ["de", "en"]).rows(view, language, "train"))


@given(st.data(), st.integers(1, 4), st.integers(1, 4), st.integers(0, 9))
def test_each_bucket_has_k_of_each_class_and_shares_none(data, k, buckets, seed):
    more = data.draw(st.lists(st.sampled_from(CLASSES), max_size=12))
    labels = data.draw(st.permutations([*CLASSES * (k * buckets), *more]))
    found = [drawn(toy(labels), shots(k, bucket, buckets, seed)) for bucket in range(1, buckets + 1)]
    for rows in found:
        assert sorted(row["label"] for row in rows) == sorted(CLASSES * k)
        assert [row["id"] for row in rows] == sorted(row["id"] for row in rows)
    ids = [row["id"] for rows in found for row in rows]
    assert len(ids) == len(set(ids))


def test_the_same_key_draws_the_same_rows_and_others_do_not():
    data = toy(CLASSES * 30)
    ids = {
        name: [row["id"] for row in drawn(data, few_shot, language=language)]
        for name, few_shot, language in (
            ("first", shots(5), "de"), ("again", shots(5), "de"), ("seed", shots(5, seed=2), "de"), ("language", shots(5), "en"), ("bucket", shots(5, 2), "de"),
        )
    }  # fmt: skip
    assert ids["first"] == ids["again"]
    assert all(ids[other] != ids["first"] for other in ("seed", "language", "bucket"))


def test_shots_for_a_small_k_are_among_those_for_a_larger():
    data = toy(CLASSES * 30)
    one, five, ten = ({row["id"] for row in drawn(data, shots(k, bucket=2))} for k in (1, 5, 10))
    assert one < five < ten and [len(one), len(five), len(ten)] == [3, 15, 30]


@pytest.mark.parametrize("view, label", [("tagging", "a"), ("classification", ["a", "b"])])
def test_rows_without_one_label_are_drawn_whatever_they_hold(view, label):
    data = toy([label] * 12, view)
    found = [{row["id"] for row in drawn(data, shots(4, bucket), view)} for bucket in (1, 2, 3)]
    assert set.union(*found) == set(range(12)) and [len(ids) for ids in found] == [4, 4, 4]


def test_other_splits_and_languages_stay_whole():
    data = toy(CLASSES * 4)
    few = shots(1).draw(data, "classification", ["de"])
    assert (
        len(list(few.rows("classification", "de", "dev"))) == len(list(few.rows("classification", "en", "train"))) == 12
    )
    assert few.fingerprint("classification", "en", "train") == data.fingerprint("classification", "en", "train")
    prints = {f.draw(data, "classification", ["de"]).fingerprint("classification", "de", "train") for f in (shots(1), shots(2), shots(1, 2))}  # fmt: skip
    assert len(prints) == 3


def test_too_few_rows_name_the_class():
    message = "dataset toy, language de, split train: label b has 5 rows, in 3 buckets 2 each, and 3 are asked for; lower few_shot.k or"
    with pytest.raises(DataError, match=message):
        shots(3).draw(toy(["a"] * 9 + ["b"] * 5), "classification", ["de"])
    with pytest.raises(DataError, match="there are 5 rows, in 3 buckets 1 each, and 2 are asked for"):
        shots(2, bucket=3).draw(toy(["a"] * 5, "tagging"), "tagging", ["de"])


@pytest.mark.parametrize(
    "values, sentence",
    [
        (dict(k=0), "few_shot.k: 0 is not above 0; give 1 or more"),
        (dict(k=1, bucket=0), "few_shot.bucket: 0 is not above 0"),
        (dict(k=1, bucket=4), r"few_shot.bucket: 4 is above few_shot.buckets=3; raise that \(other rows are drawn then\), or lower it"),
    ],
)  # fmt: skip
def test_wrong_numbers_are_sentences(values, sentence):
    with pytest.raises(ConfigError, match=sentence):
        shots(**values)

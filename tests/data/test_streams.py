"""Streams: every row once an epoch, shares and budgets as asked, and any place that a checkpoint holds leads on to the same rows."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.toy import word_tokenizer
from xlt import noise
from xlt.data.faults import OnError
from xlt.data.readers import Format
from xlt.data.rows import View
from xlt.data.sampling import Shares, alpha_shares
from xlt.data.sources import Files
from xlt.data.streams import Place, Stream, Streams
from xlt.data.subwords import encoder
from xlt.errors import DataError

WORDS = [f"w{i}" for i in range(400)]
TOKENIZER = word_tokenizer(WORDS)


def write(root, language, split, files, rows):
    """`rows` lines over so many files; line i begins with its number."""
    for number in range(files):
        lines = [f"w{i} " + "w1 " * (i * 7 % 11) for i in range(number * rows // files, (number + 1) * rows // files)]
        place = root / language / f"{split}-{number}.txt"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    root = tmp_path_factory.mktemp("text")
    for language, rows in (("en", 230), ("de", 100), ("sw", 16)):
        write(root, language, "train", 3, rows)
    return Files(
        name="text", view=View.text, root=str(root), pattern="{root}/{lang}/{split}-*.txt", format=Format.auto, columns={"text": "text"},
        split_names={"train": "train"}, label_names=None, language_codes=None, align_on=None, pivot=None, streaming=True, row_counts=None,
        hub=None, hub_config=None, max_line=1000, on_error=OnError.stop,
    )  # fmt: skip


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A folder that datasets.load_dataset streams, several files with several row groups each."""
    import pyarrow
    import pyarrow.parquet

    root = tmp_path_factory.mktemp("hub")
    for number in range(3):
        lines = [f"w{i} w1 w2" for i in range(number * 50, number * 50 + 50)]
        pyarrow.parquet.write_table(
            pyarrow.table({"text": lines}), root / f"train-{number:05d}-of-00003.parquet", row_group_size=20
        )
    pyarrow.parquet.write_table(pyarrow.table({"text": ["w1", "w2"]}), root / "validation-00000-of-00001.parquet")
    return Files(
        name="hub", view=View.text, root=None, pattern="{root}/{lang}/{split}", format=Format.auto, columns={"text": "text"},
        split_names={"train": "train", "dev": "validation"}, label_names=None, language_codes=["en"], align_on=None, pivot=None,
        streaming=True, row_counts=None, hub=str(root), hub_config=None, max_line=1000, on_error=OnError.stop,
    )  # fmt: skip


def stream_of(dataset, language="en", block=32):
    return Stream(
        language, noise.key(1, language), lambda at: dataset.stream("text", language, "train", at), lambda row: (row["text"],),
        encoder(TOKENIZER), block, 8,
    )  # fmt: skip


def streams_of(dataset, languages=("en", "de", "sw"), shares=(0.5, 0.3, 0.2), **changes):
    options = dict(seed=3, window=4, batch_size=6, batch_tokens=None, remembered=3) | changes
    return Streams(
        {code: stream_of(dataset, code) for code in languages},
        shares if isinstance(shares, Shares) else Shares.fixed(list(shares)),
        row_length=lambda lengths: lengths[:, 0] + 2,
        **options,
    )


@pytest.mark.parametrize("source", ["files", "hub"])
def test_every_place_leads_on_to_the_same_rows(source, request):
    dataset = request.getfixturevalue(source)
    expected = [row["text"] for row in dataset.rows("text", "en", "train")]
    assert len(expected) == len(set(expected)) > 100
    for taken in (0, 1, 49, 50, 51, 76, 77, len(expected) - 1, len(expected)):
        rows, where = dataset.stream("text", "en", "train", {})
        begun = [next(rows)["text"] for _ in range(taken)]
        rows.close()
        rest, _ = dataset.stream("text", "en", "train", json.loads(json.dumps(where())))
        assert begun + [row["text"] for row in rest] == expected


def test_the_hub_says_its_splits_and_identity_without_reading(hub):
    assert hub.splits("text", "en") == ["train", "dev"]
    assert [row["text"] for row in hub.rows("text", "en", "dev")] == ["w1", "w2"]
    assert hub.fingerprint("text", "en", "train") == hub.fingerprint("text", "en", "train")
    assert hub.fingerprint("text", "en", "train") != hub.fingerprint("text", "en", "dev")


def test_the_fingerprint_of_files_changes_with_them(tmp_path, files):
    write(tmp_path, "en", "train", 1, 20)
    mine = replace(files, root=str(tmp_path))
    before = mine.fingerprint("text", "en", "train")
    path = tmp_path / "en" / "train-0.txt"
    path.write_text(path.read_text().replace("w3", "w4"))
    assert mine.fingerprint("text", "en", "train") != before


def test_each_row_is_drawn_once_an_epoch_in_another_order(files):
    drawn = stream_of(files).draw(460)
    for epoch in (0, 1):
        mine = drawn[epoch * 230 : epoch * 230 + 230]
        assert {e for *_, e in mine} == {epoch}
        assert sorted(row for _, row, _ in mine) == list(range(230))
        for (ids,), row, _ in mine:
            assert ids.tolist() == ([5 + row] + [6] * (row * 7 % 11))[:8]
    assert [row for _, row, _ in drawn[:230]] != [row for _, row, _ in drawn[230:]]
    assert [row for _, row, _ in drawn[:32]] != list(range(32)), "not shuffled"


@pytest.mark.parametrize("source", ["files", "hub"])
@pytest.mark.parametrize("before", [0, 1, 31, 32, 33, 149, 150, 151, 400])
def test_a_stream_goes_on_where_it_was(source, before, request):
    dataset = request.getfixturevalue(source)
    first = stream_of(dataset)
    first.draw(before)
    place = Place(**json.loads(json.dumps(vars(first.place))))
    rest = first.draw(260)
    second = stream_of(dataset)
    second.seek(place)
    again = second.draw(260)
    assert [(i[0].tolist(), r, e) for i, r, e in again] == [(i[0].tolist(), r, e) for i, r, e in rest]


def test_an_empty_language_is_said():
    stream = Stream("language xx", noise.key(1), lambda at: ((row for row in ()), dict), None, encoder(TOKENIZER), 8, 8)
    with pytest.raises(DataError, match="language xx: no rows"):
        stream.draw(1)


def same(a, b):
    return (
        a.languages == b.languages
        and a.keys.tolist() == b.keys.tolist()
        and all(
            x.tolist() == y.tolist()
            for s, t in zip(a.segments, b.segments, strict=True)
            for x, y in zip(s, t, strict=True)
        )
    )


@pytest.mark.parametrize("budget", [{"batch_size": 6}, {"batch_tokens": 60}])
def test_updates_go_on_from_any_position(files, budget):
    shares = alpha_shares({"en": 230, "de": 100, "sw": 16}, "0:1,30:0")
    whole = streams_of(files, shares=shares, **budget)
    batches, places = [], []
    for step in range(60):
        batches.append(whole.batch(step))
        places.append(json.loads(json.dumps(whole.position(step + 1))))  # after update `step`, as a checkpoint asks
    for step in (1, 3, 4, 5, 17, 31, 32, 58):
        again = streams_of(files, shares=shares, **budget)
        again.seek(places[step - 1])
        assert all(same(again.batch(k), batches[k]) for k in range(step, 60))
        assert again.position(59) == whole.position(59)


def test_a_reader_that_is_ahead_does_not_change_what_is_saved(files):
    near, far = streams_of(files, remembered=6), streams_of(files, remembered=6)
    for step in range(24):
        near.batch(step)
        far.batch(min(step + 10, 23))
        assert near.position(step + 1) == far.position(step + 1)


def test_shares_epochs_and_lengths_come_out_as_asked(files):
    streams = streams_of(files, batch_size=8, window=8)
    batches = [streams.batch(step) for step in range(160)]
    assert {len(batch) for batch in batches} == {8}
    languages = [code for batch in batches for code in batch.languages]
    for code, share in (("en", 0.5), ("de", 0.3), ("sw", 0.2)):
        assert abs(languages.count(code) - share * len(languages)) <= 3
    assert len({key for batch in batches for key in batch.keys.tolist()}) == len(languages), (
        "two draws share their noise"
    )
    spreads = [np.ptp([len(ids) for ids in batch.segments[0]]) for batch in batches]
    assert np.mean(spreads) < 2


def test_budgets_of_tokens_hold(files):
    streams = streams_of(files, window=16, batch_tokens=100)
    tokens = [sum(len(ids) + 2 for ids in streams.batch(step).segments[0]) for step in range(64)]
    assert np.mean(tokens) == pytest.approx(100, rel=0.06) and min(tokens) > 75 and max(tokens) < 125


def test_memory_is_a_block_whatever_the_length(monkeypatch):
    """Of an endless file, no more is read than the block that is drawn from."""
    read = 0

    def endless(at):
        def rows():
            nonlocal read
            while True:
                read += 1
                yield {"text": "w1 w2"}

        return rows(), dict

    stream = Stream("x", noise.key(1), endless, lambda row: (row["text"],), encoder(TOKENIZER), 50, 8)
    for _ in range(20):
        stream.draw(10)
    assert read == 200
    stream.draw(1)
    assert read == 250

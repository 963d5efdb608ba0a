"""What is noted of rows while they are encoded comes back row by row, words begin where they begin, and a row that is refused is named."""

import numpy as np
import pytest
import tokenizers
from transformers import PreTrainedTokenizerFast

from tests import corpus
from tests.data.test_building import bytes_of, subwords  # noqa: F401  a fixture
from tests.toy import Toy, word_tokenizer
from xlt.data import building
from xlt.data.encode import encode, gather
from xlt.data.subwords import encodings
from xlt.errors import BadRow, DataError

ROWS = [
    {"tokens": corpus.sentence(language, i), "tags": [f"T{len(w) * i % 3}" for w in corpus.sentence(language, i)]}
    for i in range(60)
    for language in corpus.LANGUAGES
]


def annotate(row, encodings):
    (words,) = encodings
    return {
        "tags": row["tags"],
        "starts": words.word_starts(),
        "offsets": words.offsets,
        "share": np.array([1 / len(words.ids)]),
        "nothing": np.empty(0, np.int64),
    }


def table(cache, tokenizer, rows=ROWS, annotate=annotate, **changes):
    data = Toy({("tagging", "en", "train"): rows})
    texts = changes.pop("texts", lambda row: (row["tokens"],))
    annotation = changes.pop("annotation", "1")
    return encode(data, "tagging", "en", "train", texts, tokenizer, "hash", cache, annotate, annotation)


def test_notes_come_back_row_by_row(tmp_path, subwords, monkeypatch):  # noqa: F811
    monkeypatch.setattr(building, "CHUNK_ROWS", 7)
    for _ in range(2):  # built, then from the cache
        found = table(tmp_path, subwords)
        gold = found.gold({"tags": ["T2", "T1", "T0", "T9"]})
        for i, row in enumerate(ROWS):
            assert [["T2", "T1", "T0", "T9"][t] for t in gold.notes["tags"][i]] == row["tags"]
            ids = found.segment(i, 0)
            assert gold.notes["share"][i].tolist() == [pytest.approx(1 / len(ids))]
            assert gold.notes["offsets"][i].shape == (len(ids), 2)
            assert len(gold.notes["starts"][i]) == len(row["tokens"]) and not len(gold.notes["nothing"][i])
    assert gold.labels is None and gold.rows == ROWS
    first = gold.first(5)
    assert len(first.rows) == len(first.notes["tags"]) == len(list(first.notes["tags"])) == 5


def test_a_draw_takes_them_along(tmp_path, subwords):  # noqa: F811
    found = table(tmp_path, subwords)
    gold, picked = found.gold({"tags": ["T0", "T1", "T2"]}), np.array([4, 170, 4])
    rows = gather([found], np.zeros(3, int), picked, np.zeros(3, int), 1, [gold])
    assert rows.labels is None
    for which, tags in zip(picked, rows.slice(0, 3).notes["tags"], strict=True):
        assert [f"T{t}" for t in tags] == ROWS[which]["tags"]
    assert len(rows.slice(1, 2).notes["starts"]) == 1


def test_a_build_killed_half_way_goes_on_to_the_same_bytes(tmp_path, subwords, monkeypatch):  # noqa: F811
    monkeypatch.setattr(building, "CHUNK_ROWS", 10)
    monkeypatch.setattr(building, "SAVE_TOKENS", 200)
    table(tmp_path / "whole", subwords)
    taken, calls = building.take, []

    def take(*arguments):
        calls.append(1)
        if len(calls) == 12:
            raise OSError("the disk is gone")
        return taken(*arguments)

    monkeypatch.setattr(building, "take", take)
    monkeypatch.setattr(building.os, "sched_getaffinity", lambda _: range(1))
    with pytest.raises(Exception, match="the disk is gone"):
        table(tmp_path / "killed", subwords)
    before = len(calls)
    table(tmp_path / "killed", subwords)
    assert len(calls) - before < 19, "it began anew"
    assert bytes_of(tmp_path / "killed") == bytes_of(tmp_path / "whole")


def test_another_annotation_and_other_texts_are_other_tables(tmp_path, subwords):  # noqa: F811
    table(tmp_path, subwords)
    table(tmp_path, subwords, annotation="2")
    table(tmp_path, subwords, texts=lambda row: (row["tokens"][::-1],))
    assert len(list((tmp_path / "encoded").iterdir())) == 3


@pytest.mark.parametrize("name", ["tags.note.bin", "tags.offsets.bin"])
def test_a_damaged_note_is_made_anew(tmp_path, subwords, name):  # noqa: F811
    table(tmp_path, subwords)
    (path,) = (tmp_path / "encoded").glob(f"*/{name}")
    path.write_bytes(path.read_bytes()[:-1])
    found = table(tmp_path, subwords).gold({"tags": ["T0", "T1", "T2"]})
    assert [f"T{t}" for t in found.notes["tags"][179]] == ROWS[179]["tags"]


def test_an_unknown_name_is_placed(tmp_path, subwords):  # noqa: F811
    found = table(tmp_path, subwords, [*ROWS, {"tokens": ["a", "b"], "tags": ["T0", "X"]}, ROWS[0]])
    with pytest.raises(DataError, match=r"language en, split train, row 181: tags 'X' is not one of .*T0, T1, T2"):
        found.gold({"tags": ["T0", "T1", "T2"]})


@pytest.mark.parametrize("who", ["texts", "annotate"])
def test_a_row_that_is_refused_is_placed(tmp_path, subwords, monkeypatch, who):  # noqa: F811
    monkeypatch.setattr(building, "CHUNK_ROWS", 7)

    def refuse(row, *_):
        if row is ROWS[33]:
            raise BadRow("it is not liked; remove it")
        return (row["tokens"],) if who == "texts" else {}

    with pytest.raises(DataError, match=r"row 34: it is not liked; remove it"):
        table(tmp_path, subwords, **{who: refuse})
    assert list((tmp_path / "encoded").iterdir()) == []


def test_a_file_and_a_line_where_the_data_set_knows_them(tmp_path):
    from tests.data.test_sources import files

    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "train.jsonl").write_text('{"text": "a", "label": "x"}\n{"text": "b", "label": "y"}\n')
    data = files(tmp_path, "classification", pattern="{root}/{lang}/{split}.jsonl")
    assert data.locate("classification", "en", "train", 1) == f"{tmp_path}/en/train.jsonl line 2"


def bpe(pre_tokenizer, normalizer=None):
    made = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizer
    if normalizer:
        made.normalizer = normalizer
    text = ["the cat sat on the mat", "長城 was built", "Ångström's naïve café"] * 3
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<unk>", "<pad>"],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
    )
    made.train_from_iterator(text, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=made, unk_token="<unk>", pad_token="<pad>")


PRE = tokenizers.pre_tokenizers
NO_ZERO_WIDTH = tokenizers.normalizers.Replace("\u200b", "")
KINDS = {
    "gpt-2": bpe(PRE.ByteLevel(add_prefix_space=False)),
    "roberta": bpe(PRE.ByteLevel(add_prefix_space=True)),
    "xlm-r": bpe(PRE.Metaspace(prepend_scheme="always"), NO_ZERO_WIDTH),
    "llama": bpe(PRE.Metaspace(prepend_scheme="first"), NO_ZERO_WIDTH),
    "whole words": word_tokenizer(["the", "cat", "sat"]),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "words", ["the cat sat on the mat", "sat", "Ångström's café 長城", "the \u200b cat", "\u200b \u200b"]
)
def test_every_word_begins_with_a_token_of_its_own(kind, words):
    tokenizer, words = KINDS[kind], words.split(" ")
    (found,) = encodings(tokenizer)([words])
    starts = found.word_starts()
    assert len(starts) == len(words) and found.words[starts].tolist() == list(range(len(words)))
    running = tokenizer(" ".join(words), add_special_tokens=False)["input_ids"]
    if "\u200b" not in words:
        assert found.ids.tolist() == running, "words of a list are cut as in running text"
    for word, begin, end in zip(words, starts, [*starts[1:], len(found.ids)], strict=True):
        if word == "\u200b" and kind in ("xlm-r", "llama"):
            assert found.ids[begin:end].tolist() == [tokenizer.unk_token_id]


def test_a_plain_text_and_words_side_by_side():
    tokenizer = KINDS["xlm-r"]
    text = "naïve  café"
    plain, words, again = encodings(tokenizer)([text, ["naïve", "café"], text])
    assert plain.ids.tolist() == again.ids.tolist() == tokenizer(text, add_special_tokens=False)["input_ids"]
    assert words.offsets[words.word_starts()].tolist()[1][0] == 0
    assert plain.offsets[0, 0] == 0 and plain.offsets[-1, 1] == len(text)

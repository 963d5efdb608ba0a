"""Data sets of files, of hub tables and of several sets; every preset in conf/dataset; one test for each refusal."""

import csv
import dataclasses
import gzip
import json
from pathlib import Path

import hydra.utils
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from xlt.config.build import build_node
from xlt.data.faults import OnError
from xlt.data.mixture import Mixture
from xlt.data.readers import Format
from xlt.data.rows import View
from xlt.data.sources import Files
from xlt.errors import ConfigError, DataError

CONF = Path(__file__).parents[2] / "conf"
PRESETS = sorted(path.stem for path in (CONF / "dataset").glob("*.yaml"))
COLUMNS = {
    "text": ["text"],
    "parallel": ["source", "target"],
    "classification": ["text", "label"],
    "multilabel": ["text", "labels"],
    "regression": ["text", "score"],
    "tagging": ["tokens", "tags"],
    "tagged_parallel": ["source", "target", "source_tags", "target_tags"],
    "qa": ["id", "question", "context", "answers"],
    "retrieval": ["query", "positives"],
    "dictionary": ["word", "translation"],
    "multiple_choice": ["premise", "choices", "label"],
    "dialog": ["history", "response", "persona", "candidates"],
}


def files(root, view="text", **changes):
    """A data set below `root` whose files name the columns as we do."""
    fields = {
        "name": "mine",
        "view": View(view),
        "root": None if root is None else str(root),
        "pattern": "{root}/{lang}/{split}.jsonl",
        "format": Format.auto,
        "columns": {name: name for name in COLUMNS[view]},
        "split_names": {"train": "train", "dev": "dev|valid", "test": "test"},
        "label_names": None,
        "language_codes": None,
        "align_on": None,
        "pivot": None,
        "streaming": False,
        "row_counts": None,
        "hub": None,
        "hub_config": None,
        "max_line": 1000,
        "on_error": OnError.stop,
    }
    return Files(**fields | changes)


def put(path, content):
    """Write lines, or rows as JSON lines; compressed if the name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [line if isinstance(line, str) else json.dumps(line) for line in content]
    data = "".join(line + "\n" for line in lines).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def refused(call, error=DataError):
    with pytest.raises(error) as caught:
        list(call())
    sentence = str(caught.value)
    assert "\n" not in sentence and not sentence.endswith(".")
    return sentence


def refused_row(tmp_path, view, row, **changes):
    """Why the third row of a file is refused, without its place."""
    good = GOOD[view]
    put(tmp_path / "en" / "train.jsonl", [good, good, row, good])
    sentence = refused(lambda: files(tmp_path, view, **changes).rows(view, "en", "train"))
    place = f"{tmp_path}/en/train.jsonl line 3: "
    assert sentence.startswith(place)
    return sentence.removeprefix(place)


GOOD = {
    "text": {"text": "a"},
    "classification": {"text": "a", "label": "x"},
    "multilabel": {"text": "a", "labels": ["x", "y"]},
    "regression": {"text": "a", "score": 1},
    "tagging": {"tokens": ["a", "b"], "tags": ["O", "O"]},
    "tagged_parallel": {"source": ["a", "b"], "target": ["c"], "source_tags": ["O", "O"], "target_tags": ["O"]},
    "qa": {"id": 1, "question": "q", "context": "ab c", "answers": [{"text": "c", "start": 3}]},
    "retrieval": {"query": "q", "positives": ["a"]},
    "multiple_choice": {"premise": "p", "choices": ["a", "b"], "label": 1},
    "dialog": {"history": [], "response": "r", "persona": ["p"], "candidates": []},
}


# Which file is which


def test_languages_and_splits_are_what_lies_there(tmp_path):
    for name in (
        "fi/train.jsonl",
        "fi/valid.jsonl.gz",
        "en/train.jsonl.gz",
        "en/notes.txt",
        "en/test.jsonl",
        "x.jsonl",
    ):
        put(tmp_path / name, [{"text": name}])
    data = files(tmp_path)
    assert data.views() == ("text",)
    assert data.languages("text") == ["en", "fi"]
    assert data.splits("text", "fi") == ["train", "dev"] and data.splits("text", "en") == ["train", "test"]
    assert list(data.rows("text", "fi", "dev")) == [{"text": "fi/valid.jsonl.gz"}]
    assert list(data.rows("text", "fi", "dev")) == list(data.rows("text", "fi", "dev"))
    assert files(tmp_path, language_codes=["fi"]).languages("text") == ["fi"]


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("{root}/{lang}.{split}.tsv", "de_st.train.tsv"),
        ("{root}/{split}/corpus-{lang}-v1.tsv", "train/corpus-de_st-v1.tsv"),
        ("{root}/{lang}-{split}.{format}", "de_st-train.tsv"),
        ("{root}/a/{lang}/{lang}.{split}.tsv", "a/de_st/de_st.train.tsv"),
    ],
)
def test_patterns(tmp_path, pattern, name):
    root = tmp_path / "a [strange] {root}"  # a root is no pattern
    put(root / name, ["text", "x"])
    put(root / "other.train.tsv" if "other" not in pattern else root / "x", ["text", "x"])
    data = files(root, pattern=pattern)
    assert "de_st" in data.languages("text")
    assert list(data.rows("text", "de_st", "train")) == [{"text": "x"}]


def test_root_may_be_relative_with_dots_and_a_slash(tmp_path, monkeypatch):
    put(tmp_path / "data" / "en" / "train.jsonl", [{"text": "x"}])
    (tmp_path / "here").mkdir()
    for here, root in [("here", "../data/"), (".", "./data"), ("data", ".")]:
        monkeypatch.chdir(tmp_path / here)
        assert list(files(root).rows("text", "en", "train")) == [{"text": "x"}]


def test_one_file_without_language_or_split_in_its_name(tmp_path):
    path = put(tmp_path / "corpus.txt", ["x"])
    data = files(None, pattern=str(path), language_codes=["en"], split_names={"train": "all"})
    assert data.splits("text", "en") == ["train"] and list(data.rows("text", "en", "train")) == [{"text": "x"}]


def test_several_splits_of_the_files_are_one_of_ours_and_none_is_none(tmp_path):
    for name in ("train", "valid", "test"):
        put(tmp_path / "en" / f"{name}.jsonl", [{"text": name}])
    put(tmp_path / "de" / "train.jsonl", [{"text": "nur"}])
    data = files(tmp_path, split_names={"train": "train+valid+test|train", "dev": None, "test": "test"})
    assert data.splits("text", "en") == ["train", "test"] and data.splits("text", "de") == ["train"]
    assert [row["text"] for row in data.rows("text", "en", "train")] == ["train", "valid", "test"]
    assert [row["text"] for row in data.rows("text", "de", "train")] == ["nur"]
    assert data.locate("text", "en", "train", 1).endswith("valid.jsonl line 1")
    alone = files(tmp_path, split_names={"train": "train", "test": "test"})
    assert data.fingerprint("text", "en", "train") != alone.fingerprint("text", "en", "train")
    with pytest.raises(DataError, match="no dev split; it has train, test"):
        list(data.rows("text", "en", "dev"))


def test_parts_are_read_in_the_order_of_their_names(tmp_path):
    for i in (10, 2, 1):
        put(tmp_path / "en" / f"train-{i:02}.jsonl.gz", [{"text": str(i)}])
    data = files(tmp_path, pattern="{root}/{lang}/{split}-*.jsonl")
    assert [row["text"] for row in data.rows("text", "en", "train")] == ["1", "2", "10"]


def test_missing_root_suggests_its_neighbour(tmp_path):
    (tmp_path / "sib200").mkdir()
    sentence = refused(lambda: files(tmp_path / "sib20").languages("text"))
    assert sentence == f"{tmp_path}/sib20: no such directory (did you mean {tmp_path}/sib200?); give dataset.root=DIR"


def test_no_file_matches(tmp_path):
    put(tmp_path / "en" / "training.jsonl", ["{}"])
    sentence = refused(lambda: files(tmp_path).languages("text"))
    assert (
        f"{tmp_path}/{{lang}}/{{split}}.jsonl: no file matches with a split named train or dev or valid or test"
        in sentence
    )
    assert "(there are en/training.jsonl); correct dataset.root, dataset.pattern or dataset.split_names" in sentence
    (tmp_path / "empty").mkdir()
    assert "(the folder is empty)" in refused(lambda: files(tmp_path / "empty").languages("text"))


def test_file_in_two_forms(tmp_path):
    put(tmp_path / "en" / "train.jsonl", ["{}"])
    put(tmp_path / "en" / "train.jsonl.gz", ["{}"])
    assert "train.jsonl.gz: train.jsonl lies beside it, and the rows would count twice" in refused(
        lambda: files(tmp_path).languages("text")
    )
    put(tmp_path / "fi" / "train.tsv", ["text"])
    put(tmp_path / "fi" / "train.csv", ["text"])
    data = files(tmp_path / "fi", pattern="{root}/{split}.{format}", language_codes=["fi"])
    assert "train.tsv: train.csv lies beside it" in refused(lambda: data.languages("text"))


def test_no_root_and_no_hub():
    assert (
        refused(lambda: files(None).languages("text"))
        == "dataset mine: no folder is named, and it is not on the hub; give dataset.root=DIR"
    )


def test_unknown_language(tmp_path):
    put(tmp_path / "en" / "train.jsonl", ["{}"])
    put(tmp_path / "fi" / "train.jsonl", ["{}"])
    data = files(tmp_path)
    assert (
        refused(lambda: data.rows("text", "fin", "train"))
        == "language: dataset mine has no fin, did you mean fi?; it has en, fi"
    )
    assert "has no eng_Latn, did you mean en?; it has en, fi" in refused(lambda: data.splits("text", "eng_Latn"))
    assert "dataset.language_codes: dataset mine has no xx; it has en, fi" in refused(
        lambda: files(tmp_path, language_codes=["en", "xx"]).languages("text")
    )


def test_unknown_split_and_view(tmp_path):
    put(tmp_path / "en" / "train.jsonl", ["{}"])
    assert "dataset mine, language en: no dev split; it has train" in refused(
        lambda: files(tmp_path).rows("text", "en", "dev")
    )
    assert "dataset mine: no view qa; it has text" in refused(lambda: files(tmp_path).languages("qa"))


def test_split_without_rows(tmp_path):
    path = put(tmp_path / "en" / "train.jsonl", [])
    assert (
        refused(lambda: files(tmp_path).rows("text", "en", "train"))
        == f"{path}: no rows; fill the file, or leave the language out"
    )


# Rows


def test_columns_are_renamed_and_only_those_of_the_view_kept(tmp_path):
    put(tmp_path / "en" / "train.tsv", ["no\tpremise\thypothesis\tclass", "7\ta\tb\tx"])
    columns = {"id": "no", "text": "premise", "text_pair": "hypothesis", "label": "label|class"}
    data = files(tmp_path, "classification", pattern="{root}/{lang}/{split}.tsv", columns=columns)
    assert data.views() == ("classification", "text")
    assert list(data.rows("classification", "en", "train")) == [
        {"id": "7", "text": "a", "text_pair": "b", "label": "x"}
    ]
    assert list(data.rows("text", "en", "train")) == [{"id": "7", "text": "a"}]


@pytest.mark.parametrize("start", ["start", "answer_start"])
def test_answers_of_both_kinds(tmp_path, start):
    context = "\u200fمن هو؟ 😀 رولو"
    answer = {"text": "رولو", start: context.index("رولو")}
    squad = {"text": [answer["text"]], "answer_start": [answer[start]]}
    rows = [{"id": i, "question": "q", "context": context, "answers": a} for i, a in enumerate([[answer], squad])]
    put(tmp_path / "ar" / "test.jsonl", rows)
    assert [row["answers"] for row in files(tmp_path, "qa").rows("qa", "ar", "test")] == [squad, squad]


def test_several_columns_are_one_list(tmp_path):
    """The first that has all of them; without header by their numbers."""
    row = {"premise": "p", "choices": ["a", "b", "c"], "label": 2}
    for code, header in (("en", "premise\ta1\ta2\ta3\tlabel"), ("de", "label\ta1\ta3\ta2\tpremise")):
        cells = row | dict(zip(("a1", "a2", "a3"), row["choices"], strict=True))
        put(tmp_path / code / "test.tsv", [header, "\t".join(str(cells[name]) for name in header.split("\t"))])
    columns = {"premise": "premise", "label": "label", "choices": "choices|a1+a2+a3+a4|a1+a2+a3"}
    data = files(tmp_path, "multiple_choice", pattern="{root}/{lang}/{split}.tsv", columns=columns)
    assert [list(data.rows("multiple_choice", code, "test")) for code in ("en", "de")] == [[row], [row]]
    put(tmp_path / "fr" / "test.tsv", ["p\ta\tb\tc\t2"])
    columns = {"premise": "1", "choices": "2+3+4", "label": "5"}
    bare = files(tmp_path, "multiple_choice", pattern="{root}/{lang}/{split}.tsv", columns=columns)
    assert list(bare.rows("multiple_choice", "fr", "test")) == [row]
    put(tmp_path / "fr" / "test.tsv", ["premise\tchoice\tlabel", "p\ta\t2"])
    again = files(tmp_path, "multiple_choice", pattern="{root}/{lang}/{split}.tsv", columns=data.columns)
    assert refused(lambda: again.rows("multiple_choice", "fr", "test")).endswith(
        "line 2: no column choices or a1+a2+a3+a4 or a1+a2+a3; it has premise, choice, label: name the right one in dataset.columns.choices"
    )


@pytest.mark.parametrize(
    ("names", "labels"), [(None, [0, "1", 2]), (["1", "2", "3"], [1, "2", 3]), (["A", "B", "C", "D"], ["A", "B", "C"])]
)
def test_labels_number_the_choices_from_0_from_1_or_have_names(tmp_path, names, labels):
    rows = [{"premise": "p", "choices": ["a", "b", "c"], "label": label} for label in labels]
    put(tmp_path / "en" / "train.jsonl", rows)
    data = files(tmp_path, "multiple_choice", label_names=names)
    assert [row["label"] for row in data.rows("multiple_choice", "en", "train")] == [0, 1, 2]
    put(tmp_path / "en" / "train.jsonl", [rows[2] | {"choices": ["a", "b"]}])
    assert "is not one of" in refused(lambda: data.rows("multiple_choice", "en", "train"))


def test_columns_named_by_the_pair(tmp_path):
    put(tmp_path / "en-de" / "train.tsv", ["de\ten", "zwei\ttwo"])
    data = files(
        tmp_path, "parallel", pattern="{root}/{lang}/{split}.tsv", columns={"source": "{source}", "target": "{target}"}
    )
    assert list(data.rows("parallel", "en-de", "train")) == [{"source": "two", "target": "zwei"}]


def test_pair_in_two_holes(tmp_path):
    put(tmp_path / "en" / "de" / "train.tsv", ["1\teins"])
    data = files(
        tmp_path,
        "dictionary",
        pattern="{root}/{source}/{target}/{split}.tsv",
        columns={"word": "1", "translation": "2"},
    )
    assert data.languages("dictionary") == ["en-de"]
    assert list(data.rows("dictionary", "en-de", "train")) == [{"word": "1", "translation": "eins"}]


def test_moses(tmp_path):
    put(tmp_path / "train.en-de.en", ["one", "two"])
    put(tmp_path / "train.en-de.de.gz", ["eins", "zwei"])
    put(tmp_path / "test.en-de.en", ["one", ""])
    data = files(tmp_path, "parallel", pattern="{root}/{split}.{lang}.{side}", format=Format.txt)
    assert data.languages("parallel") == ["en-de"] and data.splits("parallel", "en-de") == ["train", "test"]
    assert list(data.rows("parallel", "en-de", "train")) == [
        {"source": "one", "target": "eins"},
        {"source": "two", "target": "zwei"},
    ]
    assert "test.en-de.en: a pair needs exactly one file for de beside it" in refused(
        lambda: data.rows("parallel", "en-de", "test")
    )
    put(tmp_path / "test.en-de.de", ["eins", "zwei"])
    data = files(tmp_path, "parallel", pattern=data.pattern, format=Format.txt)
    sentence = refused(lambda: data.rows("parallel", "en-de", "test"))
    assert "test.en-de.en and test.en-de.de line 2: source is empty" in sentence


def test_missing_column_lists_those_found(tmp_path):
    sentence = refused_row(tmp_path, "classification", {"text": "a", "lable": "x", "id": 3})
    assert sentence == "no column label; it has text, lable, id: name the right one in dataset.columns.label"


@pytest.mark.parametrize(
    ("view", "change", "sentence"),
    [
        ("text", {"text": ""}, "text is empty; remove the row, or fill it in"),
        ("text", {"text": " \u3000\t"}, "text is empty; remove the row, or fill it in"),
        ("text", {"text": None}, "text is missing where a string is expected; correct or remove the row"),
        ("text", {"text": 3}, "text is 3 where a string is expected; correct or remove the row"),
        ("text", {"text": "a\0"}, "text holds a NUL character; remove it"),
        ("classification", {"label": None}, "label is missing where a name is expected; correct or remove the row"),
        ("classification", {"label": 1.0}, "label is 1.0 where a name is expected; correct or remove the row"),
        ("classification", {"label": ["a"]}, "label is ['a'] where a name is expected; correct or remove the row"),
        (
            "multilabel",
            {"labels": "joy"},
            "labels is 'joy' where a list of names is expected; correct or remove the row",
        ),
        (
            "multilabel",
            {"labels": ["a", None]},
            "labels[1] is missing where a name is expected; correct or remove the row",
        ),
        (
            "multilabel",
            {"labels": ["a", "b", "a"]},
            "labels is ['a', 'b', 'a'], where each label may stand once; remove the others",
        ),
        ("regression", {"score": "high"}, "score is 'high' where a number is expected; correct or remove the row"),
        ("regression", {"score": True}, "score is True where a number is expected; correct or remove the row"),
        ("regression", {"score": "nan"}, "score is 'nan' where a number is expected; correct or remove the row"),
        ("regression", {"score": None}, "score is missing where a number is expected; correct or remove the row"),
        ("tagging", {"tags": ["O"]}, "2 tokens but 1 tags; give each token one tag"),
        ("tagging", {"tokens": ["a", ""]}, "tokens[1] is empty; remove the row, or fill it in"),
        ("tagging", {"tokens": []}, "tokens is [] where a list of strings is expected; correct or remove the row"),
        ("tagging", {"tags": "OO"}, "tags is 'OO' where a list of names is expected; correct or remove the row"),
        ("qa", {"answers": "c"}, "answers is 'c' where a list of {text, start} is expected; correct or remove the row"),
        ("qa", {"id": None}, "id is missing where a string or a whole number is expected; correct or remove the row"),
        (
            "retrieval",
            {"positives": []},
            "positives is [] where a list of strings is expected; correct or remove the row",
        ),
        (
            "multiple_choice",
            {"choices": ["a"]},
            "choices has one text, and there is nothing to choose; give two or more, or remove the row",
        ),
        (
            "multiple_choice",
            {"choices": ["a", None]},
            "choices[1] is missing where a string is expected; correct or remove the row",
        ),
        (
            "multiple_choice",
            {"label": 2},
            "label '2' is not one of 0, 1, by which its 2 choices go; correct it, or list in dataset.label_names what labels call the first "
            "choice, the second and so on",
        ),
        ("tagged_parallel", {"source_tags": ["O"]}, "2 source but 1 source_tags; give each token one tag"),
        (
            "tagged_parallel",
            {"source": "a b"},
            "source is 'a b' where a list of strings is expected; correct or remove the row",
        ),
        (
            "tagged_parallel",
            {"target": ["c", 3]},
            "target[1] is 3 where a string is expected; correct or remove the row",
        ),
        (
            "tagged_parallel",
            {"target": "c"},
            "target is a text, but it has target_tags; give its words as a list, one for each tag",
        ),
        ("dialog", {"history": ["a", 3]}, "history[1] is 3 where a string is expected; correct or remove the row"),
        ("dialog", {"response": None}, "response is missing where a string is expected; correct or remove the row"),
    ],
)
def test_value_that_does_not_fit(tmp_path, view, change, sentence):
    assert refused_row(tmp_path, view, GOOD[view] | change) == sentence


def test_text_longer_than_max_line_where_a_format_has_no_lines(tmp_path):
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "train.json").write_text(json.dumps([{"text": "a" * 11}]))
    data = files(tmp_path, pattern="{root}/{lang}/{split}.json", max_line=10)
    assert "line 1: text is longer than 10 characters" in refused(lambda: data.rows("text", "en", "train"))


def test_label_outside_the_declared_set(tmp_path):
    remedy = "correct it, or add it to dataset.label_names"
    row = {"text": "a", "label": "z"}
    assert (
        refused_row(tmp_path, "classification", row, label_names=["x", "y"])
        == f"label 'z' is not one of x, y; {remedy}"
    )
    row = {"tokens": ["a", "b"], "tags": ["O", "B-X"]}
    assert refused_row(tmp_path, "tagging", row, label_names=["O"]) == f"label 'B-X' is not one of O; {remedy}"
    data = files(tmp_path, "classification", label_names=["x", "y"])
    assert data.labels() == ["x", "y"] and files(tmp_path).labels() is None


def test_one_of_several_labels_outside_the_declared_set(tmp_path):
    sentence = refused_row(tmp_path, "multilabel", {"text": "a", "labels": ["x", "z"]}, label_names=["x", "y"])
    assert sentence == "label 'z' is not one of x, y; correct it, or add it to dataset.label_names"


def test_a_row_may_have_no_label_of_several(tmp_path):
    put(tmp_path / "en" / "train.jsonl", [{"text": "a", "labels": []}, {"text": "b", "labels": [2]}])
    data = files(tmp_path, "multilabel", label_names=["1", "2"])
    assert [row["labels"] for row in data.rows("multilabel", "en", "train")] == [[], ["2"]]


def test_numbers_also_as_a_table_writes_them(tmp_path):
    put(tmp_path / "en" / "train.tsv", ["text\tscore", "a\t1e-1", "b\t-2"])
    data = files(tmp_path, "regression", pattern="{root}/{lang}/{split}.tsv")
    assert [row["score"] for row in data.rows("regression", "en", "train")] == [0.1, -2.0]


def test_a_column_of_several_texts(tmp_path):
    put(tmp_path / "en" / "train.tsv", ["q\tt\tb\tx", "q\t\tb\ty"])
    columns = {"text": "1", "text_pair": "2+3", "label": "4"}
    data = files(tmp_path, "classification", columns=columns, pattern="{root}/{lang}/{split}.tsv")
    assert [row["text_pair"] for row in data.rows("classification", "en", "train")] == ["t b", "b"]
    put(tmp_path / "en" / "dev.jsonl", [{"a+b": "whole", "a": "x", "b": "y", "l": "z"}, {"a": "x", "b": 1, "l": "z"}])
    data = files(tmp_path, "classification", columns={"text": "a+b", "label": "l"})
    rows = data.rows("classification", "en", "dev")
    assert next(rows)["text"] == "whole", "a column may have that name"
    with pytest.raises(DataError, match=r"dev.jsonl line 2: text is \['x', 1\] where a string is expected"):
        next(rows)
    put(tmp_path / "en" / "test.jsonl", [{"a": "x", "l": "z"}])
    data = files(tmp_path, "classification", columns={"text": "a+b", "label": "l"})
    assert "no column a+b; it has a, l: name the right one in dataset.columns.text" in refused(
        lambda: data.rows("classification", "en", "test")
    )


def test_answer_that_is_not_where_it_should_be(tmp_path):
    row = GOOD["qa"] | {"answers": [{"text": "c", "start": 2}]}
    assert (
        refused_row(tmp_path, "qa", row)
        == "the answer 'c' is not at character 2 of its context, ' ' is (id 1); correct the offset"
    )


def test_whole_numbers_are_labels(tmp_path):
    put(tmp_path / "en" / "train.jsonl", [{"text": "a", "label": 1}, {"text": "a", "label": "1"}])
    assert [row["label"] for row in files(tmp_path, "classification").rows("classification", "en", "train")] == [
        "1",
        "1",
    ]


# Languages aligned by a column


def aligned(root, **changes):
    return files(root, columns={"id": "id", "text": "text"}, align_on="id", **changes)


def test_rows_are_joined_by_id_not_by_line(tmp_path):
    put(tmp_path / "en" / "train.jsonl", [{"id": i, "text": f"en{i}"} for i in (1, 2, 3)])
    put(tmp_path / "fi" / "train.jsonl", [{"id": i, "text": f"fi{i}"} for i in (4, 3, 1)])
    put(tmp_path / "et" / "test.jsonl", [{"id": 1, "text": "et1"}])
    data = aligned(tmp_path, pivot="en")
    assert data.views() == ("text", "parallel")
    assert data.languages("parallel") == ["en-et", "en-fi"]
    assert data.splits("parallel", "en-fi") == ["train"] and data.splits("parallel", "en-et") == []
    assert list(data.rows("parallel", "en-fi", "train")) == [
        {"id": 1, "source": "en1", "target": "fi1"},
        {"id": 3, "source": "en3", "target": "fi3"},
    ]
    assert aligned(tmp_path).languages("parallel") == ["en-et", "en-fi", "et-fi"]
    assert "dataset.pivot: dataset mine has no sv" in refused(
        lambda: aligned(tmp_path, pivot="sv").languages("parallel")
    )


def test_tagged_words_are_joined_too(tmp_path):
    for code, ids in (("en", (1, 2)), ("fi", (2, 3))):
        lines = [{"id": i, "tokens": [f"{code}{i}"], "tags": ["O"], "text": f"{code} {i}"} for i in ids]
        put(tmp_path / code / "train.jsonl", lines)
    columns = {name: name for name in ("id", "tokens", "tags")}
    data = files(tmp_path, "tagging", columns=columns, align_on="id", pivot="en")
    row = {"id": 2, "source": ["en2"], "source_tags": ["O"], "target": ["fi2"], "target_tags": ["O"]}
    assert data.views() == ("tagging", "tagged_parallel") and data.languages("tagged_parallel") == ["en-fi"]
    assert list(data.rows("tagged_parallel", "en-fi", "train")) == [row]
    assert data.locate("tagged_parallel", "en-fi", "train", 0) == f"{tmp_path}/en/train.jsonl line 2"
    data = files(tmp_path, "tagging", columns=columns | {"text": "text"}, align_on="id", pivot="en")
    assert data.views() == ("tagging", "text", "parallel", "tagged_parallel")
    assert list(data.rows("parallel", "en-fi", "train")) == [{"id": 2, "source": "en 2", "target": "fi 2"}]
    assert list(data.rows("tagged_parallel", "en-fi", "train")) == [row]


def test_no_id_in_both_languages(tmp_path):
    put(tmp_path / "en" / "train.jsonl", [{"id": "1", "text": "a"}])
    put(tmp_path / "fi" / "train.jsonl", [{"id": 1, "text": "b"}])
    sentence = refused(lambda: aligned(tmp_path).rows("parallel", "en-fi", "train"))
    assert "en/train.jsonl and " in sentence and "fi/train.jsonl: no id is in both" in sentence


def test_id_twice(tmp_path):
    put(tmp_path / "en" / "train.jsonl", [{"id": 1, "text": "a"}, {"id": 1, "text": "b"}])
    put(tmp_path / "fi" / "train.jsonl", [{"id": 1, "text": "b"}])
    sentence = refused(lambda: aligned(tmp_path).rows("parallel", "en-fi", "train"))
    assert f"train.jsonl line 2: id 1 stands already at {tmp_path}/en/train.jsonl line 1" in sentence


# Fingerprints


def test_fingerprint_changes_with_bytes_and_with_what_is_read(tmp_path):
    for code in ("en", "fi"):
        put(tmp_path / code / "train.jsonl", [{"id": 1, "text": "a", "body": "b"}])
    data = aligned(tmp_path)
    seen = [
        data.fingerprint("text", "en", "train"),
        data.fingerprint("parallel", "en-fi", "train"),
        aligned(tmp_path, max_line=2000).fingerprint("text", "en", "train"),
        files(tmp_path, columns={"text": "body"}).fingerprint("text", "en", "train"),
    ]
    assert aligned(tmp_path).fingerprint("text", "en", "train") == seen[0]
    put(tmp_path / "fi" / "train.jsonl", [{"id": 1, "text": "another"}])
    assert data.fingerprint("text", "en", "train") == seen[0]
    seen.append(data.fingerprint("parallel", "en-fi", "train"))
    put(tmp_path / "en" / "train.jsonl", [{"id": 1, "text": "a"}])
    seen.append(data.fingerprint("text", "en", "train"))
    assert len(set(seen)) == len(seen)


def test_fingerprint_does_not_depend_on_where_the_files_lie(tmp_path):
    prints = set()
    for name in ("a", "b"):
        put(tmp_path / name / "en" / "train.jsonl", [{"text": "a"}])
        prints.add(files(tmp_path / name).fingerprint("text", "en", "train"))
    assert len(prints) == 1


# Rules of the config


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"columns": {}}, "dataset.columns: text needs text; add it as `OURS: NAME_IN_THE_FILE`"),
        (
            {"columns": {"text": "a", "txet": "b"}},
            "dataset.columns: there is no txet; known are alignment, answers, candidates, choices",
        ),
        ({"pattern": "{root}/{lnag}/{split}.txt"}, "dataset.pattern: the braces it may hold are format, lang, root"),
        ({"pattern": "{root}/{split}.txt"}, "dataset.pattern: no {lang} in it"),
        ({"pattern": "{root}/{lang}.txt"}, "dataset.pattern: no {split} in it"),
        ({"pattern": "data/{lang}/{split}.txt"}, "dataset.pattern: does not begin with {root}/"),
        (
            {"pattern": "{root}/{lang}.{side}.{split}"},
            "dataset.pattern: {side} is for the two files of a pair, and view is text",
        ),
        ({"align_on": "id"}, "dataset.align_on: needs the columns id and text"),
        (
            {"language_codes": ["en", "False"]},
            "dataset.language_codes: ['False'] is what YAML makes of a bare no or yes; quote the code",
        ),
    ],
)
def test_rules(tmp_path, changes, sentence):
    with pytest.raises(ConfigError) as caught:
        files(tmp_path, **changes)
    assert any(problem.startswith(sentence) for problem in caught.value.problems)


# The hub


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A folder that load_dataset takes for a hub data set: configs by FLORES code, class labels, splits of its own."""
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    features = datasets.Features(
        {
            "index_id": datasets.Value("int64"),
            "text": datasets.Value("string"),
            "category": datasets.ClassLabel(names=["x", "y"]),
        }
    )
    lines = ["---", "configs:"]
    for config in ("eng_Latn", "deu_Latn"):
        lines += [f"- config_name: {config}", "  data_files:"]
        for split in ("train", "validation"):
            path = tmp_path / "hub" / config / f"{split}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            rows = {"index_id": [2, 1], "text": [f"{config} {split} {i}" for i in (2, 1)], "category": [1, 0]}
            datasets.Dataset.from_dict(rows, features=features).to_parquet(str(path))
            lines += [f"  - split: {split}", f"    path: {config}/{split}.parquet"]
    (tmp_path / "hub" / "README.md").write_text("\n".join([*lines, "---", ""]))
    return str(tmp_path / "hub")


def on_hub(name, **changes):
    columns = {"id": "id|index_id", "text": "text", "label": "label|category"}
    splits = {"train": "train", "dev": "dev|validation", "test": "test"}
    fields = {
        "columns": columns,
        "split_names": splits,
        "hub": name,
        "hub_config": "{flores}",
        "align_on": "id",
        "label_names": ["x", "y"],
    }
    return files(None, "classification", **fields | changes)


def test_hub(hub):
    data = on_hub(hub)
    assert data.languages("classification") == ["de", "en"]
    assert data.splits("classification", "en") == ["train", "dev"]
    assert list(data.rows("classification", "en", "dev")) == [
        {"id": 2, "text": "eng_Latn validation 2", "label": "y"},
        {"id": 1, "text": "eng_Latn validation 1", "label": "x"},
    ]
    assert [row["target"] for row in data.rows("parallel", "de-en", "train")] == [
        "eng_Latn train 2",
        "eng_Latn train 1",
    ]
    prints = {data.fingerprint("text", code, split) for code in ("de", "en") for split in ("train", "dev")}
    assert len(prints) == 4 and on_hub(hub).fingerprint("text", "de", "dev") in prints


def test_several_splits_of_the_hub_are_one_of_ours(hub):
    data = on_hub(hub, split_names={"train": "train+validation", "dev": None})
    assert data.splits("classification", "en") == ["train"]
    assert [row["text"][9:] for row in data.rows("classification", "en", "train")] == [
        f"{split} {i}" for split in ("train", "validation") for i in (2, 1)
    ]
    prints = {data.fingerprint("text", "en", "train"), on_hub(hub).fingerprint("text", "en", "train")}
    assert len(prints) == 2


def test_pairs_of_the_hub_are_found_by_its_own_codes(tmp_path, monkeypatch):
    """mteb/tatoeba-bitext-mining: configs `cmn-eng`, no ids, the English side second."""
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    lines = ["---", "configs:"]
    for config in ("cmn-eng", "deu-eng"):
        path = tmp_path / "hub" / config / "test.parquet"
        path.parent.mkdir(parents=True)
        rows = {"sentence1": [f"{config} {i}" for i in (1, 2)], "sentence2": [f"english {i}" for i in (1, 2)]}
        datasets.Dataset.from_dict(rows).to_parquet(str(path))
        lines += [f"- config_name: {config}", "  data_files:", "  - split: test", f"    path: {config}/test.parquet"]
    (tmp_path / "hub" / "README.md").write_text("\n".join([*lines, "---", ""]))
    data = built(composed("tatoeba", f"hub={tmp_path}/hub"))
    assert data.languages("parallel") == ["en-de", "en-zh"] and data.splits("parallel", "en-zh") == ["test"]
    assert list(data.rows("parallel", "en-zh", "test")) == [
        {"id": 1, "source": "english 1", "target": "cmn-eng 1"},
        {"id": 2, "source": "english 2", "target": "cmn-eng 2"},
    ]


def test_xcopa_and_social_iqa_are_read_as_the_hub_has_them(tmp_path, monkeypatch):
    """XCOPA has translations into English as configs of their own, which are no languages."""
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    row = {"premise": "p", "choice1": "a", "choice2": "b", "question": "effect", "label": 1, "idx": 7, "changed": False}
    lines = ["---", "configs:"]
    for config in ("et", "it", "translation-it"):
        lines += [f"- config_name: {config}", "  data_files:"]
        for split in ("validation", "test"):
            path = tmp_path / "xcopa" / config / f"{split}-00000-of-00001.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            datasets.Dataset.from_list([row | {"premise": f"{config} {split}"}]).to_parquet(str(path))
            lines += [f"  - split: {split}", f"    path: {config}/{split}-*"]
    (tmp_path / "xcopa" / "README.md").write_text("\n".join([*lines, "---", ""]))
    data = built(composed("xcopa", f"hub={tmp_path}/xcopa"))
    assert data.languages("multiple_choice") == ["et", "it"] and data.splits("multiple_choice", "it") == ["dev", "test"]
    expected = {"id": 7, "premise": "it test", "choices": ["a", "b"], "label": 1, "question": "effect"}
    assert list(data.rows("multiple_choice", "it", "test")) == [expected]

    asked = {"context": "c", "question": "q?", "answerA": "a", "answerB": "b", "answerC": "c", "label": "3"}
    (tmp_path / "siqa" / "data").mkdir(parents=True)
    for split in ("train", "validation"):
        datasets.Dataset.from_list([asked]).to_parquet(str(tmp_path / "siqa" / "data" / f"{split}-00000-of-00001.parquet"))  # fmt: skip
    data = built(composed("siqa", f"hub={tmp_path}/siqa"))
    assert data.languages("multiple_choice") == ["en"] and data.splits("multiple_choice", "en") == ["train", "dev"]
    read = {"premise": "c", "choices": ["a", "b", "c"], "label": 2, "question": "q?"}
    assert list(data.rows("multiple_choice", "en", "train")) == [read]


def test_pairs_on_the_hub_are_pairs_beside_a_language(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(
        datasets, "get_dataset_config_names", lambda name: ["de", "en-de", "fiu-vro", "map-bms", "x-de"]
    )
    assert files(None, hub="a/b", hub_config="{lang}").languages("text") == ["de", "en-de", "fiu-vro", "map-bms"]


def test_hub_rows_are_checked_like_others(hub):
    sentence = refused(lambda: on_hub(hub, label_names=["x"]).rows("classification", "en", "train"))
    assert sentence.startswith(f"{hub} (eng_Latn) train row 1: label 'y' is not one of x")


def test_hub_config_that_is_not_there(hub):
    assert "no config of" in refused(lambda: on_hub(hub, hub_config="v2.{lang}").languages("text"))
    data = on_hub(hub, hub_config="v2.{lang}", language_codes=["en"])
    assert f"dataset.hub: {hub} (v2.en) cannot be loaded" in refused(lambda: data.splits("text", "en"))


def test_hub_folder_that_is_not_there():
    sentence = refused(lambda: on_hub("./no/such", language_codes=["en"]).splits("text", "en"))
    assert sentence == "./no/such: no such directory; correct dataset.hub, or give dataset.root=DIR"


def test_rows_of_a_language_are_taken_from_a_table_of_all(tmp_path, monkeypatch):
    """As TyDiQA-GoldP lies on the hub: one table, and ids that begin with the language's name."""
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    lines = ["---", "configs:", "- config_name: secondary_task", "  data_files:"]
    for split in ("train", "validation"):
        table = [
            GOOD["qa"] | {"id": f"{name}-{i}", "answers": {"text": ["c"], "answer_start": [3]}}
            for i, name in enumerate(["arabic", "swahili", "arabic"])
        ]
        table[2]["answers"] = {"text": ["c"], "answer_start": [1 if split == "validation" else 3]}
        path = tmp_path / "hub" / "secondary_task" / f"{split}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        datasets.Dataset.from_list(table).to_parquet(path)
        lines += [f"  - split: {split}", f"    path: secondary_task/{split}.parquet"]
    (tmp_path / "hub" / "README.md").write_text("\n".join([*lines, "---", ""]))
    node = composed("tydiqa_goldp", f"hub={tmp_path}/hub")
    data = built(node)
    assert [row["id"] for row in data.rows("qa", "ar", "train")] == ["arabic-0", "arabic-2"]
    assert [row["id"] for row in data.rows("qa", "sw", "test")] == ["swahili-1"]
    with pytest.raises(
        DataError, match=r"hub \(secondary_task\) validation row 3: the answer 'c' is not at character 1"
    ):
        list(data.rows("qa", "ar", "test"))
    other = built(node | {"hub_config": "secondary_task[id={name}-0]"})
    assert other.fingerprint("qa", "ar", "train") != data.fingerprint("qa", "ar", "train")
    wrong = built(node | {"hub_config": "secondary_task[language={lang}]"})
    assert "has no column language (it has " in refused(lambda: wrong.rows("qa", "ar", "train"))
    with pytest.raises(DataError, match="no rows; fill the file, or leave the language out"):
        list(data.rows("qa", "te", "train"))


def test_hub_without_network(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    sentence = refused(lambda: on_hub("nobody/nothing", language_codes=["en"]).rows("text", "en", "train"))
    assert "dataset.hub: nobody/nothing (eng_Latn) cannot be loaded (" in sentence
    assert sentence.endswith("without network, give the folder of your copy: dataset.root=DIR")


# Mixtures


def mixture(**parts):
    return Mixture(name="both", root=None, parts=parts)


def test_mixture(tmp_path):
    put(tmp_path / "a" / "en-de" / "train.jsonl", [{"source": "a", "target": "b"}])
    put(tmp_path / "a" / "en-fr" / "test.jsonl", [{"source": "c", "target": "d"}])
    for code in ("en", "de"):
        put(tmp_path / "b" / code / "train.jsonl", [{"id": 1, "text": code}])
        put(tmp_path / "b" / code / "valid.jsonl", [{"id": 1, "text": code}])
    a, b = files(tmp_path / "a", "parallel"), aligned(tmp_path / "b", pivot="en")
    data = mixture(a=a, b=b)
    assert data.views() == ("parallel", "text") and data.labels() is None
    assert data.languages("parallel") == ["en-de", "en-fr"] and data.languages("text") == ["de", "en"]
    assert data.splits("parallel", "en-de") == ["train", "dev"] and data.splits("parallel", "en-fr") == ["test"]
    rows = list(data.rows("parallel", "en-de", "train"))
    assert rows == [*a.rows("parallel", "en-de", "train"), *b.rows("parallel", "en-de", "train")] and len(rows) == 2
    first = data.fingerprint("parallel", "en-de", "train")
    assert first == mixture(a=a, b=b).fingerprint("parallel", "en-de", "train")
    assert first != mixture(b=b, a=a).fingerprint("parallel", "en-de", "train")
    assert "language: dataset both has no en-frr, did you mean en-fr?; it has en-de, en-fr" in refused(
        lambda: data.splits("parallel", "en-frr")
    )
    assert "dataset both, language en-fr: no train split; it has test" in refused(
        lambda: data.rows("parallel", "en-fr", "train")
    )
    assert "dataset both: no view qa; it has parallel, text" in refused(lambda: data.languages("qa"))


def test_mixture_of_labels(tmp_path):
    a, b = (files(tmp_path, "classification", label_names=names) for names in (["x", "y"], ["y", "z"]))
    assert mixture(a=a, b=b).labels() == ["x", "y", "z"]


def test_mixture_of_nothing():
    with pytest.raises(ConfigError, match=r"dataset\.parts: a mixture needs at least one data set"):
        mixture()


# Presets


def composed(name, *overrides):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        node = compose(None, [f"+dataset={name}", *(f"dataset.{o}" for o in overrides)]).dataset
    return OmegaConf.to_container(node, resolve=True)


def built(node):
    return build_node(node, "dataset")


def test_presets_are_there():
    assert {"sib200", "mono", "tatoeba", "bible_nt", "ntrex", "tico19", "nli", "bli", "tatoeba_ntrex"} <= set(PRESETS)


@pytest.mark.parametrize("name", PRESETS)
def test_preset_names_every_field_and_no_other(name):
    def check(node):
        cls = hydra.utils.get_class(node["_target_"])
        assert set(node) == {"_target_"} | {field.name for field in dataclasses.fields(cls)}
        for part in node.get("parts", {}).values():
            check(part)

    first = (CONF / "dataset" / f"{name}.yaml").read_text().split("\n")[0]
    assert first.startswith("# ") and len(first) > 20
    node = composed(name)
    check(node)
    assert built(node).name == name == node["name"]


def test_mixture_preset_takes_one_root(tmp_path):
    node = composed("tatoeba_ntrex", f"root={tmp_path}")
    assert [node["parts"][name]["root"] for name in ("tatoeba", "ntrex")] == [
        f"{tmp_path}/tatoeba",
        f"{tmp_path}/ntrex",
    ]
    assert composed("tatoeba_ntrex", "parts.ntrex.root=x")["parts"]["ntrex"]["root"] == "x"


OWN = {
    "text_files": ("text", "en/valid.txt.gz", ["a"], {"text": "a"}),
    "classification_files": ("classification", "en/dev.tsv", ["text\tlabel", "a\tx"], {"text": "a", "label": "x"}),
    "pair_classification_files": (
        "classification",
        "en/dev.csv",
        ["premise,hypothesis,label", "a,b,x"],
        {"text": "a", "text_pair": "b", "label": "x"},
    ),
    "multilabel_files": ("multilabel", "en/dev.jsonl", [GOOD["multilabel"]], GOOD["multilabel"]),
    "regression_files": ("regression", "en/dev.tsv", ["text\tscore", "a\t-1.5"], {"text": "a", "score": -1.5}),
    "parallel_files": ("parallel", "en-de/dev.jsonl", [{"source": "a", "target": "b"}], {"source": "a", "target": "b"}),
    "aligned_files": (
        "parallel",
        "en-de/dev.tsv",
        ["source\ttarget\talignment", "a b\tc d\t0-0 1p1", "a\tb\t"],
        [{"source": "a b", "target": "c d", "alignment": "0-0 1p1"}, {"source": "a", "target": "b", "alignment": ""}],
    ),
    "tagged_parallel_files": (
        "tagged_parallel",
        "en-de/dev.jsonl",
        [{"source": ["a", "b"], "source_tags": ["O", "B-X"], "target": "c"}],
        {"source": ["a", "b"], "target": "c", "source_tags": ["O", "B-X"]},
    ),
    "dictionary_files": ("dictionary", "en-de/dev.tsv", ["a\tb"], {"word": "a", "translation": "b"}),
    "tagging_files": ("tagging", "en/dev.jsonl", [{"tokens": ["a"], "tags": ["O"]}], {"tokens": ["a"], "tags": ["O"]}),
    "conll_files": ("tagging", "en/dev.bio", ["a O"], {"tokens": ["a"], "tags": ["O"]}),
    "conllu_files": (
        "tagging",
        "en/dev.conllu",
        ["# sent_id = s", "# text = a", "1\ta\ta\tNOUN" + "\t_" * 6],
        {"id": "s", "text": "a", "tokens": ["a"], "tags": ["NOUN"]},
    ),
    "retrieval_files": ("retrieval", "en/dev.jsonl", [GOOD["retrieval"]], GOOD["retrieval"]),
    "multiple_choice_files": (
        "multiple_choice",
        "en/dev.tsv",
        ["premise\tchoice1\tchoice2\tlabel", "p\ta\tb\t1"],
        GOOD["multiple_choice"],
    ),
    "dialog_files": (
        "dialog",
        "en/dev.json",
        [[{"history": ["h"], "response": "r"}]],
        {"history": ["h"], "response": "r"},
    ),
    "qa_files": (
        "qa",
        "en/dev.jsonl",
        [GOOD["qa"]],
        GOOD["qa"] | {"answers": {"text": ["c"], "answer_start": [3]}},
    ),
}


@pytest.mark.parametrize("name", OWN)
def test_preset_for_own_files(tmp_path, name):
    view, path, content, row = OWN[name]
    put(tmp_path / path, content)
    data = built(composed(name, f"root={tmp_path}"))
    rows = row if isinstance(row, list) else [row]
    kept = [{k: v for k, v in each.items() if not (view == "tagging" and k == "text")} for each in rows]
    assert list(data.rows(view, path.split("/")[0], "dev")) == kept
    if name == "conllu_files":
        assert list(data.rows("text", "en", "dev")) == [{"id": "s", "text": "a"}]


@pytest.mark.parametrize(
    ("name", "path", "code", "split"),
    [
        ("squad", "dev-v1.1.json", "en", "dev"), ("squad_v2", "train-v2.0.json", "en", "train"),
        ("mlqa", "test/test-context-zh-question-zh.json", "zh", "test"), ("qa_files", "ja/dev.json", "ja", "dev"),
    ],
)  # fmt: skip
def test_presets_read_the_files_of_squad_and_mlqa(tmp_path, name, path, code, split):
    answer = {"text": "c", "answer_start": 3}
    question = {"id": "1", "question": "q", "answers": [answer] if name != "squad_v2" else []}
    put(tmp_path / path, [{"data": [{"title": "t", "paragraphs": [{"context": "ab c", "qas": [question]}]}]}])
    if name == "mlqa":
        node = composed(name, f"root={tmp_path}", "language_codes=null")
    else:
        node = composed(name, f"root={tmp_path}")
    known = {"text": ["c"], "answer_start": [3]} if name != "squad_v2" else {"text": [], "answer_start": []}
    data = built(node)
    assert data.languages("qa") == [code] and data.splits("qa", code) == [split]
    assert list(data.rows("qa", code, split)) == [{"id": "1", "question": "q", "context": "ab c", "answers": known}]


def test_preset_for_moses_and_tmx(tmp_path):
    put(tmp_path / "train.en-de.en", ["a"])
    put(tmp_path / "train.en-de.de", ["b"])
    put(
        tmp_path / "en-de.tmx",
        ['<tmx><body><tu><tuv xml:lang="DE"><seg>b</seg></tuv><tuv xml:lang="en"><seg>a</seg></tuv></tu></body></tmx>'],
    )
    for name in ("moses_files", "tmx_files"):
        data = built(composed(name, f"root={tmp_path}"))
        assert list(data.rows("parallel", "en-de", "train")) == [{"source": "a", "target": "b"}]


# Real data

REAL = {
    "sib200": "sib200",
    "mono": "mono",
    "tatoeba": "tatoeba",
    "bible_nt": "bible_nt",
    "ntrex": "ntrex",
    "tico19": "tico19",
    "nli": "nli",
    "bli": "bli",
    "uner": "tagging_files",
    "xquad": "xquad",
    "cmrc2018": "cmrc2018",
    "ud_pud": "conllu_files",
    "ud_ewt": "conllu_files",
    "xcopa": "xcopa",
    "nusax": "nusax",
    "afrisenti": "afrisenti",
    "xed": "xed",
}


@pytest.mark.parametrize("folder", REAL)
def test_real_data_have_the_rows_that_their_table_says(shared_data, folder):
    data = built(composed(REAL[folder], f"root={shared_data / folder}"))
    view, ours = data.views()[0], {theirs: ours for ours, theirs in data.split_names.items() if theirs}
    ours |= {name: ours for names, ours in ours.items() for name in names.split("|")}
    with open(shared_data / "counts.tsv", newline="") as file:
        table = [
            row for row in csv.DictReader(file, delimiter="\t") if row["dataset"] == folder and row["split"] in ours
        ]
    expected = {(row["language"], ours[row["split"]]): int(row["rows"]) for row in table}
    found = {
        (code, split): sum(1 for _ in data.rows(view, code, split))
        for code in data.languages(view)
        for split in data.splits(view, code)
    }
    assert found == expected


def test_real_pairs_are_translations(shared_data):
    data = built(composed("sib200", f"root={shared_data / 'sib200'}"))
    texts = {row["id"]: row["text"] for row in data.rows("text", "de", "dev")}
    pairs = list(data.rows("parallel", "en-de", "dev"))
    assert len(pairs) == 99 and all(texts[row["id"]] == row["target"] for row in pairs)


def test_real_mixture(shared_data):
    data = built(composed("tatoeba_ntrex", f"root={shared_data}"))
    assert sum(1 for _ in data.rows("parallel", "en-de", "train")) == 15_000 + 1_220
    assert sum(1 for _ in data.rows("parallel", "en-yo", "train")) == 1_220

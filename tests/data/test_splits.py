"""A split of ours made of some rows of a table: the rows that `datasets` would take, none left out and none twice; what is no split is named."""

import itertools

import pytest
from datasets import ReadInstruction
from hypothesis import given
from hypothesis import strategies as st

from tests.data.test_sources import built, composed, files, hub, on_hub, put, refused  # noqa: F401 (a fixture)
from xlt.data.splits import Term, parse
from xlt.errors import ConfigError, DataError


def term(text):
    [[found]] = parse("dataset.split_names.dev", text)
    return found


@given(st.integers(0, 500), st.lists(st.integers(0, 100), min_size=1, max_size=5))
def test_what_is_cut_at_percentages_is_disjoint_complete_and_as_datasets_cuts_it(rows, cuts):
    ends = [0, *sorted(cuts), 100]
    found = []
    for start, stop in itertools.pairwise(ends):
        first, last = term(f"dev[{start}%:{stop}%]").bounds(rows)
        if start < stop:
            [theirs] = ReadInstruction.from_spec(f"dev[{start}%:{stop}%]").to_absolute({"dev": rows})
            assert (first, last) == (theirs.from_ or 0, rows if theirs.to is None else theirs.to)
        found += range(first, last)
    assert found == list(range(rows))


@given(st.integers(0, 40).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(0, n))))
def test_rows_by_number(case):
    rows, a, b = case
    first, last = sorted((a, b))
    each = [term(text).bounds(rows) for text in (f"dev[:{first}]", f"dev[{first}:{last}]", f"dev[{last}:]")]
    assert each == [(0, first), (first, last), (last, rows)]


def write(folder, code, rows, name="dev"):
    put(folder / code / f"{name}.jsonl", [{"text": f"{code} {name} {i}"} for i in range(rows)])


def texts(data, code, split):
    return [row["text"] for row in data.rows("text", code, split)]


@pytest.mark.parametrize("cut", ["80%", "0%", "37%", "2", "7"])
def test_files_without_training_data_are_cut(tmp_path, cut):
    for code, rows in (("de", 7), ("en", 10)):
        write(tmp_path, code, rows)
    data = files(tmp_path, split_names={"train": f"dev[:{cut}]", "dev": f"dev[{cut}:]"})
    whole = files(tmp_path)
    for code, rows in (("de", 7), ("en", 10)):
        split = {name: texts(data, code, name) if _any(data, code, name) else [] for name in ("train", "dev")}
        assert split["train"] + split["dev"] == texts(whole, code, "dev") and len(split["train"] + split["dev"]) == rows
        assert split == {n: texts(data, code, n) if _any(data, code, n) else [] for n in split}, "the same again"


def _any(data, code, split):
    """Whether rows are left; a split of none is an error, as of a file that is empty."""
    try:
        return bool(texts(data, code, split))
    except DataError as error:
        assert str(error).endswith("dev.jsonl: no rows; fill the file, or leave the language out")
        return False


def test_parts_of_several_tables_and_where_a_row_stands(tmp_path):
    write(tmp_path, "en", 4)
    write(tmp_path, "en", 3, "train")
    names = {"train": "train+dev[:50%]", "dev": "none|dev[50%:75%]", "test": "dev[3:]"}
    data = files(tmp_path, split_names=names)
    assert texts(data, "en", "train") == ["en train 0", "en train 1", "en train 2", "en dev 0", "en dev 1"]
    assert texts(data, "en", "dev") == ["en dev 2"] and texts(data, "en", "test") == ["en dev 3"]
    assert data.locate("text", "en", "dev", 0) == f"{tmp_path}/en/dev.jsonl line 3"
    put(tmp_path / "en" / "dev.jsonl", [{"text": "a"}] * 3 + [{"text": ""}])
    assert texts(files(tmp_path, split_names=names), "en", "train")[-1] == "a", (
        "rows that are not taken are not checked"
    )
    assert refused(lambda: files(tmp_path, split_names=names).rows("text", "en", "test")).startswith(
        f"{tmp_path}/en/dev.jsonl line 4: text is empty"
    )


def test_a_rows_number_is_the_one_in_its_table(tmp_path):
    write(tmp_path, "en", 5)
    columns = {"id": "#", "text": "text"}
    data = files(tmp_path, columns=columns, split_names={"train": "dev[:60%]", "dev": "dev[60%:]"})
    ids = {split: [row["id"] for row in data.rows("text", "en", split)] for split in ("train", "dev")}
    assert ids == {"train": [1, 2, 3], "dev": [4, 5]}


def test_the_fingerprint_tells_cuts_apart(tmp_path):
    write(tmp_path, "en", 10)
    prints = {
        files(tmp_path, split_names={"train": names}).fingerprint("text", "en", "train")
        for names in ("dev", "dev[:80%]", "dev[:90%]", "dev[:8]", "dev[2:]", "none|dev[:80%]")
    }
    assert len(prints) == 5


def test_a_table_of_the_hub_is_cut(hub):  # noqa: F811
    data = on_hub(hub, split_names={"train": "train[:50%]", "dev": "train[50%:]+validation"})
    assert texts_of(data, "train") == ["train 2"] and texts_of(data, "dev") == [
        "train 1",
        "validation 2",
        "validation 1",
    ]


def texts_of(data, split):
    return [row["text"].removeprefix("eng_Latn ") for row in data.rows("classification", "en", split)]


def test_a_table_of_one_language_alone_and_tables_by_language(tmp_path):
    """As XGLUE lies on the hub: one config a task, and the languages in the names of the splits."""
    import datasets

    features = datasets.Features({name: datasets.Value("string") for name in ("query", "ad_title", "ad_description")})
    features["relevance_label"] = datasets.ClassLabel(names=["Bad", "Good"])
    lines = ["---", "configs:", "- config_name: qadsm", "  data_files:"]
    for split in ("train", "validation.de", "validation.en", "test.de"):
        table = {"query": [split], "ad_title": ["t"], "ad_description": ["d" if split == "train" else ""], "relevance_label": [1]}  # fmt: skip
        path = tmp_path / "hub" / "qadsm" / f"{split}-00000-of-00001.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        datasets.Dataset.from_dict(table, features=features).to_parquet(str(path))
        lines += [f"  - split: {split}", f"    path: qadsm/{split}-*"]
    (tmp_path / "hub" / "README.md").write_text("\n".join([*lines, "---", ""]))
    data = built(composed("qadsm", f"hub={tmp_path}/hub", "language_codes=[de,en]"))
    assert {code: data.splits("classification", code) for code in data.languages("classification")} == {
        "de": ["dev", "test"],
        "en": ["train", "dev"],
    }
    rows = {(c, s): list(data.rows("classification", c, s)) for c, s in (("en", "train"), ("de", "dev"), ("en", "dev"))}
    assert rows == {
        ("en", "train"): [{"text": "train", "text_pair": "t d", "label": "Good"}],
        ("de", "dev"): [{"text": "validation.de", "text_pair": "t", "label": "Good"}],
        ("en", "dev"): [{"text": "validation.en", "text_pair": "t", "label": "Good"}],
    }


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_MODULES_CACHE", str(tmp_path / "modules"))


NO_SPLIT = ["dev[", "dev[:80%", "dev[80%]", "dev[:-20%]", "dev[a:b]", "dev[:1.5%]", "dev[:80%]x", "[:80%]", "dev[:8%%]", "train+", "|dev"]  # fmt: skip


@pytest.mark.parametrize("text", NO_SPLIT)
def test_what_is_no_split(tmp_path, text):
    sentence = refused(lambda: [files(tmp_path, split_names={"train": text})], ConfigError)
    assert sentence.startswith("dataset.split_names.train: '") and " is no split; write its name, " in sentence


@pytest.mark.parametrize("text", ["dev[:101%]", "dev[80%:20%]"])
def test_percentages_out_of_order(tmp_path, text):
    sentence = refused(lambda: [files(tmp_path, split_names={"train": text})], ConfigError)
    assert sentence == f"dataset.split_names.train: '{text}' begins after it ends, or goes beyond 100%; correct it"


@pytest.mark.parametrize("text", ["dev[:11]", "dev[11:]", "dev[8:2]", "dev[50%:2]"])
def test_rows_that_are_not_there(tmp_path, text):
    write(tmp_path, "en", 10)
    data = files(tmp_path, split_names={"train": text})
    expected = f"dataset mine, language en: {text}: there are 10 rows; correct dataset.split_names"
    assert refused(lambda: data.rows("text", "en", "train")) == expected


def test_a_stream_is_not_cut(tmp_path):
    sentence = refused(lambda: [files(tmp_path, split_names={"train": "dev[:80%]"}, streaming=True)], ConfigError)
    assert sentence == "dataset.split_names: dev[:80%] is cut by the number of rows, and those of a stream are not counted; set dataset.streaming=false"  # fmt: skip


def test_a_term_is_written_as_it_was():
    for text in ("dev", "dev[:80%]", "dev[5:]", "dev[1:2]"):
        assert term(text).written == text
    assert term("en:dev[1:2]") == Term("dev", "en", "1", "2")

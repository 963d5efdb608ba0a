"""Each format against an independent reader on clean files, and one test for each way in which a file is refused."""

import csv
import gzip
import json
import re
import time
import tracemalloc

import pytest

from xlt.data.readers import Format, format_of, moses, read
from xlt.errors import DataError

WORDS = [
    "NA",
    "N/A",
    "null",
    "NULL",
    "nan",
    "NaN",
    "None",
    "none",
    "",
    "-",
    "inf",
    "true",
    "False",
    "no",
    "yes",
    "1",
    "1.0",
    "#N/A",
    "\\N",
    '""',
]
STRANGE = "a\u2028b\u0085c\vd\fe\rf\u00a0g\u200bh\x1ci\u2029j"  # one line, though str.splitlines makes nine of it


def rows(path, format=Format.auto, header=True, max_line=100_000):
    return list(read(path, format_of(path) if format is Format.auto else format, header, max_line))


def put(path, content):
    """Write str or bytes, compressed if the name says so."""
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def refused(*call, **options):
    with pytest.raises(DataError) as caught:
        rows(*call, **options)
    sentence = str(caught.value)
    assert "\n" not in sentence and not sentence.endswith(".")
    return sentence


# Lines


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
def test_lines_end_with_lf_or_crlf_only(tmp_path, name):
    path = put(tmp_path / name, f"one\r\n{STRANGE}\nlast without end")
    assert rows(path) == [(1, {"text": "one"}), (2, {"text": STRANGE}), (3, {"text": "last without end"})]


def test_both_sides_of_a_pair_stay_aligned(tmp_path):
    source, target = put(tmp_path / "a.en", f"{STRANGE}\nsecond\n"), put(tmp_path / "a.de", "erste\nzweite\n")
    assert list(moses(source, target, 100)) == [
        (1, {"source": STRANGE, "target": "erste"}),
        (2, {"source": "second", "target": "zweite"}),
    ]


def test_lines_do_not_depend_on_where_blocks_end(tmp_path, monkeypatch):
    text = "".join(f"{'aé漢😀' * (i % 7)} {i}\r\n" for i in range(100))
    path = put(tmp_path / "a.txt", text)
    expected = [(i + 1, {"text": line}) for i, line in enumerate(text.split("\r\n")[:-1])]
    for block in (1, 2, 3, 7, 64):
        monkeypatch.setattr("xlt.data.lines.BLOCK", block)
        assert rows(path) == expected


def test_blank_lines_of_text_separate_documents(tmp_path):
    assert rows(put(tmp_path / "a.txt", "one\n\n \t\ntwo\n\n")) == [(1, {"text": "one"}), (4, {"text": "two"})]


def test_byte_order_mark_is_no_text(tmp_path):
    assert rows(put(tmp_path / "a.tsv", b"\xef\xbb\xbftext\tlabel\nx\ty\n")) == [(2, {"text": "x", "label": "y"})]


def test_empty_file_has_no_rows(tmp_path):
    for name in ("a.txt", "a.txt.gz", "a.tsv", "a.csv", "a.json", "a.jsonl", "a.conll", "a.conllu"):
        assert rows(put(tmp_path / name, "")) == []


@pytest.mark.parametrize("injected", range(0, 1000, 20))  # D01: 50 places
def test_invalid_utf8_names_line_and_byte(tmp_path, injected):
    lines = [f"line {i} é漢".encode() for i in range(1000)]
    lines[injected] = b"ab\xff" + lines[injected]
    path = put(tmp_path / "a.txt", b"\n".join(lines))
    assert f"{path} line {injected + 1}, byte 3: 0xff is not valid UTF-8" in refused(path)


def test_character_cut_off_at_the_end_of_the_file(tmp_path):
    assert "line 2, byte 2: 0xc3 is not valid UTF-8" in refused(put(tmp_path / "a.txt", b"ok\nx\xc3"))


def test_utf16_is_refused(tmp_path):
    assert "line 1, byte 1: 0xff is not valid UTF-8; convert" in refused(
        put(tmp_path / "a.txt", "hi\n".encode("utf-16"))
    )


def test_nul_names_line_and_byte(tmp_path):
    assert "line 2, byte 3: a NUL byte" in refused(put(tmp_path / "a.txt", b"ok\nab\0c\n"))


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
def test_line_of_10_mb_is_refused_fast_and_without_memory(tmp_path, name):
    path = put(tmp_path / name, b"ok\n" + b"x" * 10_000_000 + b"\nok\n")
    tracemalloc.start()
    begin = time.perf_counter()
    sentence = refused(path)
    assert time.perf_counter() - begin < 1
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()
    assert f"{path} line 2: longer than 100000 characters" in sentence and "dataset.max_line" in sentence


def test_max_line_counts_characters_not_bytes(tmp_path):
    path = put(tmp_path / "a.txt", "漢" * 10 + "\n")
    assert len(rows(path, max_line=10)) == 1
    assert "longer than 9 characters" in refused(path, max_line=9)


def test_truncated_gz(tmp_path):
    path = put(tmp_path / "a.txt.gz", "".join(f"line {i}\n" for i in range(1000)))
    path.write_bytes(path.read_bytes()[:-20])
    assert f"{path}: the gzip data are cut off or damaged" in refused(path)


def test_damaged_gz(tmp_path):
    path = put(tmp_path / "a.txt.gz", "".join(f"line {i}\n" for i in range(1000)))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))
    assert "the gzip data are cut off or damaged" in refused(path)


def test_gz_that_is_none(tmp_path):
    path = tmp_path / "a.txt.gz"
    path.write_text("plain")
    assert "the gzip data are cut off or damaged" in refused(path)


def test_zst(tmp_path):
    zstandard = pytest.importorskip("zstandard")
    path, data = tmp_path / "a.txt.zst", "".join(f"line {i}\n" for i in range(1000)).encode()
    path.write_bytes(zstandard.compress(data) + zstandard.compress(b"second frame\n"))
    assert len(rows(path)) == 1001 and rows(path)[-1] == (1001, {"text": "second frame"})
    path.write_bytes(zstandard.compress(data)[:-5])
    assert "the zstd data are cut off or damaged" in refused(path)


def test_zst_without_the_module(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "zstandard", None)
    assert "needs the package zstandard" in refused(put(tmp_path / "a.txt.zst", b"x"))


def test_file_that_is_not_there(tmp_path):
    assert "cannot be read (No such file or directory)" in refused(tmp_path / "a.txt")


def test_unknown_suffix(tmp_path):
    assert "the suffix '.doc' tells no format; give dataset.format, one of auto, txt, tsv" in refused(
        tmp_path / "a.doc.gz"
    )


# Tables


def test_tsv_knows_no_quotes(tmp_path):
    lines = ["text\tlabel", '"opens and never closes\ta', "plain\tb", 'in "the" middle\tc']
    path = put(tmp_path / "a.tsv.gz", "\n".join(lines) + "\n")
    expected = [dict(zip(("text", "label"), line.split("\t"), strict=True)) for line in lines[1:]]
    assert [row for _, row in rows(path)] == expected


def test_tsv_without_header_counts_columns_from_1(tmp_path):
    assert rows(put(tmp_path / "a.tsv", "man\tMann\n"), header=False) == [(1, {"1": "man", "2": "Mann"})]


def test_words_stay_words(tmp_path):
    path = put(tmp_path / "a.tsv", "text\tid\n" + "".join(f"{w}\t{i}\n" for i, w in enumerate(WORDS)))
    assert [row["text"] for _, row in rows(path)] == WORDS
    with open(tmp_path / "a.csv", "w", newline="") as file:
        csv.writer(file).writerows([["text"], *([w] for w in WORDS)])
    assert [row["text"] for _, row in rows(tmp_path / "a.csv")] == WORDS
    put(tmp_path / "a.jsonl", "".join(json.dumps({"text": w}) + "\n" for w in WORDS))
    assert [row["text"] for _, row in rows(tmp_path / "a.jsonl")] == WORDS


def test_ragged_tsv(tmp_path):
    sentence = refused(put(tmp_path / "a.tsv", "text\tlabel\na\tb\nc\n"))
    assert "a.tsv line 3: 1 cells where the file has 2 columns (text, label)" in sentence


def test_header_with_a_column_twice(tmp_path):
    assert "line 1: the header names a column twice (a, a)" in refused(put(tmp_path / "a.tsv", "a\ta\nb\tc\n"))


def test_csv_equals_the_csv_module(tmp_path):
    table = [["text", "label"], ['say "hi", you', "x"], ["two\nlines", "y"], [STRANGE.replace("\r", ""), ""], ["", "z"]]
    with open(tmp_path / "a.csv", "w", newline="") as file:
        csv.writer(file).writerows(table)
    assert [list(row.values()) for _, row in rows(tmp_path / "a.csv")] == table[1:]
    assert [number for number, _ in rows(tmp_path / "a.csv")] == [2, 3, 5, 6]


@pytest.mark.parametrize("bad", ['"opens and never closes,b\nc,d\n', '"a"b,c\n'])
def test_csv_that_is_none(tmp_path, bad):
    assert "a.csv line 3: not CSV (" in refused(put(tmp_path / "a.csv", "text,label\na,b\n" + bad))


# JSON


def test_jsonl_and_json_list_hold_the_same(tmp_path):
    content = [{"text": f"{STRANGE} {i}", "n": [i, None, {"é": True}]} for i in range(20)]
    put(
        tmp_path / "a.jsonl.gz",
        "".join(json.dumps(row, ensure_ascii=i % 2 == 0) + "\n" for i, row in enumerate(content)),
    )
    put(tmp_path / "a.json", json.dumps(content, indent=2, ensure_ascii=False))
    put(tmp_path / "b.json", json.dumps(content))
    put(tmp_path / "c.json", (tmp_path / "b.json").read_text()[1:-1].replace("}, {", "}\n{"))
    assert rows(tmp_path / "a.jsonl.gz") == list(enumerate(content, 1))
    for name in ("a.json", "b.json", "c.json"):
        assert [row for _, row in rows(tmp_path / name)] == content
    numbers = [number for number, _ in rows(tmp_path / "a.json")]
    assert all((tmp_path / "a.json").read_text().split("\n")[number - 1].strip() == "{" for number in numbers)


def test_truncated_jsonl_names_line_and_column(tmp_path):
    sentence = refused(put(tmp_path / "a.jsonl", '{"text": "a"}\n{"text": "b'))
    assert "a.jsonl line 2 column 10: not JSON (Unterminated string" in sentence


def test_truncated_json_list(tmp_path):
    assert "a.json line 3 column 11: not JSON" in refused(put(tmp_path / "a.json", '[\n{"text": "a"},\n {"text": "b'))
    assert "a.json line 2: no comma and no ] after the object" in refused(
        put(tmp_path / "a.json", '[\n{"text": "a"}\n')
    )
    assert "text after the list's closing ]" in refused(put(tmp_path / "a.json", '[{"text": "a"}] {}'))


SQUAD = {
    "version": "1.1",
    "data": [
        {"title": "T", "paragraphs": [
            {"context": "a \"qas\": [ b", "qas": [{"id": "1", "question": "q", "answers": [{"text": "b", "answer_start": 11}]}]},
            {"qas": [], "context": "none"},
        ]},
        {"paragraphs": [
            {"qas": [{"id": "2", "question": "長?", "is_impossible": True, "answers": []}, {"id": "3", "title": "own", "answers": []}], "context": "c"},
        ]},
    ],
}  # fmt: skip


@pytest.mark.parametrize("indent", [None, 1])
def test_squad_json_is_a_question_a_row(tmp_path, indent):
    path = put(tmp_path / "a.json", "\n " + json.dumps(SQUAD, indent=indent, ensure_ascii=False) + "\n")
    found = rows(path)
    first, second, third = (row for _, row in found)
    assert first == {"title": "T", "context": 'a "qas": [ b', **SQUAD["data"][0]["paragraphs"][0]["qas"][0]}
    assert second == {"title": None, "context": "c", **SQUAD["data"][1]["paragraphs"][0]["qas"][0]}
    assert third["title"] == "own" and third["context"] == "c"
    text = path.read_text(encoding="utf-8").split("\n")
    if indent is None:
        assert [number for number, _ in found] == [2, 2, 2]
    else:
        assert [text[number].strip() for number, _ in found] == [f'"id": "{i}",' for i in (1, 2, 3)]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('{"data": [\n{"paragraphs": [{"qas": [', "a.json line 2 column 26: not JSON (Expecting value)"),
        ('{"version": "v2", "data": [{"title": "x"}]}', "a.json: data[0].paragraphs is no list, and SQuAD's layout has one there; repair the file"),
        ('{"data": [{"paragraphs": [{"qas": []}, {"context": "c"}]}]}', "a.json: data[0].paragraphs[1].qas is no list"),
        ('{"data": [{"paragraphs": [{"qas": ["x"]}]}]}', "a.json line 1: a str where an object {...} is expected"),
        ('{"data": [{"paragraphs":\n [{"context": "\\ud83d", "qas": [{}]}]}]}', "a.json line 2: the lone surrogate \\ud83d is no character"),
    ],
)  # fmt: skip
def test_squad_json_that_is_not_whole(tmp_path, content, sentence):
    assert sentence in refused(put(tmp_path / "a.json", content))


def test_an_object_with_data_may_be_a_row(tmp_path):
    content = [{"data": "x"}, {"data": [1]}]
    assert [row for _, row in rows(put(tmp_path / "a.json", "\n".join(map(json.dumps, content))))] == content


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_literals_that_json_does_not_have(tmp_path, name, literal):
    assert f"{name} line 1: {literal} is no JSON value" in refused(put(tmp_path / name, f'{{"text": {literal}}}\n'))


def test_lone_surrogate(tmp_path):
    path = put(tmp_path / "a.jsonl", '{"text": "\\ud83d\\ude00"}\n{"text": "\\ud83d"}\n')
    assert "line 2: the lone surrogate \\ud83d is no character" in refused(path)


def test_json_that_is_no_object(tmp_path):
    assert "line 1: a list where an object {...} is expected" in refused(put(tmp_path / "a.jsonl", "[1]\n"))


def test_empty_line_between_objects(tmp_path):
    assert "line 2: an empty line where a JSON object is expected" in refused(put(tmp_path / "a.jsonl", "{}\n\n{}\n"))


def test_json_nested_too_deeply(tmp_path):
    assert "line 1: nested too deeply" in refused(put(tmp_path / "a.jsonl", "[" * 99_000 + "\n"))


# Parquet, Moses, TMX


def test_parquet_equals_what_was_written(tmp_path):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    content = [{"text": STRANGE, "label": w, "tokens": [w, "x"]} for w in WORDS] * 500
    parquet.write_table(pyarrow.Table.from_pylist(content), tmp_path / "a.parquet")
    assert rows(tmp_path / "a.parquet") == list(enumerate(content, 1))


def test_parquet_that_is_none(tmp_path):
    assert "a.parquet: cannot be read as parquet" in refused(put(tmp_path / "a.parquet", b"PAR1 no"))


@pytest.mark.parametrize(("left", "right", "short"), [("a\n", "b\nc\n", "en"), ("a\nb\n", "c\n", "de")])
def test_moses_files_of_different_length(tmp_path, left, right, short):
    source, target = put(tmp_path / "a.en", left), put(tmp_path / "a.de", right)
    with pytest.raises(DataError, match=rf"a\.{short}: ends after line 1 where .* goes on"):
        list(moses(source, target, 100))


TMX = """<?xml version="1.0"?><!DOCTYPE tmx SYSTEM "tmx14.dtd"><tmx version="1.4"><header/><body>
<tu><tuv xml:lang="en-US"><seg>A <b>bold</b> &amp; word</seg></tuv><tuv xml:lang="de"><seg>Ein Wort</seg></tuv></tu>
<tu><tuv xml:lang="EN"><seg>Two</seg></tuv><tuv xml:lang="de"><seg>Zwei</seg></tuv></tu></body></tmx>"""


@pytest.mark.parametrize("name", ["a.tmx", "a.tmx.gz"])
def test_tmx(tmp_path, name):
    read = rows(put(tmp_path / name, TMX))
    assert [(number, row["en"], row["de"]) for number, row in read] == [
        (1, "A bold & word", "Ein Wort"),
        (2, "Two", "Zwei"),
    ]
    assert read[0][1]["en-US"] == "A bold & word"


def test_tmx_that_is_no_xml(tmp_path):
    assert "a.tmx line 2 column" in refused(put(tmp_path / "a.tmx", TMX[:200]))


# CoNLL

CONLLU = """# sent_id = s1
# text = Vámonos al mar = sí
1-2\tVámonos\t_\t_\t_\t_\t_\t_\t_\t_
1\tVamos\tir\tVERB\t_\t_\t0\troot\t_\t_
2\tnos\tnosotros\tPRON\t_\t_\t1\tobj\t_\t_
2.1\tempty\t_\t_\t_\t_\t_\t_\t_\t_

# sent_id = s2
1\t#\t#\tSYM\t_\t_\t0\troot\t_\t_
"""


def test_conllu_leaves_out_ranges_and_empty_nodes(tmp_path):
    (first, one), (second, two) = rows(put(tmp_path / "a.conllu.gz", CONLLU))
    assert (first, one["form"], one["upos"]) == (1, ["Vamos", "nos"], ["VERB", "PRON"])
    assert (one["sent_id"], one["text"]) == ("s1", "Vámonos al mar = sí")
    assert (second, two["form"], two["upos"]) == (8, ["#"], ["SYM"])


def test_conllu_with_other_columns(tmp_path):
    assert "a.conllu line 1: 2 columns where CoNLL-U has 10" in refused(put(tmp_path / "a.conllu", "EU\tB-ORG\n"))


CONLL = """-DOCSTART- -X- -X- O

EU NNP B-NP B-ORG
rejects VBZ B-VP O
# # B-NP O

# # B-NP O
San\u00a0José NNP B-NP B-LOC
"""


@pytest.mark.parametrize("tabs", [False, True])
def test_conll_columns_from_both_ends(tmp_path, tabs):
    content = CONLL.replace(" ", "\t") if tabs else CONLL
    (first, one), (second, two) = rows(put(tmp_path / "a.conll", content))
    assert (first, one["1"], one["-1"]) == (3, ["EU", "rejects", "#"], ["B-ORG", "O", "O"])
    assert (second, two["1"], two["-1"], two["4"]) == (7, ["#", "San\u00a0José"], ["O", "B-LOC"], ["O", "B-LOC"])


def test_conll_comments(tmp_path):
    for separator in (" ", "\t"):
        content = "# id = 1 x\n# text = # EU\n# plain words of a comment\nEU B-ORG\n# O\n\n# id 2 domain=en\nof O\n"
        content = re.sub(r"(?m)^(EU|of|#) (B-ORG|O)$", rf"\1{separator}\2", content)
        read = rows(put(tmp_path / "a.bio", content))
        assert [(row["1"], row["-1"]) for _, row in read] == [(["EU", "#"], ["B-ORG", "O"]), (["of"], ["O"])]


def test_conll_ragged(tmp_path):
    assert "a.conll line 2: 1 columns where the file has 2" in refused(put(tmp_path / "a.conll", "EU B-ORG\nrejects\n"))


# Against `datasets`


def test_same_rows_as_datasets(tmp_path):
    """On clean files, where both can read them, `datasets` and xlt agree."""
    datasets = pytest.importorskip("datasets")
    content = [{"text": f"{i} é漢😀\u2028 'x, y'", "label": "ab"[i % 2]} for i in range(50)]
    put(tmp_path / "a.txt", "".join(row["text"] + "\n" for row in content))
    put(tmp_path / "a.jsonl", "".join(json.dumps(row) + "\n" for row in content))
    put(tmp_path / "a.tsv", "text\tlabel\n" + "".join(f"{r['text']}\t{r['label']}\n" for r in content))
    with open(tmp_path / "a.csv", "w", newline="") as file:
        csv.writer(file).writerows([["text", "label"], *(row.values() for row in content)])
    datasets.Dataset.from_list(content).to_parquet(str(tmp_path / "a.parquet"))
    builders = {"txt": "text", "jsonl": "json", "tsv": "csv", "csv": "csv", "parquet": "parquet"}
    for suffix, builder in builders.items():
        path, options = tmp_path / f"a.{suffix}", {"sep": "\t", "quoting": 3} if suffix == "tsv" else {}
        theirs = datasets.load_dataset(
            builder, data_files=str(path), split="train", cache_dir=str(tmp_path / "cache"), **options
        )
        assert [row for _, row in rows(path)] == list(theirs), suffix

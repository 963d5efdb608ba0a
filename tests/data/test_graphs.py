"""Knowledge graphs of a pair of languages from files: what is read, and what is said of lines that do not fit."""

import gzip

import numpy as np
import pytest

from tests import graphs
from xlt.data.graphs import GraphFiles, readable
from xlt.errors import ConfigError, DataError

ENTITIES = "{root}/{lang}/entities_{side}.tsv"


def files(at, **changes):
    fields = {
        "name": "graphs",
        "root": str(at),
        "entities": None,
        "triples": "{root}/{lang}/triples_{side}.tsv",
        "links": "{root}/{lang}/links_{split}.tsv",
        "sides": ["source", "target"],
        "split_names": {"train": "train", "test": "test"},
        "seed_share": None,
        "max_line": 1000,
    }
    return GraphFiles(**fields | changes)


def write(root, **lines):
    """A pair of graphs of two facts each; lines: of files that differ."""
    found = {
        "triples_source": "a\tr\tb\nb\tq\tc\n",
        "triples_target": "A\tR\tB\n",
        "links_train": "a\tA\n",
        "links_test": "b\tB\n",
    }
    folder = root / "zh-en"
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (found | lines).items():
        (folder / f"{name}.tsv").write_text(text, encoding="utf-8")
    return root


def test_triples_and_links_are_read_as_they_stand(tmp_path):
    found = files(write(tmp_path))
    assert found.views() == ("entities",) and found.languages("entities") == ["zh-en"]
    assert found.splits("entities", "zh-en") == ["train", "test"]
    source, target = found.graphs("zh-en")
    assert (source.ids, source.names, source.relations) == (["a", "b", "c"], ["a", "b", "c"], ["r", "q"])
    assert source.triples_T3.tolist() == [[0, 0, 1], [1, 1, 2]] and source.triples_T3.dtype == np.int64
    assert target.triples_T3.tolist() == [[0, 0, 1]] and len(target) == 2
    assert list(found.rows("entities", "zh-en", "test")) == [{"source": "b", "target": "B"}]


def test_entities_have_names_of_their_own_also_those_without_a_fact(tmp_path):
    rows = {"entities_source": "c\tC%C3%A9_(x)\nb\tB\na\tA\nlonely\tL\n", "entities_target": "A\tA\nB\tB\n"}
    source, _ = files(write(tmp_path, **rows), entities=ENTITIES).graphs("zh-en")
    assert source.ids == ["c", "b", "a", "lonely"] and source.names[0] == "C%C3%A9 (x)"
    assert source.triples_T3.tolist() == [[2, 0, 1], [1, 1, 0]]


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("http://zh.dbpedia.org/resource/阿卜杜拉·居尔", "阿卜杜拉·居尔"),
        ("http://dbpedia.org/resource/AC/DC", "AC/DC"),
        ("http://dbpedia.org/resource/Jos%C3%A9_M%C3%A1rio_Vaz", "José Mário Vaz"),
        ("http://www.w3.org/2002/07/owl#Thing", "Thing"),
        ("https://www.wikidata.org/entity/Q1/", "Q1"),
        ("100%_pure", "100% pure"),
        ("_", "_"),
    ],
)
def test_names_are_read_off_uris(name, read):
    assert readable(name) == read


def test_several_files_are_one_split_and_compressed_ones_are_found(tmp_path):
    write(tmp_path, links_dev="c\tC\n", triples_target="A\tR\tB\nB\tR\tC\n")
    path = tmp_path / "zh-en/triples_source.tsv"
    with gzip.open(f"{path}.gz", "wt") as file:
        file.write(path.read_text())
    path.unlink()
    found = files(tmp_path, split_names={"train": "train+dev", "dev": None, "test": "test"})
    assert [row["source"] for row in found.rows("entities", "zh-en", "train")] == ["a", "c"]
    assert found.splits("entities", "zh-en") == ["train", "test"] and len(found.graphs("zh-en")[0]) == 3
    assert files(tmp_path, split_names={"train": "train+valid", "test": "test"}).splits("entities", "zh-en") == ["test"]


def test_the_fingerprint_follows_graphs_links_and_share(tmp_path):
    write(tmp_path)
    before = files(tmp_path).fingerprint("entities", "zh-en", "train")
    assert files(tmp_path).fingerprint("entities", "zh-en", "train") == before
    others = [files(tmp_path).fingerprint("entities", "zh-en", "test")]
    others.append(files(tmp_path, seed_share=0.5).fingerprint("entities", "zh-en", "train"))
    write(tmp_path, triples_target="A\tR\tA\n")
    others.append(files(tmp_path).fingerprint("entities", "zh-en", "train"))
    assert len({before, *others}) == 4


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ({"triples_source": "a\tr\tb\na b\n"}, r"triples_source.tsv line 2: 'a b' where head, relation, tail are expected"),
        ({"triples_source": "a\tr\tb\n\na\t\tb\n"}, r"triples_source.tsv line 3: .* repair or remove the line"),
        ({"triples_target": "\n"}, r"triples_target.tsv: no triples; fill the file, or leave the pair zh-en out"),
        ({"entities_source": "a\tA\nb\tB\n"}, r"triples_source.tsv line 2: c is no id of .*entities_source.tsv; add it there"),
        ({"entities_source": "a\tA\na\tB\n"}, r"entities_source.tsv line 2: the id a was given before"),
        ({"links_train": "a\tA\nb\tA\n"}, r"links_train.tsv line 2: A is linked already at .*links_train.tsv line 1; keep one"),
        ({"links_train": "a\tA\tb\n"}, r"links_train.tsv line 1: .* where source id, target id are expected"),
    ],
)  # fmt: skip
def test_lines_that_do_not_fit(tmp_path, lines, sentence):
    named = "entities_source" in lines
    write(tmp_path, **lines, **({"entities_target": "A\tA\nB\tB\n"} if named else {}))
    found = files(tmp_path, entities=ENTITIES if named else None)
    with pytest.raises(DataError, match=sentence):
        found.graphs("zh-en")
        list(found.rows("entities", "zh-en", "train"))


def test_what_is_not_there_and_what_cannot_be(tmp_path):
    with pytest.raises(DataError, match="no folder is named, and it is not on the hub; give dataset.root=DIR"):
        files(tmp_path, root=None).languages("entities")
    write(tmp_path)
    with pytest.raises(DataError, match="dataset graphs has no ja-en, did you mean zh-en?"):
        files(tmp_path).splits("entities", "ja-en")
    with pytest.raises(DataError, match="zh-en: no dev split; it has train, test: correct dataset.split_names"):
        list(files(tmp_path).rows("entities", "zh-en", "dev"))
    with pytest.raises(DataError, match="no file matches"):
        files(tmp_path, triples="{root}/{lang}/facts_{side}.tsv").graphs("zh-en")
    with pytest.raises(ConfigError) as refused:
        files(tmp_path, triples="{root}/facts.tsv", sides=["a", "a"], seed_share=1.5)
    assert [p.split(":")[0] for p in refused.value.problems] == ["dataset.triples", "dataset.triples", "dataset.sides", "dataset.seed_share"]  # fmt: skip
    (tmp_path / "zh").mkdir()
    (tmp_path / "zh/links_train.tsv").write_text("a\tA\n")
    with pytest.raises(DataError, match="zh is not a pair of languages; name it for example zh-zh"):
        files(tmp_path).languages("entities")


def test_the_file_and_line_of_a_link(tmp_path):
    found = files(write(tmp_path, links_train="a\tA\n\nb\tB\n"))
    assert found.locate("entities", "zh-en", "train", 1).endswith("links_train.tsv line 3")


def test_what_tests_write(tmp_path):
    graphs.write(tmp_path, entities=20, seeds=8, count=60)
    found = files(tmp_path, entities=ENTITIES)
    source, target = found.graphs("zh-en")
    links = {r["source"]: r["target"] for s in ("train", "test") for r in found.rows("entities", "zh-en", s)}
    number = {entity: i for i, entity in enumerate(target.ids)}
    theirs = [number[links[entity]] for entity in source.ids]
    facts = {(theirs[h], source.relations[r][1:], theirs[t]) for h, r, t in source.triples_T3.tolist()}
    assert facts == {(h, target.relations[r][1:], t) for h, r, t in target.triples_T3.tolist()}, (
        "one is a copy of the other"
    )


def test_dbp15k(shared_data):
    from tests.shipped import yaml
    from xlt.config import paths

    node = yaml.safe_load((paths.conf_dir() / "dataset/dbp15k.yaml").read_text())
    node.pop("_target_")
    found = GraphFiles(**{**node, "root": str(shared_data / "dbp15k")})
    assert found.languages("entities") == ["ja-en", "zh-en"]
    source, target = found.graphs("zh-en")
    assert (len(source), len(target), len(source.triples_T3), len(target.triples_T3)) == (19388, 19572, 70414, 95142)
    assert [len(list(found.rows("entities", "zh-en", split))) for split in ("train", "test")] == [4500, 10500]

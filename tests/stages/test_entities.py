"""xlt align with knowledge graphs, from the shell: scores of both directions, seeds, graphs that are written, encoders of names, and mistakes."""

from __future__ import annotations

import json

import pytest

from tests import graphs
from xlt.data.demo_graphs import DemoGraphs
from xlt.errors import ConfigError

SMALL = ["objective=gcn_align", "objective.width=30", "objective.epochs=100"]


def metrics(path, name="main"):
    return json.loads((path / f"runs/{name}/align/metrics.json").read_text())


def test_both_directions_of_each_pair_are_scored(shell, tmp_path):
    graphs.write(tmp_path / "data", "ja-en", entities=40, seeds=20, count=160, seed=4)
    data = graphs.write(tmp_path / "data")
    answer = shell("align", *data, *SMALL, "objective.matching.methods=[nn,csls,sinkhorn,hungarian]")
    assert (answer.code, answer.err) == (0, [])
    found = metrics(tmp_path)
    scores = found["results"]["graph_files"]
    assert all(set(by) == {"zh-en", "en-zh", "ja-en", "en-ja"} for by in scores.values())
    assert found["n"]["graph_files"] == {"zh-en": 30, "en-zh": 30, "ja-en": 20, "en-ja": 20}
    assert set(scores) == set(found["higher_is_better"]) and "hungarian_hits_at_1" in scores and "nn_mrr" in scores
    assert all(value > 0.9 for value in scores["nn_hits_at_1"].values())
    assert found["pairs"]["zh-en"] == {"seeds": 30, "tested": 30, "source_entities": 60, "target_entities": 60, "source_triples": 300, "target_triples": 300}  # fmt: skip
    history = [
        json.loads(line) for line in (tmp_path / "runs/main/align/learning/ja-en.jsonl").read_text().split("\n")[:-1]
    ]
    assert [line["round"] for line in history] == list(range(1, 11)) and history[-1]["updates"] == 100
    assert history[-1]["loss"] < 0.65 * history[0]["loss"]
    one = shell("align", *data, *SMALL, "run.name=one", "languages.train=[en,zh]")
    assert one.code == 0
    alone = metrics(tmp_path, "one")["results"]["graph_files"]["nn_mrr"]
    assert alone == {pair: scores["nn_mrr"][pair] for pair in ("zh-en", "en-zh")}, "a pair's result is its own"


def test_the_share_of_seeds_is_drawn_by_the_runs_seed(shell, tmp_path):
    data = graphs.write(tmp_path / "data")
    for name, *changes in (("a",), ("b",), ("c", "seed=2"), ("d", "dataset.seed_share=0.5")):
        share = [] if name == "d" else ["dataset.seed_share=0.3"]
        assert shell("align", *data, *SMALL, "objective.epochs=10", f"run.name={name}", *share, *changes).code == 0
    a, b, c, d = (metrics(tmp_path, name) for name in "abcd")
    assert (a["pairs"]["zh-en"]["seeds"], a["n"]["graph_files"]["zh-en"], d["pairs"]["zh-en"]["seeds"]) == (18, 42, 30)
    assert a["results"] == b["results"] != c["results"]


def test_candidates_may_be_all_entities(shell, tmp_path):
    data = graphs.write(tmp_path / "data")
    for candidates in ("test", "all"):
        command = [
            *data,
            *SMALL,
            "objective.epochs=10",
            f"objective.matching.candidates={candidates}",
            f"run.name={candidates}",
        ]
        assert shell("align", *command).code == 0
    few, many = (metrics(tmp_path, name)["results"]["graph_files"] for name in ("test", "all"))
    assert all(many["nn_mrr"][pair] <= few["nn_mrr"][pair] for pair in ("zh-en", "en-zh")) and few != many


@pytest.mark.parametrize("form", ["tsv", "jsonl"])
def test_both_graphs_are_written_as_one(shell, tmp_path, form):
    data = graphs.write(tmp_path / "data")
    answer = shell("align", *data, "objective=gcn_align", "objective.epochs=200", f"objective.matching.merge={form}")
    assert (answer.code, answer.err) == (0, [])
    folder = tmp_path / "runs/main/align/graphs/zh-en"
    links = [line.split("\t") for line in (folder / "links.tsv").read_text().split("\n")[:-1]]
    assert len(links) == 30 == metrics(tmp_path)["pairs"]["zh-en"]["links_found"]
    assert all(int(target[1:]) == (7 * int(source[1:]) + 3) % 60 and a == b for source, target, a, b, _ in links)
    values = [float(line[4]) for line in links]
    assert values == sorted(values, reverse=True)
    read = {
        name: [tuple(json.loads(line).values()) if form == "jsonl" else tuple(line.split("\t")) for line in (folder / f"{name}.{form}").read_text().split("\n")[:-1]]
        for name in ("triples", "entities")
    }  # fmt: skip
    assert len(read["entities"]) == 60 and all(
        row[0] == f"zh:{row[1]}" and row[2] == row[4] for row in read["entities"]
    )
    facts = {tuple(row) for row in graphs.triples()}
    for code in ("zh:s", "en:t"):  # the same facts, once with each graph's relations
        assert {(int(h[4:]), int(r[5:]), int(t[4:])) for h, r, t in read["triples"] if r.startswith(code)} == facts
    assert len(read["triples"]) == 600


def test_relations_and_facts_that_both_have_stand_once(tmp_path):
    import numpy as np

    from xlt.reporting.merged_graph import Merged
    from xlt.types import KnowledgeGraph

    pair = (
        KnowledgeGraph(["1", "2", "3"], ["eins", "zwei", "drei"], ["P1", "ist"], np.array([[0, 0, 1], [1, 1, 2]])),
        KnowledgeGraph(["7", "8", "9"], ["one", "two", "four"], ["is", "P1"], np.array([[0, 1, 1], [2, 0, 0]])),
    )
    merged = Merged(pair, ("de", "en"), np.array([[0, 0]]), np.array([[1, 1]]), np.array([0.5]))
    merged.write_graph(tmp_path, "tsv")
    assert (tmp_path / "triples.tsv").read_text() == "de:1\tP1\tde:2\nde:2\tde:ist\tde:3\nen:9\ten:is\tde:1\n"
    assert (tmp_path / "entities.tsv").read_text() == (
        "de:1\t1\teins\t7\tone\nde:2\t2\tzwei\t8\ttwo\nde:3\t3\tdrei\t\t\nen:9\t\t\t9\tfour\n"
    )


def test_links_are_found_where_none_are_tested(shell, tmp_path):
    data = graphs.write(tmp_path / "data")
    (tmp_path / "data/zh-en/links_test.tsv").unlink()
    answer = shell("align", *data, *SMALL, "objective.matching.links=true")
    assert (answer.code, answer.err) == (0, [])
    assert metrics(tmp_path)["results"] == {} and metrics(tmp_path)["pairs"]["zh-en"]["links_found"] > 20


def test_names_need_no_seeds_of_their_own_and_help_structure(shell, tmp_path):
    for name in ("gcn_align", "entity_names", "entity_fusion"):
        fewer = {"gcn_align": ["objective.epochs=200"], "entity_fusion": ["objective.members.structure.epochs=200"]}
        command = ["align", "dataset=demo_graphs", "languages.train=[es-en]", f"objective={name}", *fewer.get(name, [])]
        answer = shell(*command, f"run.name={name}")
        assert (answer.code, answer.err) == (0, [])
    by = {
        n: metrics(tmp_path, n)["results"]["demo_graphs"]["nn_mrr"]["es-en"]
        for n in ("gcn_align", "entity_names", "entity_fusion")
    }
    assert by["entity_fusion"] > max(by["gcn_align"], by["entity_names"]) and min(by.values()) > 0.1


def test_names_are_read_by_a_model(shell, tmp_path):
    from tests import corpus

    text = corpus.write_text(tmp_path / "text", {"en": 60, "de": 60})
    tokenizer = corpus.write_tokenizer(tmp_path / "tokenizer")
    tiny = ["model=tiny", "model.width=16", "model.feed_forward=32", "model.max_positions=40", "train.max_length=24"]
    first = shell("pretrain", "dataset=text_files", f"dataset.root={text}", *tiny, f"tokenizer.path={tokenizer}", "train.steps=2", "train.epochs=null", "train.batch_size=4")  # fmt: skip
    assert (first.code, first.err) == (0, [])
    command = ["align", "dataset=demo_graphs", "languages.train=[de-en]", "model.init_from=runs/main/pretrain"]
    answer = shell(*command, "objective=entity_names", "run.name=names")
    assert (answer.code, answer.err) == (0, [])
    spelled = shell(*command[:-1], "objective=entity_names", "run.name=spelled")
    assert spelled.code == 0 and metrics(tmp_path, "names")["results"] != metrics(tmp_path, "spelled")["results"]
    fused = shell(*command, "objective=entity_fusion", "run.name=fused", "objective.members.structure.epochs=10", "objective.weights.structure=0", "objective.weights.names=1")  # fmt: skip
    assert fused.code == 0
    assert metrics(tmp_path, "fused")["results"] == metrics(tmp_path, "names")["results"], "all weight on names"
    deep = shell(*command, "objective=entity_names", "run.name=deep", "objective.layer=9")
    assert deep.code == 2 and "objective.layer: 9, and this model has" in deep.err[0]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (["objective=contrastive"], "dataset: graph_files has no parallel view"),
        (["dataset.split_names.train=training"], "dataset.seed_share: null, and zh-en has no train split; give the share"),
        (["dataset.seed_share=0.001"], "dataset.seed_share: 0.001 of the links of zh-en is less than one"),
        (["languages.train=[de-en]"], "languages.train: graph_files has no de-en"),
        (["objective.matching.methods=[greedy]"], "matching.methods: there is no greedy"),
        (["objective.epochs=5"], "objective.epochs: 5 is no multiple of objective.round_epochs"),
        (["dataset=text_files", "dataset.root=data"], "dataset: text_files has no entities view"),
    ],
)  # fmt: skip
def test_mistakes_are_sentences(shell, tmp_path, changes, sentence):
    data = graphs.write(tmp_path / "data", with_entities=False)
    kept = [d for d in data if not any(c.split("=")[0] == d.split("=")[0] for c in changes)]
    action = ["check"] if "objective=contrastive" in changes else []  # which has no model yet
    answer = shell(*action, "align", "objective=gcn_align", *kept, *changes)
    assert answer.code == 2 and any(sentence in line for line in answer.err), answer.err


@pytest.mark.parametrize(
    ("line", "file", "sentence"),
    [
        ("s0\tnobody\n", "links_test.tsv", "nobody is no entity of the target graph; correct the id, or swap the columns"),
        ("{seed}\n", "links_test.tsv", "s{i} is both a seed and tested; remove one of its links"),
        ("s1 r s2\n", "triples_target.tsv", "triples_target.tsv line 301: 's1 r s2' where head, relation, tail are expected"),
    ],
)  # fmt: skip
def test_files_that_do_not_fit_are_sentences_and_the_repaired_run_goes_on(shell, tmp_path, line, file, sentence):
    data = graphs.write(tmp_path / "data")
    seed = (tmp_path / "data/zh-en/links_train.tsv").read_text().split("\n")[0]
    path = tmp_path / "data/zh-en" / file
    before = path.read_text()
    path.write_text((line.format(seed=seed) + before) if "links" in file and "nobody" not in line else before + line)
    if "nobody" in line:
        path.write_text(before.split("\n", 1)[1] + before.split("\t")[0] + "\tnobody\n")
    answer = shell("align", *data, *SMALL)
    assert (answer.code, len(answer.err)) == (2, 1)
    assert sentence.format(i=seed.split("\t")[0][1:]) in answer.err[0] and (file in answer.err[0] or "seed" in line)
    path.write_text(before)
    assert shell("align", *data, *SMALL, "run.overwrite=true").code == 0


@pytest.mark.parametrize("stage", ["pretrain", "finetune", "zero-shot-eval"])
def test_it_is_for_xlt_align(shell, stage):
    answer = shell("check", stage, "dataset=demo_graphs", "objective=gcn_align", "model=tiny")
    assert answer.code == 2 and any(
        "links the entities of two knowledge graphs; use it with xlt align" in e for e in answer.err
    )


def test_check_names_the_pairs(shell, tmp_path):
    answer = shell("check", "align", *graphs.write(tmp_path / "data"), "objective=bootea")
    assert (answer.code, answer.err) == (0, []) and "dataset graph_files: entities, all splits in zh-en" in answer.out


# ---- the demo's graphs


def demo(**changes):
    return DemoGraphs(**{"name": "demo_graphs", "pivot": "en", "sayings": 40, "seed_share": 0.3} | changes)


def test_the_demo_graphs_say_the_same_things_in_other_words():
    found = demo()
    assert len(found.languages("entities")) == 7 and found.splits("entities", "sw-en") == ["links"]
    source, target = found.graphs("sw-en")
    links = [(row["source"], row["target"]) for row in found.rows("entities", "sw-en", "links")]
    assert len(links) > 300 and len({a for a, _ in links}) == len({b for _, b in links}) == len(links)
    names = [dict(zip(graph.ids, graph.names, strict=True)) for graph in (source, target)]
    assert ("maji", "water") in {(names[0][a], names[1][b]) for a, b in links}
    assert not {*source.relations} & {*target.relations} and not {*source.ids} & {*target.ids}
    number = {entity: i for i, entity in enumerate(target.ids)}
    partner = {source.ids.index(a): number[b] for a, b in links}
    ends = {(partner.get(h), partner.get(t)) for h, _, t in source.triples_T3.tolist()}
    theirs = {(h, t) for h, _, t in target.triples_T3.tolist()}
    assert 0.2 < len(ends & theirs) / len(ends) < 0.95, "neither the same facts nor others"
    again = demo().graphs("sw-en")[0]
    assert again.ids == source.ids and (again.triples_T3 == source.triples_T3).all()


def test_mistakes_in_the_demo_graphs():
    with pytest.raises(ConfigError) as refused:
        demo(pivot="xx", sayings=0, seed_share=0.0)
    assert [p.split(":")[0] for p in refused.value.problems] == [
        "dataset.pivot",
        "dataset.sayings",
        "dataset.seed_share",
    ]
    assert demo().fingerprint("entities", "sw-en", "links") != demo(sayings=41).fingerprint(
        "entities", "sw-en", "links"
    )

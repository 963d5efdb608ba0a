"""`xlt inspect` and its reports from the shell: an encoder before and after its embeddings were aligned."""

import json

import pytest

from tests import corpus
from xlt.reporting.inspections import SHOWN
from xlt.reporting.scores import WIDTH


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Parallel text of made-up languages, and a tokenizer that has a token for each word."""
    folder = tmp_path_factory.mktemp("inspected")
    corpus.write_tokenizer(folder / "tokenizer")
    corpus.write_parallel(folder / "parallel", rows=300)
    return folder


def model(place):
    return [
        "model=tiny",
        "model.layers=0",
        "model.width=32",
        "model.feed_forward=64",
        "model.max_positions=140",
        f"tokenizer.path={place / 'tokenizer'}",
    ]


def inspected(shell, place, *more):
    data = ["dataset=parallel_files", f"dataset.root={place / 'parallel'}", "inspection.split=train"]
    return shell("inspect", *data, "model.init_from=runs/solved/align", *more)


@pytest.fixture
def aligned(shell, place):
    """runs/solved/align: embeddings solved from the parallel text; runs/raw/align: random ones."""
    data = ["align", "dataset=parallel_files", f"dataset.root={place / 'parallel'}", *model(place), "hardware=debug"]
    assert shell(*data, "run.name=solved", "objective=latent_semantics").code == 0
    assert shell(*data, "run.name=raw", "train.steps=1", "train.learning_rate=1e-9").code == 0


def test_before_and_after_an_alignment(shell, place, tmp_path, aligned):
    after = inspected(shell, place, "run.name=after")
    before = inspected(shell, place, "run.name=before", "model.init_from=runs/raw/align")
    assert (after.code, before.code, after.err) == (0, 0, [])
    assert all(len(line) <= WIDTH for line in after.out.split("\n") if not line.startswith("runs/"))
    found = {
        name: json.loads((tmp_path / f"runs/{name}/inspect/metrics.json").read_text()) for name in ("before", "after")
    }
    for metrics in found.values():
        [layer] = metrics["inspection"]["layers"]
        assert (
            layer["layer"] == metrics["inspection"]["layer"] == 0
            and set(layer["pairs"]) == {"en-de"}
            and set(layer["languages"]) == {"en", "de"}
        )
        sentences = metrics["inspection"]["sentences"]["en"]
        assert metrics["n"]["parallel_files"] == {"en-de": sentences["scored"]} and sum(sentences.values()) <= 300
        assert set(metrics["higher_is_better"]) == set(metrics["results"]["parallel_files"])
        for metric, by in metrics["results"]["parallel_files"].items():
            figures = layer["centred"] if metric.endswith("_centred") else layer
            assert by == {"en-de": figures["pairs"]["en-de"][metric.removesuffix("_centred")]}
    scores = {name: metrics["results"]["parallel_files"] for name, metrics in found.items()}
    assert scores["after"]["accuracy"]["en-de"] > 0.9 > 0.3 > scores["before"]["accuracy"]["en-de"]
    assert scores["after"]["cka_debiased"]["en-de"] > scores["before"]["cka_debiased"]["en-de"]

    folder = tmp_path / "runs/after/inspect"
    assert not (folder / "vectors").exists() and "| layer | found |" in (folder / "inspection.md").read_text()
    for picture in ("heat-accuracy.svg", "heat-cka.svg", "heat-probe_centred.svg", "map.svg"):
        text = (folder / picture).read_text()
        assert text.startswith("<?xml")
        assert all(f">{label}<" in text for label in (("en", "de") if picture == "map.svg" else ("en-de", "layer 0")))

    report = shell("report", "runs/before/inspect", "runs/after/inspect")
    assert report.code == 0
    tables = [b for b in report.out.split("\n\n") if "by layer" in b]
    assert [t.split(",")[1].split()[0] for t in tables] == list(SHOWN)
    assert tables[0].split("\n")[1].split() == ["layer", "before", "after"]
    assert tables[0].split("\n")[2].split() == [
        "0",
        *(f"{scores[n]['accuracy']['en-de']:.3f}" for n in ("before", "after")),
    ]
    one = shell("report", "runs/before/inspect", "runs/after/inspect", "--metric", "cka", "--out", "both")
    assert (
        one.code == 0
        and (tmp_path / "both.md").exists()
        and "| layer | before | after |" in (tmp_path / "both.md").read_text()
    )
    assert shell("report", "runs/before/inspect", "--metric", "acuracy").code == 2


def test_mistakes_are_sentences(shell, place, aligned):
    for changes, sentence in [
        (
            ["inspection.layer=3"],
            "xlt: inspection.layer: 3, and this model has 0 layers; give 0 (embeddings) to 0, or null",
        ),
        (
            ["model.init_from=null"],
            "xlt: model.init_from: no model is named; give a run directory, a folder in transformers format or a hub name",
        ),
        (
            ["inspection.split=tset"],
            "xlt: dataset: parallel_files has no tset split in any language; check dataset.root",
        ),
        (
            ["languages.target=[en-fr]"],
            "xlt: languages.target: parallel_files has no en-fr with a train split; did you mean en-de? it has en-de",
        ),
        (["+mining=standard"], "xlt: mining: xlt inspect would not read it; it is for xlt mine"),
    ]:
        answer = inspected(shell, place, *changes)
        assert (answer.code, answer.err) == (2, [sentence]), changes
    none = shell("inspect", "model.init_from=runs/solved/align", "~inspection")
    assert (none.code, none.err) == (
        2,
        ["xlt: inspection: none is chosen; choose one with inspection=NAME (xlt ls inspection)"],
    )

"""`xlt mine` from the shell: two shuffled files -> pairs -> the next alignment."""

import gzip
import json
from random import Random

import pytest

from tests import corpus
from tests.stages.test_inspect import model


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """text/{en,de}.txt: 80 translations among 30 sentences of each side that have none, shuffled, with a sentence that occurs twice; gold/ has the true ones."""
    folder = tmp_path_factory.mktemp("mined")
    corpus.write_tokenizer(folder / "tokenizer")
    corpus.write_parallel(folder / "parallel", rows=300)
    texts = {}
    for code, start in (("en", 60_000), ("de", 70_000)):
        numbers = [*range(50_000, 50_080), *range(start, start + 30), 50_000]
        Random(code).shuffle(numbers)
        texts[code] = [" ".join(corpus.sentence(code, i)) for i in numbers]
    (folder / "text").mkdir()
    (folder / "text" / "en.txt").write_text("\n".join(["", *texts["en"]]) + "\n", encoding="utf-8")
    with gzip.open(folder / "text" / "de.txt.gz", "wt", encoding="utf-8") as file:
        file.write("\n".join(texts["de"]) + "\n")
    gold = ["\t".join(" ".join(corpus.sentence(code, i)) for code in ("en", "de")) for i in range(50_000, 50_080)]
    (folder / "gold" / "en-de").mkdir(parents=True)
    (folder / "gold" / "en-de" / "test.tsv").write_text("\n".join(["source\ttarget", *gold]) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def mine(shell, place):
    """mine(NAME, ...): with an encoder whose embeddings were solved from other sentences."""
    data = ["dataset=parallel_files", f"dataset.root={place / 'parallel'}", *model(place), "hardware=debug"]
    assert shell("align", *data, "run.name=solved", "objective=latent_semantics").code == 0

    def run(name, *more):
        text = ["dataset=mono_files", f"dataset.root={place / 'text'}", "languages.train=[en-de]"]
        gold = ["dataset@gold=parallel_files", f"gold.root={place / 'gold'}"]
        return shell("mine", *text, *gold, "model.init_from=runs/solved/align", f"run.name={name}", *more)

    return run


def rows(folder):
    head, *lines = (folder / "mined/en-de/train.tsv").read_text(encoding="utf-8").split("\n")[:-1]
    assert head.split("\t") == ["score", "source", "target", "source_place", "target_place"]
    return [line.split("\t") for line in lines]


def test_translations_are_found_and_can_be_learned_from(shell, place, mine, tmp_path):
    answer = mine("first", "mining.threshold=null")
    assert (answer.code, answer.err) == (0, [])
    folder = tmp_path / "runs/first/mine"
    metrics, found = json.loads((folder / "metrics.json").read_text()), rows(folder)
    facts = metrics["mined"]["en-de"]
    assert metrics["cleaning"]["languages"]["en"]["removed"]["exact_duplicates"] == 1
    assert facts["source_sentences"] == metrics["cleaning"]["languages"]["en"]["kept"] <= 110
    assert facts["paired"] == facts["kept"] == len(found) == metrics["n"]["mono_files"]["en-de"]
    scores = [float(row[0]) for row in found]
    assert scores == sorted(scores, reverse=True) and facts["scores"][0] == pytest.approx(scores[-1], abs=1e-6)
    assert len({row[1] for row in found}) == len({row[2] for row in found}) == len(found), "one to one"

    lines = {
        "en": (place / "text/en.txt").read_text().split("\n"),
        "de": gzip.decompress((place / "text/de.txt.gz").read_bytes()).decode().split("\n"),
    }
    for _, source, target, here, there in found:
        for code, file, text, where in (("en", "en.txt", source, here), ("de", "de.txt.gz", target, there)):
            path, _, number = where.rpartition(":")
            assert path == str(place / "text" / file) and lines[code][int(number) - 1] == text

    true = set(map(tuple, (line.split("\t") for line in (place / "gold/en-de/test.tsv").read_text().split("\n")[1:-1])))
    right = [(row[1], row[2]) in true for row in found]
    precision, recall = sum(right) / len(right), sum(right) / len(true)
    by = {metric: values["en-de"] for metric, values in metrics["results"]["mono_files"].items()}
    assert by == pytest.approx(
        {"precision": precision, "recall": recall, "f1": 2 * precision * recall / (precision + recall)}
    )
    best = metrics["gold"]["en-de"]["best"]
    assert recall > 0.9 and best["f1"] > 0.9 and best["f1"] >= by["f1"]

    data = ["dataset=parallel_files", f"dataset.root={folder / 'mined'}", "train.steps=2", "hardware=debug"]
    assert shell("align", *data, "model.init_from=runs/solved/align", "run.name=next").code == 0
    assert (tmp_path / "runs/next/align/model/config.json").exists()


def test_shards_change_nothing_and_threshold_and_share_cut(mine, tmp_path):
    assert mine("whole", "mining.threshold=null", "mining.keep_vectors=true").code == 0
    assert mine("cut", "mining.threshold=null", "mining.shard_size=7").code == 0
    whole = rows(tmp_path / "runs/whole/mine")
    assert rows(tmp_path / "runs/cut/mine") == whole
    assert (tmp_path / "runs/whole/mine/work/en/vectors.bin").exists() and not (
        tmp_path / "runs/cut/mine/work"
    ).exists()
    threshold = (float(whole[40][0]) + float(whole[41][0])) / 2
    assert mine("above", f"mining.threshold={threshold}").code == 0
    assert rows(tmp_path / "runs/above/mine") == whole[:41]
    assert mine("best", "mining.threshold=null", "mining.top=0.25").code == 0
    assert rows(tmp_path / "runs/best/mine") == whole[: round(0.25 * len(whole))]
    assert (
        mine(
            "half", "mining.threshold=null", "mining.vectors=float16", "mining.remove_means=true", "cleaning=none"
        ).code
        == 0
    )
    assert len(rows(tmp_path / "runs/half/mine")) > 60


def test_what_is_not_found_or_wrong_is_said(shell, mine, tmp_path, place):
    answer = mine("nothing", "mining.threshold=9")
    assert answer.code == 0 and rows(tmp_path / "runs/nothing/mine") == []
    assert (
        answer.err[0].startswith("xlt: en-de: nothing was kept, for the best score is ")
        and "lower mining.threshold" in answer.err[0]
    )
    for changes, sentence in [
        (["languages.train=[en-sw]"], "xlt: languages.train: mono_files has no sw with a train split; it has de, en"),
        (["gold.root=runs"], None),
        (["mining.top=0"], "xlt: mining.top: 0.0 is not in (0, 1]; give the share of the pairs to keep, or null"),
        (["mining.k=0", "mining.shard_size=0"], "xlt: mining.k: 0 is below 1; Artetxe and Schwenk 2019 take 4"),
        (["mining.layer=2"], "xlt: mining.layer: 2, and this model has 0 layers; give 0 (embeddings) to 0, or null"),
    ]:
        answer = mine(f"wrong-{len(changes[0])}", *changes)
        assert answer.code == 2 and (sentence is None or sentence in answer.err), answer.err
    two = shell(
        "check", "mine", "dataset=mono_files", f"dataset.root={place / 'text'}", "model.init_from=runs/solved/align"
    )
    assert two.code == 0 and "text in de-en" in two.out

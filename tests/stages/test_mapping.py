"""xlt align with word vectors, from the shell: what it writes, hubs, searches that fail, and the vectors that xlt pretrain learns for it."""

from __future__ import annotations

import builtins
import json

import pytest
import torch
from safetensors.torch import load_file

from tests import corpus
from tests.alignment.spaces import noisy_copy, realistic
from xlt.alignment.csls import unit
from xlt.alignment.vectors import StaticVectors, read_vec, write_vec

QUICK = ["objective.stale=3", "objective.start_words=400", "objective.rounds=200"]


def write_languages(folder, sizes=400, d=20, noise=0.1):
    """{lang}.vec of en, de and sw: copies of one space; word i of each translates word i of the others. en-de and en-sw have dictionaries."""
    x = realistic(sizes, d)
    for code, vectors in (("en", x), ("de", noisy_copy(x, noise, 1)[0]), ("sw", noisy_copy(x, noise, 2)[0])):
        folder.mkdir(exist_ok=True)
        write_vec(folder / f"{code}.vec", StaticVectors([f"{code}{i}" for i in range(sizes)], vectors))
    for other in ("de", "sw"):
        for split, rows in (("train", range(0, 100)), ("test", range(100, 200))):
            path = folder / "dictionaries" / f"en-{other}" / f"{split}.tsv"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(f"en{i}\t{other}{i}\n" for i in rows), encoding="utf-8")
    return [
        "dataset=dictionary_files",
        f"dataset.root={folder / 'dictionaries'}",
        f'objective.vectors="{folder}/{{lang}}.vec"',
    ]


def metrics(path):
    return json.loads((path / "metrics.json").read_text())


def test_what_a_mapping_leaves_is_enough_to_map_with(shell, tmp_path):
    data = write_languages(tmp_path / "data")
    answer = shell("align", "objective=procrustes", *data, "languages.train=[en-de]", "objective.normalisation=[unit]")
    assert (answer.code, answer.err) == (0, [])
    folder = tmp_path / "runs/main/align/mappings/en-de"
    found, source, mapped = (
        load_file(folder / "mapping.safetensors"),
        read_vec(tmp_path / "data/en.vec", None),
        read_vec(folder / "source.vec", None),
    )
    torch.testing.assert_close(unit(source.vectors) @ found["mapping"].T, mapped.vectors)
    assert torch.equal(found["target_mapping"], torch.eye(20))
    assert (found["mapping"] @ found["mapping"].T - torch.eye(20)).abs().max() < 1e-5
    lines = [line.split("\t") for line in (folder / "dictionary.tsv").read_text().splitlines()]
    assert sum(a[2:] == b[2:] for a, b, _ in lines) > 0.97 * len(lines) > 300
    assert [float(line[2]) for line in lines] == sorted((float(line[2]) for line in lines), reverse=True)
    result = metrics(tmp_path / "runs/main/align")
    assert result["results"]["dictionary_files"]["csls_precision_at_1"]["en-de"] > 0.97 and "converged" not in result
    assert result["pairs"]["en-de"]["orthogonality"] < 1e-5


@pytest.mark.parametrize("objective", ["procrustes", "whitened_procrustes", "rcsls"])
def test_every_supervised_method_and_retrieval(shell, tmp_path, objective):
    data = write_languages(tmp_path / "data", noise=0.3)
    answer = shell(
        "align",
        f"objective={objective}",
        *data,
        "languages.train=[en-de]",
        "objective.retrieval=[inverted_softmax,nn,csls]",
    )
    assert (answer.code, answer.err) == (0, [])
    scores = metrics(tmp_path / "runs/main/align")["results"]["dictionary_files"]
    assert all(scores[f"{how}_precision_at_1"]["en-de"] > 0.85 for how in ("nn", "csls", "inverted_softmax"))


def test_a_hub_has_all_languages_in_its_space_and_scores_the_others_through_it(shell, tmp_path):
    data = write_languages(tmp_path / "data")
    answer = shell(
        "align", "objective=procrustes", *data, "objective.hub=en", "objective.normalisation=[unit,center,unit]"
    )
    assert (answer.code, answer.err) == (0, [])
    run = tmp_path / "runs/main/align"
    space = {code: read_vec(run / "space" / f"{code}.vec", None) for code in ("en", "de", "sw")}
    similarity = unit(space["de"].vectors) @ unit(space["sw"].vectors).T
    assert (similarity.argmax(1) == torch.arange(400)).float().mean() > 0.97
    assert sorted(p.name for p in (run / "mappings").iterdir()) == ["de-en", "sw-en"]
    scores = metrics(run)["results"]["dictionary_files"]["nn_precision_at_1"]
    assert set(scores) == {"en-de", "en-sw", "de-sw"} and min(scores.values()) > 0.95
    assert metrics(run)["n"]["dictionary_files"]["de-sw"] == 100


def test_what_is_tested_is_not_learned_from(shell, tmp_path):
    data = write_languages(tmp_path / "data")
    with open(tmp_path / "data/dictionaries/en-de/train.tsv", "a") as file:
        file.write(
            "en100\tde100\nEN101\tde101\nen300\tde100\n"
        )  # the last is another word, of which a translation is tested
    answer = shell("align", "objective=procrustes", *data, "objective.hub=en")
    assert (answer.code, answer.err) == (
        0,
        [],
    ) and "de-en  2 pairs of the dictionary are not learned from" in answer.out
    result = metrics(tmp_path / "runs/main/align")
    assert result["pairs"]["de-en"]["pairs_given"] == 101 and result["pairs"]["de-en"]["pairs_tested"] == 2
    assert result["n"]["dictionary_files"]["de-sw"] == 99, "de100 was fitted to en300"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["objective=procrustes", "objective.hub=de"], "objective.hub: en-sw does not have de"),
        (["objective=whitened_procrustes", "objective.hub=en"], "objective.hub: the pipeline moves the target too"),
        (["objective=self_learning", "objective.restarts=1"], "objective.restarts: 1 is below 2"),
        (["objective=self_learning", "objective.start=numerals"], "objective.start: numerals, and no numeral is spelled alike"),
        (["objective=rcsls", "objective.retrieval=[cls]"], "objective.retrieval: there is no cls; did you mean csls?"),
        (["objective=procrustes", "objective.whiten=true", "objective.max_vocab=15"], "whitening needs more independent words than"),
        (["objective=skipgram"], "objective: SkipGram learns word vectors from text; use it with xlt pretrain"),
    ],
)  # fmt: skip
def test_mistakes_are_sentences(shell, tmp_path, arguments, sentence):
    data = write_languages(tmp_path / "data")
    if arguments == ["objective=skipgram"]:
        data = data[:2]
    answer = shell("align", *data, *arguments)
    assert answer.code == 2 and any(sentence in line for line in answer.err), answer.err


def test_an_unsupervised_search_converges_without_a_dictionary(shell, tmp_path):
    data = write_languages(tmp_path / "data", sizes=800, d=30)
    answer = shell(
        "align", "objective=self_learning", *data, "languages.train=[en-de]", *QUICK, "objective.start_words=800"
    )
    assert (answer.code, answer.err) == (0, [])
    result = metrics(tmp_path / "runs/main/align")
    assert result["converged"] is True and result["pairs"]["en-de"]["agreement"] > 0.9
    assert result["results"]["dictionary_files"]["csls_precision_at_1"]["en-de"] > 0.97
    assert "two attempts translate" in answer.out


def test_a_pair_without_dictionary_is_mapped_and_not_scored(shell, tmp_path):
    write_languages(tmp_path / "data", sizes=800, d=30)
    (tmp_path / "text/de").mkdir(parents=True)
    (tmp_path / "text/de/train.txt").write_text("ein satz\n")
    answer = shell(
        "align", "objective=self_learning", "dataset=text_files", f"dataset.root={tmp_path / 'text'}", "languages.train=[de-sw]",
        f'objective.vectors="{tmp_path}/data/{{lang}}.vec"', *QUICK, "objective.start_words=800",
    )  # fmt: skip
    assert (answer.code, answer.err) == (0, [])
    result = metrics(tmp_path / "runs/main/align")
    assert result["results"] == {} and result["converged"] is True
    assert len(read_vec(tmp_path / "runs/main/align/mappings/de-sw/source.vec", None).words) == 800


@pytest.mark.parametrize(
    "how",
    [
        ["objective=self_learning", *QUICK],
        [
            "objective=adversarial_mapping",
            "objective.epochs=2",
            "objective.steps=20",
            "objective.hidden=16",
            "objective.refinements=2",
        ],
    ],
    ids=["self_learning", "adversarial_mapping"],
)
def test_an_impossible_pair_says_so_and_exits_3_with_everything_written(shell, tmp_path, how):
    data = write_languages(tmp_path / "data")
    write_vec(tmp_path / "data/de.vec", StaticVectors([f"de{i}" for i in range(400)], realistic(400, 20, seed=90)))
    answer = shell("align", *how, *data, "languages.train=[en-de]")
    assert (
        answer.code == 3
        and len(answer.err) == 1
        and "en-de did not converge: no two attempts translate words alike" in answer.err[0]
    )
    assert "NOT CONVERGED" in answer.out
    result = metrics(tmp_path / "runs/main/align")
    assert result["converged"] is False and result["pairs"]["en-de"]["converged"] is False
    assert result["results"]["dictionary_files"]["csls_precision_at_1"]["en-de"] < 0.1
    assert (tmp_path / "runs/main/align/mappings/en-de/source.vec").is_file()


# ---- vectors from text


def text(folder):
    corpus.write_text(folder, {"en": 400, "de": 400})
    return [
        "pretrain",
        "objective=skipgram",
        "dataset=text_files",
        f"dataset.root={folder}",
        "objective.width=12",
        "objective.min_count=2",
        "objective.buckets=1000",
    ]


@pytest.mark.parametrize("subwords", [True, False])
def test_vectors_of_each_language_are_learned_and_can_be_mapped(shell, tmp_path, subwords):
    pytest.importorskip("gensim", reason="gensim is an extra: pip install 'xlt[static-embeddings]'")
    answer = shell(*text(tmp_path / "text"), f"objective.subwords={subwords}")
    assert (answer.code, answer.err) == (0, [])
    place = tmp_path / "runs/main/pretrain"
    table = read_vec(place / "vectors/de.vec", None)
    assert table.vectors.shape[1] == 12 and set(table.words) <= set(corpus.words("de"))
    assert metrics(place)["results"]["text_files"]["coverage"]["de"] > 0.9
    corpus.write_dictionary(tmp_path / "dictionary")
    mapped = shell("align", "objective=procrustes", "dataset=dictionary_files", f"dataset.root={tmp_path / 'dictionary'}", "languages.train=[en-de]", 'objective.vectors="runs/main/pretrain/vectors/{lang}.vec"')  # fmt: skip
    assert (mapped.code, mapped.err) == (0, [])
    again = shell(*text(tmp_path / "text"), f"objective.subwords={subwords}", "run.name=again")
    assert again.code == 0
    assert (tmp_path / "runs/again/pretrain/vectors/de.vec").read_bytes() == (place / "vectors/de.vec").read_bytes()


def test_vectors_from_counts_need_no_extra(shell, tmp_path, monkeypatch):
    command = [
        a for a in text(tmp_path / "text") if "skipgram" not in a and "min_count" not in a and "buckets" not in a
    ]
    answer = shell(*command, "objective=ppmi")
    assert (answer.code, answer.err) == (0, [])
    place = tmp_path / "runs/main/pretrain"
    assert set(read_vec(place / "vectors/de.vec", None).words) == set(corpus.words("de"))
    assert metrics(place)["results"]["text_files"]["coverage"] == {"de": 1.0, "en": 1.0}


def test_one_space_for_all_languages(shell, tmp_path):
    pytest.importorskip("gensim", reason="gensim is an extra: pip install 'xlt[static-embeddings]'")
    assert shell(*text(tmp_path / "text"), "objective.joint=true").code == 0
    place = tmp_path / "runs/main/pretrain/vectors"
    joint, en, de = (read_vec(place / f"{name}.vec", None) for name in ("joint", "en", "de"))
    assert {*joint.words} == {*en.words, *de.words} and not {*en.words} & {*de.words}
    assert torch.equal(joint.vectors[joint.rows[de.words[0]]], de.vectors[0])


def test_without_gensim_one_sentence_says_what_to_install(shell, tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *rest, **named):
        if name.split(".")[0] == "gensim":
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    answer = shell(*text(tmp_path / "text"))
    assert answer.code == 2 and len(answer.err) == 1 and "pip install 'xlt[static-embeddings]'" in answer.err[0]


def test_words_keep_the_marks_of_their_script():
    from xlt.stages.words import words

    assert words("Das Haus, don't! 3.5 हिन्दी भाषा — l'eau x-y -") == [
        "das",
        "haus",
        "don't",
        "3",
        "5",
        "हिन्दी",
        "भाषा",
        "l'eau",
        "x-y",
    ]

"""The solver of `xlt align objective=procrustes`: a hidden dictionary found from a part of it, refusals, and a real pair of languages."""

import gzip
import json
import re

import pytest
import torch

from xlt.alignment.cooccurrences import learn_vectors
from xlt.alignment.vectors import StaticVectors
from xlt.errors import ConfigError, DataError
from xlt.objectives.procrustes import Procrustes

FIELDS = {
    "vectors": None,
    "max_vocab": 5000,
    "hub": None,
    "normalisation": [],
    "whiten": False,
    "reweight_source": 0.0,
    "reweight_target": 0.0,
    "dewhiten_source": None,
    "dewhiten_target": None,
    "refinements": 0,
    "max_rank": 5000,
    "retrieval": ["nn", "csls"],
    "csls_k": 10,
    "softmax_beta": 30.0,
    "width": 300,
    "window": 10,
}


def solver(**changes):
    return Procrustes(**FIELDS | changes)


def solve(objective, source, target, pairs):
    """(mapping, mapped source, target, facts)."""
    found = objective.solve(source, target, pairs, 1, print)
    assert found.converged is None and torch.equal(found.maps.target, torch.eye(len(found.maps.target)))
    return found.maps.source, found.source, found.target, found.facts


def languages_of_one_space(n=400, d=16):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, d, generator=generator)
    w = torch.linalg.qr(torch.randn(d, d, generator=generator))[0]
    order = torch.randperm(n, generator=generator)
    source, target = (
        StaticVectors([f"s{i}" for i in range(n)], x),
        StaticVectors([f"t{int(i)}" for i in order], (x @ w.T)[order]),
    )
    return source, target, w, [(f"s{i}", f"t{i}") for i in range(n)]


@pytest.mark.parametrize("refinements", [0, 2])
def test_finds_the_rest_of_a_dictionary_from_a_part(refinements):
    source, target, w, dictionary = languages_of_one_space()
    objective = solver(refinements=refinements)
    mapping, mapped, kept, facts = solve(
        objective, source, target, [*dictionary[:50], ("s1", "unknown"), ("unknown", "t1")]
    )
    torch.testing.assert_close(mapping, w, atol=1e-5, rtol=0)
    torch.testing.assert_close(mapped.vectors, source.vectors @ mapping.T)
    assert mapped.words == source.words and kept.words == target.words
    assert (facts["pairs_used"], facts["pairs_given"], len(facts["criterion"])) == (50, 52, refinements + 1)
    scores = objective.score(mapped, kept, dictionary[50:])
    assert set(scores) == set(objective.higher_is_better) and set(scores.values()) == {1.0}
    assert objective.kind == "solver" and objective.metric in scores


def test_both_sides_are_normalised():
    source, target, _, dictionary = languages_of_one_space()
    _, mapped, kept, _ = solve(solver(normalisation=["unit", "center", "unit"]), source, target, dictionary)
    for table in (mapped, kept):
        torch.testing.assert_close(table.vectors.norm(dim=1), torch.ones(400))


def test_what_cannot_be_solved_is_refused():
    source, target, _, _ = languages_of_one_space()
    with pytest.raises(
        DataError,
        match=re.escape(
            "none of the 1 pairs of the dictionary has both words among the vectors (400 and 400 words); check"
        ),
    ):
        solve(solver(), source, target, [("dog", "hund")])
    with pytest.raises(
        DataError,
        match="the source vectors have 16 numbers a word and the target vectors 8; an orthogonal map needs equal widths",
    ):
        solve(solver(), source, StaticVectors(target.words, target.vectors[:, :8]), [("s1", "t1")])


def test_all_mistakes_of_a_config_are_told_at_once():
    with pytest.raises(ConfigError) as caught:
        solver(
            vectors="wiki.en.vec",
            normalisation=["unit", "centre"],
            refinements=-1,
            csls_k=0,
            retrieval=["cls"],
            dewhiten_source="target",
        )
    assert [problem.split(";")[0] for problem in caught.value.problems] == [
        "objective.normalisation: 'centre' is not one of unit, center",
        "objective.retrieval: there is no cls",
        "objective.csls_k: 0 is not above 0",
        "objective.vectors: 'wiki.en.vec' has no {lang}, so both languages would read one file",
        "objective.dewhiten_source: nothing was whitened",
        "objective.refinements: -1 is below 0",
    ]


def lines(path):
    return gzip.decompress(path.read_bytes()).decode().splitlines()


def test_on_real_words_csls_beats_neighbours_and_refinement_beats_both(shared_data):
    """Vectors learned from each side of 15,000 short sentences; which sentence translates which is not used. Chance is 0.0005."""
    rows = [json.loads(line) for line in lines(shared_data / "tatoeba" / "en-de" / "train.jsonl.gz")]
    source, target = (
        learn_vectors((re.findall(r"[\w'’-]+", row[side].lower()) for row in rows), 300, 3000, 10)
        for side in ("src", "tgt")
    )
    train, test = (
        [tuple(line.split("\t")) for line in lines(shared_data / "bli" / "en-de" / f"{split}.tsv.gz")]
        for split in ("train", "test")
    )
    plain, refined = (solve(solver(refinements=rounds), source, target, train) for rounds in (0, 5))
    before, after = (solver().score(mapped, kept, test) for _, mapped, kept, _ in (plain, refined))
    assert before["nn_precision_at_1"] > 0.12
    assert before["csls_precision_at_1"] > before["nn_precision_at_1"]
    assert after["nn_precision_at_1"] > before["nn_precision_at_1"]
    assert after["csls_precision_at_1"] >= before["csls_precision_at_1"]
    assert before["csls_precision_at_10"] > before["csls_precision_at_5"] > before["csls_precision_at_1"]

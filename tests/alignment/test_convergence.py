"""Whether a search found the other language: copies have, independent spaces have not, by words that no attempt has seen."""

import torch

from tests.alignment.spaces import gaussian, noisy_copy, realistic, tables
from xlt.alignment.convergence import AGREEMENT, agreement, hold_out
from xlt.alignment.csls import nearest, unit
from xlt.objectives.self_learning import SelfLearning

FIELDS = {
    "vectors": None, "max_vocab": 5000, "hub": None, "normalisation": ["unit", "center", "unit"], "start": "similarity", "seeds": None, "start_words": 1000,
    "keep": 0.1, "factor": 2.0, "stale": 5, "threshold": 1e-6, "cutoff": 2000, "rounds": 500, "restarts": 2, "whiten": True, "reweight_source": 0.5,
    "reweight_target": 0.5, "dewhiten_source": "source", "dewhiten_target": "target", "max_rank": 2000, "retrieval": ["csls"], "csls_k": 10,
    "softmax_beta": 30.0, "width": 300, "window": 10,
}  # fmt: skip


def search(x, y, **changes):
    from xlt.objectives.self_learning import Start

    fields = {**FIELDS, **changes}
    fields["start"] = Start(fields["start"])
    source, target = tables(x, y)
    dictionary = [(f"s{i}", f"t{i}") for i in range(len(x))]
    return SelfLearning(**fields).solve(source, target, dictionary, 1, print)


def test_a_noisy_copy_converges_and_is_translated():
    x = realistic(1000, 50)
    found = search(x, noisy_copy(x, 0.1)[0])
    assert found.converged and found.facts["agreement"] > 0.9 and len(found.facts["attempts"]) == 2
    right = nearest(unit(found.source.vectors), unit(found.target.vectors), 1, "csls")[1][:, 0] == torch.arange(1000)
    assert right.float().mean() > 0.99


def test_independent_spaces_do_not_converge():
    x = realistic(1000, 50)
    for other in (realistic(1000, 50, seed=60), gaussian(1000, 50, seed=5)):
        found = search(x, other)
        assert not found.converged and found.facts["agreement"] < AGREEMENT


def test_a_made_up_dictionary_does_not_converge_either():
    x = realistic(1000, 50)
    assert not search(x, realistic(1000, 50, seed=61), start="dictionary", seeds=200).converged
    assert search(x, noisy_copy(x, 0.5)[0], start="dictionary", seeds=25).converged


def test_what_is_held_out():
    kept, held = hold_out(5000, 2000, range(100), 0)
    assert len(held) == 190 and held.min() >= 100 and held.max() < 2000
    assert sorted([*kept.tolist(), *held.tolist()]) == list(range(5000)) and kept.tolist() == sorted(kept.tolist())
    assert len(hold_out(100_000, 20_000, [], 0)[1]) == 1000
    assert not len(hold_out(3, 3, [0, 1, 2], 0)[1])


def test_agreement_is_with_the_attempt_that_agrees_most():
    chosen = torch.tensor([1, 2, 3, 4])
    assert agreement(chosen, [torch.tensor([1, 2, 0, 0]), torch.tensor([1, 2, 3, 0])]) == 0.75
    assert agreement(chosen, []) == 0.0

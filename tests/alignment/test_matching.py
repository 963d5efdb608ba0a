"""Who is whom: each method against its definition, and ranks by hand."""

from __future__ import annotations

import itertools

import pytest
import torch

from tests.alignment.spaces import realistic
from xlt.alignment import matching
from xlt.alignment.csls import nearest, unit
from xlt.alignment.matching import Matching
from xlt.errors import ConfigError, NonFinite

FIELDS = {
    "methods": ["nn", "csls", "sinkhorn", "hungarian"],
    "candidates": "test",
    "csls_k": 10,
    "temperature": 0.05,
    "iterations": 200,
    "links": False,
    "merge": None,
}


def similarities(n=5, m=5, seed=1):
    return torch.rand(n, m, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("n", "m"), [(5, 5), (4, 6), (6, 4)])
def test_hungarian_has_the_largest_sum_of_all_assignments(n, m, seed):
    s_NM = similarities(n, m, seed)
    partner_N = matching.hungarian(s_NM)
    taken = [(i, j) for i, j in enumerate(partner_N.tolist()) if j >= 0]
    assert len(taken) == min(n, m) == len({j for _, j in taken})
    rows = range(n)
    if n <= m:
        best = max(
            sum(s_NM[i, j].item() for i, j in zip(rows, way, strict=True))
            for way in itertools.permutations(range(m), n)
        )
    else:
        best = max(sum(s_NM[i, j].item() for j, i in enumerate(way)) for way in itertools.permutations(rows, m))
    assert sum(s_NM[i, j].item() for i, j in taken) == pytest.approx(best)


@pytest.mark.parametrize(("n", "m"), [(5, 5), (3, 7), (7, 3)])
def test_sinkhorn_has_uniform_marginals_and_the_form_of_the_optimum(n, m):
    s_NM = similarities(n, m)
    log_NM = matching.sinkhorn(s_NM.double(), 0.1, 2000)
    plan_NM = log_NM.exp()
    torch.testing.assert_close(plan_NM.sum(0), torch.full((m,), 1 / m, dtype=torch.double))
    torch.testing.assert_close(plan_NM.sum(1), torch.full((n,), 1 / n, dtype=torch.double), rtol=1e-6, atol=1e-9)
    # log P = s / t + u_i + v_j and these marginals: the optimum of <P, s> + t H(P), which is the only such plan (Cuturi 2013, lemma 2)
    rest_NM = log_NM - s_NM.double() / 0.1
    torch.testing.assert_close(rest_NM - rest_NM[:1], (rest_NM[:, :1] - rest_NM[:1, :1]).expand(n, m))


def test_a_cold_sinkhorn_is_the_best_assignment_where_greed_is_not():
    s_NM = torch.tensor([[0.9, 0.8, 0.0], [0.8, 0.1, 0.0], [0.0, 0.0, 0.5]])
    best_N = torch.tensor([1, 0, 2])
    assert torch.equal(matching.hungarian(s_NM), best_N)
    assert torch.equal(matching.sinkhorn(s_NM, 0.01, 500).argmax(1), best_N)
    assert torch.equal(s_NM.argmax(1), torch.tensor([0, 0, 2]))
    assert torch.isfinite(matching.sinkhorn(s_NM, 1e-4, 50)).all()


def test_sinkhorn_leaves_what_it_is_given():
    s_NM = similarities()
    before = s_NM.clone()
    for method in FIELDS["methods"]:
        Matching(**FIELDS | {"methods": [method]}).score(s_NM, torch.arange(5))
    assert torch.equal(s_NM, before)


def test_csls_is_that_of_word_spaces():
    x, y = unit(realistic(60, 12, seed=1)), unit(realistic(45, 12, seed=2))
    scores_NM = matching.csls(x @ y.T, 7)
    found, places = nearest(x, y, 45, "csls", 7)
    torch.testing.assert_close(scores_NM.gather(1, places), found, rtol=1e-4, atol=1e-5)
    s_NM = x @ y.T
    torch.testing.assert_close(matching.csls(s_NM, 100), 2 * s_NM - s_NM.mean(1, keepdim=True) - s_NM.mean(0))


def test_ranks_by_hand():
    scores_PM = torch.tensor([[0.9, 0.5, 0.1], [0.2, 0.1, 0.3], [0.5, 0.5, 0.5], [0.4, 0.7, 0.7]])
    assert matching.ranks(scores_PM, torch.tensor([0, 1, 2, 2])).tolist() == [1, 3, 3, 2]
    found = matching.ranking("nn", torch.tensor([1, 3, 20, 10]))
    assert found == {
        "nn_hits_at_1": 0.25,
        "nn_hits_at_10": 0.75,
        "nn_mrr": pytest.approx((1 + 1 / 3 + 1 / 20 + 1 / 10) / 4),
    }


def test_both_directions_by_hand():
    """x0 is nearest to its partner and y0 is not; a row and a column beside the gold ones are candidates of the others."""
    s_NM = torch.tensor([[0.6, 0.5, 0.1], [0.7, 0.3, 0.9], [0.0, 0.8, 0.2]])
    forward, backward = Matching(**FIELDS | {"methods": ["nn"]}).score(s_NM, torch.arange(2))
    assert forward == {"nn_hits_at_1": 0.5, "nn_hits_at_10": 1.0, "nn_mrr": pytest.approx((1 + 1 / 3) / 2)}
    assert backward == {"nn_hits_at_1": 0.0, "nn_hits_at_10": 1.0, "nn_mrr": pytest.approx((1 / 2 + 1 / 3) / 2)}
    turned = Matching(**FIELDS | {"methods": ["nn"]}).score(s_NM.T.contiguous(), torch.arange(2))
    assert turned == (backward, forward)


def test_a_space_in_which_all_is_equal_scores_nothing():
    forward, backward = Matching(**FIELDS | {"methods": ["nn", "csls", "sinkhorn"]}).score(
        torch.ones(20, 20), torch.arange(20)
    )
    assert forward == backward and set(forward) and max(forward.values()) == 0.05


def test_every_method_finds_noisy_partners_that_it_should():
    x = unit(torch.randn(200, 40, generator=torch.Generator().manual_seed(3)))
    y = unit(x + 0.1 * torch.randn(200, 40, generator=torch.Generator().manual_seed(4)))
    order = torch.randperm(200, generator=torch.Generator().manual_seed(5))
    back = torch.empty_like(order).scatter_(0, order, torch.arange(200))
    forward, backward = Matching(**FIELDS).score(x @ y[order].T, back)
    assert {score for found in (forward, backward) for name, score in found.items()} == {1.0} and len(forward) == 10


def test_links_are_those_that_choose_each_other():
    s_NM = torch.tensor([[0.9, 0.2], [0.8, 0.1], [0.3, 0.7]])
    i_P, j_P, value_P = Matching(**FIELDS | {"methods": ["nn"]}).found(s_NM)
    assert (i_P.tolist(), j_P.tolist()) == ([0, 2], [0, 1]) and value_P.tolist() == pytest.approx([0.9, 0.7])
    i_P, j_P, _ = Matching(**FIELDS | {"methods": ["hungarian"]}).found(s_NM)
    assert (i_P.tolist(), j_P.tolist()) == ([0, 2], [0, 1])


def test_mistakes_are_sentences():
    with pytest.raises(ConfigError) as refused:
        Matching(
            **FIELDS | {"methods": ["sinkhorm"], "candidates": "some", "csls_k": 0, "temperature": 0.0, "merge": "xml"}
        )
    sentences = "\n".join(refused.value.problems)
    assert (
        "matching.methods: there is no sinkhorm; did you mean sinkhorn?" in sentences
        and len(refused.value.problems) == 5
    )
    with pytest.raises(NonFinite, match="not finite; the embeddings have run away"):
        Matching(**FIELDS).score(torch.tensor([[float("nan")]]), torch.tensor([0]))

"""Graphs as matrices and triples against their definitions, written out entity by entity."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from xlt.alignment import graphs, translation
from xlt.alignment.graph_convolution import GraphConvolution, margin_loss
from xlt.types import KnowledgeGraph

FACTS = np.array([[0, 0, 1], [0, 0, 2], [1, 1, 2], [2, 1, 0], [3, 2, 3], [0, 1, 1], [4, 2, 0]])


def by_hand(facts, entities, relations, least):
    """Wang et al. 2018, equations 4 to 6, and the released code's normalisation."""
    own = [facts[facts[:, 1] == r] for r in range(relations)]
    fun = [max(least, len({h for h, _, _ in t.tolist()}) / max(len(t), 1)) for t in own]
    ifun = [max(least, len({t for _, _, t in o.tolist()}) / max(len(o), 1)) for o in own]
    a = np.eye(entities)
    for h, r, t in facts.tolist():
        if h != t:
            a[h, t] += ifun[r]
            a[t, h] += fun[r]
    return a / np.sqrt(np.outer(a.sum(0), a.sum(0)))


@pytest.mark.parametrize("least", [0.0, 0.3, 0.9])
def test_adjacency(least):
    found = graphs.adjacency(FACTS, 6, 4, least).toarray()
    np.testing.assert_allclose(found, by_hand(FACTS, 6, 4, least), atol=1e-12)
    assert found[5, 5] == 1 and found[3, 3] == 1 and found[0, 5] == 0


def test_functionality_by_hand():
    fun_R, ifun_R = graphs.functionality(FACTS, 3)
    np.testing.assert_allclose(fun_R, [1 / 2, 3 / 3, 2 / 2])  # of r0 the one head 0 of two facts
    np.testing.assert_allclose(ifun_R, [2 / 2, 3 / 3, 2 / 2])


def test_the_second_graph_is_numbered_after_the_first():
    a = KnowledgeGraph(["a", "b"], ["a", "b"], ["r"], np.array([[0, 0, 1]]))
    b = KnowledgeGraph(["x", "y", "z"], ["x", "y", "z"], ["q", "p", "r"], np.array([[2, 1, 0], [0, 2, 1]]))
    triples, entities, relations = graphs.union((a, b))
    assert triples.tolist() == [[0, 0, 1], [4, 2, 2], [2, 0, 3]], "r is r in both"
    assert (entities, relations) == (5, 3)


def test_partners_stand_in_for_each_other():
    triples = np.array([[0, 0, 1], [2, 1, 0], [3, 2, 4]])  # links: 0 = 3, 1 = 4
    found = {tuple(t) for t in graphs.swapped(triples, np.array([[0, 3], [1, 4]]), 5).tolist()}
    assert found == {(3, 0, 1), (0, 0, 4), (2, 1, 3), (0, 2, 4), (3, 2, 1)}
    assert len(graphs.swapped(triples, np.empty((0, 2), np.int64), 5)) == 0


def test_convolution_and_its_gradient_are_those_of_dense_matrices():
    a = graphs.adjacency(FACTS, 6, 4, 0.3)
    device = torch.device("cpu")
    model = GraphConvolution(graphs.sparse(a, device), graphs.sparse(a.T, device), 3, torch.Generator().manual_seed(1))
    assert model.entities.abs().max() <= 2 / 6**0.5
    with torch.no_grad():
        model.entities *= torch.tensor([[0.1], [1.0], [2.0], [30.0], [5.0], [1.0]])  # directions count, lengths do not
    dense, x = torch.from_numpy(a.toarray()).float(), model.entities.detach().clone().requires_grad_()
    expected = dense @ (dense @ (x / x.norm(dim=1, keepdim=True))).relu()
    torch.testing.assert_close(model(), expected)
    weights = torch.randn(6, 3, generator=torch.Generator().manual_seed(2))
    (model() * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(model.entities.grad, x.grad)
    assert list(model.state_dict()) == ["entities"]


def test_margin_loss_by_hand():
    x = torch.randn(7, 4, generator=torch.Generator().manual_seed(1))
    links, left, right = torch.tensor([[0, 4], [1, 5]]), torch.tensor([[2, 3], [0, 2]]), torch.tensor([[5, 6], [4, 6]])

    def distance(i, j):
        return (x[i] - x[j]).abs().sum().item()

    total = 0.0
    for p, (a, b) in enumerate(links.tolist()):
        total += sum(max(0.0, distance(a, b) + 1.5 - distance(a, n)) for n in right[p].tolist())
        total += sum(max(0.0, distance(a, b) + 1.5 - distance(n, b)) for n in left[p].tolist())
    assert margin_loss(x, links, left, right, 1.5).item() == pytest.approx(total / 8, rel=1e-5) and total > 0


def test_limit_loss_by_hand():
    draw = torch.Generator().manual_seed(1)
    tables = F.normalize(torch.randn(9, 5, generator=draw)), F.normalize(torch.randn(3, 5, generator=draw))
    triples, head = torch.tensor([[0, 1, 2], [3, 2, 4], [5, 0, 5]]), torch.tensor([True, False, True])
    put = torch.tensor([[6, 7], [8, 0], [1, 2]])
    found = translation.limit_loss(triples, put, head, tables, 0.5, 3.0, 0.2).item()

    def energy(h, r, t):
        return (tables[0][h] + tables[1][r] - tables[0][t]).square().sum().item()

    total = sum(max(0.0, energy(*t) - 0.5) for t in triples.tolist())
    for (h, r, t), others, at_head in zip(triples.tolist(), put.tolist(), head.tolist(), strict=True):
        total += 0.2 * sum(max(0.0, 3.0 - (energy(o, r, t) if at_head else energy(h, r, o))) for o in others)
    assert found == pytest.approx(total, rel=1e-5)


def test_false_partners_are_the_nearest_of_the_pool():
    x = torch.randn(50, 6, generator=torch.Generator().manual_seed(1))
    pool = torch.tensor([4, 9, 13, 22, 31, 40, 41, 42, 43, 44])
    near = translation.near_entities(x, 0.3, pool)
    cosines = F.normalize(x) @ F.normalize(x[pool]).T
    for i in range(50):
        assert set(near[i].tolist()) == {pool[j].item() for j in cosines[i].argsort(descending=True)[:3].tolist()}
    assert translation.near_entities(x, 1e-9, pool).shape == (50, 1)

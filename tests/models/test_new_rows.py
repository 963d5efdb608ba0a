"""How new rows begin, against the definitions."""

from __future__ import annotations

import torch

from xlt.models.new_rows import (
    focus_mixtures,
    mean_mixtures,
    mixed,
    piece_vectors,
    random_rows,
    sparsemax,
    wechsel_mixtures,
)


def test_sparsemax_is_the_nearest_point_of_the_simplex():
    """Its optimality: no feasible direction from it comes nearer; and two closed forms."""
    torch.manual_seed(0)
    scores_MN = torch.randn(20, 9, dtype=torch.float64) * 2
    found_MN = sparsemax(scores_MN)
    assert (
        torch.allclose(found_MN.sum(1), torch.ones(20, dtype=torch.float64))
        and (found_MN >= 0).all()
        and (found_MN == 0).any()
    )
    rest_MN = scores_MN - found_MN  # of the support it is one number, elsewhere not above it
    for rest_N, p_N in zip(rest_MN, found_MN, strict=True):
        inside = rest_N[p_N > 0]
        assert torch.allclose(inside, inside[:1]) and (rest_N[p_N == 0] <= inside[0] + 1e-12).all()
    assert torch.allclose(sparsemax(torch.tensor([[0.3, 0.1]])), torch.tensor([[0.6, 0.4]]))
    assert torch.equal(sparsemax(torch.tensor([[3.0, 1.0]])), torch.tensor([[1.0, 0.0]]))


def test_the_mean_is_of_the_parts_and_of_all_where_there_is_none():
    table = torch.tensor([[1.0, 0.0], [3.0, 2.0], [2.0, 7.0]])
    assert torch.equal(
        mixed(table, mean_mixtures([[0, 1], [2], []])), torch.tensor([[2.0, 1.0], [2.0, 7.0], [2.0, 3.0]])
    )
    assert torch.equal(mixed(table[:, 0], mean_mixtures([[0, 1]])), torch.tensor([2.0]))


def test_focus_gives_a_piece_with_an_old_ones_vector_its_row():
    old = torch.eye(4)
    [(ids, weights)] = focus_mixtures(old[2:3] * 5, old, torch.tensor([10, 11, 12, 13]))
    assert ids.tolist() == [12] and torch.allclose(weights, torch.ones(1))
    [(ids, weights)] = focus_mixtures(torch.tensor([[1.0, 1.0, 0.0, 0.0]]), old, torch.tensor([10, 11, 12, 13]))
    assert ids.tolist() == [10, 11] and torch.allclose(weights, torch.full((2,), 0.5))


def test_wechsel_is_a_softmax_over_the_nearest():
    torch.manual_seed(1)
    new, old, ids = torch.randn(3, 6), torch.randn(8, 6), torch.arange(20, 28)
    for vector, (found, weights) in zip(new, wechsel_mixtures(new, old, ids, 3, 0.1), strict=True):
        cosines = torch.cosine_similarity(vector[None], old)
        nearest = cosines.argsort(descending=True)[:3]
        powers = (cosines[nearest] * 10).exp()
        assert found.tolist() == ids[nearest].tolist() and torch.allclose(weights, powers / powers.sum())


def test_a_pieces_vector_is_the_weighted_mean_of_its_words():
    words = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    ids, vectors = piece_vectors([[4, 7], [7]], torch.tensor([3.0, 1.0]), words)
    assert ids.tolist() == [4, 7] and torch.allclose(vectors, torch.tensor([[1.0, 0.0], [0.75, 0.25]]))


def test_random_rows_have_the_deviation_asked_for_and_are_the_same_each_time():
    rows = random_rows(500, 40, 0.02, 3)
    assert (
        abs(rows.std() - 0.02) < 5e-4
        and torch.equal(rows, random_rows(500, 40, 0.02, 3))
        and not torch.equal(rows, random_rows(500, 40, 0.02, 4))
    )

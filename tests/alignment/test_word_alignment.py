"""Links between sub-words against their definitions: by hand, by trying every matching, by entmax's own conditions, by plain loops over one pair."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from xlt.alignment import word_alignment as wa
from xlt.alignment.word_alignment import Similarity

seeds = st.integers(0, 10_000)


def batch(seed, pairs=4, longest=6):
    """(similarity_BST in [0, 1], real source_BS, real target_BT) of pairs of several lengths; what is padded holds the largest number."""
    draw = np.random.default_rng(seed)
    sizes = draw.integers(1, longest + 1, (pairs, 2))
    source, target = (torch.from_numpy(np.arange(longest) < sizes[:, [i]]) for i in (0, 1))
    values = torch.from_numpy(draw.random((pairs, longest, longest)).astype(np.float32))
    return torch.where(source[:, :, None] & target[:, None], values, 9.0), source, target


def each(similarity, source, target):
    """(number, similarity of one pair without padding)."""
    for b in range(len(similarity)):
        yield b, similarity[b, source[b]][:, target[b]].numpy()


def set_of(links_ST):
    return {(i, j) for i, j in np.argwhere(np.asarray(links_ST)).tolist()}


# Similarities


def test_similarities_are_dot_product_and_cosine_moved_to_0_1():
    x, y = torch.tensor([[[3.0, 4.0], [1.0, 0.0]]]), torch.tensor([[[-3.0, -4.0], [0.0, 2.0], [6.0, 8.0]]])
    assert wa.similarity(x, y, Similarity.dot).tolist() == [[[-25, 8, 50], [-3, 0, 6]]]
    torch.testing.assert_close(
        wa.similarity(x, y, Similarity.cosine), torch.tensor([[[0, 0.9, 1], [0.2, 0.5, 0.8]]]), atol=1e-6, rtol=0
    )


def test_distortion_is_one_at_the_same_place_and_one_less_kappa_at_opposite_ends():
    source, target = torch.ones(2, 3, dtype=bool), torch.tensor([[True] * 5, [True] * 1 + [False] * 4])
    scaled = wa.distorted(torch.ones(2, 3, 5), source, target, 0.5)
    places = torch.tensor([0, 0.5, 1])[:, None] - torch.tensor([0, 0.25, 0.5, 0.75, 1])
    torch.testing.assert_close(scaled[0], 1 - 0.5 * places**2)
    assert scaled[0, 0, 0] == scaled[0, 2, 4] == 1 and scaled[0, 0, 4] == 0.5
    assert torch.equal(scaled[1], torch.ones(3, 5)), "a single word stands nowhere in particular"


# awesome-align


def entmax_by_bisection(scores, steps=200):
    """p = max(s/2 - tau, 0)^2 for the tau that makes the sum 1, found by halving an interval that holds it."""
    z = np.asarray(scores, np.float64) / 2
    low, high = z.max() - 1, z.max()  # at low one share alone is 1; at high none is left
    for _ in range(steps):
        tau = (low + high) / 2
        low, high = (tau, high) if (np.maximum(z - tau, 0) ** 2).sum() >= 1 else (low, tau)
    return np.maximum(z - low, 0) ** 2


@given(seeds, st.integers(1, 12), st.sampled_from([0.01, 1.0, 30.0]))
def test_entmax_is_the_distribution_that_its_definition_says(seed, size, scale):
    scores = np.random.default_rng(seed).normal(size=size) * scale
    p = wa.entmax15(torch.from_numpy(scores)).numpy()
    np.testing.assert_allclose(p, entmax_by_bisection(scores), atol=1e-9)
    assert p.sum() == pytest.approx(1, abs=1e-9)


@given(seeds, st.integers(2, 8))
def test_entmax_is_the_largest_of_score_and_tsallis_entropy(seed, size):
    """argmax_p <p, s> + sum(p - p^1.5) / (1.5 * 0.5) (Peters et al. 2019, equations 9 and 10): no other distribution does better."""
    draw = np.random.default_rng(seed)
    scores = draw.normal(size=size)

    def gain(p):
        return p @ scores + (p - p**1.5).sum() / (1.5 * 0.5)

    best = gain(wa.entmax15(torch.from_numpy(scores)).numpy())
    others = [*draw.dirichlet(np.ones(size), 200), *np.eye(size), np.full(size, 1 / size)]
    assert all(gain(p) <= best + 1e-9 for p in others)


def test_entmax_of_equals_is_even_and_far_scores_have_no_share():
    assert torch.allclose(wa.entmax15(torch.zeros(4)), torch.full((4,), 0.25))
    assert wa.entmax15(torch.tensor([5.0, 3.0, -1e9])).tolist() == [1, 0, 0], "2 below the largest is the edge"
    assert wa.entmax15(torch.tensor([5.0, 3.5]))[1] > 0


def test_gradient_of_entmax():
    scores = torch.tensor([[0.3, -0.2, 0.9, -3.0], [1.0, 1.0, 1.0, 1.0]], dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(wa.entmax15, scores)


def test_softmax_links_by_hand():
    """exp(S) is [[8, 1, 1], [1, 1, 8]]: of a row 0.8 and 0.1, of a column 8/9 and 1/9 or a half."""
    similarity = torch.tensor([[[8.0, 1, 1], [1, 1, 8]]]).log()
    real = torch.ones(1, 2, dtype=bool), torch.ones(1, 3, dtype=bool)
    forward, backward = wa.directions(similarity, *real, entmax=False)
    torch.testing.assert_close(forward[0], torch.tensor([[0.8, 0.1, 0.1], [0.1, 0.1, 0.8]]))
    torch.testing.assert_close(backward[0], torch.tensor([[8 / 9, 1 / 2, 1 / 9], [1 / 9, 1 / 2, 8 / 9]]))
    assert set_of(wa.soft_links(forward, backward, 0.15)[0]) == {(0, 0), (1, 2)}
    assert set_of(wa.soft_links(forward, backward, 0.105)[0]) == {(0, 0), (1, 2)}, "0.1 of a row is below"
    assert len(set_of(wa.soft_links(forward, backward, 0.09)[0])) == 6


@given(seeds, st.booleans())
def test_padding_has_no_part_in_probabilities(seed, entmax):
    similarity, source, target = batch(seed)
    forward, backward = wa.directions(similarity * 5, source, target, entmax)
    share = entmax_by_bisection if entmax else (lambda s: np.exp(s - s.max()) / np.exp(s - s.max()).sum())
    for b, values in each(similarity * 5, source, target):
        m, n = values.shape
        np.testing.assert_allclose(forward[b, :m, :n], np.apply_along_axis(share, 1, values), atol=1e-5)
        np.testing.assert_allclose(backward[b, :m, :n], np.apply_along_axis(share, 0, values), atol=1e-5)
        assert forward[b].sum() == pytest.approx(m, abs=1e-4) and backward[b].sum() == pytest.approx(n, abs=1e-4)


# SimAlign


def argmax_by_loops(values):
    return {(i, j) for i, j in np.ndindex(values.shape) if values[i].argmax() == j and values[:, j].argmax() == i}


@given(seeds)
def test_argmax_is_each_others_best(seed):
    similarity, source, target = batch(seed)
    links = wa.argmax_links(similarity, source, target)
    for b, values in each(similarity, source, target):
        assert set_of(links[b]) == argmax_by_loops(values)


def itermax_by_loops(values, alpha, rounds):
    """Algorithm 1 of the paper, one pair of words after the other."""
    links = set()
    for _ in range(rounds):
        scaled = values.astype(np.float64).copy()
        for i, j in np.ndindex(values.shape):
            row, column = any(a == i for a, _ in links), any(b == j for _, b in links)
            scaled[i, j] *= 0 if row and column else alpha if row or column else 1
        links |= {pair for pair in argmax_by_loops(scaled) if scaled[pair] > 0}
    return links


@given(seeds, st.sampled_from([0.5, 0.9, 1.0]), st.integers(1, 4))
def test_itermax_is_the_papers_algorithm(seed, alpha, rounds):
    similarity, source, target = batch(seed)
    similarity = similarity.clamp(min=0.01)
    links = wa.itermax_links(similarity, source, target, alpha, rounds)
    for b, values in each(similarity, source, target):
        assert set_of(links[b]) == itermax_by_loops(values, alpha, rounds)
    assert torch.equal(
        wa.itermax_links(similarity, source, target, alpha, 1), wa.argmax_links(similarity, source, target)
    )


def test_itermax_by_hand():
    """Of three words for two the third finds its place in the second round, with the linked word that it is like."""
    similarity = torch.tensor([[[0.9, 0.1], [0.8, 0.3], [0.2, 0.7]]])
    real = torch.ones(1, 3, dtype=bool), torch.ones(1, 2, dtype=bool)
    assert set_of(wa.itermax_links(similarity, *real, 0.9, 1)[0]) == {(0, 0), (2, 1)}
    assert set_of(wa.itermax_links(similarity, *real, 0.9, 2)[0]) == {(0, 0), (2, 1), (1, 0)}


@given(seeds)
def test_match_is_the_best_of_all_matchings(seed):
    similarity, source, target = batch(seed, longest=5)
    links = wa.match_links(similarity, source, target)
    for b, values in each(similarity, source, target):
        wide = values if values.shape[0] <= values.shape[1] else values.T
        best = max(
            sum(wide[i, j] for i, j in enumerate(columns))
            for columns in itertools.permutations(range(wide.shape[1]), wide.shape[0])
        )
        found = set_of(links[b])
        assert len(found) == min(values.shape) == len({i for i, _ in found}) == len({j for _, j in found})
        assert sum(values[i, j] for i, j in found) == pytest.approx(best, abs=1e-5)


# Words


def test_words_are_linked_if_any_of_their_sub_words_are():
    links = np.zeros((4, 3), bool)
    links[0, 0] = links[1, 0] = links[3, 2] = True
    strengths = np.arange(12).reshape(4, 3) / 10
    source = np.array([[0, 0], [0, 0], [1, 1], [2, 2]])  # the first word has two sub-words
    target = np.array([[0, 0], [1, 1], [1, 2]])  # the last sub-word stands for two words
    pairs, found = wa.between_words(links, strengths, source, target)
    assert pairs.tolist() == [[0, 0], [2, 1], [2, 2]]
    assert found.tolist() == pytest.approx([0.3, 1.1, 1.1])
    pairs, found = wa.between_words(np.zeros((1, 1), bool), np.zeros((1, 1)), source[:1], target[:1])
    assert pairs.shape == (0, 2) and found.shape == (0,)


def test_all_sub_words_of_linked_words_are_linked_for_training():
    links = torch.zeros(1, 3, 2, dtype=bool)
    links[0, 0, 1] = True
    source = torch.tensor([[[True, False], [True, False], [False, True]]])  # words 0, 0, 1
    target = torch.tensor([[[True], [True]]])  # word 0 twice
    assert wa.of_linked_words(links, source, target)[0].tolist() == [[True, True], [True, True], [False, False]]


@pytest.mark.parametrize("layers, wanted", [(12, 8), (24, 16), (6, 4), (4, 3), (3, 2), (2, 1), (1, 1), (0, 0)])
def test_layer_is_two_thirds_of_the_way_up(layers, wanted):
    assert wa.level(None, layers) == wanted and wa.level(2, layers) == 2

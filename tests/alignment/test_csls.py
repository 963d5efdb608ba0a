"""Retrieval in blocks against the formulas, written out with loops."""

import math

import pytest
import torch

from xlt.alignment import csls, largest


def spaces(n=40, m=55, d=8, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return csls.unit(torch.randn(n, d, generator=generator, dtype=dtype)), csls.unit(
        torch.randn(m, d, generator=generator, dtype=dtype)
    )


def by_definition(x, y, score, k):
    """2 cos(x, y) - r(x) - r(y), or cos(x, y) / ((r(x) + r(y)) / 2), entry by entry."""
    cosine = [[float(a @ b) for b in y] for a in x]
    r_x = [sum(sorted(row)[-k:]) / min(k, len(row)) for row in cosine]
    r_y = [sum(sorted(column)[-k:]) / min(k, len(column)) for column in zip(*cosine, strict=True)]
    z_y = [math.log(sum(math.exp(30.0 * c) for c in column)) for column in zip(*cosine, strict=True)]
    if score == "inverted_softmax":  # log of exp(b c) / sum over the sources
        return torch.tensor([[30.0 * c - z_y[j] for j, c in enumerate(row)] for row in cosine], dtype=torch.float64)
    formula = {
        "cosine": lambda c, a, b: c,
        "csls": lambda c, a, b: 2 * c - a - b,
        "ratio": lambda c, a, b: c / ((a + b) / 2),
    }[score]
    return torch.tensor(
        [[formula(c, r_x[i], r_y[j]) for j, c in enumerate(row)] for i, row in enumerate(cosine)], dtype=torch.float64
    )


@pytest.mark.parametrize("block", [1, 55 * 7, 2**23])
@pytest.mark.parametrize("score", csls.SCORES)
def test_nearest_is_the_formula_for_any_size_of_block(monkeypatch, block, score):
    monkeypatch.setattr(largest, "TILE", block)
    x, y = spaces()
    values, indices = csls.nearest(x, y, 6, score, k=10)
    expected = by_definition(x, y, score, 10).sort(dim=1, descending=True)
    assert torch.equal(indices, expected.indices[:, :6])
    torch.testing.assert_close(values, expected.values[:, :6])


def test_neighbourhoods_larger_than_the_space_are_the_whole_space():
    x, y = spaces(n=4, m=5)
    torch.testing.assert_close(
        csls.nearest(x, y, 9, "csls", k=10)[0], by_definition(x, y, "csls", 10).sort(dim=1, descending=True).values
    )


def test_queries_take_their_hubs_from_the_whole_space():
    x, y = spaces()
    whole = csls.nearest(x, y, 3, "csls", k=10)
    part = csls.nearest(x[5:9], y, 3, "csls", k=10, hubs_ND=x)
    assert torch.equal(part[1], whole[1][5:9])
    torch.testing.assert_close(part[0], whole[0][5:9])


def test_csls_ranks_as_cosine_where_neighbourhoods_are_equally_dense():
    angles = (
        torch.arange(12, dtype=torch.float64) * 2 * torch.pi / 12
    )  # on a circle every point has the same neighbourhood
    y = torch.stack([angles.cos(), angles.sin()], 1)
    x = torch.stack([(angles + 0.1).cos(), (angles + 0.1).sin()], 1)
    assert torch.equal(csls.nearest(x, y, 2, "csls", k=4)[1], csls.nearest(x, y, 2, "cosine")[1])


def test_csls_finds_what_a_hub_hides():
    hub, a, b = [1.0, 1.0, 0.0], [1.0, 0.0, 0.3], [0.0, 1.0, 0.3]
    x = csls.unit(torch.tensor([[1.0, 0.45, 0.1], [0.45, 1.0, 0.1], [1.0, 0.9, 0.0], [0.9, 1.0, 0.0]]))
    y = csls.unit(torch.tensor([hub, a, b]))
    assert csls.nearest(x, y, 1, "cosine")[1][:2, 0].tolist() == [0, 0]
    assert csls.nearest(x, y, 1, "csls", k=2)[1][:2, 0].tolist() == [1, 2]


@pytest.mark.parametrize("top", [1, 3])
def test_of_equal_scores_the_lower_index_comes_first(top):
    x = torch.tensor([[1.0, 0.0]])
    y = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    assert csls.nearest(x, y, top)[1].tolist() == [[1, 3, 4][:top]]


@pytest.mark.parametrize("block", [1, 100, 2**23])
def test_mutual_neighbours(monkeypatch, block):
    monkeypatch.setattr(largest, "TILE", block)
    x, y = spaces()
    scores, cosine = by_definition(x, y, "csls", 5), x @ y.T
    forward, backward = scores.argmax(1), scores.argmax(0)
    expected = [(i, int(j)) for i, j in enumerate(forward) if backward[j] == i]
    i, j, mean = csls.mutual_nearest(x, y, 5)
    assert 5 < len(expected) < 40
    assert list(zip(i.tolist(), j.tolist(), strict=True)) == expected
    assert mean == pytest.approx(float(cosine[torch.arange(40), forward].mean()))


def test_zero_rows_stay_zero_and_unknown_scores_are_refused():
    assert csls.unit(torch.tensor([[0.0, 0.0], [3.0, 4.0]])).tolist() == [[0, 0], pytest.approx([0.6, 0.8])]
    with pytest.raises(ValueError, match="'dot' is not one of cosine, csls, ratio"):
        csls.nearest(*spaces(), 1, "dot")


def test_inverted_softmax_is_stable_for_a_large_beta():
    x, y = spaces(dtype=torch.float32)
    sums = csls.log_sums(y, x, 5000.0)
    torch.testing.assert_close(sums.double(), (5000.0 * (y.double() @ x.double().T)).logsumexp(1), rtol=1e-4, atol=1e-2)


def test_of_equal_scores_the_lower_index_comes_first_across_tiles(monkeypatch):
    monkeypatch.setattr(largest, "TILE", 4)
    y = torch.tensor(
        [[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]
    )
    assert csls.nearest(torch.tensor([[1.0, 0.0]] * 3), y, 4)[1].tolist() == [[1, 3, 4, 5]] * 3


def test_both_means_of_one_set_of_products():
    x, y = spaces()
    (r_n, r_m), (max_n, max_m) = csls.mean_similarities(x, y, 7)
    similarity = x @ y.T
    for found, expected in (
        (r_n, similarity.topk(7, 1).values.mean(1)),
        (r_m, similarity.topk(7, 0).values.mean(0)),
        (max_n, similarity.amax(1)),
        (max_m, similarity.amax(0)),
    ):
        torch.testing.assert_close(found, expected)

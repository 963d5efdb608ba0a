"""Margin mining against the definition, written out with all cosines at once."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from xlt.alignment import mining
from xlt.alignment.mining import Margin, Matching, fit_threshold, mine


def by_definition(x, y, k, margin, matching):
    """[(source, target, score)] of Artetxe and Schwenk 2019: neighbours by cosine, candidates by margin, then one to one."""
    x, y = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (x.astype(np.float64), y.astype(np.float64)))
    cosine = x @ y.T
    near_x, near_y = np.argsort(-cosine, 1, "stable")[:, :k], np.argsort(-cosine.T, 1, "stable")[:, :k]
    mean_x, mean_y = np.take_along_axis(cosine, near_x, 1).mean(1), np.take_along_axis(cosine.T, near_y, 1).mean(1)

    def score(i, j):
        a, b = cosine[i, j], (mean_x[i] + mean_y[j]) / 2
        return {Margin.absolute: a, Margin.distance: a - b, Margin.ratio: a / b}[margin]

    forward = {(i, max(near_x[i], key=lambda j: score(i, j))) for i in range(len(x))}
    backward = {(max(near_y[j], key=lambda i: score(i, j)), j) for j in range(len(y))}
    if matching is Matching.hungarian:
        near = {(i, int(j)) for i in range(len(x)) for j in near_x[i]} | {
            (int(i), j) for j in range(len(y)) for i in near_y[j]
        }
        weights = np.array(
            [[max(score(i, j), 0) if (i, j) in near else 0 for j in range(len(y))] for i in range(len(x))]
        )
        chosen = zip(*linear_sum_assignment(weights, maximize=True), strict=True)  # dense, where 0 is no pair
        return sorted(((i, j, weights[i, j]) for i, j in chosen if weights[i, j] > 0), key=lambda p: (-p[2], p))
    chosen = forward & backward if matching is Matching.intersection else forward | backward
    pairs, sources, targets = [], set(), set()
    for i, j in sorted(chosen, key=lambda p: (-score(*p), p)):
        if i not in sources and j not in targets:
            pairs.append((i, j, score(i, j)))
            sources.add(i)
            targets.add(j)
    return pairs


@given(
    st.integers(0, 2**32), st.integers(1, 14), st.integers(1, 14), st.integers(1, 6), st.sampled_from(Margin), st.sampled_from(Matching)
)  # fmt: skip
@settings(max_examples=150, deadline=None, derandomize=True)
def test_mined_pairs_are_those_of_the_definition(seed, n, m, k, margin, matching):
    rng = np.random.default_rng(seed)
    x, y = (rng.uniform(0.1, 1, (size, 4)).astype(np.float32) for size in (n, m))
    pairs = mine(torch.from_numpy(x), torch.from_numpy(y), k, margin, matching)
    wanted = by_definition(x, y, k, margin, matching)
    assert list(zip(pairs.source.tolist(), pairs.target.tolist(), strict=True)) == [(i, j) for i, j, _ in wanted]
    assert pairs.scores.tolist() == pytest.approx([s for _, _, s in wanted], abs=1e-5)


def test_translations_are_found_among_sentences_that_have_none():
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(60, 16, generator=generator)
    y = torch.cat([x[:30] + 0.1 * torch.randn(30, 16, generator=generator), torch.randn(40, 16, generator=generator)])
    pairs = mine(x, 3 * y, 4, Margin.ratio, Matching.max)
    right = mining.right(pairs, [(i, i) for i in range(30)])
    assert right[:30].all() and not right[30:].any() and len(right) > 40
    threshold = fit_threshold(pairs.scores, right, 30)
    assert pairs.scores[30] < threshold < pairs.scores[29]
    assert mining.scores(right[pairs.scores >= threshold], 30) == (1.0, 1.0, 1.0)


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=25), st.integers(0, 5))
def test_no_threshold_has_a_better_f1(mined, missed):
    mined.sort(key=lambda pair: -pair[0])
    scores = torch.tensor([float(s) for s, _ in mined], dtype=torch.float64)
    right = torch.tensor([r for _, r in mined])
    gold = int(right.sum()) + missed

    def f1(threshold):
        return mining.scores(right[scores >= threshold], gold).f1

    best = fit_threshold(scores, right, gold)
    assert f1(best) == max(f1(t) for t in range(-1, 8))
    assert all(f1(t) < f1(best) for t in range(8) if t > best and f1(t) != f1(best))


def test_the_threshold_lies_halfway_to_what_is_left_out():
    scores, right = torch.tensor([1.5, 1.3, 1.1, 1.0]), torch.tensor([True, True, False, False])
    assert fit_threshold(scores, right, 2) == pytest.approx(1.2)
    assert fit_threshold(scores, torch.tensor([True] * 4), 4) == pytest.approx(1.0)
    assert fit_threshold(scores[:0], right[:0], 3) == 0.0
    assert fit_threshold(scores, torch.tensor([False] * 4), 4) == pytest.approx(1.0)


def test_nothing_to_mine():
    empty = mine(torch.empty(0, 3), torch.ones(2, 3), 4, Margin.ratio, Matching.max)
    assert [len(column) for column in empty] == [0, 0, 0]
    assert mining.scores(torch.empty(0, dtype=torch.bool), 0) == (0.0, 0.0, 0.0)

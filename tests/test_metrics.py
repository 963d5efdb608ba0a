"""Ranking scores against trec_eval, by its own code."""

import numpy as np
import pytest

from xlt import metrics

pytrec_eval = pytest.importorskip("pytrec_eval", reason="pytrec_eval-terrier, of the test extra, is not installed")


@pytest.mark.parametrize("found", [10, 60])
def test_scores_are_those_of_trec_eval(found):
    rng = np.random.default_rng(found)
    queries, documents = 40, 60
    order = np.stack([rng.permutation(documents) for _ in range(queries)])
    relevant = [set(rng.choice(documents, rng.integers(1, 15), replace=False).tolist()) for _ in range(queries)]
    qrel = {str(q): {str(d): 1 for d in mine} for q, mine in enumerate(relevant)}
    run = {
        str(q): {str(d): float(documents - rank) for rank, d in enumerate(order[q, :found].tolist())}
        for q in range(queries)
    }
    cuts = (1, 5, 10, 50)
    measures = {"recip_rank", "ndcg_cut.10", *(f"recall.{cut}" for cut in cuts)}
    theirs = pytrec_eval.RelevanceEvaluator(qrel, measures).evaluate(run)

    def mean(name):
        return np.mean([scores[name] for scores in theirs.values()])

    hits = np.array([[d in mine for d in row] for row, mine in zip(order[:, :found].tolist(), relevant, strict=True)])
    count = np.array(list(map(len, relevant)))
    assert metrics.reciprocal_rank(hits).mean() == pytest.approx(mean("recip_rank"), abs=1e-6)
    assert metrics.ndcg(hits, count, 10).mean() == pytest.approx(mean("ndcg_cut_10"), abs=1e-6)
    for cut in cuts:
        assert metrics.recall(hits, count, cut).mean() == pytest.approx(mean(f"recall_{cut}"), abs=1e-6)


def test_of_few_documents_the_ideal_is_what_there_is():
    hits, count = np.array([[False, True, True], [False, False, False]]), np.array([2, 1])
    assert metrics.reciprocal_rank(hits).mean() == 0.25
    ideal = 1 + 1 / np.log2(3)
    assert metrics.ndcg(hits, count, 10).mean() == pytest.approx((1 / np.log2(3) + 1 / np.log2(4)) / ideal / 2)
    assert metrics.recall(hits, count, 2).mean() == 0.25
    assert metrics.reciprocal_rank(hits[:, :0]).mean() == 0.0

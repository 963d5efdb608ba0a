"""What rows add to a score makes the score that is reported: of every shipped objective that tells both by itself."""

import numpy as np
import pytest

from tests.shipped import shipped
from xlt import metrics
from xlt.types import Gold

RANDOM = np.random.default_rng(0)


def agree(objective, outputs, gold):
    scores = objective.score(outputs, gold)
    assert metrics.scores(objective.statistics(outputs, gold)) == pytest.approx(scores)
    assert scores.keys() <= objective.higher_is_better.keys()


@pytest.mark.parametrize("name", ["sequence_classification", "siamese_classification"])
def test_labels(name):
    gold = Gold(RANDOM.integers(0, 4, 50), {"label": list("abcde")}, size=50)
    agree(shipped(name), {"logits": RANDOM.normal(size=(50, 5))}, gold)


def test_choices():
    logits = [RANDOM.normal(size=2 + i % 3) for i in range(50)]
    gold = Gold(None, notes={"right": [np.array([i % len(each)]) for i, each in enumerate(logits)]}, size=50)
    agree(shipped("multiple_choice"), {"logits": logits}, gold)


def test_responses():
    asking = RANDOM.normal(size=(40, 8)).astype(np.float32)
    responses = [(each + RANDOM.normal(size=(1 + i % 2, 8)) * 2).astype(np.float32) for i, each in enumerate(asking)]
    says = [np.array([[i, n] for n in range(len(each))]) for i, each in enumerate(responses)]
    notes = {"document_says": says, "dialog": [np.array([[i // 4, 0]]) for i in range(40)]}
    agree(shipped("response_ranking"), {"asking": asking, "documents": responses}, Gold(None, notes=notes, size=40))


@pytest.mark.parametrize("name", ["contrastive", "additive_margin", "mean_squared_error", "optimal_transport"])
def test_translations(name):
    source = RANDOM.normal(size=(40, 8)).astype(np.float32)
    target = source + RANDOM.normal(size=(40, 8)).astype(np.float32)
    agree(shipped(name), {"source": source, "target": target}, Gold(None, size=40))


@pytest.mark.parametrize("name", ["masked_lm", "causal_lm", "translation_lm", "denoising"])
def test_predictions(name):
    counts = RANDOM.integers(0, 9, 30)
    sums = np.stack([counts * RANDOM.random(30) * 5, RANDOM.integers(0, counts + 1), counts], 1).astype(float)
    agree(shipped(name), {"sums": sums}, Gold(None, size=30))
    total = sums.sum(0)
    found = shipped(name).score({"sums": sums}, Gold(None, size=30))
    expected = {"loss": total[0] / total[2], "perplexity": np.exp(total[0] / total[2]), "accuracy": total[1] / total[2]}
    assert found == pytest.approx(expected)
    nothing = shipped(name).score({"sums": np.zeros((3, 3))}, Gold(None, size=3))
    assert nothing == {"loss": 0, "perplexity": 1, "accuracy": 0}


def test_labels_of_translations():
    agree(shipped("label_projection"), {"agrees": RANDOM.random(9) < 0.5, "losses": RANDOM.random(9)}, Gold(None))

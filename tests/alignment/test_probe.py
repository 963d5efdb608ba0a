"""A probe tells what can be told by a linear layer, and nothing else."""

import numpy as np
import pytest

from xlt.alignment.probe import fit_probe, recognised


def data(rows, classes, width, seed, apart):
    rng = np.random.default_rng(seed)
    labels = np.arange(rows) % classes
    centres = np.random.default_rng(7).normal(size=(classes, width))
    return (apart * centres[labels] + rng.normal(size=(rows, width))).astype(np.float32), labels


@pytest.mark.parametrize("classes", [2, 5])
def test_what_is_separable_is_told_and_what_is_shuffled_is_not(classes):
    x, labels = data(600, classes, 20, 1, apart=6)
    held_out, truth = data(300, classes, 20, 2, apart=6)
    probe = fit_probe(x, labels, held_out)
    assert probe.converged and probe.logits.shape == (300, classes)
    assert recognised(probe.logits, truth) == dict.fromkeys(range(classes), 1.0)

    shuffled = np.random.default_rng(3).permutation(labels)
    told = recognised(fit_probe(x, shuffled, held_out).logits, truth)
    assert np.mean(list(told.values())) == pytest.approx(1 / classes, abs=0.1)


def test_a_rare_class_weighs_as_much_as_a_frequent_one():
    x, labels = data(400, 2, 4, 4, apart=0.7)
    few = np.flatnonzero((labels == 0) | (np.arange(400) < 40))
    held_out, truth = data(2000, 2, 4, 5, apart=0.7)
    told = recognised(fit_probe(x[few], labels[few], held_out).logits, truth)
    assert abs(told[0] - told[1]) < 0.15


def test_the_choice_can_be_between_some_classes_alone():
    logits = np.array([[0.0, 1.0, 2.0], [3.0, 1.0, 2.0], [0.0, 0.5, 9.0]])
    assert recognised(logits, np.array([1, 0, 0])) == {0: 0.5, 1: 0.0}
    assert recognised(logits, np.array([1, 0, 0]), [1, 0]) == {0: 0.5, 1: 1.0}
    constant = np.ones((6, 3), np.float32)
    assert set(recognised(fit_probe(constant, np.arange(6) % 2, constant).logits, np.arange(6) % 2).values()) == {
        0.0,
        1.0,
    }

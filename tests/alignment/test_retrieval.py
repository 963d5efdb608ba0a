"""Sentence retrieval against the formula of Artetxe and Schwenk 2019, written out."""

import pytest
import torch

from xlt.alignment.retrieval import retrieval_accuracy


def sentences(n=80, d=6, noise=0.6):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, d, generator=generator) + 0.5
    return x, x + noise * torch.randn(n, d, generator=generator)


def naive(x, y, k):
    cosine = torch.nn.functional.cosine_similarity(x[:, None].double(), y[None].double(), dim=-1)
    if k is not None:
        to_y, to_x = cosine.sort(1).values[:, -k:].sum(1) / (2 * k), cosine.sort(0).values[-k:].sum(0) / (2 * k)
        cosine = cosine / (to_y[:, None] + to_x[None])
    gold = torch.arange(len(x))
    return [(cosine.argmax(axis) == gold).double().mean().item() for axis in (1, 0)]


@pytest.mark.parametrize("k", [None, 4])
def test_both_directions_are_the_formula(k):
    x, y = sentences()
    forward, backward = naive(x, y, k)
    assert 0.2 < forward < 0.9 and forward != backward
    how = ("cosine",) if k is None else ("ratio", k)
    scores = retrieval_accuracy(x, y, *how)
    assert scores == pytest.approx(
        {"accuracy": (forward + backward) / 2, "accuracy_forward": forward, "accuracy_backward": backward}
    )
    assert all(type(value) is float for value in scores.values())
    turned = retrieval_accuracy(y, x, *how)
    assert (turned["accuracy_forward"], turned["accuracy_backward"]) == (
        scores["accuracy_backward"],
        scores["accuracy_forward"],
    )


def test_the_margin_does_better_than_cosine_among_hubs():
    x, y = sentences()
    assert retrieval_accuracy(x, y, "ratio", 4)["accuracy"] > retrieval_accuracy(x, y)["accuracy"]


def test_length_does_not_count_and_of_equals_the_first_wins():
    x = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert retrieval_accuracy(x, 5 * x)["accuracy_forward"] == pytest.approx(2 / 3)

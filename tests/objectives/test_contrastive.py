"""Symmetric InfoNCE against its formula written out, and that padding does not leak into a sentence's vector."""

import math

import numpy as np
import pytest
import torch

from tests.shipped import shipped
from tests.toy import word_tokenizer
from xlt import noise
from xlt.models.pooling import Pool, pool
from xlt.types import Rows
from xlt.vocabulary import Vocabulary


class Embeddings(torch.nn.Module):
    """A model without context: the hidden state of a token is its row in a table."""

    def __init__(self, vocabulary, width=6):
        super().__init__()
        torch.manual_seed(0)
        self.table = torch.nn.Embedding(vocabulary, width)

    def hidden(self, inputs, layer=None):
        return self.table(inputs["input_ids"])


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(1)
    sides = [[rng.integers(5, 40, rng.integers(2, 9)) for _ in range(5)] for _ in range(2)]
    rows = Rows(sides, None, noise.combine(noise.key(1), np.arange(5)), ["en-de"] * 5)
    vocabulary = Vocabulary.of(word_tokenizer(["a", "b", *map(str, range(40))]))
    return rows, vocabulary


def test_the_loss_is_the_formula(batch):
    rows, vocabulary = batch
    objective, model = shipped("contrastive", temperature=0.1, pool="mean", layer=None), Embeddings(47)
    x = [model.table(torch.tensor(vocabulary.join((s,), 99))).mean(0) for s in rows.segments[0]]
    y = [model.table(torch.tensor(vocabulary.join((s,), 99))).mean(0) for s in rows.segments[1]]
    s = [[math.exp(float(torch.cosine_similarity(a, b, dim=0).detach()) / 0.1) for b in y] for a in x]
    expected = -sum(math.log(s[i][i] / sum(s[i])) + math.log(s[i][i] / sum(row[i] for row in s)) for i in range(5)) / 2
    assert objective.loss(model, objective.collate(rows, vocabulary, 99)).item() == pytest.approx(expected, abs=1e-4)


def test_pooling_ignores_padding():
    hidden_BLD = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [99.0, 99.0]]])
    assert pool(hidden_BLD, torch.tensor([[1, 1, 0]]), Pool.mean).tolist() == [[2.0, 3.0]]
    assert pool(hidden_BLD, torch.tensor([[1, 1, 0]]), Pool.first).tolist() == [[1.0, 2.0]]

"""Gradient caching: a batch encoded in pieces has the loss and the gradient of the whole one, dropout included, and keeps no more than a piece of the encoder's states."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.objectives.test_similarities import CORAL, INFONCE, MARGIN, TOKENIZER, VOCABULARY, pairs, texts
from xlt import noise
from xlt.models.build import FromScratch, build
from xlt.models.pooling import Pool
from xlt.objectives import pieces
from xlt.objectives.coral import Coral
from xlt.objectives.document_retrieval import DocumentRetrieval
from xlt.objectives.ranking import identities
from xlt.types import Rows

RETRIEVAL = DocumentRetrieval(temperature=0.1, pool=Pool.mean, layer=None, depth=10, recall_at=[1])


def model_of(dropout, fused=False):
    node = FromScratch(
        architecture="xlm-roberta", layers=2, width=16, attention_heads=2, feed_forward=32, max_positions=40,
        dropout=dropout, attention_dropout=dropout, init_from=None,
    )  # fmt: skip
    model = build(node, "masked-lm", INFONCE, None, TOKENIZER, seed=5).train()
    model.fused = fused
    return model


def queries(n, seed=1):
    """Rows of document retrieval: a query and two documents, of which the first is right."""
    rng = np.random.default_rng(seed)
    asked = [rng.integers(5, 45, 4) for _ in range(n)]
    wrong = [rng.integers(5, 45, 5) for _ in range(2)]  # each is a document of several rows
    found = [np.concatenate([rng.integers(5, 45, 3), wrong[i % 2]]) for i in range(n)]
    notes = {
        "document_begins": [np.array([0, 3])] * n,
        "document_says": [identities([f"{i} right", f"{i % 2} wrong"]) for i in range(n)],
        "right": [np.array([1])] * n,
    }
    keys = noise.combine(noise.key(seed), np.arange(n))
    return Rows([asked, found], None, keys, ["en-de"] * n, notes)


CASES = [
    (INFONCE, pairs(9)), (MARGIN, pairs(9)), (CORAL, texts("aabba" * 2)), (Coral(pool=None, layer=1), texts("aabba" * 2)),
    (RETRIEVAL, queries(7)),
]  # fmt: skip
NAMES = ["contrastive", "additive_margin", "coral", "coral_of_tokens", "document_retrieval"]


def outcome(objective, model, rows, piece):
    """(loss, gradient of all parameters) of one update."""
    model.zero_grad()
    torch.manual_seed(3)
    loss = objective.loss(model, replace(objective.collate(rows, VOCABULARY, 99), piece=piece))
    loss.backward()
    grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in model.parameters()]
    return float(loss), torch.cat([g.flatten() for g in grads])


@pytest.mark.parametrize("fused", [False, True], ids=["plain", "fused"])
@pytest.mark.parametrize(("objective", "rows"), CASES, ids=NAMES)
def test_pieces_have_the_gradient_of_the_whole(objective, rows, fused):
    model = model_of(0.0, fused)
    loss, whole = outcome(objective, model, rows, None)
    for piece in (1, 2, 4, 99):
        cut_loss, cut = outcome(objective, model, rows, piece)
        assert cut_loss == pytest.approx(loss, rel=1e-6)
        assert float((whole - cut).norm() / whole.norm()) < 1e-6
    assert objective.caches_gradients and not objective.separable


@pytest.mark.parametrize("fused", [False, True], ids=["plain", "fused"])
@pytest.mark.parametrize(("objective", "rows"), CASES, ids=NAMES)
def test_with_dropout_a_piece_is_encoded_twice_with_the_same_draws(monkeypatch, objective, rows, fused):
    """Against the same pieces whose graphs are all kept."""
    model = model_of(0.3, fused)
    loss, cached = outcome(objective, model, rows, 2)
    assert outcome(objective, model_of(0.0, fused), rows, 2)[0] != loss, "dropout does something"
    monkeypatch.setattr(pieces, "checkpoint", lambda encode, inputs, use_reentrant: encode(inputs))
    kept_loss, kept = outcome(objective, model, rows, 2)
    assert loss == kept_loss
    assert float((kept - cached).norm() / kept.norm()) < 1e-6


def test_only_a_piece_of_the_states_is_held():
    """Bytes that autograd keeps for backward when the loss is known: of the whole batch they grow with the rows, of pieces hardly."""
    model = model_of(0.1)

    def held(n, piece):
        found = {}

        def pack(tensor):
            found[tensor.data_ptr()] = tensor.nbytes
            return tensor

        batch = replace(INFONCE.collate(pairs(n), VOCABULARY, 99), piece=piece)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            kept = INFONCE.loss(model, batch)
            weights = {p.data_ptr() for p in model.parameters()}
            size = sum(nbytes for place, nbytes in found.items() if place not in weights)
        assert kept.requires_grad
        return size

    assert held(32, 2) < held(32, None) / 10


def test_no_more_rows_than_a_piece_are_encoded_at_once(monkeypatch):
    model, seen = model_of(0.1), []
    plain = model.hidden
    monkeypatch.setattr(
        model, "hidden", lambda inputs, layer=None: seen.append(len(inputs["input_ids"])) or plain(inputs, layer)
    )
    outcome(INFONCE, model, pairs(9), 4)
    assert sorted(seen) == sorted([4, 4, 1] * 4), "two sides, each without graph, then with it"

"""MoCo against itself written out in numpy over several updates: the key encoder that follows, keys that are queued, and the loss against both."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.objectives.test_pieces import model_of
from tests.objectives.test_similarities import VOCABULARY, pairs
from tests.shipped import shipped
from xlt.errors import ConfigError
from xlt.models.momentum import Momentum
from xlt.objectives import sentence_pairs
from xlt.training.checkpoint import unique_weights


def objective_of(**changes):
    return shipped("momentum_contrast", temperature=0.1, queue=7, momentum=0.8, **changes)


def vectors(objective, model, batch):
    with torch.no_grad():
        return [
            sentence_pairs.unit_vectors(objective, model, batch, side).double().numpy() for side in ("source", "target")
        ]


def infonce(query_PD, key_PD, queue_KD, temperature):
    """-log of the share of a query's own key among all keys and the queue."""
    scores = np.exp(query_PD @ np.concatenate([key_PD, queue_KD]).T / temperature)
    return -np.log(np.diag(scores) / scores.sum(1))


def test_five_updates_are_those_of_numpy():
    objective, model = objective_of(), model_of(0.0)
    objective.prepare(model)
    follower = copy.deepcopy(model.momentum.encoder)
    queues, optimizer = (
        [np.zeros((0, 16))] * 2,
        torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.5),
    )
    for update in range(5):
        batch = objective.collate(pairs(3, seed=update), VOCABULARY, 99)
        for (_, mine), (_, its) in zip(follower.named_parameters(), model.named_parameters(), strict=False):
            mine.data.copy_(0.8 * mine + 0.2 * its)
        (x, y), (key_x, key_y) = vectors(objective, model, batch), vectors(objective, follower, batch)
        expected = (infonce(x, key_y, queues[1], 0.1) + infonce(y, key_x, queues[0], 0.1)).sum() / 2
        loss = objective.loss(model, batch)
        assert loss.item() == pytest.approx(expected, rel=1e-5)
        queues = [np.concatenate([queue, keys])[-7:] for queue, keys in zip(queues, (key_x, key_y), strict=True)]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for side, queue in zip(("source_keys", "target_keys"), queues, strict=True):
        held = model.momentum.queue(side).numpy()
        assert sorted(map(tuple, held.round(5))) == sorted(map(tuple, queue.astype(np.float32).round(5))), (
            "the last seven, in a ring"
        )
    assert all(p.grad is None for p in model.momentum.parameters())
    moved = max(float((a - b).abs().max()) for a, b in zip(follower.parameters(), model.parameters(), strict=False))
    assert moved > 1e-3, "the encoders are two"


def test_a_checkpoint_holds_the_key_encoder_and_the_queue_and_scoring_changes_neither():
    objective, model = objective_of(), model_of(0.1)
    objective.prepare(model)
    batch = objective.collate(pairs(3), VOCABULARY, 99)
    names = set(unique_weights(model))
    assert {"momentum.pushed", "momentum.source_keys", "momentum.target_keys"} <= names
    assert any(name.startswith("momentum.encoder.backbone") for name in names)
    before = {name: weight.clone() for name, weight in unique_weights(model).items()}
    model.eval()
    with torch.no_grad():
        objective.predict(model, batch)
        objective.loss(model, batch)
    assert all(torch.equal(before[name], weight) for name, weight in unique_weights(model).items())


def test_pieces_have_the_same_gradient():
    found = []
    for piece in (None, 2):
        objective, model = objective_of(), model_of(0.0)
        objective.prepare(model)
        for seed in (1, 2):
            model.zero_grad()
            objective.loss(
                model, replace(objective.collate(pairs(5, seed=seed), VOCABULARY, 99), piece=piece)
            ).backward()
        found.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
    assert float((found[0] - found[1]).norm() / found[0].norm()) < 1e-6


@pytest.mark.parametrize("size, pushed", [(0, (3, 2)), (4, (3, 2)), (4, (9,)), (4, (1, 1, 1))])
def test_the_ring_holds_the_last_keys(size, pushed):
    ring, keys, done = Momentum(torch.nn.Linear(2, 2), ("a",), size, 1), torch.arange(20.0)[:, None], 0
    for count in pushed:
        ring.push(a=keys[done : done + count])
        done += count
    assert sorted(ring.queue("a").flatten().tolist()) == list(map(float, range(max(0, done - size), done)))


def test_what_means_nothing_is_refused():
    for changes, sentence in (
        ({"momentum": 1.0}, r"objective.momentum: 1.0 is not in \[0, 1\)"),
        ({"queue": -1}, "objective.queue: -1 is below 0"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            shipped("momentum_contrast", **changes)
    model = model_of(0.0)
    objective_of().prepare(model)
    with pytest.raises(ConfigError, match="two parts have a momentum encoder"):
        objective_of().prepare(model)

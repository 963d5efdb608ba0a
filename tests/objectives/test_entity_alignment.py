"""What links entities, on a graph and its copy: each learner finds all partners from half of them, and the same draws give the same bits."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests import graphs
from tests.presets import preset
from xlt import noise
from xlt.errors import ConfigError
from xlt.objectives import entity_alignment
from xlt.objectives.entity_alignment import Task
from xlt.types import KnowledgeGraph

SMALL = {
    "gcn_align": {"width": 50, "epochs": 200},
    "mtranse": {"epochs": 100, "batch_size": 100},
    "bootea": {"epochs": 150, "pool": 60, "learning_rate": 0.02, "truncation": 0.5},
}

FASTER = {"gcn_align": {}, "bootea": {"epochs": 200, "truncation": 0.9}}


def copies(entities=60, seeds=30, kept=1.0):
    """(task, test_Q2): a graph, and itself with the entities in another order and other names."""
    facts = np.array(graphs.triples(entities))
    partner = np.array([(7 * i + 3) % entities for i in range(entities)])
    copy = np.stack([partner[facts[:, 0]], facts[:, 1], partner[facts[:, 2]]], 1)
    relations, ids = [str(r) for r in range(5)], [str(i) for i in range(entities)]
    draw = np.random.default_rng(2)
    pair = [KnowledgeGraph(ids, ids, relations, t[draw.random(len(t)) < kept]) for t in (facts, copy)]
    links = np.stack([np.arange(entities), partner], 1)[draw.permutation(entities)]
    task = Task(tuple(pair), links[:seeds], noise.key(3), torch.device("cpu"))
    return task, links[seeds:]


def learned(name, task, rounds=None, **changes):
    objective = preset(name, **SMALL.get(name, {}) | changes)
    learner = objective.learner(task)
    for number in range(learner.rounds if rounds is None else rounds):
        figures = learner.learn(number)
        assert np.isfinite(list(figures.values())).all() and figures["updates"] > 0
    return objective, learner


def hits(objective, learner, test_Q2, method="nn"):
    rows, columns = torch.from_numpy(test_Q2).T
    scores = objective.matching.score(learner.similarity(rows, columns), torch.arange(len(test_Q2)))
    return [found[f"{method}_hits_at_1"] for found in scores]


@pytest.mark.parametrize("name", ["gcn_align", "bootea"])
def test_a_copy_is_found_whole_in_both_directions(name):
    task, test_Q2 = copies()
    assert hits(*learned(name, task), test_Q2) == [1.0, 1.0]
    _, untrained = preset(name, **SMALL[name]), preset(name, **SMALL[name]).learner(task)
    assert max(hits(preset(name), untrained, test_Q2)) < 0.9, "before learning it knows nothing that makes this easy"


def test_two_spaces_and_a_map_find_a_copy():
    """With as many relations as a map needs; each space is learned by itself, so only the assignment need be perfect."""
    task, test_Q2 = copies()
    objective, learner = learned("mtranse", task)
    assert hits(objective, learner, test_Q2, "sinkhorn") == [1.0, 1.0]
    assert min(hits(objective, learner, test_Q2)) > 0.6


@pytest.mark.parametrize("name", ["gcn_align", "mtranse", "bootea"])
def test_one_seed_one_result(name):
    task, _ = copies()
    every = torch.arange(60)
    first, again = (learned(name, task, 3)[1].similarity(every, every) for _ in range(2))
    assert torch.equal(first, again)
    other = Task(task.graphs, task.seeds_P2, noise.key(4), task.device)
    assert not torch.allclose(learned(name, other, 3)[1].similarity(every, every), first)


@pytest.mark.parametrize("name", ["gcn_align", "bootea"])
def test_bootstrapping_finds_partners_that_seeds_alone_do_not(name):
    task, test_Q2 = copies(seeds=8, kept=0.95)
    plain = min(hits(*learned(name, task, bootstrap_threshold=None, **FASTER[name]), test_Q2))
    objective, learner = learned(name, task, bootstrap_threshold=0.5, bootstrap_from=20, **FASTER[name])
    believed = {tuple(pair) for pair in learner.found_Q2.tolist()}
    right = believed & {tuple(pair) for pair in test_Q2.tolist()}
    assert not {a for a, _ in believed} & set(task.seeds_P2[:, 0].tolist())
    assert len({a for a, _ in believed}) == len({b for _, b in believed}) == len(believed)
    assert min(hits(objective, learner, test_Q2)) > plain and len(right) > 0.5 * len(test_Q2)


def test_links_that_are_believed_in_by_hand():
    x = torch.eye(5)
    y = torch.stack([x[1], x[0], x[3] + 0.1 * x[2], 0.6 * x[2] + 0.8 * x[3], x[4]])
    found = entity_alignment.believed(x, y, np.array([[4, 4]]), 0.7, 1)
    assert sorted(map(tuple, found.tolist())) == [(0, 1), (1, 0), (3, 2)]
    everything = np.stack([np.arange(5)] * 2, 1)
    assert entity_alignment.believed(x, y, everything, 0.7, 1).shape == (0, 2)


def test_a_manhattan_similarity_ranks_by_distance():
    x, y = (torch.randn(6, 4, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2))
    distance = (x[:, None] - y).abs().sum(2)
    found = entity_alignment.manhattan(x, y)
    assert torch.equal(found.flatten().argsort(), (-distance).flatten().argsort()) and found.max() <= 1
    torch.testing.assert_close(found, 1 - distance / distance.mean())
    assert torch.equal(entity_alignment.manhattan(x[:1], x[:1]), torch.ones(1, 1))


def named_task(source, target, read=None):
    pair = [KnowledgeGraph(list(names), list(names), ["r"], np.zeros((0, 3), np.int64)) for names in (source, target)]
    return Task(tuple(pair), np.zeros((0, 2), np.int64), noise.key(1), torch.device("cpu"), read)


def test_names_that_are_spelled_alike_are_found_and_others_are_not():
    task = named_task(["Angela Merkel", "Université Laval", "東京"], ["Tokyo", "A. Merkel", "Laval University"])
    found = preset("entity_names").learner(task).similarity(torch.arange(3), torch.arange(3))
    assert found.argmax(1)[:2].tolist() == [1, 2] and found[2].abs().max() == 0
    same = named_task(["x y", "z"], ["z", "x y"])
    torch.testing.assert_close(
        preset("entity_names").learner(same).similarity(torch.arange(2), torch.arange(2)).diagonal(), torch.zeros(2)
    )
    assert preset("entity_names").learner(same).similarity(
        torch.tensor([0]), torch.tensor([1])
    ).item() == pytest.approx(1)


def test_names_are_read_by_the_encoder_that_is_given():
    vectors = {"a": [3.0, 0.0], "b": [0.0, 1.0], "A": [5.0, 1.0], "B": [0.0, 2.0]}
    asked = []

    def read(names, side):
        asked.append(side)
        return torch.tensor([vectors[name] for name in names])

    task = named_task("ab", "BA", read)
    found = preset("entity_names", centre=False).learner(task).similarity(torch.arange(2), torch.arange(2))
    torch.testing.assert_close(found, torch.tensor([[0.0, 5 / 26**0.5], [1.0, 1 / 26**0.5]]))
    centred = preset("entity_names", centre=True).learner(task).similarity(torch.arange(2), torch.arange(2))
    assert centred.argmax(1).tolist() == [1, 0] and asked == [0, 1, 0, 1]


def test_a_fusion_is_the_weighted_sum_of_its_members():
    task, test_Q2 = copies()
    members = {"structure": preset("gcn_align", **SMALL["gcn_align"]), "names": preset("entity_names")}
    fusion = type(preset("entity_fusion"))(
        members=members, weights={"structure": 3.0, "names": 1.0}, matching=members["names"].matching
    )
    learner = fusion.learner(task)
    assert learner.rounds == 20
    for number in range(20):
        assert "structure/loss" in learner.learn(number)
    rows, columns = torch.from_numpy(test_Q2).T
    structure = learned("gcn_align", task)[1].similarity(rows, columns)
    names = members["names"].learner(task).similarity(rows, columns)
    torch.testing.assert_close(learner.similarity(rows, columns), 0.75 * structure + 0.25 * names)


@pytest.mark.parametrize(
    ("name", "changes", "sentence"),
    [
        ("gcn_align", {"epochs": 15}, "objective.epochs: 15 is no multiple of objective.round_epochs (10)"),
        ("gcn_align", {"optimizer": "adm"}, "objective.optimizer: there is no adm; did you mean adam?"),
        ("gcn_align", {"similarity": "euclid"}, "objective.similarity: there is no euclid"),
        ("bootea", {"truncation": 1.0}, "objective.truncation: 1.0 is not in [0, 1)"),
        ("bootea", {"lower": 3.0}, "objective.lower: 3.0 must be at least 0 and below objective.upper (2.0)"),
        ("bootea", {"bootstrap_threshold": 2.0}, "objective.bootstrap_threshold: 2.0 is no cosine"),
        ("mtranse", {"map_weight": 0.0}, "objective.map_weight: 0.0 is not above 0"),
        ("entity_names", {"max_ngram": 1}, "objective.min_ngram: 2 must be above 0 and at most objective.max_ngram (1)"),
        ("entity_fusion", {"weights": {"structure": 1.0}}, "objective.weights: they are of ['structure'], the members ['names', 'structure']"),
        ("entity_fusion", {"weights": {"structure": 0.0, "names": 0.0}}, "must be at least 0, and one above"),
    ],
)  # fmt: skip
def test_mistakes_are_sentences(name, changes, sentence):
    with pytest.raises(ConfigError) as refused:
        preset(name, **changes)
    assert any(sentence in problem for problem in refused.value.problems), refused.value.problems


def test_only_what_links_entities_can_be_fused():
    with pytest.raises(ConfigError, match="objective.members.names: MaskedLM cannot be fused"):
        type(preset("entity_fusion"))(
            members={"structure": preset("bootea"), "names": preset("masked_lm")},
            weights={"structure": 1.0, "names": 1.0},
            matching=preset("bootea").matching,
        )

"""Retrieval of sentences by an encoder as it is: each layer of one pass is what that layer alone gives, and what a batch holds changes nothing."""

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from tests.shipped import shipped
from tests.toy import Toy, word_tokenizer
from xlt.alignment.retrieval import retrieval_accuracy
from xlt.data.encode import encode
from xlt.errors import ConfigError
from xlt.evaluation.loop import predict
from xlt.models.build import FromScratch, build
from xlt.models.shapes import Cell, Direction, Recurrent
from xlt.vocabulary import Vocabulary

WORDS = [f"w{i}" for i in range(40)]


def text(i, step):
    return " ".join(WORDS[(i * 7 + k * step) % 40] for k in range(1 + (i * step) % 11))


ROWS = [{"source": text(i, 3), "target": text(i, 5)} for i in range(30)]
NODES = {
    "transformer": FromScratch(architecture="xlm-roberta", layers=3, width=16, attention_heads=2, feed_forward=32, max_positions=40, dropout=0.1, attention_dropout=0.1, init_from=None),
    "recurrent": Recurrent(cell=Cell.lstm, direction=Direction.both, layers=2, width=16, embedding_width=12, dropout=0.1, init_from=None),
}  # fmt: skip


@pytest.fixture(scope="module", params=NODES)
def case(request, tmp_path_factory):
    """(model, table, what predicts and scores)"""
    tokenizer, objective = word_tokenizer(WORDS), shipped("sentence_retrieval")
    model = build(NODES[request.param], "encoder", objective, None, tokenizer, seed=1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
    data = Toy({("parallel", "en-de", "test"): ROWS})
    table = encode(data, "parallel", "en-de", "test", objective.texts, tokenizer, "words", tmp_path_factory.mktemp("c"))
    gold, vocabulary = table.gold({}), Vocabulary.of(tokenizer)

    def run(budget=200, **changes):
        chosen = shipped("sentence_retrieval", **changes)
        return chosen, predict(model, chosen, table, gold, vocabulary, 32, budget, Accelerator(cpu=True)), gold

    return model, run


def test_every_layer_of_one_pass_is_that_layer_alone(case):
    model, run = case
    objective, outputs, gold = run(every_layer=True, layer=1)
    scores = objective.score(outputs, gold)
    layers = model.backbone.config.num_hidden_layers
    for layer in range(layers + 1):
        alone, vectors, _ = run(layer=layer)
        for side in ("source", "target"):
            assert np.allclose(vectors[side], outputs[f"{side}_layer_{layer}"], atol=1e-5)
        assert alone.score(vectors, gold)["accuracy"] == scores[f"accuracy_layer_{layer}"]
    assert scores["accuracy"] == scores["accuracy_layer_1"] and f"accuracy_layer_{layers + 1}" not in scores
    assert np.allclose(run()[1]["source"], outputs[f"source_layer_{layers}"], atol=1e-5), "null is the last"
    assert set(scores) <= set(objective.higher_is_better)


def test_a_batch_of_one_and_of_many_agree(case):
    _, run = case
    (_, alone, gold), (_, together, _) = run(budget=1), run(budget=100_000)
    for side in alone:
        assert np.abs(alone[side] - together[side]).max() < 1e-5
    assert gold.size == len(alone["source"])


@pytest.mark.parametrize("score_by", ["cosine", "csls", "ratio"])
def test_predictions_are_what_is_scored(case, score_by):
    objective, outputs, gold = case[1](score_by=score_by)
    records = list(objective.records(outputs, gold))
    assert [(r["source"], r["target"]) for r in records] == [(r["source"], r["target"]) for r in ROWS]
    scores = objective.score(outputs, gold)
    assert np.mean([r["found_by_source"] == i for i, r in enumerate(records)]) == scores["accuracy_forward"]
    assert np.mean([r["found_by_target"] == i for i, r in enumerate(records)]) == scores["accuracy_backward"]
    sides = (torch.from_numpy(outputs[side]) for side in ("source", "target"))
    assert retrieval_accuracy(*sides, score_by, 4) == scores


def test_fields_that_cannot_be():
    with pytest.raises(ConfigError, match="objective.k: 0 is below 1; Artetxe"):
        shipped("sentence_retrieval", k=0)
    with pytest.raises(ConfigError, match="objective.layer: -1 is below 0"):
        shipped("sentence_retrieval", layer=-1)

"""Queries and documents: rows that share documents, the loss and the ranking against their definitions, and that what else is in a batch changes nothing."""

import math

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from tests.objectives.test_contrastive import Embeddings
from tests.shipped import shipped
from tests.toy import Toy, word_tokenizer
from xlt.data.encode import encode, gather
from xlt.errors import ConfigError
from xlt.evaluation.loop import predict
from xlt.types import Gold
from xlt.vocabulary import Vocabulary

WORDS = [f"w{i}" for i in range(40)]
TOKENIZER = word_tokenizer(WORDS)
VOCABULARY = Vocabulary.of(TOKENIZER)


def text(i, size):
    return " ".join(WORDS[(i * 11 + k * 7 + k * k) % 40] for k in range(size))


DOCUMENTS = [text(i, 3 + i % 6) for i in range(9)]
ROWS = [
    {
        "query": text(50 + i, 1 + i % 4),
        "positives": [DOCUMENTS[i % 5], *([DOCUMENTS[5 + i % 2]] if i % 3 == 0 else [])],
        **({"candidates": DOCUMENTS[7:]} if i == 2 else {}),
    }
    for i in range(12)
]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    objective = shipped("document_retrieval")
    data = Toy({("retrieval", "en-de", "test"): ROWS})
    return encode(data, "retrieval", "en-de", "test", objective.texts, TOKENIZER, "words", tmp_path_factory.mktemp("c"),
                  objective.annotate, objective.annotation)  # fmt: skip


def vector(model, words, max_length=32):
    ids = VOCABULARY.join((np.array(TOKENIZER(words, add_special_tokens=False)["input_ids"]),), max_length)
    return torch.nn.functional.normalize(model.table(torch.tensor(ids)).mean(0), dim=0).detach()


@pytest.fixture
def model():
    found = Embeddings(47)
    found.heads = {}
    found.__class__.__call__ = torch.nn.Module.__call__
    found.forward = lambda function, batch: function(found, batch)
    return found


def test_the_loss_is_the_formula(table, model):
    """Of each right document among all of the batch but the row's other right ones; documents of several rows count once."""
    objective, numbers = shipped("document_retrieval", temperature=0.1), np.array([0, 2, 3, 5, 10])
    zeros = np.zeros(5, np.int64)
    batch = objective.collate(gather([table], zeros, numbers, zeros, 1, [table.gold({})]), VOCABULARY, 32)
    rows = [ROWS[i] for i in numbers]
    pool = list(dict.fromkeys(d for row in rows for d in (*row["positives"], *row.get("candidates", []))))
    assert len(batch["document_input_ids"]) == len(pool) < len(batch["document_of"])
    expected = []
    for row in rows:
        query = vector(model, row["query"])
        score = {d: math.exp(float(query @ vector(model, d)) / 0.1) for d in pool}
        others = sum(score[d] for d in pool if d not in row["positives"])
        expected.append(np.mean([-math.log(score[d] / (others + score[d])) for d in row["positives"]]))
    total, each = objective.loss_by_row(model, batch)
    assert total.item() == pytest.approx(sum(expected), abs=1e-4)
    assert each[:, 0].tolist() == pytest.approx(expected, abs=1e-4) and each[:, 1].tolist() == [1.0] * 5
    assert batch.count == 5


def found(model, table, budget, **changes):
    objective, gold = shipped("document_retrieval", **changes), table.gold({})
    return objective, predict(model, objective, table, gold, VOCABULARY, 32, budget, Accelerator(cpu=True)), gold


def test_ranks_are_those_among_all_documents_of_the_language(table, model):
    objective, outputs, gold = found(model, table, 200, depth=10, recall_at=[1, 3])
    ranks = []
    for row in ROWS:
        query = vector(model, row["query"])
        order = sorted(DOCUMENTS, key=lambda d: -float(query @ vector(model, d)))
        ranks.append(sorted(order.index(d) + 1 for d in row["positives"]))
    scores = objective.score(outputs, gold)
    assert scores["mrr"] == pytest.approx(np.mean([1 / r[0] for r in ranks]))
    assert scores["recall_at_3"] == pytest.approx(np.mean([np.mean([x <= 3 for x in r]) for r in ranks]))
    gains = [sum(1 / math.log2(x + 1) for x in r) / sum(1 / math.log2(i + 2) for i in range(len(r))) for r in ranks]
    assert scores["ndcg_at_10"] == pytest.approx(np.mean(gains))
    assert set(scores) == set(objective.higher_is_better)
    records = list(objective.records(outputs, gold))
    assert [r["rank"] for r in records] == [r[0] for r in ranks] and len(records[0]["found"]) == len(DOCUMENTS)


def test_a_batch_of_one_and_of_many_agree(table, model):
    _, alone, _ = found(model, table, 1)
    _, together, _ = found(model, table, 100_000)
    assert np.abs(alone["asking"] - together["asking"]).max() < 1e-5
    for one, many in zip(alone["documents"], together["documents"], strict=True):
        assert np.abs(one - many).max() < 1e-5


def test_what_lies_deeper_is_not_found():
    """Three documents, of which the first query's is last."""
    outputs = {
        "asking": np.array([[1.0, 0.0]], np.float32),
        "documents": [np.array([[-1.0, 0.0], *[[1.0, 0.1 * i] for i in range(20)]], np.float32)],
    }
    says = np.arange(42).reshape(21, 2)
    gold = Gold(None, notes={"document_says": [says], "right": [np.array([1])]}, size=1)
    assert shipped("document_retrieval", depth=10, recall_at=[10]).score(outputs, gold)["mrr"] == 0
    assert shipped("document_retrieval", depth=30, recall_at=[10]).score(outputs, gold)["mrr"] == pytest.approx(1 / 21)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"depth": 20},
            "objective.depth: 20 documents are found for each query, and scores look at the first 100; raise it",
        ),
        ({"recall_at": []}, r"objective.recall_at: \[\] must be one or more ranks, 1 the first"),
        ({"temperature": 0.0}, "objective.temperature: 0.0 is not positive"),
        ({"layer": -2}, "objective.layer: -2 is below 0"),
    ],
)
def test_fields_that_cannot_be(changes, sentence):
    with pytest.raises(ConfigError, match=sentence):
        shipped("document_retrieval", **changes)


def test_the_same_text_is_the_same_document(table):
    says = {tuple(h): None for i in range(len(table)) for h in table.gold({}).notes["document_says"][i].tolist()}
    assert len(says) == len(DOCUMENTS)

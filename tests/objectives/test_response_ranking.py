"""Which response was given: Hits@1 and MRR as trec_eval counts them, the loss by its formula, negatives that are the same for every model, and contexts that lose their oldest turns."""

import math

import numpy as np
import pytest
import pytrec_eval
import torch
from accelerate import Accelerator
from scipy.stats import chisquare

from tests.objectives.test_contrastive import Embeddings
from tests.objectives.test_document_retrieval import TOKENIZER, VOCABULARY, WORDS, text, vector
from tests.shipped import shipped
from tests.toy import Toy, word_tokenizer
from xlt import noise
from xlt.data.encode import encode, gather
from xlt.errors import BadRow, ConfigError
from xlt.evaluation.loop import predict
from xlt.objectives import response_ranking
from xlt.types import Gold
from xlt.vocabulary import Vocabulary

RESPONSES = [text(3 + i, 2 + i % 5) for i in range(23)]
ROWS = [
    {
        "id": i,
        "doc": f"dialog {i // 4}",
        **({"persona": [text(90 + i // 4, 3), text(70 + i // 4, 2)]} if i % 8 < 6 else {}),
        "history": [text(40 + i + k, 1 + (i + k) % 5) for k in range((i % 4) * 2 + (i % 8 > 5))],
        "response": RESPONSES[i % 21],
        # of one's own: the right one among them, as ParlAI lists it, twice, and some that are nobody's
        **({"candidates": [RESPONSES[(i + 2) % 23], RESPONSES[i % 21], RESPONSES[22], RESPONSES[22]]} if i % 5 == 3 else {}),
    }
    for i in range(30)
]  # fmt: skip


def table_of(objective, folder, rows=ROWS, tokenizer=TOKENIZER):
    data = Toy({("dialog", "en", "test"): rows})
    return encode(data, "dialog", "en", "test", objective.texts, tokenizer, "words", folder, objective.annotate, objective.annotation)  # fmt: skip


def batch_of(objective, table, numbers, max_length=64, vocabulary=VOCABULARY):
    zeros = np.zeros(len(numbers), np.int64)
    return objective.collate(gather([table], zeros, np.array(numbers), zeros, 1, [table.gold({})]), vocabulary, max_length)  # fmt: skip


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return table_of(shipped("response_ranking"), tmp_path_factory.mktemp("cache"))


@pytest.fixture
def model():
    found = Embeddings(47)
    found.heads = {}
    found.__class__.__call__ = torch.nn.Module.__call__
    found.forward = lambda function, batch: function(found, batch)
    return found


def ids_of(*texts, tokenizer=TOKENIZER):
    """Texts joined by what the tokenizer puts between two."""
    each = [tokenizer(t, add_special_tokens=False)["input_ids"] for t in texts]
    return [token for ids in each for token in (2, 2, *ids)][2:]


def asked(model, row):
    whole = [0, *ids_of(*row.get("persona", []), *row["history"]), 2]
    return torch.nn.functional.normalize(model.table(torch.tensor(whole)).mean(0), dim=0).detach()


def found(model, table, budget, **changes):
    objective, gold = shipped("response_ranking", **changes), table.gold({})
    return objective, predict(model, objective, table, gold, VOCABULARY, 64, budget, Accelerator(cpu=True)), gold


def test_a_context_is_persona_and_turns_as_two_texts(tmp_path):
    tokenizer = word_tokenizer(WORDS, "bert")
    vocabulary, objective = Vocabulary.of(tokenizer), shipped("response_ranking")
    rows = [
        {"persona": ["w1 w2", "w3"], "history": ["w4", "w5 w6", "w7"], "response": "w8"},
        {"history": ["w4", "w5 w6"], "response": "w8 w9"},
        {"persona": ["w1 w2", "w3"], "history": [], "response": "w1"},
    ]
    batch = batch_of(objective, table_of(objective, tmp_path, rows, tokenizer), range(3), 64, vocabulary)
    pairs = [("w1 w2 </s> w3", "w4 </s> w5 w6 </s> w7"), ("w4 </s> w5 w6",), ("w1 w2 </s> w3",)]
    for i, pair in enumerate(pairs):
        expected = tokenizer(*pair, return_token_type_ids=True)
        size = len(expected["input_ids"])
        assert batch["context_input_ids"][i, :size].tolist() == expected["input_ids"]
        assert batch["context_token_type_ids"][i, :size].tolist() == expected["token_type_ids"]
        assert batch["context_attention_mask"][i].sum() == size
    assert "document_token_type_ids" not in batch.tensors
    model = Embeddings(47)
    seen = {}
    model.hidden = lambda inputs, layer: seen.update(inputs) or model.table(inputs["input_ids"])
    objective.asking(model, batch)
    assert seen["token_type_ids"] is batch["context_token_type_ids"]


@pytest.mark.parametrize("max_length", [64, 20, 12, 8])
def test_what_is_cut_of_a_context_are_the_oldest_turns(table, max_length):
    objective = shipped("response_ranking")
    batch = batch_of(objective, table, range(30), max_length)
    cut = 0
    for i, row in enumerate(ROWS):
        ids = [token for token in batch["context_input_ids"][i].tolist() if token != VOCABULARY.pad]
        persona, turns = ids_of(*row.get("persona", [])), ids_of(*row["history"])
        assert ids[0] == 0 and ids[-1] == 2 and len(ids) <= max_length
        ids = ids[1:-1]
        if persona and turns:
            room = max_length - 4
            of_persona = min(len(persona), max(room - len(turns), (room + (len(persona) > len(turns))) // 2))
            assert ids[:of_persona] == persona[:of_persona]
            assert ids[of_persona:] == [2, 2, *turns[max(0, len(turns) - (room - of_persona)) :]]
        elif persona:
            assert ids == persona[: max_length - 2]
        else:
            assert ids == turns[-(max_length - 2) :]
        cut += len(persona) + len(turns) + 4 > max_length
    assert cut > {64: -1, 20: 3, 12: 10, 8: 20}[max_length]


def test_the_loss_is_the_formula(table, model):
    """Of the right response among all of the batch, candidates of any row too; what two rows have counts once."""
    objective, numbers = shipped("response_ranking", temperature=0.1), [0, 21, 3, 6, 13, 29]
    batch = batch_of(objective, table, numbers)
    rows = [ROWS[i] for i in numbers]
    pool = list(dict.fromkeys(r for row in rows for r in (row["response"], *row.get("candidates", []))))
    assert rows[0]["response"] == rows[1]["response"] and len(batch["document_input_ids"]) == len(pool)
    expected = []
    for row in rows:
        score = {r: math.exp(float(asked(model, row) @ vector(model, r)) / 0.1) for r in pool}
        expected.append(-math.log(score[row["response"]] / sum(score.values())))
    total, each = objective.loss_by_row(model, batch)
    assert each[:, 0].tolist() == pytest.approx(expected, abs=1e-4) and each[:, 1].tolist() == [1.0] * 6
    assert total.item() == pytest.approx(sum(expected), abs=1e-3) and batch.count == 6


def measured(runs, right):
    """trec_eval's success at 1 and reciprocal rank. runs: of each row {response: score}; right: of each row its response."""
    names = [{response: f"d{n}" for n, response in enumerate(run)} for run in runs]
    scored = {f"q{i}": {name[r]: float(s) for r, s in run.items()} for i, (run, name) in enumerate(zip(runs, names, strict=True))}  # fmt: skip
    truth = {f"q{i}": {name[r]: 1} for i, (name, r) in enumerate(zip(names, right, strict=True))}
    found = pytrec_eval.RelevanceEvaluator(truth, {"success_1", "recip_rank"}).evaluate(scored)
    return {
        "hits_at_1": np.mean([f["success_1"] for f in found.values()]),
        "mrr": np.mean([f["recip_rank"] for f in found.values()]),
    }


def test_scores_are_those_of_trec_eval_among_all_responses_of_other_dialogs(table, model):
    """With more negatives than there are, everybody can tell which are drawn."""
    objective, outputs, gold = found(model, table, 200, negatives=1000)
    said = list(dict.fromkeys(row["response"] for row in ROWS))
    runs = []
    for row in ROWS:
        own = {r["response"] for r in ROWS if r["doc"] == row["doc"]}
        given = row.get("candidates", [r for r in said if r not in own])
        runs.append({r: asked(model, row) @ vector(model, r) for r in [row["response"], *given]})
    assert objective.score(outputs, gold) == pytest.approx(measured(runs, [r["response"] for r in ROWS]))
    assert 0 < objective.score(outputs, gold)["hits_at_1"] < 1
    for record, row, run in zip(objective.records(outputs, gold), ROWS, runs, strict=True):
        order = sorted(run, key=lambda r: -run[r])
        expected = {name: row[name] for name in ("persona", "history", "response") if name in row}
        expected |= {"rank": order.index(row["response"]) + 1, "candidates": len(run), "prediction": order[0]}
        assert record == expected


def test_scores_are_those_of_trec_eval_among_those_drawn(table, model):
    objective, outputs, gold = found(model, table, 200, negatives=7)
    judged = objective._judged(outputs, gold, objective._numbered(outputs, gold))
    texts = [objective.texts(row)[1] for row in ROWS]
    first = objective._numbered(outputs, gold).first
    runs = []
    for row, candidates in zip(ROWS, judged.candidates, strict=True):
        responses = [texts[first[n][0]][first[n][1]] for n in candidates]
        own = {r["response"] for r in ROWS if r["doc"] == row["doc"]}
        assert len(set(responses)) == len(responses) == len({row["response"], *row.get("candidates", range(7))})
        assert responses[0] == row["response"] and ("candidates" in row or own & {*responses} == {row["response"]})
        runs.append({r: asked(model, row) @ vector(model, r) for r in responses})
    assert objective.score(outputs, gold) == pytest.approx(measured(runs, [r["response"] for r in ROWS]))


def test_negatives_do_not_depend_on_the_model_and_do_on_the_seed(table, model):
    def candidates(model, **changes):
        objective, outputs, gold = found(model, table, 200, negatives=5, **changes)
        return objective._judged(outputs, gold, objective._numbered(outputs, gold)).candidates

    other = Embeddings(47, width=9)
    other.heads, other.forward = {}, lambda function, batch: function(other, batch)
    assert candidates(model) == candidates(other) != candidates(model, seed=2)


def test_a_draw_is_uniform_and_without_what_is_out():
    """Each of 6 numbers in half of 2,000 draws of 3, and each of the 20 triples equally often."""
    out, triples = {0, 3, 4, 9}, {}
    for i in range(4000):
        numbers = response_ranking.drawn(10, out, 3, noise.combine(noise.key("test"), i))
        assert len(numbers) == 3 and numbers == sorted({*numbers} - out) and max(numbers) < 10
        triples[tuple(numbers)] = triples.get(tuple(numbers), 0) + 1
    assert len(triples) == 20 and chisquare(list(triples.values())).pvalue > 0.001
    assert response_ranking.drawn(10, out, 19, noise.key("test")) == [1, 2, 5, 6, 7, 8]
    assert response_ranking.drawn(4, {0, 1, 2, 3}, 19, noise.key("test")) == []


def test_a_batch_of_one_and_of_many_agree(table, model):
    objective, alone, gold = found(model, table, 1)
    _, together, _ = found(model, table, 100_000)
    assert np.abs(alone["asking"] - together["asking"]).max() < 1e-5
    for one, many in zip(alone["documents"], together["documents"], strict=True):
        assert np.abs(one - many).max() < 1e-5
    assert objective.score(alone, gold) == objective.score(together, gold)


def test_vectors_that_are_all_the_same_find_nothing():
    notes = {
        "document_says": [np.array([[i, i]]) for i in range(5)],
        "dialog": [np.zeros((0, 2), np.int32)] * 5,
        "right": [np.array([1])] * 5,
    }
    same = {"asking": np.ones((5, 3), np.float32), "documents": [np.full((1, 3), 0.1, np.float32)] * 5}
    scores = shipped("response_ranking").score(same, Gold(None, notes=notes, size=5))
    assert scores == {"hits_at_1": 0.0, "mrr": pytest.approx(1 / 5)}


def test_without_dialogs_only_the_right_response_is_no_negative(tmp_path, model):
    rows = [{"history": [r["response"]], "response": r["response"]} for r in ROWS[:6]]
    objective, outputs, gold = found(model, table_of(shipped("response_ranking"), tmp_path, rows), 200)
    assert objective.score(outputs, gold) == {"hits_at_1": 1.0, "mrr": 1.0}
    assert [record["candidates"] for record in objective.records(outputs, gold)] == [6] * 6
    assert objective.score({k: v[:2] for k, v in outputs.items()}, gold.first(2)) == {"hits_at_1": 1.0, "mrr": 1.0}


def test_what_cannot_be():
    with pytest.raises(ConfigError, match="objective.negatives: 0 is below 1; Zhang et al. 2018 draw 19"):
        shipped("response_ranking", negatives=0)
    with pytest.raises(ConfigError, match="objective.temperature: 0.0 is not positive"):
        shipped("response_ranking", temperature=0.0)
    with pytest.raises(ConfigError, match="objective.layer: -2 is below 0"):
        shipped("response_ranking", layer=-2)
    with pytest.raises(
        BadRow, match="history is empty and there is no persona, so nothing is answered; remove the row"
    ):
        shipped("response_ranking").texts({"history": [], "persona": [], "response": "a"})

"""What is predicted is what the textbook way predicts: one row at a time, the tokenizer's own call, the model's own forward, no batch."""

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from tests.toy import Toy, word_tokenizer
from xlt import signals
from xlt.data.encode import encode
from xlt.errors import ConfigError, Interrupted, NonFinite
from xlt.evaluation.loop import predict
from xlt.models.build import FromScratch, build
from xlt.models.pooling import Pool
from xlt.objectives.sequence_classification import SequenceClassification
from xlt.vocabulary import Vocabulary

WORDS = [f"w{i}" for i in range(50)]
MAX_LENGTH = 16  # so that some rows are cut


def text(i, step):
    return " ".join(WORDS[(i * 7 + k * step) % 50] for k in range(1 + (i * step) % 19))


@pytest.fixture(scope="module", params=["xlm-r one", "xlm-r pair", "bert pair"])
def case(request, tmp_path_factory):
    kind, arity = request.param.split()
    tokenizer = word_tokenizer(WORDS, kind)
    if kind == "bert":
        tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    rows = [
        {"text": text(i, 3), "label": "ab"[i % 2]} | ({"text_pair": text(i, 5)} if arity == "pair" else {})
        for i in range(33)
    ]
    dataset = Toy({("classification", "en", "test"): rows})
    objective = SequenceClassification(pair=arity == "pair", pool=Pool.mean, hidden=True, dropout=0.1)
    shape = dict(layers=2, width=16, attention_heads=2, feed_forward=32, max_positions=20)
    node = FromScratch(
        architecture={"xlm-r": "xlm-roberta", "bert": "bert"}[kind],
        dropout=0.1,
        attention_dropout=0.1,
        init_from=None,
        **shape,
    )
    model = build(node, "encoder", objective, ["a", "b"], tokenizer, seed=3)
    with torch.no_grad():  # random weights are small: larger ones make a wrong mask or type visible
        for parameter in model.parameters():
            parameter.mul_(4)
    cache = tmp_path_factory.mktemp("cache")
    table = encode(dataset, "classification", "en", "test", objective.texts, tokenizer, request.param, cache)
    return rows, objective, tokenizer, model, table


def predicted(case, budget, rows=None):
    _, objective, tokenizer, model, table = case
    gold = table.gold({"label": ["a", "b"]})
    vocabulary = Vocabulary.of(tokenizer)
    return predict(model, objective, table, gold, vocabulary, MAX_LENGTH, budget, Accelerator(cpu=True), rows)


@torch.no_grad()
def textbook(case) -> np.ndarray:
    rows, _, tokenizer, model, _ = case
    model.eval()
    logits = []
    for row in rows:
        texts = [row["text"], row["text_pair"]] if "text_pair" in row else [row["text"]]
        inputs = tokenizer(*texts, truncation="longest_first", max_length=MAX_LENGTH, return_tensors="pt")
        hidden_LD = model.backbone(**inputs).last_hidden_state[0]
        logits.append(model.heads["classifier"](hidden_LD.mean(0)))
    return torch.stack(logits).numpy()


def test_it_is_the_textbook_way(case):
    expected = textbook(case)
    assert np.ptp(expected, axis=0).min() > 0.05, "rows that all look alike would prove nothing"
    np.testing.assert_allclose(predicted(case, 200)["logits"], expected, atol=1e-5)


@pytest.mark.parametrize("budget", [1, 17, 64, 100_000])
def test_batches_change_nothing_and_rows_keep_their_order(case, budget):
    np.testing.assert_allclose(predicted(case, budget)["logits"], predicted(case, 50)["logits"], atol=1e-5)


def test_the_first_rows_only(case):
    np.testing.assert_allclose(predicted(case, 64, rows=5)["logits"], predicted(case, 64)["logits"][:5], atol=1e-5)
    assert len(predicted(case, 64, rows=1000)["logits"]) == 33


def test_nothing_random_is_drawn_and_no_weight_moves(case):
    model = case[3]
    before, state = {k: v.clone() for k, v in model.state_dict().items()}, torch.get_rng_state()
    first = predicted(case, 64)["logits"]
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert np.array_equal(first, predicted(case, 64)["logits"]), "dropout is off"


def test_nan_is_not_scored(case):
    weight = case[3].heads["classifier"][-1].bias
    before = weight.data.clone()
    try:
        weight.data[0] = float("nan")
        with pytest.raises(NonFinite, match="toy, en, test: the model's logits are NaN or infinite"):
            predicted(case, 64)
    finally:
        weight.data.copy_(before)


def test_a_signal_is_answered_between_two_batches(case, monkeypatch):
    monkeypatch.setattr(signals, "_received", 15)
    with pytest.raises(Interrupted, match="stopped by SIGTERM while scoring"):
        predicted(case, 64)


class Words:
    """Gives back a tensor of its own size for each row, and the row's keys as proof of which it was."""

    def __init__(self, objective):
        self.row_length, self.collate, self.broken = objective.row_length, objective.collate, None

    def predict(self, model, batch):
        lengths = (
            [batch["input_ids"].shape[1]] * batch.rows
            if batch["attention_mask"] is None
            else batch["attention_mask"].sum(1).tolist()
        )
        rows = [ids[:n].float() for ids, n in zip(batch["input_ids"], lengths, strict=True)]
        return {"ids": rows if self.broken is None else [*rows[:-1], torch.tensor([self.broken])]}


def test_one_tensor_a_row_comes_back_in_the_rows_order(case):
    rows, objective, tokenizer, model, table = case
    gold, vocabulary, words = table.gold({"label": ["a", "b"]}), Vocabulary.of(tokenizer), Words(objective)
    for budget in (1, 60, 10_000):
        outputs = predict(model, words, table, gold, vocabulary, MAX_LENGTH, budget, Accelerator(cpu=True))
        for row, ids in zip(rows, outputs["ids"], strict=True):
            texts = [row["text"], row["text_pair"]] if "text_pair" in row else [row["text"]]
            expected = tokenizer(*texts, truncation="longest_first", max_length=MAX_LENGTH)["input_ids"]
            assert ids.tolist() == expected
    words.broken = float("inf")
    with pytest.raises(NonFinite, match="the model's ids are NaN or infinite"):
        predict(model, words, table, gold, vocabulary, MAX_LENGTH, 60, Accelerator(cpu=True))


def cramped(monkeypatch, model, most):
    """The model refuses more than `most` rows at a time, as the allocator does. Returns the sizes that were asked for."""
    forward, asked = model.forward, []

    def limited(function, batch):
        asked.append(batch.rows)
        if batch.rows > most:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes.")
        return forward(function, batch)

    monkeypatch.setattr(model, "forward", limited)
    return asked


def test_rows_without_room_are_scored_in_parts(case, monkeypatch, capsys):
    expected = predicted(case, 10_000)["logits"]
    asked = cramped(monkeypatch, case[3], 9)
    np.testing.assert_allclose(predicted(case, 10_000)["logits"], expected, atol=1e-5)
    assert asked == [33, 17, 9, 9, 9, 6]
    told = capsys.readouterr().err
    assert "no room for 33 rows at a time: in 2 parts" in told and "no room for 17 rows at a time: in 4 parts" in told


def test_what_was_too_much_is_not_tried_again(case, monkeypatch):
    asked = cramped(monkeypatch, case[3], 3)
    predicted(case, 6 * MAX_LENGTH)
    assert sum(n > 3 for n in asked) <= 2 < len(asked) // 2, "of many batches, each size is refused once"


def test_a_single_row_without_room_is_a_sentence(case, monkeypatch):
    cramped(monkeypatch, case[3], 0)
    with pytest.raises(ConfigError, match="hardware.eval_tokens: no room for a single row at a time .*DefaultCPU"):
        predicted(case, 64)

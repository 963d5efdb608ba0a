"""Several texts, one of which goes with a premise: what is read is the tokenizer's pair, the loss is torch's, and rows may have different numbers of choices."""

from itertools import chain, pairwise

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from sklearn.metrics import accuracy_score
from tokenizers import pre_tokenizers
from torch.nn import functional as F

from tests.shipped import shipped
from tests.toy import Toy, word_tokenizer
from xlt.data.encode import encode, gather
from xlt.errors import ConfigError
from xlt.evaluation.loop import predict
from xlt.models.build import FromScratch, build
from xlt.vocabulary import Vocabulary

WORDS = ["What", "was", "the", "cause?", "effect?", "Why?", *(f"w{i}" for i in range(40))]
SCRIPTS = [
    "Ta kaotas isu.",
    "她倒了牛奶。",
    "彼は失った",
    "ฉันร้องไห้",
    "كان الباب مفتوحا",
    "मैं रो रहा था",
    "Payqa manam mikhuyta",
]


def text(i, size):
    return " ".join(f"w{(i * 11 + k * 7 + k * k) % 40}" for k in range(size))


ROWS = [
    {
        "premise": text(i, 2 + i % 5),
        **({"question": ["cause", "effect", "Why?"][i % 3]} if i % 4 else {}),
        "choices": [text(50 + i + 3 * n, 1 + (i + n) % 6) for n in range(2 + i % 3)],
        "label": (i * 7) % (2 + i % 3),
    }
    for i in range(13)
]
SMALL = FromScratch(architecture="bert", layers=1, width=8, attention_heads=2, feed_forward=16, max_positions=40, dropout=0.0, attention_dropout=0.0, init_from=None)  # fmt: skip


def table_of(objective, tokenizer, folder, rows=ROWS):
    data = Toy({("multiple_choice", "en", "test"): rows})
    return encode(data, "multiple_choice", "en", "test", objective.texts, tokenizer, "words", folder, objective.annotate, objective.annotation)  # fmt: skip


def batch_of(objective, table, vocabulary, numbers, max_length=32):
    zeros = np.zeros(len(numbers), np.int64)
    rows = gather([table], zeros, np.array(numbers), zeros, 1, [table.gold({})])
    return objective.collate(rows, vocabulary, max_length)


def pairs_of(row):
    """What run_xcopa.py of XTREME gives to the tokenizer."""
    said = {"cause": "What was the cause?", "effect": "What was the effect?"}
    asked = f" {said.get(row['question'], row['question'])}" if "question" in row else ""
    return [row["premise"] + asked] * len(row["choices"]), row["choices"]


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    tokenizer, objective = word_tokenizer(WORDS, "bert"), shipped("multiple_choice", dropout=0.0)
    model = build(SMALL, "encoder", objective, [], tokenizer, 1).eval()
    for parameter in model.parameters():  # as they begin, all choices would look alike
        torch.nn.init.normal_(parameter, std=0.5)
    return objective, model, tokenizer, table_of(objective, tokenizer, tmp_path_factory.mktemp("cache"))


@pytest.mark.parametrize("max_length", [32, 11])
@pytest.mark.parametrize("template", ["xlm-r", "bert"])
def test_a_choice_is_read_as_the_tokenizer_joins_it(tmp_path, template, max_length):
    tokenizer, objective = word_tokenizer(WORDS, template), shipped("multiple_choice")
    batch = batch_of(objective, table_of(objective, tokenizer, tmp_path), Vocabulary.of(tokenizer), range(13), max_length)  # fmt: skip
    left, right = (list(chain.from_iterable(side)) for side in zip(*map(pairs_of, ROWS), strict=True))
    expected = tokenizer(left, right, truncation=True, max_length=max_length, padding=True, return_token_type_ids=True)
    assert batch["input_ids"].tolist() == expected["input_ids"]
    assert batch["attention_mask"].tolist() == expected["attention_mask"]
    if template == "bert":
        assert batch["token_type_ids"].tolist() == expected["token_type_ids"]
    assert [(row >= 0).sum().item() for row in batch["choices"]] == [len(r["choices"]) for r in ROWS]
    assert batch["right"].tolist() == [r["label"] for r in ROWS] and batch.count == batch.rows == 13


def test_every_choice_is_tokenized_as_if_it_stood_alone_in_any_script(tmp_path):
    """Also the first one, by a tokenizer for which a blank belongs to the word behind it (GPT-2's), so that nothing tells which is first."""
    import tokenizers
    from transformers import PreTrainedTokenizerFast

    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(special_tokens=["<pad>", "<s>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), vocab_size=300)  # fmt: skip
    made.train_from_iterator(SCRIPTS * 3, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", bos_token="<s>", eos_token="<s>")
    rows = [{"premise": a, "choices": [b, a, b, f"{a} {b}"], "label": 3} for a, b in pairwise(SCRIPTS)]  # fmt: skip
    objective = shipped("multiple_choice")
    table = table_of(objective, tokenizer, tmp_path, rows)
    begins = table.gold({}).notes["begins"]
    for i, row in enumerate(rows):
        found = np.split(table.segment(i, 1), begins[i][1:])
        assert [ids.tolist() for ids in found] == [tokenizer(text)["input_ids"] for text in row["choices"]]


@torch.no_grad()
def test_the_loss_is_cross_entropy_over_the_choices_of_a_row(tuned):
    objective, model, tokenizer, table = tuned
    total, each = objective.loss_by_row(model, batch_of(objective, table, Vocabulary.of(tokenizer), range(13)))
    expected = []
    for row in ROWS:
        scores = []
        for left, right in zip(*pairs_of(row), strict=True):
            state = model.hidden(dict(tokenizer(left, right, return_tensors="pt", return_token_type_ids=True)))[0, 0]
            scores.append(model.heads["classifier"](state))
        expected.append(F.cross_entropy(torch.cat(scores)[None], torch.tensor([row["label"]])).item())
    assert each[:, 0].tolist() == pytest.approx(expected, abs=1e-5) and each[:, 1].tolist() == [1.0] * 13
    assert total.item() == pytest.approx(sum(expected), abs=1e-4) and len({round(x, 4) for x in expected}) == 13


def gradients(tuned, *parts):
    objective, model, tokenizer, table = tuned
    model.zero_grad()
    for numbers in parts:
        objective.loss(model, batch_of(objective, table, Vocabulary.of(tokenizer), list(numbers))).backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_micro_batches_of_rows_with_other_numbers_of_choices_give_the_same_gradient(tuned):
    whole, split = gradients(tuned, range(12)), gradients(tuned, range(4), range(4, 8), range(8, 12))
    rows_of_two = gradients(tuned, range(0, 12, 3), range(1, 12, 3), range(2, 12, 3))  # no row is filled up
    for name, gradient in whole.items():
        assert torch.isfinite(gradient).all()
        torch.testing.assert_close(gradient, split[name], rtol=0, atol=2e-5)
        torch.testing.assert_close(gradient, rows_of_two[name], rtol=0, atol=2e-5)
    assert sum(g.abs().sum() for g in whole.values()) > 1


def found(tuned, budget):
    objective, model, tokenizer, table = tuned
    model.__class__.__call__ = torch.nn.Module.__call__
    return predict(model, objective, table, table.gold({}), Vocabulary.of(tokenizer), 32, budget, Accelerator(cpu=True))


def test_a_batch_of_one_and_of_many_agree_and_scores_are_those_of_scikit_learn(tuned):
    objective, _, _, table = tuned
    alone, together, gold = found(tuned, 1), found(tuned, 100_000), table.gold({})
    for one, many in zip(alone["logits"], together["logits"], strict=True):
        assert np.abs(one - many).max() < 1e-5
    guesses = [int(logits.argmax()) for logits in together["logits"]]
    assert objective.score(together, gold) == {"accuracy": accuracy_score([r["label"] for r in ROWS], guesses)}
    assert objective.statistics(together, gold)["accuracy"].sum() == sum(g == r["label"] for g, r in zip(guesses, ROWS, strict=True))  # fmt: skip
    for record, row, guess in zip(objective.records(together, gold), ROWS, guesses, strict=True):
        assert record.items() >= row.items() and record["prediction"] == guess
        assert len(record["probabilities"]) == len(row["choices"]) and sum(record["probabilities"]) == pytest.approx(1, abs=1e-5)  # fmt: skip
    assert len(set(guesses)) > 1
    first = gold.first(5)
    assert objective.score({"logits": together["logits"][:5]}, first) == {"accuracy": accuracy_score([r["label"] for r in ROWS[:5]], guesses[:5])}  # fmt: skip


def test_other_questions_are_another_table(tmp_path):
    """The first row asks for no cause, and yet what cause means is part of what is cached."""
    tokenizer = word_tokenizer(WORDS)
    rows = [{"premise": "w1", "question": q, "choices": ["w2", "w3"], "label": 0} for q in ("effect", "cause")]
    plain, other = shipped("multiple_choice"), shipped("multiple_choice", questions={"cause": "Why?", "effect": "What was the effect?"})  # fmt: skip
    tables = [table_of(objective, tokenizer, tmp_path, rows) for objective in (plain, other)]
    assert [len(table.segment(1, 0)) for table in tables] == [5, 2]
    assert tables[0].segment(0, 0).tolist() == tables[1].segment(0, 0).tolist()


def test_what_a_row_costs_is_about_what_it_takes(tuned):
    """Exact for two choices of one length; a third and fourth are not foreseen."""
    objective, _, tokenizer, table = tuned
    vocabulary = Vocabulary.of(tokenizer)
    costs = objective.row_length(table.lengths, vocabulary, 32)
    for i, row in enumerate(ROWS):
        tokens = batch_of(objective, table, vocabulary, [i]).tokens
        sizes = {len(choice.split()) for choice in row["choices"]}
        assert costs[i] == tokens if len(row["choices"]) == 2 and len(sizes) == 1 else tokens / 2.5 < costs[i] <= tokens + 2  # fmt: skip


def test_dropout_that_is_no_rate():
    with pytest.raises(ConfigError, match="objective.dropout: 1.0 is not in"):
        shipped("multiple_choice", dropout=1.0)

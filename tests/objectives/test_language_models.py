"""Every language-model objective against transformers' own loss with labels, and its independence of the batch."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.language_models import ALL, backbone
from tests.shipped import shipped
from tests.toy import masked_lm, word_tokenizer
from xlt import noise
from xlt.errors import ConfigError
from xlt.models.build import TransferModel
from xlt.objectives.causal_lm import CausalLM
from xlt.objectives.denoising import Denoising
from xlt.objectives.masking import Unit
from xlt.objectives.text_noise import TextInfilling, WordNoise
from xlt.types import Rows
from xlt.vocabulary import Vocabulary

WORDS = ["a", "b", *(f"w{i}" for i in range(50)), ".", "!"]
SIZE = len(WORDS) + 5
INFILLING = TextInfilling(rate=0.35, mean_span=3.5, permute_sentences=True)
OBJECTIVES = {
    "masked_lm": masked_lm(),
    "word": masked_lm(unit=Unit.word),
    "span": masked_lm(unit=Unit.span),
    "rare": masked_lm(frequency_power=0.5),
    "translation_lm": shipped("translation_lm", restart_positions=True),
    "translation_lm_on": shipped("translation_lm", unit=Unit.span, restart_positions=False),
    "causal_lm": CausalLM(predict_end=True),
    "denoising": Denoising(noise=INFILLING, language_tokens=False),
    "word_denoising": Denoising(noise=WordNoise(shuffle=3, dropout=0.1, blank=0.1), language_tokens=False),
}
CASES = [(name, *case) for name, objective in OBJECTIVES.items() for case in ALL if case[0] == objective.head]


@pytest.fixture(scope="module")
def vocabulary():
    made = Vocabulary.of(word_tokenizer(WORDS))
    counts = np.random.default_rng(3).integers(1, 1000, SIZE)
    return replace(made, counts=counts)


def rows(objective, n, seed=0):
    rng = np.random.default_rng(seed)
    sides = 2 if objective.view == "parallel" else 1
    segments = [[rng.integers(5, SIZE, rng.integers(1, 20)) for _ in range(n)] for _ in range(sides)]
    return Rows(segments, None, noise.combine(noise.key(seed), np.arange(n)), ["en-de" if sides == 2 else "en"] * n)


def theirs(model, objective, batch):
    """The loss that transformers computes from labels."""
    if objective.head == "seq2seq-lm":
        return model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=batch["labels"]).loss
    labels_BL = torch.full_like(batch["input_ids"], -100)
    if objective.head == "causal-lm":
        labels_BL[batch["input_ids"] != 1] = batch["input_ids"][batch["input_ids"] != 1]
        return model(input_ids=batch["input_ids"], attention_mask=(labels_BL != -100).long(), labels=labels_BL).loss
    labels_BL.view(-1)[batch["where"]] = batch["targets"]
    inputs = {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}
    if "places" in batch.tensors:  # XLM-R's first position is pad + 1
        inputs["position_ids"] = batch["places"] + (2 if model.config.model_type == "xlm-roberta" else 0)
    return model(**inputs, labels=labels_BL).loss


@pytest.mark.parametrize("name, head, family", CASES)
def test_loss_and_gradients_are_those_of_transformers(vocabulary, name, head, family):
    objective, model = OBJECTIVES[name], backbone(head, family, SIZE)
    batch = objective.collate(rows(objective, 12), vocabulary, 34)
    assert batch.count == len(batch["targets"]) > 12
    ours = objective.loss(TransferModel(model, {}, {}), batch) / batch.count
    ours.backward()
    gradients = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    expected = theirs(model, objective, batch)
    expected.backward()
    assert expected.item() > 1
    assert ours.item() == pytest.approx(expected.item(), abs=1e-5)
    for n, p in model.named_parameters():
        if p.grad is not None:
            torch.testing.assert_close(gradients[n], p.grad, rtol=1e-3, atol=1e-5)
    assert not {n for n, p in model.named_parameters() if p.grad is not None} ^ set(gradients)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_rows_loss_does_not_depend_on_its_batch(vocabulary, name):
    objective = OBJECTIVES[name]
    family = next(family for head, family in ALL if head == objective.head)
    model = TransferModel(backbone(objective.head, family, SIZE), {}, {})
    drawn = rows(objective, 9)
    whole = objective.collate(drawn, vocabulary, 34)
    parts = [objective.collate(drawn.slice(i, i + size), vocabulary, 34) for i, size in ((0, 1), (1, 5), (6, 3))]
    assert sum(p.count for p in parts) == whole.count and sum(p.tokens for p in parts) == whole.tokens
    assert torch.equal(torch.cat([p["targets"] for p in parts]), whole["targets"])
    with torch.no_grad():
        split = sum(objective.loss(model, part) for part in parts)
        assert float(split / whole.count) == pytest.approx(
            float(objective.loss(model, whole) / whole.count), abs=1e-6, rel=1e-6
        )


@pytest.mark.parametrize("name", OBJECTIVES)
def test_scores_are_those_of_the_loss(vocabulary, name, monkeypatch):
    objective = OBJECTIVES[name]
    family = next(family for head, family in ALL if head == objective.head)
    model = TransferModel(backbone(objective.head, family, SIZE), {}, {})
    batch = objective.collate(rows(objective, 9), vocabulary, 34)
    outputs = {k: v.numpy() for k, v in objective.predict(model, batch).items()}
    assert outputs["sums"].shape == (9, 3)
    scores = objective.score(outputs, None)
    with torch.no_grad():
        mean = float(objective.loss(model, batch)) / batch.count
    assert scores["loss"] == pytest.approx(mean, rel=1e-6)
    assert scores["perplexity"] == pytest.approx(np.exp(mean), rel=1e-5)
    assert 0 <= scores["accuracy"] <= 1
    monkeypatch.setattr("xlt.models.heads.LOGITS_AT_ONCE", 7 * SIZE)
    again = {k: v.numpy() for k, v in objective.predict(model, batch).items()}
    np.testing.assert_allclose(again["sums"], outputs["sums"], rtol=1e-5)
    assert set(scores) == set(objective.higher_is_better) and objective.metric in scores


def test_accuracy_counts_the_most_probable_words(vocabulary):
    objective, model = OBJECTIVES["causal_lm"], backbone("causal-lm", "gpt2", SIZE)
    batch = objective.collate(rows(objective, 30), vocabulary, 34)
    with torch.no_grad():
        best_BL = model(input_ids=batch["input_ids"]).logits.argmax(-1)
    real_BL = batch["input_ids"][:, 1:] != 1
    hits = (best_BL[:, :-1] == batch["input_ids"][:, 1:])[real_BL].float().mean().item()
    outputs = {k: v.numpy() for k, v in objective.predict(TransferModel(model, {}, {}), batch).items()}
    assert objective.score(outputs, None)["accuracy"] == pytest.approx(hits)


def test_a_causal_row_is_cut_without_an_end_and_framed_where_the_tokenizer_does_not(vocabulary):
    text = np.arange(5, 15)
    one = Rows([[text]], None, np.array([1], np.uint64), ["en"])
    bare = replace(vocabulary, prefix=(), suffix=())
    for v in (vocabulary, bare):
        whole = CausalLM(predict_end=True).collate(one, v, 30)
        assert whole["input_ids"][0].tolist() == [0, *text, 2] and whole["targets"].tolist() == [*text, 2]
        cut = CausalLM(predict_end=True).collate(one, v, 8)
        assert cut["input_ids"][0].tolist() == [0, *text[:7]] and cut["targets"].tolist() == list(text[:7])
        assert CausalLM(predict_end=False).collate(one, v, 30)["targets"].tolist() == list(text)
    for missing, sentence in (
        ("bos", "no token for the beginning of a text"),
        ("eos", "no token for the end of a text"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            CausalLM(predict_end=True).collate(one, replace(bare, **{missing: None}), 30)


@pytest.mark.parametrize("name", ["masked_lm", "span", "translation_lm", "denoising", "word_denoising"])
def test_a_tokenizer_without_a_mask_is_named(vocabulary, name):
    objective = OBJECTIVES[name]
    with pytest.raises(ConfigError, match="tokenizer: it has no mask token, which objective="):
        objective.collate(rows(objective, 2), replace(vocabulary, mask=None), 30)

"""Masked LM against transformers' own loss, and the statistics of its noise."""

import numpy as np
import pytest
import torch
from transformers import AutoModelForMaskedLM, BertConfig, XLMRobertaConfig

from tests.toy import masked_lm, word_tokenizer
from xlt import noise
from xlt.errors import ConfigError
from xlt.models.build import TransferModel
from xlt.types import Rows
from xlt.vocabulary import Vocabulary

WORDS = ["a", "b", *(f"w{i}" for i in range(50))]
OBJECTIVE = masked_lm()


@pytest.fixture(scope="module")
def vocabulary():
    return Vocabulary.of(word_tokenizer(WORDS))


def rows(n, seed=0, length=(5, 25)):
    rng = np.random.default_rng(seed)
    sentences = [rng.integers(5, 57, rng.integers(*length)) for _ in range(n)]
    return Rows([sentences], None, noise.combine(noise.key(seed), np.arange(n)), ["en"] * n)


@pytest.mark.parametrize("family", [XLMRobertaConfig, BertConfig])
def test_the_loss_is_that_of_transformers(vocabulary, family):
    shape = dict(
        vocab_size=57,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=40,
        pad_token_id=1,
    )
    backbone = AutoModelForMaskedLM.from_config(family(**shape)).eval()
    batch = OBJECTIVE.collate(rows(16), vocabulary, 30)
    labels_BL = torch.full_like(batch["input_ids"], -100)
    labels_BL.view(-1)[batch["where"]] = batch["targets"]
    theirs = backbone(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels_BL).loss
    ours = OBJECTIVE.loss(TransferModel(backbone, {}, {}), batch) / batch.count
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-6)


def test_gradients_are_those_of_transformers(vocabulary):
    shape = dict(
        vocab_size=57,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=40,
        pad_token_id=1,
    )
    backbone = AutoModelForMaskedLM.from_config(XLMRobertaConfig(**shape)).eval()
    batch = OBJECTIVE.collate(rows(8), vocabulary, 30)
    (OBJECTIVE.loss(TransferModel(backbone, {}, {}), batch) / batch.count).backward()
    ours = {n: p.grad.clone() for n, p in backbone.named_parameters() if p.grad is not None}
    backbone.zero_grad()
    labels_BL = torch.full_like(batch["input_ids"], -100)
    labels_BL.view(-1)[batch["where"]] = batch["targets"]
    backbone(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels_BL).loss.backward()
    theirs = {n: p.grad for n, p in backbone.named_parameters() if p.grad is not None}
    assert ours.keys() == theirs.keys()
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-4, atol=1e-6)


def test_rates_of_the_noise(vocabulary):
    many = rows(4000, length=(20, 21))
    ids_BL, _ = vocabulary.pad_rows([vocabulary.join((s,), 64) for s in many.segments[0]])
    noised_BL, chosen_BL = OBJECTIVE.corrupt(ids_BL, many.keys, vocabulary)
    ordinary_BL = ~np.isin(ids_BL, [0, 1, 2, 3, 4])
    assert not (chosen_BL & ~ordinary_BL).any()
    assert (noised_BL[~chosen_BL] == ids_BL[~chosen_BL]).all()
    n = chosen_BL.sum()
    assert n / ordinary_BL.sum() == pytest.approx(0.15, abs=0.005)
    assert (noised_BL[chosen_BL] == vocabulary.mask).mean() == pytest.approx(0.8 + 0.1 / 57, abs=0.015)
    assert (noised_BL[chosen_BL] == ids_BL[chosen_BL]).mean() == pytest.approx(0.1 + 0.1 / 57, abs=0.015)


def test_a_rows_noise_does_not_depend_on_its_batch(vocabulary):
    batch = rows(6)
    whole = OBJECTIVE.collate(batch, vocabulary, 30)
    alone = OBJECTIVE.collate(batch.slice(4, 5), vocabulary, 30)
    width = alone["input_ids"].shape[1]
    assert torch.equal(alone["input_ids"][0], whole["input_ids"][4, :width])


def test_wrong_shares_are_one_sentence():
    with pytest.raises(ConfigError, match=r"objective.mask_share \+ objective.random_share: 0.9 \+ 0.2"):
        masked_lm(mask_share=0.9, random_share=0.2)

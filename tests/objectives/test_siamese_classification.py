"""Pairs encoded apart: the features are those of the papers, and each sentence is seen alone."""

import numpy as np
import pytest
import torch

from tests.toy import word_tokenizer
from xlt import noise
from xlt.errors import ConfigError
from xlt.models.build import FromScratch, build
from xlt.models.pooling import Pool
from xlt.objectives.siamese_classification import Feature, SiameseClassification
from xlt.types import Rows
from xlt.vocabulary import Vocabulary

WORDS = [f"w{i}" for i in range(30)]
ALL = list(Feature)


def objective(**changes):
    return SiameseClassification(**{"features": ALL, "pool": Pool.mean, "normalise": False, "hidden": False, "dropout": 0.0, **changes})  # fmt: skip


def rows(pairs, tokenizer):
    ids = [[np.array(tokenizer(p[i], add_special_tokens=False)["input_ids"]) for p in pairs] for i in range(2)]
    return Rows(ids, np.arange(len(pairs)) % 3, noise.combine(noise.key(0), np.arange(len(pairs))), ["en"] * len(pairs))


@pytest.fixture(scope="module")
def setting():
    tokenizer = word_tokenizer(WORDS)
    node = FromScratch(architecture="xlm-roberta", layers=1, width=8, attention_heads=2, feed_forward=16, max_positions=20, dropout=0.0, attention_dropout=0.0, init_from=None)  # fmt: skip
    return tokenizer, lambda o: build(node, "encoder", o, ["a", "b", "c"], tokenizer, 1).eval()


@torch.no_grad()
@pytest.mark.parametrize("normalise", [False, True])
def test_logits_are_the_formula(setting, normalise):
    tokenizer, model_of = setting
    ours = objective(normalise=normalise)
    model = model_of(ours)
    pairs = [("w1 w2 w3", "w4"), ("w5", "w6 w7 w8 w9")]
    logits_BN = ours.logits(model, ours.collate(rows(pairs, tokenizer), Vocabulary.of(tokenizer), 20))
    weight, bias = model.heads["classifier"][-1].weight, model.heads["classifier"][-1].bias
    for pair, found in zip(pairs, logits_BN, strict=True):
        u, v = (
            model.hidden(dict(tokenizer(text, return_tensors="pt", return_token_type_ids=False)))[0].mean(0)
            for text in pair
        )
        if normalise:
            u, v = (x / x.norm() * 8**0.5 for x in (u, v))
        torch.testing.assert_close(found, weight @ torch.cat([u, v, (u - v).abs(), u * v]) + bias)


def test_a_sentence_with_itself_has_no_difference(setting):
    tokenizer, model_of = setting
    ours = objective(features=[Feature.difference])
    batch = ours.collate(rows([("w1 w2", "w1 w2"), ("w3", "w3")], tokenizer), Vocabulary.of(tokenizer), 20)
    model = model_of(ours)
    torch.testing.assert_close(ours.logits(model, batch), model.heads["classifier"][-1].bias.expand(2, 3))
    assert batch.tokens == 2 * (4 + 3) and batch.count == 2


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"features": []}, "objective.features: \\[\\] must be one or more of first, second, difference, product"),
        ({"features": [Feature.first, Feature.first]}, "each once"),
        ({"dropout": 1.0}, "objective.dropout: 1.0 is not in"),
    ],
)
def test_what_cannot_be(change, sentence):
    with pytest.raises(ConfigError, match=sentence):
        objective(**change)


def test_rows_of_one_text_are_refused():
    with pytest.raises(ConfigError, match="needs two texts in a row"):
        objective().texts({"text": "alone"})

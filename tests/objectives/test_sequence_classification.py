"""Classification batches carry the right token types, and its scores are those of scikit-learn."""

import numpy as np
import pytest

from tests.toy import word_tokenizer
from xlt import noise
from xlt.models.pooling import Pool
from xlt.objectives.sequence_classification import SequenceClassification
from xlt.types import Gold, Rows
from xlt.vocabulary import Vocabulary

WORDS = ["a", "b", *(f"w{i}" for i in range(30))]


@pytest.mark.parametrize("max_length", [40, 12])
def test_token_types_are_those_of_the_tokenizer(max_length):
    tokenizer = word_tokenizer(WORDS, "bert")
    pairs = [("w1 w2 w3", "w4 w5"), ("w1 " * 12, "w7 w8 w9")]
    segments = [[np.array(tokenizer(p[i], add_special_tokens=False)["input_ids"]) for p in pairs] for i in range(2)]
    objective = SequenceClassification(pair=True, pool=Pool.first, hidden=True, dropout=0.1)
    batch = objective.collate(
        Rows(segments, np.array([0, 1]), noise.combine(noise.key(0), np.arange(2)), ["en"] * 2),
        Vocabulary.of(tokenizer),
        max_length,
    )
    left, right = zip(*pairs, strict=True)
    expected = tokenizer(
        list(left),
        list(right),
        truncation="longest_first",
        max_length=max_length,
        padding=True,
        return_token_type_ids=True,
    )
    assert batch["input_ids"].tolist() == expected["input_ids"]
    assert batch["token_type_ids"].tolist() == expected["token_type_ids"]


def test_scores():
    objective = SequenceClassification(pair=False, pool=Pool.first, hidden=True, dropout=0.1)
    gold, guess = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 2])
    scores = objective.score({"logits": np.eye(3)[guess]}, Gold(gold))
    assert scores["accuracy"] == 0.75
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)

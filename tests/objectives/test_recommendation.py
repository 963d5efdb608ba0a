"""What is next: the vector of a history by its definition, the newest items that count, items that were had, and markets of which nobody takes some items."""

import numpy as np
import pytest
import torch

from tests.objectives.test_contrastive import Embeddings
from tests.objectives.test_document_retrieval import TOKENIZER, VOCABULARY, text, vector
from tests.shipped import shipped
from tests.toy import Toy
from xlt.data.encode import encode, gather
from xlt.errors import BadRow, ConfigError
from xlt.models.history import HistoryAttention
from xlt.types import Gold

ITEMS = [text(i, 2 + i % 4) for i in range(8)]
ROWS = [
    {"history": [ITEMS[(i + 3 * k) % 8] for k in range(1 + i % 5)], "next": ITEMS[(i * 5 + 1) % 8]} for i in range(9)
]


def batch_of(objective, tmp_path, numbers=range(9)):
    data, numbers = Toy({("recommendation", "en", "test"): ROWS}), np.array(list(numbers))
    table = encode(
        data,
        "recommendation",
        "en",
        "test",
        objective.texts,
        TOKENIZER,
        "words",
        tmp_path,
        objective.annotate,
        objective.annotation,
    )
    zeros = np.zeros(len(numbers), np.int64)
    return objective.collate(gather([table], zeros, numbers, zeros, 1, [table.gold({})]), VOCABULARY, 32)


def test_the_mean_of_the_newest_items_is_wanted(tmp_path):
    objective, model = shipped("recommendation", history_length=3), Embeddings(47)
    wanted_BD = objective.asking(model, batch_of(objective, tmp_path))
    for row, wanted_D in zip(ROWS, wanted_BD, strict=True):
        mean_D = torch.stack([vector(model, item) for item in row["history"][-3:]]).mean(0)
        assert torch.allclose(wanted_D, torch.nn.functional.normalize(mean_D, dim=0), atol=1e-6)


def test_attention_sees_its_own_history_only_and_its_order(tmp_path):
    objective, model = shipped("recommendation", history="attention", heads=2), Embeddings(47)
    model.heads = torch.nn.ModuleDict(objective.modules(6, [])).eval()
    torch.nn.init.normal_(model.heads["history"].places)
    together = objective.asking(model, batch_of(objective, tmp_path))
    for i in range(9):
        alone = objective.asking(model, batch_of(objective, tmp_path, [i]))
        assert torch.allclose(alone[0], together[i], atol=1e-5)
    items = torch.randn(1, 4, 6)
    head, ones = HistoryAttention(6, 2, 5, 0.0).eval(), torch.ones(1, 4)
    torch.nn.init.normal_(head.places)
    assert not torch.allclose(head(items, ones), head(items[:, [1, 0, 2, 3]], ones), atol=1e-4)
    padded = torch.cat([torch.randn(1, 1, 6), items], 1)
    assert torch.allclose(head(items, ones), head(padded, torch.tensor([[0, 1, 1, 1, 1]])), atol=1e-6)


def test_what_needs_training_and_what_not():
    assert shipped("recommendation").scores_any and not shipped("recommendation", history="attention").scores_any
    assert shipped("recommendation").modules(6, []) == {}
    with pytest.raises(ConfigError, match="objective.heads: 4 does not divide the model's width 6"):
        shipped("recommendation", history="attention", heads=4).modules(6, [])


def test_items_that_were_had_are_passed_over():
    """Of four items the history's is nearest, then the next one; the next one stays even where it was had."""
    says = np.arange(8).reshape(4, 2)
    vectors = np.array([[0.9, 0.1], [1.0, 0.0], [0.2, 0.8], [0.0, 1.0]], np.float32)
    outputs = {"asking": np.array([[1.0, 0.0]], np.float32), "documents": [vectors]}

    def mrr(had, **changes):
        notes = {"document_says": [says], "right": [np.array([1])], "history_says": [says[had]]}
        return shipped("recommendation", **changes).score(outputs, Gold(None, notes=notes, size=1))["mrr"]

    assert (mrr([1]), mrr([1], repeats=True)) == (1.0, 0.5)
    assert (mrr([0]), mrr([0, 1]), mrr([2])) == (0.5, 1.0, 0.5)


def test_bad_fields_and_rows():
    with pytest.raises(ConfigError, match="objective.history_length: 0 is below 1"):
        shipped("recommendation", history_length=0)
    with pytest.raises(
        BadRow, match="is a number where a text is expected; give the catalogue, too: dataset=recommendation_files"
    ):
        shipped("recommendation").texts({"history": [3], "next": "a"})

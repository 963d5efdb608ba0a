"""Translation LM: positions, languages and types of a pair, and what a model must have for them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.language_models import backbone
from tests.shipped import shipped
from tests.toy import word_tokenizer
from xlt import noise
from xlt.models.build import TransferModel
from xlt.objectives.masking import Unit
from xlt.types import Rows
from xlt.vocabulary import Vocabulary

WORDS = ["a", "b", *(f"w{i}" for i in range(50))]
SIZE = len(WORDS) + 5
RESTART, GO_ON = (shipped("translation_lm", restart_positions=restart) for restart in (True, False))
ROWS = Rows(
    [[np.arange(10, 14), np.arange(20, 22)], [np.arange(30, 35), np.arange(40, 48)]],
    None,
    noise.combine(noise.key("pairs"), np.arange(2)),
    ["en-de", "de-en"],
)


def test_positions_restart_where_the_translation_opens():
    batch = RESTART.collate(ROWS, Vocabulary.of(word_tokenizer(WORDS)), 40)
    # <s> x x x x </s> | </s> y y y y y </s> <pad>; the other source has two words
    assert batch["places"].tolist() == [[*range(6), *range(8)], [*range(4), *range(10)]]
    assert batch["places"].shape == batch["input_ids"].shape
    bert = RESTART.collate(ROWS, Vocabulary.of(word_tokenizer(WORDS, "bert")), 40)
    # <s> x x x x </s> | y y y y y </s>
    assert bert["places"][0, :12].tolist() == [0, 1, 2, 3, 4, 5, *range(6)]
    assert bert["token_type_ids"][0, :12].tolist() == [0] * 6 + [1] * 6


@pytest.mark.parametrize("family, first", [("xlm-roberta", 2), ("bert", 0), ("modernbert", 0)])
def test_restarting_is_running_the_model_with_position_ids(family, first):
    vocabulary = Vocabulary.of(word_tokenizer(WORDS))
    model = TransferModel(backbone("masked-lm", family, SIZE), {}, {})
    restart, go_on = (o.collate(ROWS, vocabulary, 40) for o in (RESTART, GO_ON))
    assert torch.equal(restart["input_ids"], go_on["input_ids"])
    ids_BL, mask_BL = restart["input_ids"], restart["attention_mask"]
    places = [[*range(6), *range(8)][:14], [*range(4), *range(10)]]
    width = ids_BL.shape[1]
    position_BL = torch.tensor([p[:width] for p in places]) + first
    real_BL = ids_BL != 1
    with torch.no_grad():
        theirs = model.backbone.base_model(
            input_ids=ids_BL, attention_mask=mask_BL, position_ids=position_BL
        ).last_hidden_state
        plain = model.backbone.base_model(input_ids=ids_BL, attention_mask=mask_BL).last_hidden_state
        torch.testing.assert_close(RESTART.hidden(model, restart)[real_BL], theirs[real_BL])
        torch.testing.assert_close(GO_ON.hidden(model, go_on)[real_BL], plain[real_BL])
    assert (theirs - plain)[real_BL].abs().max() > 0.01


def test_both_texts_are_masked_and_no_span_crosses():
    vocabulary = Vocabulary.of(word_tokenizer(WORDS))
    n = 4000
    keys = noise.combine(noise.key("both"), np.arange(n))
    rows = Rows([[np.full(10, 8)] * n, [np.full(20, 9)] * n], None, keys, ["en-de"] * n)
    for unit in Unit:
        batch = shipped("translation_lm", unit=unit, restart_positions=False).collate(rows, vocabulary, 64)
        targets = batch["targets"].numpy()
        assert (targets == 8).sum() / n == pytest.approx(1.5, abs=0.08)
        assert (targets == 9).sum() / n == pytest.approx(3.0, abs=0.12)
    # a share of each text by itself: 1 or 2 of ten words, and 3 of twenty
    of_source = np.bincount(batch["row"].numpy()[targets == 8], minlength=n)
    of_target = np.bincount(batch["row"].numpy()[targets == 9], minlength=n)
    assert set(of_source) == {1, 2} and set(of_target) == {3}


def test_each_text_has_its_own_language_and_segment():
    vocabulary = replace(Vocabulary.of(word_tokenizer(WORDS)), languages=("de", "en"), segments=True)
    batch = RESTART.collate(ROWS, vocabulary, 40)
    assert batch["language_ids"][0, :13].tolist() == [1] * 6 + [0] * 7
    assert batch["language_ids"][1, :4].tolist() == [0] * 4 and batch["language_ids"][1, 4:13].tolist() == [1] * 9
    assert batch["segment_ids"][0, :13].tolist() == [0] * 6 + [1] * 7


def test_a_pair_is_cut_as_the_tokenizer_cuts_it():
    vocabulary = Vocabulary.of(word_tokenizer(WORDS))
    batch = GO_ON.collate(ROWS, vocabulary, 9)
    assert batch["input_ids"].shape == (2, 9)
    assert RESTART.collate(ROWS, vocabulary, 9)["places"].max() < 9

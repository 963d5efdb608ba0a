"""Fewer rows, or more: what the rows that stay compute is what it was, in every family and with tied and untied heads."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.language_models import ALL, backbone
from xlt.errors import ConfigError
from xlt.models.vocabulary import add_rows, keep_rows, output_rows, tied

SIZE = 40
KEPT = np.asarray([0, 1, 2, 5, 8, 13, 21, 34, 39])


def logits(model, ids):
    ids = torch.as_tensor(ids).unsqueeze(0)
    more = {"decoder_input_ids": ids} if model.config.is_encoder_decoder else {}
    with torch.no_grad():
        return model(input_ids=ids, **more).logits[0]


def noisy(head, family, untie):
    """Its biases, too, are numbers that would be missed."""
    model = backbone(head, family, SIZE)
    if untie and not tied(model):
        pytest.skip("untied as it comes")
    if untie:
        model.config.tie_word_embeddings = False
        other = type(model)(model.config)
        other.load_state_dict(model.state_dict())
        other.get_output_embeddings().weight.data.normal_()
        model = other
        assert not tied(model)
    torch.manual_seed(3)
    if (biases_V := output_rows(model)[1]) is not None:
        biases_V.copy_(torch.randn_like(biases_V))
    return model.eval()


def reloaded(model, folder):
    """By transformers alone, which misses nothing and has nothing left over."""
    model.save_pretrained(folder)
    again, told = type(model).from_pretrained(folder, output_loading_info=True)
    assert not any(told.values()), told
    return again.eval()


@pytest.mark.parametrize("untie", [False, True], ids=["as it comes", "untied"])
@pytest.mark.parametrize(("head", "family"), ALL)
def test_kept_rows_give_the_same_logits(head, family, untie, tmp_path):
    model = noisy(head, family, untie)
    was_tied, new = tied(model), [3, 4, 5, 6, 7, 8]
    before = logits(model, KEPT[new])[:, KEPT]
    keep_rows(model, KEPT)
    after = logits(model, new)
    assert after.shape == before.shape == (6, len(KEPT))
    assert torch.allclose(after, before, atol=1e-6)
    assert model.config.vocab_size == len(KEPT) == model.get_input_embeddings().num_embeddings
    again = reloaded(model, tmp_path)
    assert torch.equal(logits(again, new), after) and tied(model) == tied(again) == was_tied


@pytest.mark.parametrize("untie", [False, True], ids=["as it comes", "untied"])
@pytest.mark.parametrize(("head", "family"), ALL)
def test_added_rows_change_no_old_logit_and_give_those_of_their_own(head, family, untie, tmp_path):
    """A new piece with the rows of an old one is read and predicted as that one."""
    model = noisy(head, family, untie)
    ids = [3, 9, 14, 20, 31]
    before = logits(model, ids)
    outputs_VD, biases_V = output_rows(model)
    copied = [7, 9]
    rows = model.get_input_embeddings().weight[copied].detach().clone()
    outputs = None if outputs_VD is None else outputs_VD[copied].clone()
    add_rows(model, SIZE, rows, outputs, None if biases_V is None else biases_V[copied].clone())
    after = logits(model, ids)
    assert after.shape[1] == SIZE + 2 and torch.equal(after[:, :SIZE], before)
    assert torch.allclose(after[:, SIZE:], before[:, copied], atol=1e-6)
    assert torch.allclose(logits(model, [3, SIZE + 1, 14, 20, 31]), after, atol=1e-6)
    assert torch.equal(logits(reloaded(model, tmp_path), ids), after)


def test_an_encoder_and_a_decoder_with_tables_of_their_own(tmp_path):
    """Trimmed they keep them, saved and loaded, too; which rows new pieces would get is not known."""
    model = noisy("seq2seq-lm", "bart", True)
    for part in (model.get_encoder(), model.get_decoder()):
        torch.nn.init.normal_(part.embed_tokens.weight)
    before = logits(model, KEPT[3:8])[:, KEPT]
    with pytest.raises(ConfigError, match="encoder and decoder have different embeddings"):
        add_rows(model, SIZE, torch.zeros(1, 16), torch.zeros(1, 16), None)
    keep_rows(model, KEPT)
    assert torch.allclose(logits(reloaded(model, tmp_path), range(3, 8)), before, atol=1e-6)

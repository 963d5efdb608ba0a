"""The fast paths on a GPU: the plain path's loss and gradients, with padding and without, and a run that resumes."""

import pytest
import torch
from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM

from xlt.models import fused
from xlt.models.build import TransferModel
from xlt.models.heads import lm_losses

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU here")


def model_and_batch(dropout):
    torch.manual_seed(0)
    config = XLMRobertaConfig(
        vocab_size=500, hidden_size=64, num_hidden_layers=3, num_attention_heads=4, intermediate_size=128, max_position_embeddings=66,
        type_vocab_size=1, pad_token_id=1, bos_token_id=0, eos_token_id=2, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout,
    )  # fmt: skip
    model = TransferModel(XLMRobertaForMaskedLM(config), {}, {}).train().cuda()
    lengths_B = torch.tensor([60, 33, 7, 2, 51])
    mask_BL = torch.arange(60) < lengths_B[:, None]
    ids_BL = torch.randint(5, 500, (5, 60)).where(mask_BL, 1)
    where_M = mask_BL.flatten().nonzero().squeeze(1)[::3]
    return model, {"input_ids": ids_BL.cuda(), "attention_mask": mask_BL.long().cuda()}, where_M.cuda()


def loss_and_gradients(model, batch, where_M, fast, half):
    model.zero_grad(set_to_none=True)
    model.fused = fast
    with torch.autocast("cuda", torch.bfloat16, enabled=half):
        hidden_MD = model.hidden(dict(batch)).flatten(0, 1)[where_M]
        loss = lm_losses(model.backbone, hidden_MD, batch["input_ids"].flatten()[where_M], fast).sum()
    loss.backward()
    return float(loss.detach()), torch.cat([p.grad.flatten().float() for p in model.parameters() if p.grad is not None])


def test_fp32_is_the_plain_path():
    model, batch, where_M = model_and_batch(0.0)
    loss, gradient = loss_and_gradients(model, batch, where_M, False, False)
    fast, found = loss_and_gradients(model, batch, where_M, True, False)
    assert abs(fast - loss) < 1e-5 * loss
    assert (found - gradient).norm() < 1e-4 * gradient.norm()


@pytest.mark.skipif(fused.varlen is None, reason="this torch has no varlen_attn")
def test_rows_without_padding_in_bf16_are_as_near_to_fp32_as_autocast(monkeypatch):
    model, batch, where_M = model_and_batch(0.0)
    exact, gradient = loss_and_gradients(model, batch, where_M, False, False)
    plain, rough = loss_and_gradients(model, batch, where_M, False, True)
    calls = []
    monkeypatch.setattr(fused, "varlen", lambda *a, inner=fused.varlen, **k: calls.append(1) or inner(*a, **k))
    packed, found = loss_and_gradients(model, batch, where_M, True, True)
    assert len(calls) == 3
    assert abs(packed - exact) < 2 * abs(plain - exact) + 1e-3 * exact
    assert (found - gradient).norm() < 1.5 * (rough - gradient).norm()


def test_attention_dropout_keeps_the_padding_and_the_mean_loss():
    model, batch, where_M = model_and_batch(0.1)
    with torch.no_grad():
        means = []
        for fast in (False, True):
            model.fused, losses = fast, []
            for _ in range(200):
                hidden_MD = model.hidden(dict(batch)).flatten(0, 1)[where_M]
                losses.append(lm_losses(model.backbone, hidden_MD, batch["input_ids"].flatten()[where_M], fast).mean())
            means.append(torch.stack(losses))
    gap = abs(means[0].mean() - means[1].mean())
    assert gap < 4 * (means[0].var() / 200 + means[1].var() / 200).sqrt()

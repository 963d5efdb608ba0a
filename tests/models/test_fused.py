"""The fast paths: loss and gradients of the plain path, dropout at its rate, and only where the model is of a known kind."""

import copy
import itertools

import pytest
import torch
import transformers
from torch import nn
from torch.nn import functional as F

from xlt.models import fused
from xlt.models.build import TransferModel
from xlt.models.heads import lm_losses

SHAPE = dict(vocab_size=50, hidden_size=16, num_hidden_layers=3, num_attention_heads=4, intermediate_size=40, max_position_embeddings=24, pad_token_id=1, bos_token_id=0, eos_token_id=2)  # fmt: skip
FAMILIES = {
    "xlm-roberta": dict(SHAPE, type_vocab_size=1),
    "roberta": dict(SHAPE, type_vocab_size=1),
    "bert": SHAPE,
}
UNKNOWN = {"modernbert": dict(SHAPE, cls_token_id=0, sep_token_id=2), "xlm-roberta": dict(SHAPE, hidden_act="relu")}
DECODERS = {
    "gpt2": dict(vocab_size=50, n_embd=16, n_layer=1, n_head=2, n_positions=24),
    "llama": dict(SHAPE, num_hidden_layers=1, num_key_value_heads=2, tie_word_embeddings=False),
}


def masked(family, shape, dropout=0.0):
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(family, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout, **shape)  # fmt: skip
    backbone = transformers.AutoModelForMaskedLM.from_config(config)
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return TransferModel(backbone, {}, {}).train()


def inputs(padded, types=False):
    torch.manual_seed(1)
    ids_BL = torch.randint(5, 50, (4, 9))
    if padded:
        ids_BL[1, 6:], ids_BL[3, 2:] = 1, 1
    found = {"input_ids": ids_BL, "attention_mask": (ids_BL != 1).long() if padded else None}
    return found | ({"token_type_ids": (torch.arange(9) > 4).long().expand(4, 9)} if types else {})


def gradients(model, batch, fast, layer=None):
    """(loss, gradients by name) of a masked LM whose every third token is predicted, in two micro-batches."""
    model.zero_grad(set_to_none=True)
    model.fused, total = fast, 0.0
    for half in (slice(0, 1), slice(1, 4)):
        part = {k: None if v is None else v[half] for k, v in batch.items()}
        where_M = torch.arange(0, part["input_ids"].numel(), 3)
        where_M = where_M[part["input_ids"].flatten()[where_M] != 1]  # a padded token's state is nobody's
        hidden_MD = model.hidden(part, layer).flatten(0, 1)[where_M]
        loss = (lm_losses(model.backbone, hidden_MD, part["input_ids"].flatten()[where_M], fast) ** 1.5).sum() / 7
        loss.backward()
        total += float(loss.detach())
    return total, {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("layer", [None, 1])
def test_loss_and_gradients_are_those_of_the_plain_path(family, padded, layer):
    model = masked(family, FAMILIES[family])
    assert fused.encoder(model.reader) and fused.head(model.backbone) is not None
    batch = inputs(padded, types=family == "bert")
    loss, expected = gradients(model, batch, False, layer)
    fast_loss, found = gradients(model, batch, True, layer)
    assert fast_loss == pytest.approx(loss, rel=1e-6)
    assert set(found) == set(expected) and len(found) > 20
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("family", FAMILIES)
def test_positions_that_are_given_are_read(family):
    model, batch = masked(family, FAMILIES[family]), inputs(True)
    batch["position_ids"] = torch.arange(9).flip(0).expand(4, 9) + 2
    loss, expected = gradients(model, batch, False)
    fast_loss, found = gradients(model, batch, True)
    assert fast_loss == pytest.approx(loss, rel=1e-6)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-6, msg=name)


def by_row(q_THS, k_THS, v_THS, ends, ends_k, longest, longest_k, scale):
    """What the varlen kernel computes, a row at a time."""
    assert (ends == ends_k).all() and longest == longest_k >= ends.diff().max()
    rows = [[x[a:b].transpose(0, 1) for x in (q_THS, k_THS, v_THS)] for a, b in itertools.pairwise(ends.tolist())]
    return torch.cat([F.scaled_dot_product_attention(*row, scale=scale).transpose(0, 1) for row in rows])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kernel", ["groups", "varlen"])
def test_rows_without_their_padding_give_the_same_loss_and_gradients(family, kernel, monkeypatch):
    model, batch = masked(family, FAMILIES[family]), inputs(True, types=family == "bert")
    where = batch["attention_mask"].flatten().nonzero().squeeze(1)[::2]

    def both(fast):
        model.zero_grad(set_to_none=True)
        model.fused = fast
        hidden_BLD = model.hidden(dict(batch))
        loss = lm_losses(
            model.backbone, hidden_BLD.flatten(0, 1)[where], batch["input_ids"].flatten()[where], fast
        ).sum()
        loss.backward()
        return (
            hidden_BLD.detach(),
            loss.detach(),
            {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None},
        )

    _, loss, expected = both(False)
    if kernel == "varlen":
        monkeypatch.setattr(fused, "_has_varlen", lambda reader, device: True)
        monkeypatch.setattr(fused, "varlen", by_row)
    hidden_BLD, packed, found = both(True)
    assert (hidden_BLD[batch["attention_mask"] == 0] == 0).all()
    torch.testing.assert_close(packed, loss, rtol=1e-5, atol=1e-5)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("family", DECODERS)
def test_heads_of_decoders_tied_and_not(family):
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(family, **DECODERS[family])
    backbone = transformers.AutoModelForCausalLM.from_config(config)
    hidden_MD, targets_M = torch.randn(6, 16), torch.randint(0, 50, (6,))
    results = []
    for fast in (False, True):
        backbone.zero_grad(set_to_none=True)
        states_MD = hidden_MD.clone().requires_grad_()
        losses_M = lm_losses(backbone, states_MD, targets_M, fast)
        (losses_M * torch.arange(6)).sum().backward()
        results.append((losses_M.detach(), states_MD.grad, backbone.lm_head.weight.grad))
    for plain, quick in zip(*results, strict=True):
        torch.testing.assert_close(quick, plain, rtol=1e-5, atol=1e-6)


def test_the_fast_path_was_taken(monkeypatch):
    model, taken = masked("xlm-roberta", FAMILIES["xlm-roberta"]), []
    for name in ("encode", "lm_losses"):
        inner = getattr(fused, name)
        monkeypatch.setattr(fused, name, lambda *a, inner=inner, name=name: taken.append(name) or inner(*a))
    gradients(model, inputs(True), True)
    assert taken == ["encode", "lm_losses"] * 2
    model.eval()
    model.hidden(inputs(True))
    assert len(taken) == 4, "evaluation is the model's own"


def test_other_models_take_the_plain_path():
    for family, shape in UNKNOWN.items():
        model = masked(family, shape)
        assert not fused.encoder(model.reader), family
        assert gradients(model, inputs(True), True)[0] == pytest.approx(gradients(model, inputs(True), False)[0])
    model = masked("bert", SHAPE)

    class Adapted(nn.Linear):
        pass

    adapted = copy.deepcopy(model.reader)
    adapted.encoder.layer[0].output.dense = Adapted(40, 16)
    assert fused.encoder(model.reader) and not fused.encoder(adapted)
    model.reader.encoder.layer[1].register_forward_hook(lambda *_: None)
    assert not fused.encoder(model.reader)


def test_in_bf16_it_is_as_near_as_autocast():
    model = masked("xlm-roberta", FAMILIES["xlm-roberta"])
    exact, _ = gradients(model, inputs(True), False)
    with torch.autocast("cpu", torch.bfloat16):
        plain, expected = gradients(model, inputs(True), False)
        quick, found = gradients(model, inputs(True), True)
    assert abs(quick - exact) < max(2 * abs(plain - exact), 0.02 * exact)
    for name, gradient in expected.items():
        assert (found[name] - gradient).norm() < 0.1 * gradient.norm() + 1e-3, name


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_dropout_keeps_the_mean_drops_at_its_rate_and_masks_the_gradient(rate):
    torch.manual_seed(0)
    x = torch.ones(1000, 401, requires_grad=True)
    y = fused.dropout(x, rate, True)
    dropped = (y == 0).double()
    error = (rate * (1 - rate) / x.numel()) ** 0.5
    assert abs(float(dropped.mean()) - rate) < 4 * error + 1 / 65536
    assert abs(float(y.detach().double().mean()) - 1) < 4 * error / (1 - rate) + 1e-4
    pairs = (dropped[:, 1:] * dropped[:, :-1]).mean()
    assert abs(float(pairs) - rate**2) < 5 * error, "neighbours, which share a draw, are independent"
    y.sum().backward()
    torch.testing.assert_close(x.grad, y.detach())
    assert fused.dropout(x, rate, False) is x and fused.dropout(x, 0.0, True) is x


def test_the_padding_row_of_the_table_is_not_trained():
    table = nn.Embedding(6, 3, padding_idx=1)
    ids = torch.tensor([[0, 4, 1], [4, 1, 1]])
    fused.embedding(table, ids).sum().backward()
    found, table.weight.grad = table.weight.grad, None
    F.embedding(ids, table.weight, 1).sum().backward()
    assert torch.equal(found, table.weight.grad) and found[1].abs().sum() == 0

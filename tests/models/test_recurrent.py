"""Recurrent models against their definition, cell by cell; what padding and later tokens may not change; saving in transformers' format."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForMaskedLM

from xlt.models.recurrent import RecurrentConfig, RecurrentForCausalLM, RecurrentForMaskedLM, RecurrentModel

KINDS = [(cell, direction) for cell in ("lstm", "gru") for direction in ("forward", "both")]
V, L = 30, 7
every_kind = pytest.mark.parametrize(("cell", "direction"), KINDS)


def make(cls, cell="lstm", direction="both", **changes):
    torch.manual_seed(3)
    shape = dict(num_hidden_layers=3, hidden_size=12, embedding_size=10, hidden_dropout_prob=0.3, initializer_range=1.0)
    config = RecurrentConfig(vocab_size=V, cell=cell, direction=direction, **{**shape, **changes})
    return cls(config).eval()


def some_ids(rows=4):
    return torch.randint(0, V, (rows, L), generator=torch.Generator().manual_seed(5))


def by_hand(model, ids, leftwards):
    """States LH of each layer for one row without padding, with nn.LSTMCell or nn.GRUCell, one token after the other."""
    x_LE = model.embeddings.weight[ids]
    layers = []
    for stacked in model.directions[int(leftwards)]:
        size = stacked.hidden_size
        cell = {nn.LSTM: nn.LSTMCell, nn.GRU: nn.GRUCell}[type(stacked)](stacked.input_size, size)
        cell.load_state_dict({k.removesuffix("_l0"): v for k, v in stacked.state_dict().items()})
        state = (torch.zeros(1, size), torch.zeros(1, size)) if isinstance(stacked, nn.LSTM) else torch.zeros(1, size)
        out = [None] * len(ids)
        for t in reversed(range(len(ids))) if leftwards else range(len(ids)):
            state = cell(x_LE[t : t + 1], state)
            out[t] = (state[0] if isinstance(stacked, nn.LSTM) else state)[0]
        x_LE = torch.stack(out)
        layers.append(x_LE)
    return layers


@every_kind
@torch.no_grad()
def test_every_state_is_that_of_the_cells(cell, direction):
    """With holes in the mask, too: only the tokens that are there are read."""
    model, ids_BL = make(RecurrentModel, cell, direction), some_ids()
    mask_BL = torch.tensor([[1] * 7, [1, 1, 1, 1, 0, 0, 0], [0, 0, 1, 1, 1, 1, 1], [1, 0, 1, 1, 0, 1, 0]])
    hidden = model(ids_BL, mask_BL, output_hidden_states=True).hidden_states
    assert len(hidden) == 4 and torch.equal(hidden[0], model.embeddings(ids_BL))
    for row, there in enumerate(mask_BL.bool()):
        read = [by_hand(model, ids_BL[row, there], leftwards=bool(i)) for i in range(len(model.directions))]
        for layer, states in enumerate(zip(*read, strict=True), 1):
            expected = torch.zeros(L, 12)
            expected[there] = torch.cat(states, -1)
            torch.testing.assert_close(hidden[layer][row], expected, rtol=0, atol=1e-6)
    assert hidden[-1].std() > 0.1
    plain = model(ids_BL[:1])
    torch.testing.assert_close(plain.last_hidden_state, hidden[-1][:1], rtol=0, atol=1e-6)
    assert plain.hidden_states is None


@every_kind
def test_padding_changes_nothing_forwards_or_backwards(cell, direction):
    """What stands where the mask is 0, and how much of it, changes no real token's state, no logit and no gradient."""
    model, ids_BL = make(RecurrentForCausalLM, cell, direction), some_ids(1)
    wide_BL, mask_BL = torch.full((2, L + 5), 9), torch.ones(2, L + 5)
    wide_BL[0, :L], mask_BL[0, L:] = ids_BL[0], 0  # right of the text
    wide_BL[1, 5:], mask_BL[1, :5] = ids_BL[0], 0  # left of it
    grads = []
    for ids, mask, places in ((ids_BL, None, [slice(0, L)]), (wide_BL, mask_BL, [slice(0, L), slice(5, None)])):
        model.zero_grad()
        out = model(ids, mask)
        kept = torch.cat([torch.stack([out.logits[i, s]]) for i, s in enumerate(places)])
        (kept.square().sum() / len(places)).backward()
        grads.append((kept, model.recurrent.directions[0][1].weight_ih_l0.grad.clone()))
    for row in grads[1][0]:
        torch.testing.assert_close(row, grads[0][0][0], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(grads[1][1], grads[0][1], rtol=1e-4, atol=1e-6)
    assert grads[0][1].abs().max() > 1e-3


@every_kind
@torch.no_grad()
def test_each_direction_is_blind_to_what_it_has_not_read(cell, direction):
    model, ids_BL = make(RecurrentModel, cell, direction), some_ids()
    other_BL = ids_BL.clone()
    other_BL[:, 4] = (other_BL[:, 4] + 1) % V
    halves = zip(*(model.halves(model(i).last_hidden_state) for i in (ids_BL, other_BL)), strict=True)
    for half, (before, after) in enumerate(halves):
        changed = (before != after).any(-1).all(0).tolist()
        assert changed == ([False] * 4 + [True] * 3, [True] * 5 + [False] * 2)[half]


@torch.no_grad()
def test_the_loss_of_a_pair_is_the_mean_of_two_language_models():
    model, ids_BL = make(RecurrentForCausalLM), some_ids()
    out = model(ids_BL, labels=ids_BL)
    right = torch.stack([out.logits[:, t].log_softmax(-1).gather(1, ids_BL[:, t + 1, None]) for t in range(L - 1)])
    left = torch.stack(
        [out.backward_logits[:, t].log_softmax(-1).gather(1, ids_BL[:, t - 1, None]) for t in range(1, L)]
    )
    torch.testing.assert_close(out.loss, -(right.mean() + left.mean()) / 2)
    assert make(RecurrentForCausalLM, direction="forward")(ids_BL).backward_logits is None


@pytest.mark.parametrize("cls", [RecurrentForCausalLM, RecurrentForMaskedLM])
def test_the_head_is_the_embedding_table_behind_a_projection_where_widths_differ(cls):
    for size, projections in ((10, 1), (12 if cls is RecurrentForMaskedLM else 6, 0)):
        model = make(cls, embedding_size=size)
        assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
        assert sum(name.startswith("lm_head.from_") for name, _ in model.named_parameters()) == projections
        assert model(some_ids()).logits.shape == (4, L, V)


def test_dropout_stands_between_layers_and_not_in_time():
    """With dropout 0.5, the states of a layer are its inputs' own, each number zero or doubled; none is drawn in evaluation."""
    model = make(RecurrentModel, direction="forward", hidden_dropout_prob=0.5, num_hidden_layers=1)
    model.train()
    hidden = model(some_ids(), output_hidden_states=True).hidden_states
    plain = model.embeddings(some_ids())
    share = ((hidden[0] == 0) | torch.isclose(hidden[0], 2 * plain)).float().mean()
    assert share == 1 and 0.3 < (hidden[0] == 0).float().mean() < 0.7
    torch.testing.assert_close(hidden[1][hidden[1] != 0], 2 * model.directions[0][0](hidden[0])[0][hidden[1] != 0])


def test_an_lstm_begins_by_forgetting_nothing():
    cells = make(RecurrentModel, "lstm", "forward", hidden_size=400, num_hidden_layers=1).directions[0][0]
    assert torch.equal((cells.bias_ih_l0 + cells.bias_hh_l0)[400:800], torch.ones(400))
    assert cells.weight_hh_l0.abs().max() <= 400**-0.5 and cells.weight_hh_l0.std() > 0.9 * (400 * 3) ** -0.5


@every_kind
@torch.no_grad()
def test_saving_and_loading_is_exact(tmp_path, cell, direction):
    model, ids_BL = make(RecurrentForCausalLM, cell, direction), some_ids()
    model.save_pretrained(tmp_path)
    again, info = AutoModelForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert type(again) is RecurrentForCausalLM and not info["missing_keys"] and not info["unexpected_keys"]
    expected = model.state_dict()
    assert all(torch.equal(expected[name], tensor) for name, tensor in again.state_dict().items())
    assert torch.equal(again.eval()(ids_BL).logits, model(ids_BL).logits)
    assert again.get_output_embeddings().weight is again.get_input_embeddings().weight
    body = AutoModel.from_pretrained(tmp_path).eval()
    assert torch.equal(body(ids_BL).last_hidden_state, model.recurrent(ids_BL).last_hidden_state)
    assert AutoConfig.from_pretrained(tmp_path).to_dict() == again.config.to_dict()


def test_a_masked_lm_takes_the_body_of_a_causal_one(tmp_path):
    model = make(RecurrentForCausalLM)
    model.save_pretrained(tmp_path)
    masked, info = AutoModelForMaskedLM.from_pretrained(tmp_path, output_loading_info=True)
    assert info["missing_keys"] == {"lm_head.from_12.weight"}, "only the projection of the other width is new"
    assert torch.equal(masked.recurrent.directions[1][2].weight_hh_l0, model.recurrent.directions[1][2].weight_hh_l0)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"cell": "rnn"}, "cell 'rnn'"),
        ({"direction": "up"}, "direction 'up'"),
        ({"hidden_size": 7}, "hidden_size 7 is odd"),
    ],
)
def test_shapes_that_cannot_be(changes, reason):
    with pytest.raises(ValueError, match=reason):
        make(RecurrentModel, **{"cell": "lstm", "direction": "both", **changes})


def test_one_direction_is_no_masked_lm():
    with pytest.raises(ValueError, match="reads both sides"):
        make(RecurrentForMaskedLM, direction="forward")


def test_it_loads_where_xlt_is_not_installed(tmp_path):
    """Plain transformers, told to trust the file that lies beside the weights."""
    model = make(RecurrentForCausalLM)
    model.save_pretrained(tmp_path / "model")
    torch.save(model.recurrent(some_ids()).last_hidden_state, tmp_path / "expected.pt")
    script = f"""
import sys, torch
from transformers import AutoModel
model = AutoModel.from_pretrained({str(tmp_path / "model")!r}, trust_remote_code=True).eval()
ids = torch.randint(0, {V}, (4, {L}), generator=torch.Generator().manual_seed(5))
assert torch.equal(model(ids).last_hidden_state, torch.load({str(tmp_path / "expected.pt")!r}))
assert "xlt" not in sys.modules
"""
    environment = {**os.environ, "HF_MODULES_CACHE": str(tmp_path / "modules"), "HF_HUB_OFFLINE": "1", "PYTHONPATH": ""}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr

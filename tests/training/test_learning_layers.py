"""Which layers learn and at which rate: against the formulas, in each family's own names, and by what changes in the loop itself."""

import copy
from types import SimpleNamespace

import pytest
import torch
import transformers

from tests.training.test_loop import MLM, TASK, flat, parts, train
from xlt.errors import ConfigError
from xlt.models.build import TransferModel
from xlt.training.layers import Layers, freeze, reset, rows, thaw
from xlt.training.optimizer import LearningRate, adamw, set_rates

SHAPE = dict(vocab_size=50, hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32, pad_token_id=1, bos_token_id=0, eos_token_id=2)  # fmt: skip
FAMILIES = {  # (class of model, its shape, layers)
    "xlm-roberta": ("AutoModelForMaskedLM", SHAPE, 3),
    "bert": ("AutoModel", SHAPE, 3),
    "modernbert": ("AutoModelForMaskedLM", dict(SHAPE, cls_token_id=0, sep_token_id=2), 3),
    "gpt2": ("AutoModelForCausalLM", dict(vocab_size=50, n_embd=16, n_layer=3, n_head=2, bos_token_id=0, eos_token_id=2), 3),
    "llama": ("AutoModelForCausalLM", dict(SHAPE, num_key_value_heads=2), 3),
    "mbart": ("AutoModelForSeq2SeqLM", dict(vocab_size=50, d_model=16, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, pad_token_id=1, bos_token_id=0, eos_token_id=2), 4),
    "mt5": ("AutoModelForSeq2SeqLM", dict(vocab_size=50, d_model=16, num_layers=2, num_heads=2, d_kv=8, d_ff=32), 4),
}  # fmt: skip


def model_of(family):
    auto, shape, _ = FAMILIES[family]
    torch.manual_seed(0)
    backbone = getattr(transformers, auto).from_config(transformers.AutoConfig.for_model(family, **shape))
    return TransferModel(backbone, {"classifier": torch.nn.Linear(16, 3)}, {})


def settings(**changes):
    plain = dict(freeze=[], freeze_layers=None, reset_layers=0, unfreeze_every=0.0, layer_decay=1.0, rates=None)
    return SimpleNamespace(**{**plain, **changes})


@pytest.mark.parametrize("family", FAMILIES)
def test_every_parameter_has_its_layer_in_every_family(family):
    model = model_of(family)
    layers = Layers(model, settings(), 10)
    assert layers.last == FAMILIES[family][2]
    parameters = dict(model.named_parameters())
    assert sorted(set(layers.of.values())) == list(range(layers.last + 2))
    assert {layers.of[n] for n, p in parameters.items() if p is model.backbone.get_input_embeddings().weight} == {0}
    assert {layers.of[n] for n in parameters if n.startswith("heads.")} == {layers.last + 1}
    inside = [n for n in parameters if any(f".{i}." in n for i in range(4)) and not n.startswith("heads.")]
    assert {layers.of[n] for n in inside} == set(range(1, layers.last + 1))
    sizes = [sum(parameters[n].numel() for n in inside if layers.of[n] == i) for i in range(1, layers.last + 1)]
    assert max(sizes) < 2.5 * min(sizes), "as large as a layer is"


def test_recurrent_layers_are_those_of_both_directions():
    from xlt.models.recurrent import RecurrentConfig, RecurrentModel

    names = [n for n, _ in TransferModel(RecurrentModel(RecurrentConfig()), {}, {}).named_parameters()]
    layers = Layers(TransferModel(RecurrentModel(RecurrentConfig()), {}, {}), settings(), 10)
    assert all(layers.of[n] == int(n.split(".")[3]) + 1 for n in names if ".directions." in n)


def test_a_layer_learns_at_the_rate_of_the_one_above_times_the_decay():
    """Layer l of L learns at rate * decay^(L + 1 - l), what lies above all of them at the rate."""
    model = model_of("xlm-roberta")
    layers = Layers(model, settings(layer_decay=0.9, rates={"*.query.*": 0.5}), 10)
    courses = layers.courses()
    for name, _ in model.named_parameters():
        expected = 0.9 ** (4 - layers.of[name]) * (0.5 if ".query." in name else 1.0)
        assert courses[name].factor == pytest.approx(expected, abs=1e-12)
    optimizer = adamw(model, (0.9, 0.98), 1e-6, 0.1, courses)
    set_rates(optimizer, 3e-4)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert rates == {id(p): pytest.approx(3e-4 * courses[n].factor, rel=1e-12) for n, p in model.named_parameters()}
    decays = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert all(decays[id(p)] == (0.1 if p.ndim >= 2 else 0.0) for p in model.parameters())


def test_without_any_setting_the_groups_are_the_two_of_adamw():
    model = model_of("xlm-roberta")
    optimizer = adamw(model, (0.9, 0.98), 1e-6, 0.1, Layers(model, settings(), 10).courses())
    plain = adamw(model, (0.9, 0.98), 1e-6, 0.1)
    assert [[id(p) for p in g["params"]] for g in optimizer.param_groups] == [
        [id(p) for p in g["params"]] for g in plain.param_groups
    ]


def test_embeddings_and_first_layers_are_frozen_and_a_tied_table_with_them():
    model = model_of("xlm-roberta")
    layers = Layers(model, settings(freeze_layers=1), 10)
    layers.prepare(1)
    learn = {n for n, p in model.named_parameters() if p.requires_grad}
    assert learn == {n for n, at in layers.of.items() if at >= 2}
    assert not model.backbone.get_input_embeddings().weight.requires_grad, "though its first name is the head's"


def test_a_pattern_finds_a_tied_parameter_by_any_of_its_names():
    """Of a masked LM the table's first name is lm_head.decoder.weight, so that freezing the embeddings by name once missed it."""
    model = model_of("xlm-roberta")
    freeze(model, ["backbone.roberta.embeddings.*"])
    assert not model.backbone.get_input_embeddings().weight.requires_grad


def test_top_layers_are_drawn_anew_and_nothing_else():
    model = model_of("xlm-roberta")
    with torch.no_grad():
        for p in model.parameters():
            p.fill_(7.0)
            p._is_hf_initialized = True  # as after from_pretrained
    again = copy.deepcopy(model)
    layers = Layers(model, settings(reset_layers=2), 10)
    before = torch.get_rng_state()
    layers.prepare(seed=3)
    assert torch.equal(before, torch.get_rng_state())
    for name, p in model.named_parameters():
        assert bool((p == 7.0).all()) == (layers.of[name] not in (2, 3)), name
    matrix = model.backbone.roberta.encoder.layer[2].intermediate.dense.weight
    assert matrix.std().item() == pytest.approx(model.backbone.config.initializer_range, rel=0.15)
    norm = model.backbone.roberta.encoder.layer[2].output.LayerNorm
    assert norm.weight.eq(1).all() and norm.bias.eq(0).all()
    reset(again.backbone, 1, 3, 3)
    assert torch.equal(flat(again), flat(model)), "by the seed"


def test_gradual_unfreezing_goes_down_a_layer_at_a_time():
    model = model_of("xlm-roberta")
    layers = Layers(model, settings(unfreeze_every=0.25, freeze_layers=0), steps=8)
    layers.prepare(1)
    optimizer = adamw(model, (0.9, 0.98), 1e-6, 0.1, layers.courses())
    for step, lowest in enumerate([4, 4, 3, 3, 2, 2, 1, 1]):
        thaw(optimizer, step)
        assert {layers.of[n] for n, p in model.named_parameters() if p.requires_grad} == set(range(lowest, 5))


@pytest.mark.parametrize("objective", [MLM, TASK], ids=["masked_lm", "classification"])
@pytest.mark.parametrize("fused", [False, True])
def test_only_what_learns_has_gradients_and_changes(tmp_path, objective, fused):
    """In the loop itself: six updates, a layer every second one."""
    p = parts(tmp_path, objective)
    p.model.fused = fused
    layers = Layers(p.model, settings(unfreeze_every=2, freeze=["*.layer.1.output.*"], layer_decay=0.5), 6)
    layers.prepare(1)
    courses = layers.courses()
    optimizer = adamw(p.model, (0.9, 0.98), 1e-6, 0.1, courses)
    seen, before, real = [], {n: q.detach().clone() for n, q in p.model.named_parameters()}, optimizer.step

    def step():
        seen.append({n for n, q in p.model.named_parameters() if q.grad is not None})
        real()
        moved = {n for n, q in p.model.named_parameters() if not torch.equal(q, before[n])}
        assert moved == set().union(*seen)

    optimizer.step = step
    train(p, optimizer, steps=6, rate=LearningRate(0.01, "constant", 0, 6))
    frozen = {n for n in layers.of if ".layer.1.output." in n}
    assert frozen and layers.last == 2
    for k, lowest in enumerate([3, 3, 2, 2, 1, 1]):
        assert seen[k] == {n for n, at in layers.of.items() if at >= lowest} - frozen
    table = layers.table(courses, 0.01)
    assert sum(entry["parameters"] for entry in table) == sum(q.numel() for q in p.model.parameters())
    assert {(e["layer"], e["learning_rate"], e["begins"]) for e in table} == {
        ("top", 0.01, 0), ("2", 0.005, 2), ("2", 0.0, None), ("1", 0.0025, 4), ("embeddings", 0.00125, 6),
    }  # fmt: skip
    assert [line[0] for line in rows(table)[2]] == ["top", "2", "2", "1", "embeddings"]


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"freeze_layers": 4}, "train.freeze_layers: 4, and this model has 3 layers"),
        ({"reset_layers": 4}, "train.reset_layers: 4, and this model has 3 layers"),
        ({"rates": {"nobody.*": 0.1}}, "train.rates: no parameter is called like 'nobody"),
        ({"freeze": ["*"]}, "leave no parameter to learn"),
    ],
)
def test_what_is_not_there_is_said(changes, said):
    with pytest.raises(ConfigError, match=said):
        Layers(model_of("xlm-roberta"), settings(**changes), 10).prepare(1)

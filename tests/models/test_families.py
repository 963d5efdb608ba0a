"""Shapes of every family from scratch: the presets against the papers' sizes, and what each family must keep or may not be asked for."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
import transformers
from omegaconf import OmegaConf

from tests.models.test_build import MLM
from tests.toy import word_tokenizer
from xlt.config import paths
from xlt.config.build import build_node
from xlt.errors import ConfigError
from xlt.models.build import FromScratch, Pretrained, Recurrent, build, max_tokens, save
from xlt.models.families import FAMILIES
from xlt.models.pooling import Pool
from xlt.models.shapes import Cell, Direction, load_config, reads_left_to_right
from xlt.objectives.sequence_classification import SequenceClassification

SIZES = {"tiny": (2, 128, 2), "mini": (4, 256, 4), "small": (4, 512, 8), "base": (12, 768, 12)}  # Turc et al. 2019
TURC = {"tiny": 4.4, "mini": 11.3, "small": 29.1, "base": 110.1}  # millions of parameters, their Table 1
PREFIXES = {"": "xlm-roberta", "modernbert_": "modernbert", "gpt2_": "gpt2", "llama_": "llama", "mbart_": "mbart", "mt5_": "mt5"}  # fmt: skip
TASK = SequenceClassification(pair=False, pool=Pool.mean, hidden=True, dropout=0.1)
PAD, LENGTH = 1, 9


def preset(name):
    place = paths.conf_dir() / "model" / f"{name}.yaml"
    return build_node(OmegaConf.to_container(OmegaConf.load(place), resolve=True), "model")


def millions(node, vocabulary, auto):
    config, _ = load_config(node, vocabulary, PAD, {})
    with torch.device("meta"):
        model = getattr(transformers, auto).from_config(config)
    return sum(p.numel() for p in model.parameters()) / 1e6


def scratch(architecture, **changes):
    shape = dict(layers=2, width=24, attention_heads=4, feed_forward=56, max_positions=30, dropout=0.1)
    shape |= {"llama": {"dropout": 0.0}, "mt5": {"max_positions": None}}.get(architecture, {})
    return FromScratch(
        **{"architecture": architecture, **shape, "attention_dropout": 0.1, "init_from": None, **changes}
    )


def recurrent(**changes):
    shape = dict(cell=Cell.lstm, direction=Direction.both, layers=2, width=24, embedding_width=16, dropout=0.1)
    return Recurrent(**{**shape, "init_from": None, **changes})


@pytest.fixture(scope="module")
def tokenizer():
    return word_tokenizer([f"w{i}" for i in range(40)])


@pytest.mark.parametrize("size", SIZES)
def test_the_sizes_are_those_of_turc_et_al(size):
    """Their count is of BERT with 30,522 pieces and both heads of its pretraining."""
    node = dataclasses.replace(preset(size), architecture="bert")
    assert millions(node, 30522, "AutoModelForPreTraining") == pytest.approx(TURC[size], abs=0.06)


@pytest.mark.parametrize(
    ("name", "vocabulary", "auto", "published"),
    [
        ("gpt2_base", 50257, "AutoModelForCausalLM", 124.4),  # Radford et al. 2019: the released weights
        ("mt5_base", 250112, "AutoModelForSeq2SeqLM", 582.4 - 250112 * 768 / 1e6),  # Xue et al. 2021; tied in transformers 5
        ("modernbert_base", 50368, "AutoModelForMaskedLM", 149.7),  # Warner et al. 2024: 149 M
        ("base", 250002, "AutoModelForMaskedLM", 278.3 - 0.1),  # XLM-R Base's weights, with 512 positions and no padding before them
    ],
)  # fmt: skip
def test_the_base_of_a_family_is_the_size_of_the_released_one(name, vocabulary, auto, published):
    assert millions(preset(name), vocabulary, auto) == pytest.approx(published, rel=2e-3)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_the_sizes_of_a_family_differ_in_their_shape_only(prefix):
    nodes = {size: preset(prefix + size) for size in SIZES}
    for size, node in nodes.items():
        layers = 22 if (prefix, size) == ("modernbert_", "base") else SIZES[size][0]
        assert (node.architecture, node.layers, node.width, node.attention_heads) == (PREFIXES[prefix], layers, *SIZES[size][1:])  # fmt: skip
        gated = {"modernbert_": 3 / 2, "llama_": 8 / 3, "mt5_": 8 / 3}.get(prefix)
        assert 0 <= node.feed_forward - (gated or 4) * node.width < (64 if gated else 1)
        rest = {f.name for f in dataclasses.fields(node)} - {"layers", "width", "attention_heads", "feed_forward"}
        assert all(getattr(node, name) == getattr(nodes["tiny"], name) for name in rest)


def test_every_shape_preset_has_every_size():
    names = {p.stem for p in (paths.conf_dir() / "model").glob("*.yaml")}
    shapes = {n for n in names if "_target_: xlt.models.build.Pretrained" not in (paths.conf_dir() / "model" / f"{n}.yaml").read_text()}  # fmt: skip
    prefixes = [*PREFIXES, "lstm_", "bilstm_"]
    assert shapes - {"multilingual_input", "more_languages"} == {
        f"{prefix}{size}" for prefix in prefixes for size in SIZES
    }


@torch.no_grad()
@pytest.mark.parametrize("node", [*map(scratch, ["bert", *FAMILIES]), recurrent(), recurrent(cell=Cell.gru, direction=Direction.forward)], ids=lambda n: getattr(n, "architecture", type(n).__name__))  # fmt: skip
def test_a_row_is_read_the_same_beside_longer_ones(node, tokenizer):
    """Padded, and with whatever stands in the padding; a decoder's states do not depend on later tokens, all others' do."""
    model = build(node, "encoder", TASK, ["a", "b"], tokenizer, seed=1).eval()
    for parameter in model.parameters():
        parameter.add_(torch.randn_like(parameter) * 0.1)
    ids_BL = torch.randint(5, 45, (2, LENGTH), generator=torch.Generator().manual_seed(2))
    alone_BLD = model.hidden({"input_ids": ids_BL})
    mask_BL = (torch.arange(LENGTH + 5) < LENGTH).long().expand(2, -1)
    for filler in (PAD, 7):
        padded_BL = torch.cat([ids_BL, torch.full((2, 5), filler)], 1)
        hidden_BLD = model.hidden({"input_ids": padded_BL, "attention_mask": mask_BL})
        torch.testing.assert_close(hidden_BLD[:, :LENGTH], alone_BLD, rtol=1e-4, atol=1e-5)
    assert alone_BLD.std() > 0.05
    other_BL = ids_BL.clone()
    other_BL[:, 6] = (other_BL[:, 6] - 4) % 40 + 5
    same = torch.allclose(model.hidden({"input_ids": other_BL})[:, :6], alone_BLD[:, :6], atol=1e-6)
    assert same == reads_left_to_right(model.backbone.config)


@pytest.mark.parametrize("name", ["gpt2", "llama", "mbart", "mt5", "modernbert"])
def test_the_config_is_the_shape_asked_for(name, tokenizer, tmp_path):
    node = scratch(name, layers=3, feed_forward=40)
    model = build(node, "encoder", TASK, ["a", "b"], tokenizer, seed=1)
    config = model.backbone.config
    assert (model.width, config.num_hidden_layers, config.num_attention_heads) == (24, 3, 4)
    assert (config.pad_token_id, config.bos_token_id, config.eos_token_id) == (1, 0, 2)
    assert max_tokens(model) == (None if name == "mt5" else 30)
    dropped = {m.p for m in model.backbone.modules() if isinstance(m, torch.nn.Dropout)}
    assert dropped <= {0.0, 0.1}
    if config.is_encoder_decoder:
        assert len(model.backbone.decoder.layers if name == "mbart" else model.backbone.decoder.block) == 3
    tmp_path.joinpath("model").mkdir()
    save(model, tokenizer, tmp_path / "model")
    plain = transformers.AutoModel.from_pretrained(tmp_path / "model")
    expected = model.backbone.state_dict()
    assert all(torch.equal(expected[key], value) for key, value in plain.state_dict().items())


@torch.no_grad()
@pytest.mark.parametrize("node", [*map(scratch, ["gpt2", "llama", "mbart", "mt5"]), recurrent()], ids=lambda n: getattr(n, "architecture", "bilstm"))  # fmt: skip
def test_a_language_model_begins_by_knowing_nothing(node, tokenizer):
    """The loss of random weights is that of a uniform guess, give or take: the tied table of a family does not begin too wide."""
    body = build(node, "encoder", TASK, ["a", "b"], tokenizer, seed=1).eval().backbone
    auto = transformers.AutoModelForSeq2SeqLM if body.config.is_encoder_decoder else transformers.AutoModelForCausalLM
    model = auto.from_config(body.config).eval()
    model.get_input_embeddings().weight.copy_(body.get_input_embeddings().weight)
    ids_BL = torch.randint(5, 45, (16, 20), generator=torch.Generator().manual_seed(0))
    assert model(input_ids=ids_BL, labels=ids_BL).loss == pytest.approx(
        math.log(45), abs=0.7
    )  # a deviation of 1 costs a half


def test_an_encoder_decoder_reads_with_its_encoder(tokenizer):
    model = build(scratch("mbart"), "encoder", TASK, ["a", "b"], tokenizer, seed=1).eval()
    ids_BL = torch.tensor([[0, 7, 9, 2]])
    expected = model.backbone.get_encoder()(ids_BL).last_hidden_state
    torch.testing.assert_close(model.hidden({"input_ids": ids_BL}), expected)
    assert model.hidden({"input_ids": ids_BL}, layer=1).shape == (1, 4, 24)


def test_the_dropout_of_a_shape_holds_for_its_checkpoint_too(tokenizer, tmp_path):
    for node, changed in ((scratch("mt5"), {"dropout": 0.3, "attention_dropout": 0.3}), (recurrent(), {"dropout": 0.4})):  # fmt: skip
        place = tmp_path / type(node).__name__
        place.mkdir()
        save(build(node, "encoder", TASK, ["a", "b"], tokenizer, seed=1), tokenizer, place)
        again = dataclasses.replace(node, init_from=str(place), **changed)
        for asked, rate in ((again, changed["dropout"]), (Pretrained(init_from=str(place)), 0.1)):
            model = build(asked, "encoder", TASK, ["a", "b"], tokenizer, seed=1)
            assert {m.p for m in model.backbone.modules() if isinstance(m, torch.nn.Dropout)} == {rate}


@pytest.mark.parametrize(
    ("node", "sentence"),
    [
        (scratch("llama", dropout=0.1), "model.dropout: 0.1, but llama has no dropout between its layers; set it to 0"),
        (scratch("mt5", max_positions=512), "model.max_positions: 512, but mt5 has no table of positions"),
        (scratch("gpt2", max_positions=None), "model.max_positions: null, but gpt2 counts positions up to a limit"),
        (scratch("mt5", attention_dropout=0.2), "model.attention_dropout: 0.2, but mt5 has one dropout_rate for this and another field, which is 0.1"),
        (scratch("distilbert"), "model.architecture: distilbert does not call feed_forward, dropout, attention_dropout what BERT does"),
        (scratch("berd"), "model.architecture: transformers knows no 'berd'; take for example xlm-roberta"),
    ],
)  # fmt: skip
def test_what_a_family_has_not_is_said(node, sentence, tokenizer):
    with pytest.raises(ConfigError, match=sentence.replace("(", r"\(")):
        build(node, "encoder", TASK, ["a", "b"], tokenizer, seed=1)


@pytest.mark.parametrize(
    ("node", "sentence"),
    [
        (scratch("gpt2"), "model.architecture: gpt2 cannot be loaded as AutoModelForMaskedLM, which MaskedLM needs"),
        (scratch("mbart"), "model: mbart is an encoder-decoder, and MaskedLM would leave its decoder untrained"),
        (recurrent(direction=Direction.forward), "model.direction: forward, and MaskedLM predicts a token from both of its sides"),
    ],
)  # fmt: skip
def test_a_masked_lm_needs_an_encoder(node, sentence, tokenizer):
    with pytest.raises(ConfigError, match=sentence):
        build(node, "masked-lm", MLM, None, tokenizer, seed=1)


@pytest.mark.parametrize("node", [scratch("gpt2"), scratch("llama"), recurrent(direction=Direction.forward)], ids=["gpt2", "llama", "lstm"])  # fmt: skip
def test_the_first_token_of_a_decoder_is_no_sentence(node, tokenizer):
    first = dataclasses.replace(TASK, pool=Pool.first)
    with pytest.raises(
        ConfigError, match="objective.pool: first, but .* reads from left to right.* set it to last or mean"
    ):
        build(node, "encoder", first, ["a", "b"], tokenizer, seed=1)
    build(recurrent(), "encoder", first, ["a", "b"], tokenizer, seed=1)
    build(scratch("mbart"), "encoder", first, ["a", "b"], tokenizer, seed=1)


@pytest.mark.parametrize(
    ("saved", "asked", "difference"),
    [
        (scratch("gpt2"), scratch("gpt2", width=48), "width 48 is 24 there"),
        (scratch("modernbert"), scratch("modernbert", layers=3), "layers 3 is 2 there"),
        (scratch("mbart"), scratch("mbart", feed_forward=64), "feed_forward 64 is 56 there"),
        (scratch("bert"), scratch("xlm-roberta"), "architecture xlm-roberta is bert there"),
        (recurrent(), recurrent(cell=Cell.gru, width=32), "cell gru is lstm there; width 32 is 24 there"),
        (recurrent(), scratch("llama"), "architecture llama is xlt-recurrent there"),
        (scratch("llama"), recurrent(), "cell lstm is None there"),
    ],
)
def test_a_checkpoint_of_another_shape_is_refused(saved, asked, difference, tokenizer, tmp_path):
    save(build(saved, "encoder", TASK, ["a", "b"], tokenizer, seed=1), tokenizer, tmp_path)
    with pytest.raises(ConfigError, match=rf"has another shape than this model \({difference}"):
        build(dataclasses.replace(asked, init_from=str(tmp_path)), "encoder", TASK, ["a", "b"], tokenizer, seed=1)


@torch.no_grad()
@pytest.mark.parametrize("node", [scratch("mbart", layers=3), scratch("mt5", layers=3), scratch("llama", layers=3), recurrent(layers=3)], ids=["mbart", "mt5", "llama", "bilstm"])  # fmt: skip
def test_fewer_layers_are_the_first_of_the_checkpoint(node, tokenizer, tmp_path):
    deep = build(node, "encoder", TASK, ["a", "b"], tokenizer, seed=1).eval()
    save(deep, tokenizer, tmp_path)
    shallow = build(dataclasses.replace(node, layers=1, init_from=str(tmp_path)), "encoder", TASK, ["a"], tokenizer, 2)
    found, expected = shallow.backbone.state_dict(), deep.backbone.state_dict()
    assert len(found) < len(expected) and all(torch.equal(expected[key], value) for key, value in found.items())
    if not shallow.backbone.config.is_encoder_decoder:
        return
    decoder = shallow.backbone.get_decoder()
    assert len(decoder.layers if hasattr(decoder, "layers") else decoder.block) == 1


def test_no_positions_to_set_is_said(tokenizer):
    ids_BL = torch.tensor([[0, 7, 9, 2]])
    for node, body in ((recurrent(), "RecurrentModel"), (scratch("mt5"), "MT5Stack")):
        model = build(node, "encoder", TASK, ["a", "b"], tokenizer, seed=1)
        with pytest.raises(ConfigError, match=f"model: {body} has no positions that could be set"):
            model.hidden({"input_ids": ids_BL, "position_ids": torch.arange(4)[None]})
        plain = model.eval().hidden({"input_ids": ids_BL})
        assert torch.equal(model.hidden({"input_ids": ids_BL, "token_type_ids": torch.ones_like(ids_BL)}), plain)

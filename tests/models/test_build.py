"""Building and saving models: what plain transformers loads is what was trained, and every architecture's head is the one transformers has."""

import pytest
import torch
import transformers
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer

from tests.toy import Toy, masked_lm, stage_config, word_tokenizer
from xlt import files
from xlt.errors import ConfigError, DataError
from xlt.models.build import FromScratch, Pretrained, build, max_tokens, read_task, save
from xlt.models.heads import lm_logits
from xlt.models.pooling import Pool
from xlt.objectives.sequence_classification import SequenceClassification
from xlt.stages import pretrain
from xlt.tokenization.load import Pretrained as PretrainedTokenizer

WORDS = [f"w{i}" for i in range(40)]
SIZE = len(WORDS) + 5
MLM = masked_lm()
TASK = SequenceClassification(pair=False, pool=Pool.first, hidden=True, dropout=0.1)
SHAPE = dict(layers=3, width=24, attention_heads=4, feed_forward=56, max_positions=30)
BERT = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32)
CONFIGS = {
    "xlm-roberta": dict(BERT, max_position_embeddings=32),
    "bert": dict(BERT, max_position_embeddings=30),
    "roberta": dict(BERT, max_position_embeddings=32),
    "distilbert": dict(dim=16, n_layers=2, n_heads=2, hidden_dim=32, max_position_embeddings=30),
    "albert": dict(BERT, embedding_size=8, max_position_embeddings=30),
    "modernbert": dict(BERT, max_position_embeddings=30, global_attn_every_n_layers=2, cls_token_id=0, sep_token_id=2),
}


@pytest.fixture(scope="module")
def tokenizer():
    return word_tokenizer(WORDS)


def scratch(**changes):
    return FromScratch(
        **{
            "architecture": "xlm-roberta",
            **SHAPE,
            "dropout": 0.1,
            "attention_dropout": 0.1,
            "init_from": None,
            **changes,
        }
    )


@pytest.fixture(scope="module", params=CONFIGS)
def checkpoint(request, tmp_path_factory, tokenizer):
    """A folder as the hub would give it, with random weights large enough that no mistake hides."""
    torch.manual_seed(0)
    ids = dict(vocab_size=SIZE, pad_token_id=1, bos_token_id=0, eos_token_id=2)
    config = transformers.AutoConfig.for_model(request.param, **ids, **CONFIGS[request.param])
    model = transformers.AutoModelForMaskedLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    folder = tmp_path_factory.mktemp(request.param)
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def batch():
    ids_BL = torch.tensor([[0, 7, 4, 12, 9, 2], [0, 4, 30, 2, 1, 1]])
    return {"input_ids": ids_BL, "attention_mask": (ids_BL != 1).long()}


def test_from_scratch_has_the_shape_asked_for(tokenizer):
    model = build(scratch(), "masked-lm", MLM, None, tokenizer, seed=1)
    state = {name: tuple(tensor.shape) for name, tensor in model.backbone.state_dict().items()}
    assert state["roberta.embeddings.word_embeddings.weight"] == (SIZE, 24)
    assert state["roberta.embeddings.position_embeddings.weight"] == (32, 24), "positions count from pad + 1"
    assert state["roberta.encoder.layer.2.intermediate.dense.weight"] == (56, 24)
    assert not any(".layer.3." in name or "pooler" in name for name in state)
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_the_seed_decides_the_weights(tokenizer):
    def first(seed):
        return next(build(scratch(), "encoder", TASK, ["a", "b"], tokenizer, seed).parameters())

    assert torch.equal(first(1), first(1)) and not torch.equal(first(1), first(2))


@torch.no_grad()
@pytest.mark.parametrize("head, objective", [("masked-lm", MLM), ("encoder", TASK)])
def test_what_is_saved_plain_transformers_loads(tmp_path, tokenizer, head, objective):
    labels = ["a", "b"] if objective is TASK else None
    model = build(scratch(), head, objective, labels, tokenizer, seed=1).eval()
    files.write_folder(tmp_path / "model", lambda folder: save(model, tokenizer, folder))
    plain = AutoModel.from_pretrained(tmp_path / "model").eval()
    assert torch.equal(plain(**batch()).last_hidden_state, model.hidden(batch()))
    loaded = AutoTokenizer.from_pretrained(tmp_path / "model")
    assert loaded("w3 w9", "nothing")["input_ids"] == tokenizer("w3 w9", "nothing")["input_ids"]
    node = Pretrained(init_from=str(tmp_path))
    again = build(node, head, objective, labels, tokenizer, seed=9, load_heads=labels is not None).eval()
    expected = model.state_dict()
    assert all(torch.equal(expected[name], tensor) for name, tensor in again.state_dict().items())
    assert read_task(str(tmp_path)) == {"labels": labels}


@torch.no_grad()
@pytest.mark.parametrize("layers", [0, 1, 2])
def test_fewer_layers_are_the_first_of_the_checkpoint(tmp_path, tokenizer, layers):
    deep = build(scratch(), "masked-lm", MLM, None, tokenizer, seed=1).eval()
    files.write_folder(tmp_path / "model", lambda folder: save(deep, tokenizer, folder))
    node = scratch(layers=layers, init_from=str(tmp_path))
    shallow = build(node, "encoder", TASK, ["a", "b"], tokenizer, seed=2).eval()
    torch.testing.assert_close(shallow.hidden(batch()), deep.hidden(batch(), layers))
    torch.testing.assert_close(shallow.hidden(batch(), layers), deep.hidden(batch(), layers))
    assert shallow.backbone.config.num_hidden_layers == layers
    files.write_folder(tmp_path / "again" / "model", lambda folder: save(shallow, tokenizer, folder))
    again = build(Pretrained(init_from=str(tmp_path / "again")), "encoder", TASK, ["a", "b"], tokenizer, seed=3).eval()
    assert torch.equal(again.hidden(batch()), shallow.hidden(batch()))


def test_another_shape_than_the_checkpoint_is_refused(tmp_path, tokenizer):
    model = build(scratch(), "masked-lm", MLM, None, tokenizer, seed=1)
    files.write_folder(tmp_path / "model", lambda folder: save(model, tokenizer, folder))
    with pytest.raises(ConfigError, match="feed_forward 64 is 56 there"):
        build(scratch(init_from=str(tmp_path), feed_forward=64), "encoder", TASK, ["a"], tokenizer, seed=1)


@torch.no_grad()
@pytest.mark.parametrize("had", [0, 2])
def test_layers_that_the_checkpoint_lacks_are_new_ones_on_top_and_said(tmp_path, tokenizer, had, capsys):
    shallow = build(scratch(layers=had), "masked-lm", MLM, None, tokenizer, seed=1).eval()
    files.write_folder(tmp_path / "model", lambda folder: save(shallow, tokenizer, folder))
    deep = build(scratch(layers=3, init_from=str(tmp_path)), "encoder", TASK, ["a", "b"], tokenizer, seed=2).eval()
    assert deep.backbone.config.num_hidden_layers == 3
    torch.testing.assert_close(deep.hidden(batch(), had), shallow.hidden(batch(), had))
    assert not torch.allclose(deep.hidden(batch()), deep.hidden(batch(), had))
    assert "begin at random values (first: encoder.layer." in capsys.readouterr().err
    other = build(scratch(layers=3, init_from=str(tmp_path)), "encoder", TASK, ["a", "b"], tokenizer, seed=3).eval()
    assert not torch.allclose(deep.hidden(batch()), other.hidden(batch())), "new weights follow the seed"


@torch.no_grad()
def test_every_architecture_gives_transformers_own_logits(checkpoint, tokenizer):
    ours = build(Pretrained(init_from=str(checkpoint)), "masked-lm", MLM, None, tokenizer, seed=1).eval()
    theirs = transformers.AutoModelForMaskedLM.from_pretrained(checkpoint, dtype=torch.float32).eval()
    expected_BLV = theirs(**batch()).logits
    where_M = torch.tensor([1, 2, 4, 7])
    logits_MV = lm_logits(ours.backbone, ours.hidden(batch()).flatten(0, 1)[where_M])
    torch.testing.assert_close(logits_MV, expected_BLV.flatten(0, 1)[where_M], rtol=1e-5, atol=1e-5)
    assert logits_MV.std() > 0.1


@torch.no_grad()
def test_every_architecture_as_an_encoder_in_fp32(checkpoint, tokenizer):
    model = build(Pretrained(init_from=str(checkpoint)), "encoder", TASK, ["a", "b"], tokenizer, seed=1).eval()
    assert {p.dtype for p in model.parameters()} == {torch.float32}, "the checkpoint is bf16"
    theirs = AutoModel.from_pretrained(checkpoint, dtype=torch.float32).eval()
    torch.testing.assert_close(model.hidden(batch()), theirs(**batch()).last_hidden_state)


def test_the_longest_row_of_every_architecture(checkpoint, tokenizer):
    """max_tokens positions are there; one more is an index out of range (ModernBERT's rotary positions have no end, so its config counts)."""
    model = build(Pretrained(init_from=str(checkpoint)), "masked-lm", MLM, None, tokenizer, seed=1).eval()
    assert max_tokens(model) == 30
    assert model.hidden({"input_ids": torch.full((1, 30), 7)}).shape == (1, 30, 16)
    if model.backbone.config.model_type != "modernbert":
        with pytest.raises((IndexError, RuntimeError, ValueError)):
            model.hidden({"input_ids": torch.full((1, 31), 7)})


def test_too_long_rows_are_refused_before_training(tmp_path, tokenizer):
    place = tmp_path / "tokenizer"
    tokenizer.save_pretrained(place)
    data = Toy({("text", "en", "train"): [{"text": " ".join(WORDS)}] * 9})
    cfg = stage_config(
        tmp_path, "pretrain", data, MLM, scratch(), PretrainedTokenizer(path=str(place)), max_length=31, steps=1
    )
    with pytest.raises(
        ConfigError, match=r"train.max_length: 31 tokens are more than the 30 positions.* raise model.max_positions"
    ):
        pretrain.run(cfg)
    cfg.train.max_length = 30
    pretrain.run(cfg)  # the mistake left nothing behind that would stop the right command


def test_a_damaged_file_is_refused(tmp_path, tokenizer):
    model = build(scratch(), "masked-lm", MLM, None, tokenizer, seed=1)
    files.write_folder(tmp_path / "model", lambda folder: save(model, tokenizer, folder))
    weights = tmp_path / "model" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-9] ^= 1
    weights.write_bytes(content)
    with pytest.raises(DataError, match="model.safetensors is damaged"):
        build(Pretrained(init_from=str(tmp_path)), "masked-lm", MLM, None, tokenizer, seed=1)


def test_weights_of_others_that_are_cut_off_are_refused_too(checkpoint, tokenizer, tmp_path):
    for file in checkpoint.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes()[: 3000 if file.suffix == ".safetensors" else None])
    with pytest.raises(DataError, match=f"the weights of {tmp_path} could not be read"):
        build(Pretrained(init_from=str(tmp_path)), "masked-lm", MLM, None, tokenizer, seed=1)


def test_a_decoder_has_no_masked_lm_head(tmp_path, tokenizer):
    config = transformers.GPT2Config(vocab_size=SIZE, n_embd=16, n_layer=1, n_head=2, n_positions=30)
    transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="cannot be loaded as AutoModelForMaskedLM, which MaskedLM needs"):
        build(Pretrained(init_from=str(tmp_path)), "masked-lm", MLM, None, tokenizer, seed=1)


def test_a_head_of_unknown_shape_is_refused_before_training(tmp_path, tokenizer):
    config = transformers.ElectraConfig(vocab_size=SIZE, embedding_size=16, pad_token_id=1, **BERT)
    transformers.ElectraForMaskedLM(config).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="the masked-LM head of ElectraForMaskedLM is not one that xlt knows"):
        build(Pretrained(init_from=str(tmp_path)), "masked-lm", MLM, None, tokenizer, seed=1)


def test_tied_weights_are_stored_once_and_stay_tied(tmp_path, tokenizer):
    model = build(scratch(), "masked-lm", MLM, None, tokenizer, seed=1)
    save(model, tokenizer, tmp_path)
    assert "lm_head.decoder.weight" not in load_file(tmp_path / "model.safetensors")
    again = build(Pretrained(init_from=str(tmp_path)), "masked-lm", MLM, None, tokenizer, seed=2).backbone
    assert again.get_output_embeddings().weight is again.get_input_embeddings().weight

"""Every method alike: only it and the head learn, it is kept alone, what is loaded computes the same, and fast paths pass through it."""

import copy
import json

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel

from tests.models.adapters.bases import (
    LABELS,
    METHODS,
    MLM,
    SHAPES,
    TASK,
    adapted,
    base,
    batch,
    kept,
    kind,
    learn,
    loaded,
    loss_of,
)
from xlt.errors import ConfigError
from xlt.models.adapters import folder as adapter_folder
from xlt.models.adapters.attach import attach, cost
from xlt.models.build import FromScratch, Recurrent, build
from xlt.models.shapes import Cell, Direction
from xlt.tokenization.load import load
from xlt.training.checkpoint import unique_weights

MERGED = ["adalora", "ia3", "lora", "lt_sft"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return base(tmp_path_factory.mktemp("base"))


def size(folder):
    return sum(p.stat().st_size for p in folder.rglob("*.safetensors") if p.name != "heads.safetensors")


@pytest.mark.parametrize("method", METHODS)
def test_only_the_named_parameters_learn(place, method):
    model = adapted(place, method)
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    learn(model, steps=6)
    changed = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    trained = model.adapter.trained
    named = [n for n in trained if not n.startswith("heads.")]
    assert named and {n for n in trained if n.startswith("heads.")} == {n for n in before if n.startswith("heads.")}
    if method == "lt_sft":
        masks = model.adapter.mask
        for name, mask in masks.items():
            moved = (model.adapter.weights[name] != model.adapter.start[name]) & ~mask
            assert not moved.any(), name
        assert sum(int(m.sum()) for m in masks.values()) == model.adapter.count == round(0.02 * sum(m.numel() for m in masks.values()))  # fmt: skip
        assert changed
        return
    if method == "adalora":  # a map that lost all of its ranks has the singular values that it began with, zeros
        lost = {n for n in trained if "lora_E" in n and not model.get_parameter(n).any()}
        changed |= lost
        assert len(lost) < 12
    assert changed == set(trained), "what is named changes, all of it, and nothing else"
    assert {n for n, p in model.named_parameters() if p.requires_grad} == set(trained)


@pytest.mark.parametrize("method", METHODS)
def test_it_is_kept_alone_and_what_is_loaded_computes_the_same(place, tmp_path, method):
    model = learn(adapted(place, method))
    with torch.no_grad():
        plain = loaded(place).eval().hidden(batch())
        expected = model.hidden(batch())
    assert (expected - plain).abs().max() > 1e-3, "the adapter does something"
    kept(model, tmp_path)
    assert size(tmp_path / "model") < 0.5 * size(place / "model")
    assert not (tmp_path / "model" / "tokenizer.json").exists()
    assert load(str(tmp_path))("w3 w4")["input_ids"] == load(str(place))("w3 w4")["input_ids"]
    again = loaded(tmp_path, seed=99, load_heads=True).eval()
    with torch.no_grad():
        assert torch.allclose(again.hidden(batch()), expected, atol=1e-6)
    for name, tensor in model.heads.state_dict().items():
        assert torch.equal(again.heads.state_dict()[name], tensor)
    facts = json.loads((tmp_path / "model" / "adapter.json").read_text())
    assert facts["kind"] == method.replace("madx_task", "pfeiffer")
    assert facts["base"]["path"] == str(place / "model") and len(facts["base"]["weights"]) == 64


@pytest.mark.parametrize("method", [m for m in METHODS if m != "lt_sft"])
def test_a_checkpoint_holds_what_learns(place, method):
    model = adapted(place, method)
    state = unique_weights(model)
    numbers = sum(t.numel() for n, t in state.items() if not n.startswith("learned.") or n in model.adapter.trained)
    assert numbers == sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert set(state) >= set(model.adapter.trained)
    other = learn(adapted(place, method))
    model.load_state_dict(unique_weights(other), strict=False)
    with torch.no_grad():
        assert torch.equal(model.eval().hidden(batch()), other.hidden(batch()))


@pytest.mark.parametrize("method", MERGED)
def test_merging_changes_nothing_and_leaves_a_plain_model(place, tmp_path, method):
    model = learn(adapted(place, method))
    with torch.no_grad():
        expected = model.hidden(batch())
    model.adapter.merge()
    model.adapter = None
    with torch.no_grad():
        assert (model.hidden(batch()) - expected).abs().max() <= 1e-5
    kept(model, tmp_path)
    plain = AutoModel.from_pretrained(tmp_path / "model").eval()
    with torch.no_grad():
        assert (plain(**batch()).last_hidden_state - expected).abs().max() <= 1e-5
    assert not list((tmp_path / "model").glob("adapter*"))


@pytest.mark.parametrize("method", ["houlsby", "pfeiffer", "prefix_tuning", "prompt_tuning"])
def test_what_cannot_be_merged_says_so(place, method):
    model = adapted(place, method)
    with pytest.raises(ConfigError, match=r"adapter\.merge: .* cannot be merged into weights; set it to false"):
        model.adapter.merge()
    with pytest.raises(ConfigError, match="has one already .* cannot be merged .* the base that it was trained on"):
        attach(kind("lora"), model, {}, 1)


@pytest.mark.parametrize("method", ["adalora", "ia3", "lora", "prefix_tuning", "prompt_tuning"])
@pytest.mark.parametrize("objective", [TASK, MLM], ids=["body", "head"])
def test_peft_loads_it(place, tmp_path, method, objective):
    from peft import PeftModel
    from transformers import AutoModelForMaskedLM

    if objective is MLM and method in ("prefix_tuning", "prompt_tuning"):
        pytest.skip("peft has no task of that name for masked language models")
    model = learn(adapted(place, method, objective))
    kept(model, tmp_path)
    auto = AutoModel if objective is TASK else AutoModelForMaskedLM
    plain = auto.from_pretrained(place / "model", **({"add_pooling_layer": False} if objective is TASK else {}))
    theirs = PeftModel.from_pretrained(plain, tmp_path / "model").eval()
    with torch.no_grad():
        if objective is MLM:
            found, expected = theirs(**batch()).logits, model.backbone(**batch()).logits
        else:
            found, expected = theirs(**batch()).last_hidden_state, model.hidden(batch())
    assert torch.allclose(found[:, -expected.shape[1] :], expected, atol=1e-5)


@pytest.mark.parametrize("method", ["lora", "pfeiffer", "prompt_tuning", "lt_sft"])
def test_an_adapter_of_a_language_model_serves_a_task(place, tmp_path, method):
    """What masked LM learned under its head, the body without head has."""
    model = learn(adapted(place, method, MLM))
    kept(model, tmp_path)
    again = loaded(tmp_path).eval()
    assert again.backbone is again.backbone.base_model
    with torch.no_grad():
        assert torch.allclose(again.hidden(batch()), model.hidden(batch()), atol=1e-6)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_the_fast_path_passes_through_it(place, method, padded):
    model = learn(adapted(place, method)).train()
    inputs = batch() if padded else {"input_ids": batch()["input_ids"][:1], "attention_mask": torch.ones(1, 9, dtype=torch.long)}  # fmt: skip
    assert model.packs == (method not in ("prefix_tuning", "prompt_tuning")), "hooks leave it to transformers"
    found = []
    for fast in (False, True):
        model.fused = fast
        model.zero_grad(set_to_none=True)
        loss = loss_of(model, inputs)
        loss.backward()
        found.append((loss.detach(), {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}))
    (loss, gradients), (fast_loss, fast_gradients) = found
    assert torch.allclose(loss, fast_loss, rtol=1e-5)
    assert gradients.keys() == fast_gradients.keys()
    for name, gradient in gradients.items():
        assert torch.allclose(gradient, fast_gradients[name], rtol=1e-3, atol=1e-5), name


@pytest.mark.parametrize("method", ["adalora", "ia3", "lora", "prompt_tuning", "prefix_tuning"])
@pytest.mark.parametrize("architecture", sorted(SHAPES))
def test_other_architectures(tmp_path, architecture, method):
    """Where the method has a place; else a sentence."""
    place = base(tmp_path / "base", architecture)
    if method == "prefix_tuning" and architecture in ("modernbert", "mbart", "mt5"):
        with pytest.raises(ConfigError, match="so it can have no prefix"):
            adapted(place, method)
        return
    model = learn(adapted(place, method), steps=8)
    with torch.no_grad():
        expected = model.hidden(batch())
        assert (expected - loaded(place).eval().hidden(batch())).abs().max() > 1e-4
        kept(model, tmp_path / "made")
        assert torch.allclose(loaded(tmp_path / "made").eval().hidden(batch()), expected, atol=1e-6)


@pytest.mark.parametrize("method", ["houlsby", "pfeiffer"])
@pytest.mark.parametrize("architecture", ["gpt2", "modernbert", "mt5"])
def test_bottlenecks_are_for_layers_like_berts(tmp_path, architecture, method):
    with pytest.raises(ConfigError, match="needs layers as BERT and XLM-R have them"):
        adapted(base(tmp_path, architecture), method)


@pytest.mark.parametrize("method", METHODS)
def test_recurrent_models_are_named_as_unsupported(method):
    node = Recurrent(cell=Cell.lstm, direction=Direction.both, layers=1, width=8, embedding_width=8, dropout=0.0, init_from=None)  # fmt: skip
    from tests.toy import word_tokenizer

    model = build(node, "encoder", TASK, LABELS, word_tokenizer(["a"]), 1)
    with pytest.raises(ConfigError, match="a recurrent model has no attention"):
        attach(kind(method), model, {}, 1)


def test_a_model_without_layers_has_nothing_to_adapt(place):
    node = FromScratch(architecture="xlm-roberta", layers=0, width=16, attention_heads=2, feed_forward=32, max_positions=58, dropout=0.0, attention_dropout=0.0, init_from=str(place))  # fmt: skip
    from tests.toy import word_tokenizer

    for method, message in (("lora", "finds no linear map"), ("houlsby", "has no layers")):
        model = build(node, "encoder", TASK, LABELS, word_tokenizer([f"w{i}" for i in range(40)]), 1)
        with pytest.raises(ConfigError, match=message):
            attach(kind(method), model, {}, 1)


def test_a_changed_base_is_refused(tmp_path):
    place = base(tmp_path / "base")
    kept(learn(adapted(place, "lora")), tmp_path / "made")
    assert adapter_folder.find(str(tmp_path / "made")).base == str(place / "model")
    base(tmp_path / "other", "bert")
    weights = load_file(place / "model" / "model.safetensors")
    torch.manual_seed(8)
    other = base(tmp_path / "other")
    changed = AutoModel.from_pretrained(other / "model", add_pooling_layer=False)
    with torch.no_grad():
        changed.embeddings.word_embeddings.weight[7, 3] += 1
    changed.save_pretrained(place / "model")
    (place / "model" / "MANIFEST.json").unlink()
    assert weights
    with pytest.raises(ConfigError, match=r"model\.init_from: .* was trained on another model than the one that lies at .*; put that one back"):  # fmt: skip
        loaded(tmp_path / "made")


def test_a_base_that_is_gone_is_named_and_one_that_moved_along_is_found(tmp_path):
    place = base(tmp_path / "runs" / "base")
    kept(learn(adapted(place, "lora")), tmp_path / "runs" / "made")
    (tmp_path / "runs").rename(tmp_path / "moved")
    assert loaded(tmp_path / "moved" / "made").adapter.kind.name == "lora"
    (tmp_path / "moved" / "base").rename(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match=r"holds an adapter alone, and the model under it is not at .* any more; put it back there"):  # fmt: skip
        loaded(tmp_path / "moved" / "made")


def test_a_damaged_adapter_is_refused(place, tmp_path):
    kept(learn(adapted(place, "lora")), tmp_path)
    (tmp_path / "model" / "adapter_model.safetensors").write_bytes(b"")
    with pytest.raises(Exception, match=r"adapter_model\.safetensors has 0 bytes"):
        loaded(tmp_path)


def test_on_a_lora_a_second_one_goes_after_it_is_merged(place, tmp_path):
    """The base of the second is the first's directory, and is rebuilt from there."""
    kept(learn(adapted(place, "lora")), tmp_path / "first")
    second = learn(adapted(tmp_path / "first", "lora"))
    kept(second, tmp_path / "second")
    again = loaded(tmp_path / "second").eval()
    with torch.no_grad():
        assert torch.allclose(again.hidden(batch()), second.hidden(batch()), atol=1e-5)
    assert size(tmp_path / "second" / "model") == size(tmp_path / "first" / "model")


def test_a_copy_of_an_adapted_model_is_independent(place):
    """As a teacher is."""
    for method in METHODS:
        model = learn(adapted(place, method))
        with torch.no_grad():
            before = model.hidden(batch())
            copied = copy.deepcopy(model).eval()
            for parameter in model.parameters():
                parameter.add_(0.1)
            assert torch.allclose(copied.hidden(batch()), before, atol=1e-6), method


def test_what_it_costs(place):
    model = adapted(place, "lora")
    found = cost(model)
    heads = sum(p.numel() for p in model.heads.parameters())
    lora = 2 * 2 * 2 * (16 + 16)  # layers x (query, value) x rank x (in + out)
    total = sum(p.numel() for p in model.parameters())
    assert found["parameters"] == heads + lora and found["share"] == (heads + lora) / total
    assert found["memory"]["gradients_and_moments"] == 12 * (heads + lora)
    assert found["memory"]["saved"] == 12 * (total - heads - lora)

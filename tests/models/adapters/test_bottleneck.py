"""Bottlenecks against their formulas written out, invertible adapters against their inverse, language adapters against what the others must not do."""

import pytest
import torch
from torch.nn import functional as F

from tests.models.adapters.bases import MLM, adapted, base, batch, kept, kind, learn, loaded
from tests.toy import word_tokenizer
from xlt.errors import ConfigError
from xlt.models.adapters import folder as adapter_folder
from xlt.models.adapters.attach import attach
from xlt.models.adapters.bottleneck import Bottleneck, Nice
from xlt.models.adapters.spoken import require
from xlt.models.heads import lm_logits
from xlt.objectives.prediction import predicted
from xlt.types import Batch

LANGUAGES = ("en", "de", "sw")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return base(tmp_path_factory.mktemp("base"))


@pytest.mark.parametrize("width, reduction", [(2, 1), (16, 2), (64, 16), (6, 5)])
def test_inverse_of_forward_is_the_input(width, reduction):
    torch.manual_seed(width)
    nice = Nice(width, reduction, std=0.5).double()
    for parameter in nice.parameters():
        torch.nn.init.normal_(parameter)
    e = torch.randn(50, width, dtype=torch.float64) * 3
    assert not torch.allclose(nice(e), e)
    assert torch.allclose(nice.inverse(nice(e)), e, atol=1e-9) and torch.allclose(nice(nice.inverse(e)), e, atol=1e-9)
    nice.float()
    assert torch.allclose(nice.inverse(nice(e.float())), e.float(), atol=1e-2, rtol=1e-3)


def test_nice_is_its_two_equations():
    torch.manual_seed(0)
    nice, e = Nice(8, 2, 0.5), torch.randn(3, 8)
    f, g = nice.first, nice.second
    o1 = f.up(F.relu(f.down(e[:, 4:]))) + e[:, :4]
    o2 = g.up(F.relu(g.down(o1))) + e[:, 4:]
    assert torch.equal(nice(e), torch.cat([o1, o2], -1)) and f.down.weight.shape == (2, 4)
    with pytest.raises(ConfigError, match="width 7 is odd"):
        Nice(7, 2, 0.1)


def _layer(layer, x_BLD, after_attention, after_feed_forward):
    """A layer of BERT written out; what adapters do is given: (sublayer's output f, its input x, norm) -> the layer's state."""
    mixed = layer.attention.self(x_BLD)[0]
    out = layer.attention.output
    x_BLD = after_attention(out.dense(mixed), x_BLD, out)
    return after_feed_forward(layer.output.dense(F.gelu(layer.intermediate.dense(x_BLD))), x_BLD, layer.output)


def test_houlsby_stands_before_both_residual_connections(place):
    model = learn(adapted(place, "houlsby"))
    reader = model.reader.eval()

    def adapted_sum(f, x, out):
        own = out.dropout.adapters["task"]
        return out.LayerNorm(f + own.up(F.gelu(own.down(f))) + x)

    with torch.no_grad():
        x_BLD = reader.embeddings(input_ids=batch()["input_ids"][:1])
        for layer in reader.encoder.layer:
            x_BLD = _layer(layer, x_BLD, adapted_sum, adapted_sum)
        expected = model.hidden({"input_ids": batch()["input_ids"][:1]})
    assert torch.allclose(x_BLD, expected, atol=1e-5)
    assert any(n.endswith("output.LayerNorm.weight") for n in model.adapter.trained)
    assert not any("LayerNorm" in n for n in adapted(place, "houlsby", layer_norms=False).adapter.trained)


def test_pfeiffer_reads_the_normed_sum_and_adds_to_the_sum(place):
    model = learn(adapted(place, "pfeiffer"))
    reader = model.reader.eval()

    def plain(f, x, out):
        return out.LayerNorm(f + x)

    def adapted_sum(f, x, out):
        norm, own = out.LayerNorm.norm, out.LayerNorm.adapters["task"]
        return norm(f + x + own.up(F.relu(own.down(norm(f + x)))))

    with torch.no_grad():
        x_BLD = reader.embeddings(input_ids=batch()["input_ids"][:1])
        for layer in reader.encoder.layer:
            x_BLD = _layer(layer, x_BLD, plain, adapted_sum)
        expected = model.hidden({"input_ids": batch()["input_ids"][:1]})
    assert torch.allclose(x_BLD, expected, atol=1e-5)


def test_bottlenecks_begin_near_zero():
    torch.manual_seed(0)
    made = Bottleneck(64, 4, 1e-2, "gelu", residual=True)
    x = torch.randn(20, 64)
    assert (made(x) - x).abs().max() < 2e-2 and made.down.weight.abs().max() <= 2e-2


def spoken(model, ids_BL, languages, head=False):
    """States (or logits) of rows in these languages, as the loop asks for them."""
    given = Batch({"input_ids": ids_BL}, 1, 1, len(ids_BL), languages=tuple(languages))

    def function(asked, read):
        hidden_BLD = asked.hidden(dict(read.tensors))
        return lm_logits(asked.backbone, hidden_BLD.flatten(0, 1)) if head else hidden_BLD

    with torch.no_grad():
        return model.eval()(function, given)


def random_adapters(model):
    """Language adapters as if they had learned, each something else."""
    torch.manual_seed(4)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in model.adapter.trained and not name.startswith("heads."):
                parameter.normal_(std=0.3)
    return model


def test_languages_are_read_by_their_own_adapters(place):
    ids_BL = batch()["input_ids"][:1]
    model = random_adapters(adapted(place, "madx_language", MLM, LANGUAGES))
    states = {code: spoken(model, ids_BL, [code]) for code in LANGUAGES}
    assert not torch.allclose(states["en"], states["de"], atol=1e-2)
    assert torch.equal(states["en"], spoken(model, ids_BL, ["en"])), "coming back changes nothing"
    assert torch.equal(states["en"], spoken(model, ids_BL, ["eng_Latn"])), "another spelling of the code"
    with pytest.raises(ConfigError, match="reads one language at a time, and a batch holds de, en"):
        spoken(model, ids_BL, ["en", "de"])
    with pytest.raises(
        ConfigError, match=r"there is no adapter of fr, only of en, de, sw; train one with xlt pretrain"
    ):
        spoken(model, ids_BL, ["fr"])
    with pytest.raises(ConfigError, match=r"there is no adapter of fr, zh"):
        require(model.adapter, ["en", "fr", "zh"])


def test_the_inverse_stands_before_the_words(place):
    """Without bottlenecks and with the layers taken out, the head's input is the embedding itself: inverse(forward(e)) = e."""
    model = random_adapters(adapted(place, "madx_language", MLM, ("en",)))
    plain = loaded(place, MLM).eval()
    for name, module in model.backbone.named_modules():
        if name.endswith("LayerNorm.adapters.en"):
            torch.nn.init.zeros_(module.up.weight), torch.nn.init.zeros_(module.up.bias)
    head = model.backbone.lm_head
    x_MD = torch.randn(5, 16)
    with torch.no_grad():
        transformed = plain.backbone.lm_head.layer_norm(F.gelu(plain.backbone.lm_head.dense(x_MD)))
        found = head.layer_norm(F.gelu(head.dense(x_MD)))
        nice = model.backbone.roberta.embeddings.dropout.adapters["en"]
        assert torch.allclose(nice(found), transformed, atol=1e-5) and not torch.allclose(found, transformed, atol=1e-3)
    assert model.backbone.roberta.embeddings.dropout is head.layer_norm.embedded, "one adapter, not a copy"


@pytest.mark.parametrize("architecture", ["bert", "xlm-roberta"])
def test_masked_lm_by_the_fast_path_is_that_of_the_plain_one(tmp_path, architecture):
    model = random_adapters(adapted(base(tmp_path, architecture), "madx_language", MLM, ("en",))).train()
    ids_BL = batch()["input_ids"]
    tensors = {"input_ids": ids_BL, "attention_mask": (ids_BL != 1).long(), **predicted(ids_BL.numpy(), torch.arange(0, 12, 3).numpy())}  # fmt: skip
    given = Batch(tensors, 4, 20, len(ids_BL), languages=("en",) * len(ids_BL))
    found = []
    for fast in (False, True):
        model.fused = fast
        model.zero_grad(set_to_none=True)
        loss = model(MLM.loss, given)
        loss.backward()
        found.append((loss.detach(), {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}))
    assert torch.allclose(found[0][0], found[1][0], rtol=1e-5)
    assert found[0][1].keys() == found[1][1].keys() == set(model.adapter.trained)
    for name, gradient in found[0][1].items():
        assert torch.allclose(gradient, found[1][1][name], rtol=1e-3, atol=1e-5), name


def test_a_task_stands_on_its_source_language_and_goes_along_to_others(place, tmp_path):
    languages = random_adapters(adapted(place, "madx_language", MLM, LANGUAGES))
    kept(languages, tmp_path / "languages")
    model = loaded(tmp_path / "languages")
    assert model.adapter.languages == LANGUAGES
    ids_BL = batch()["input_ids"][:1]
    alone = {code: spoken(model, ids_BL, [code]) for code in LANGUAGES}
    expected = {code: spoken(languages, ids_BL, [code]) for code in LANGUAGES}
    assert all(torch.allclose(alone[code], expected[code], atol=1e-6) for code in LANGUAGES)

    task = adapted(tmp_path / "languages", "madx_task")
    task.adapter.speak(["en"])
    before = {n: p.detach().clone() for n, p in task.named_parameters()}
    learn(task)
    changed = {n for n, p in task.named_parameters() if not torch.equal(p, before[n])}
    assert changed == set(task.adapter.trained) and all(
        ".adapters.task." in n or n.startswith("heads.") for n in changed
    )
    kept(task, tmp_path / "task")
    assert not any(".en." in n for n in __import__("safetensors.torch").torch.load_file(tmp_path / "task" / "model" / "adapter.safetensors"))  # fmt: skip
    again = loaded(tmp_path / "task", load_heads=True)
    for code in LANGUAGES:
        found = spoken(again, ids_BL, [code])
        assert torch.allclose(found, spoken(task, ids_BL, [code]), atol=1e-6)
        assert not torch.allclose(found, alone[code], atol=1e-3)
        for layer in again.reader.encoder.layer:
            assert layer.output.LayerNorm.active == (code, "task")
        assert again.reader.embeddings.dropout.active == (code,)


def test_an_adapter_of_a_language_does_not_depend_on_its_company(place, tmp_path):
    """Joined from folders of their own, they do what they did alone."""
    ids_BL, expected = batch()["input_ids"][:1], {}
    for i, code in enumerate(("en", "de")):
        alone = adapted(place, "madx_language", MLM, (code,), seed=i)
        random_adapters(alone)
        with torch.no_grad():
            for parameter in alone.adapter._own().values():
                parameter.add_(0.01 * i)
        kept(alone, tmp_path / code)
        expected[code] = spoken(alone, ids_BL, [code], head=True)
    model = loaded(place, MLM)
    joined = attach(kind("madx_language"), model, adapter_folder.reference(str(place)), 1, ["en", "de"])
    for code in ("de", "en"):
        joined.read(tmp_path / code / "model")
    for code, logits in expected.items():
        assert torch.allclose(spoken(model, ids_BL, [code], head=True), logits, atol=1e-6)


def test_language_adapters_are_not_trained_over(place, tmp_path):
    kept(adapted(place, "madx_language", MLM, LANGUAGES), tmp_path)
    for method in ("lora", "houlsby"):
        with pytest.raises(ConfigError, match="has one already .* take adapter=madx_task, or the base"):
            adapted(tmp_path, method)
    assert word_tokenizer(["a"])

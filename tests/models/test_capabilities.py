"""Each capability that a model may lack is named before training; what a model has is not refused."""

import pytest
import torch
import transformers

from tests.language_models import ALL, BERT, backbone
from tests.shipped import shipped
from tests.toy import masked_lm, word_tokenizer
from xlt.errors import ConfigError
from xlt.models.build import Pretrained, build
from xlt.models.capabilities import require_decoder, require_head, require_positions
from xlt.models.heads import KINDS, lm_losses
from xlt.objectives.causal_lm import CausalLM
from xlt.objectives.denoising import Denoising
from xlt.objectives.text_noise import WordNoise

WORDS = ["a", "b", *(f"w{i}" for i in range(50))]
SIZE = len(WORDS) + 5
OBJECTIVES = {
    "masked-lm": masked_lm(),
    "causal-lm": CausalLM(predict_end=True),
    "seq2seq-lm": Denoising(noise=WordNoise(shuffle=3, dropout=0.1, blank=0.1), language_tokens=False),
}


@pytest.fixture(scope="module")
def tokenizer():
    return word_tokenizer(WORDS)


@pytest.mark.parametrize("head, family", ALL)
def test_every_family_is_built_from_its_checkpoint(tmp_path, tokenizer, head, family):
    theirs = backbone(head, family, SIZE)
    theirs.save_pretrained(tmp_path)
    made = build(Pretrained(init_from=str(tmp_path)), head, OBJECTIVES[head], None, tokenizer, seed=1)
    assert type(made.backbone) is type(theirs)
    state = made.backbone.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in theirs.state_dict().items())


@pytest.mark.parametrize("head, family", ALL)
def test_asking_leaves_the_model_as_it_was(head, family):
    model = backbone(head, family, SIZE).train()
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    require_head(model, head)
    assert torch.equal(torch.rand(1), expected), "random numbers were drawn"
    assert model.training and all(p.grad is None for p in model.parameters())


def config_of(kind, **changes):
    return transformers.AutoConfig.for_model(kind, vocab_size=SIZE, pad_token_id=1, **{**BERT, **changes})


@pytest.mark.parametrize("kind", ["xlm-roberta", "bert"])
def test_an_encoder_is_no_causal_model(tmp_path, tokenizer, kind):
    transformers.AutoModelForCausalLM.from_config(config_of(kind)).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="sees the tokens it is to predict .* take a decoder such as GPT-2 or Llama"):
        build(Pretrained(init_from=str(tmp_path)), "causal-lm", OBJECTIVES["causal-lm"], None, tokenizer, seed=1)
    require_head(transformers.AutoModelForCausalLM.from_config(config_of(kind, is_decoder=True)), "causal-lm")


@pytest.mark.parametrize("head, kind", [("seq2seq-lm", "gpt2"), ("causal-lm", "t5"), ("masked-lm", "gpt2")])
def test_a_model_of_another_kind_is_refused(tmp_path, tokenizer, head, kind):
    other = next(h for h, family in ALL if family == kind)
    backbone(other, kind, SIZE).save_pretrained(tmp_path)
    with pytest.raises(
        ConfigError, match=f"cannot be loaded as {KINDS[head]}, which {type(OBJECTIVES[head]).__name__} needs"
    ):
        build(Pretrained(init_from=str(tmp_path)), head, OBJECTIVES[head], None, tokenizer, seed=1)


def test_a_decoder_reads_no_encoder():
    with pytest.raises(ConfigError, match="model: GPT2LMHeadModel has no decoder that reads an encoder; take mBART"):
        require_decoder(backbone("causal-lm", "gpt2", SIZE))


def test_a_decoder_that_does_not_know_its_beginning():
    model = backbone("seq2seq-lm", "t5", SIZE)
    model.config.decoder_start_token_id = None
    with pytest.raises(ConfigError, match="does not say what its decoder begins with .* set decoder_start_token_id"):
        require_head(model, "seq2seq-lm")


def test_a_head_that_does_more_than_its_modules_is_refused():
    model = backbone("causal-lm", "gpt2", SIZE)
    require_head(model, "causal-lm")
    model.lm_head.register_forward_hook(lambda module, inputs, output: output)
    require_head(model, "causal-lm")
    plain = model.forward

    def scaled(*args, **kwargs):
        output = plain(*args, **kwargs)
        output.logits = output.logits * 0.5
        return output

    model.forward = scaled
    with pytest.raises(ConfigError, match="the LM head of GPT2LMHeadModel does more than its modules say"):
        require_head(model, "causal-lm")


def test_a_softened_head_is_refused():
    """Gemma 2 caps its logits, which small random ones do not show."""
    shape = dict(BERT, num_key_value_heads=1, head_dim=8, vocab_size=SIZE, pad_token_id=1)
    model = transformers.Gemma2ForCausalLM(transformers.Gemma2Config(**shape))
    with pytest.raises(
        ConfigError,
        match=r"the LM head of Gemma2ForCausalLM is not one that xlt knows \(it has final_logit_softcapping\)",
    ):
        require_head(model, "causal-lm")


@pytest.mark.parametrize("family", ["xlm-roberta", "bert", "modernbert"])
def test_encoders_have_positions_that_restart(family):
    require_positions(backbone("masked-lm", family, SIZE))


def test_positions_that_are_not_there_or_do_not_matter(tmp_path, tokenizer):
    with pytest.raises(
        ConfigError, match="has no positions that could restart .* set objective.restart_positions=false"
    ):
        require_positions(backbone("seq2seq-lm", "mbart", SIZE))
    config = transformers.DebertaV2Config(
        vocab_size=SIZE, pad_token_id=1, position_biased_input=False, relative_attention=True, type_vocab_size=0, **BERT
    )
    transformers.DebertaV2ForMaskedLM(config).save_pretrained(tmp_path)
    for restart, head in ((True, "masked-lm"), (False, "masked-lm")):
        objective = shipped("translation_lm", restart_positions=restart)
        if restart:
            with pytest.raises(ConfigError, match="takes positions and ignores them, so they cannot restart"):
                build(Pretrained(init_from=str(tmp_path)), head, objective, None, tokenizer, seed=1)
        else:
            build(Pretrained(init_from=str(tmp_path)), head, objective, None, tokenizer, seed=1)


def test_losses_are_cross_entropy_in_fp32():
    model = backbone("causal-lm", "gpt2", SIZE).to(torch.bfloat16)
    hidden_MD, targets_M = torch.randn(7, 16, dtype=torch.bfloat16), torch.arange(7)
    losses_M = lm_losses(model, hidden_MD, targets_M)
    logits_MV = model.lm_head(hidden_MD).float()
    expected_M = torch.logsumexp(logits_MV, -1) - logits_MV[torch.arange(7), targets_M]
    assert losses_M.dtype == torch.float32
    torch.testing.assert_close(losses_M, expected_M)

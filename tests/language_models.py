"""Tiny models of every family of transformers that language models are tested with, with random weights large enough that no mistake hides."""

from __future__ import annotations

import torch
import transformers

BERT = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32)
LLAMA = dict(BERT, num_key_value_heads=1, max_position_embeddings=64)
BART = dict(
    d_model=16,
    encoder_layers=2,
    decoder_layers=2,
    encoder_attention_heads=2,
    decoder_attention_heads=2,
    encoder_ffn_dim=32,
    decoder_ffn_dim=32,
    max_position_embeddings=64,
)
T5 = dict(d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2, decoder_start_token_id=1)
FAMILIES = {
    "masked-lm": {
        "xlm-roberta": dict(BERT, max_position_embeddings=66, type_vocab_size=1),
        "bert": dict(BERT, max_position_embeddings=64),
        "modernbert": dict(BERT, max_position_embeddings=64, global_attn_every_n_layers=2, cls_token_id=0, sep_token_id=2),
    },
    "causal-lm": {"gpt2": dict(n_embd=16, n_layer=2, n_head=2, n_positions=64), "llama": LLAMA},
    "seq2seq-lm": {"mbart": BART, "bart": BART, "t5": T5, "mt5": T5},
}  # fmt: skip
ALL = [(head, family) for head, families in FAMILIES.items() for family in families]
AUTO = {
    "masked-lm": transformers.AutoModelForMaskedLM,
    "causal-lm": transformers.AutoModelForCausalLM,
    "seq2seq-lm": transformers.AutoModelForSeq2SeqLM,
}


def backbone(head: str, family: str, size: int):
    """The model in evaluation mode, in fp32. size: of its vocabulary, whose first ids are <s> <pad> </s>."""
    torch.manual_seed(0)
    ids = dict(vocab_size=size, pad_token_id=1, bos_token_id=0, eos_token_id=2)
    config = transformers.AutoConfig.for_model(family, **ids, **FAMILIES[head][family])
    model = AUTO[head].from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    model.tie_weights()
    return model


def save(folder, head: str, family: str, size: int, dropout: bool = True):
    """A checkpoint as the hub would give it. dropout: as the family has it, else none."""
    model = backbone(head, family, size)
    for name, value in vars(model.config).items():
        if not dropout and isinstance(value, float) and ("drop" in name):
            setattr(model.config, name, 0.0)
    model.save_pretrained(folder)
    return folder

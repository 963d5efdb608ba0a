"""How each family of transformers architectures calls the fields of a shape: the one place where its config names are known. Loads nothing.

An architecture that is not listed is taken to use BERT's names, which most encoders share. What a family cannot do (no dropout between layers,
no table of positions) is a ConfigError that names it, never a field that is ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from xlt.errors import ConfigError

SHAPE = ("layers", "width", "attention_heads", "feed_forward")
_BERT = {
    "layers": ("num_hidden_layers",),
    "width": ("hidden_size",),
    "attention_heads": ("num_attention_heads",),
    "feed_forward": ("intermediate_size",),
    "max_positions": ("max_position_embeddings",),
    "dropout": ("hidden_dropout_prob",),
    "attention_dropout": ("attention_probs_dropout_prob",),
}


@dataclass(frozen=True)
class Family:
    """names: our field -> the config keys that it sets, none where the family has no such thing. fixed: what xlt sets besides.

    lacks: our field -> what the family has not, for the error. start: id key -> whose special token it is (pad, bos or eos).
    counts_from_pad: its first position has the number pad + 1. head_width: the key that holds width / attention_heads.
    narrow_table: its embeddings begin with a standard deviation of width^-0.5, not 1.
    """

    names: Mapping[str, tuple[str, ...]]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    lacks: Mapping[str, str] = field(default_factory=dict)
    start: Mapping[str, str] = field(default_factory=dict)
    counts_from_pad: bool = False
    head_width: str | None = None
    narrow_table: bool = False


_PLAIN = Family(_BERT, fixed={"type_vocab_size": 2})
_ROBERTA = Family(_BERT, fixed={"type_vocab_size": 1}, counts_from_pad=True)
FAMILIES = {
    "xlm-roberta": _ROBERTA,
    "roberta": _ROBERTA,
    "camembert": _ROBERTA,
    "xlm-roberta-xl": _ROBERTA,
    "roberta-prelayernorm": _ROBERTA,
    "modernbert": Family(  # Warner et al. 2024: rotary positions, gated layers, attention to 128 tokens around in two of three layers
        _BERT | {"dropout": ("embedding_dropout", "mlp_dropout"), "attention_dropout": ("attention_dropout",)},
        start={"cls_token_id": "bos", "sep_token_id": "eos"},
    ),
    "gpt2": Family(  # Radford et al. 2019
        {
            "layers": ("n_layer",),
            "width": ("n_embd",),
            "attention_heads": ("n_head",),
            "feed_forward": ("n_inner",),
            "max_positions": ("n_positions",),
            "dropout": ("resid_pdrop", "embd_pdrop"),
            "attention_dropout": ("attn_pdrop",),
        }
    ),
    "llama": Family(  # Touvron et al. 2023: rotary positions, RMSNorm, SwiGLU; tied as the small models of Llama 3.2 are
        _BERT | {"dropout": (), "attention_dropout": ("attention_dropout",)},
        fixed={"tie_word_embeddings": True},
        lacks={"dropout": "no dropout between its layers; set it to 0"},
    ),
    "mbart": Family(  # Liu et al. 2020; as many layers in the decoder as in the encoder, embeddings scaled as in their checkpoint
        {
            "layers": ("encoder_layers", "decoder_layers"),
            "width": ("d_model",),
            "attention_heads": ("encoder_attention_heads", "decoder_attention_heads"),
            "feed_forward": ("encoder_ffn_dim", "decoder_ffn_dim"),
            "max_positions": ("max_position_embeddings",),
            "dropout": ("dropout",),
            "attention_dropout": ("attention_dropout",),
        },
        fixed={"scale_embedding": True},
        start={"forced_eos_token_id": "eos"},
    ),
    "mt5": Family(  # Xue et al. 2021; as many layers in the decoder as in the encoder
        {
            "layers": ("num_layers", "num_decoder_layers"),
            "width": ("d_model",),
            "attention_heads": ("num_heads",),
            "feed_forward": ("d_ff",),
            "max_positions": (),
            "dropout": ("dropout_rate",),
            "attention_dropout": ("dropout_rate",),
        },
        lacks={"max_positions": "no table of positions (it counts distances), so any length goes; set it to null"},
        start={"decoder_start_token_id": "pad"},
        head_width="d_kv",
        narrow_table=True,  # transformers 5 ties what mT5 did not, and its table of deviation 1 would begin with a loss of 70
    ),
}


def family(architecture: str) -> Family:
    """The names of an architecture, by transformers' model type."""
    return FAMILIES.get(architecture, _PLAIN)


def check_names(architecture: str, config_class: type) -> None:
    """ConfigError if `config_class` has no such key for a field: transformers would keep it as a note and build its default shape."""
    has = {f.name for f in fields(config_class)} | set(config_class.attribute_map)
    if unknown := [ours for ours, theirs in family(architecture).names.items() if not has.issuperset(theirs)]:
        raise ConfigError(
            f"model.architecture: {architecture} does not call {', '.join(unknown)} what BERT does, and xlt knows no other name; take one of "
            f"{', '.join(FAMILIES)}, or a checkpoint by model=pretrained"
        )


def settings(node, pad: int, special: Mapping[str, int | None]) -> dict[str, Any]:
    """Arguments of the transformers config for a shape (`xlt.models.build.FromScratch`). special: bos_token_id and eos_token_id.

    ConfigError, all problems at once, where the family has no such thing or one value for two fields.
    """
    known, found, problems = family(node.architecture), {}, []
    for ours, theirs in known.names.items():
        value = getattr(node, ours)
        if not theirs and value:
            problems.append(f"model.{ours}: {value}, but {node.architecture} has {known.lacks[ours]}")
        if theirs and value is None:
            problems.append(
                f"model.{ours}: null, but {node.architecture} counts positions up to a limit; give one, for example 512"
            )
        for key in theirs:
            if found.setdefault(key, value) != value:
                problems.append(
                    f"model.{ours}: {value}, but {node.architecture} has one {key} for this and another field, which is {found[key]}; make them equal"
                )
    if problems:
        raise ConfigError(problems)
    if known.counts_from_pad:
        found["max_position_embeddings"] += pad + 1
    if known.head_width:
        found[known.head_width] = node.width // node.attention_heads
    ids = {"pad": pad} | {name.removesuffix("_token_id"): token for name, token in special.items()}
    starts = {key: ids[whose] for key, whose in known.start.items() if whose in ids}
    return {**found, **known.fixed, **starts, **special, "pad_token_id": pad}


def keep_layers(config, layers: int) -> None:
    """Make the config that of its first `layers` layers (of an encoder-decoder, on each side); of those it lacks, where all of its layers are alike."""
    kinds = getattr(config, "layer_types", None)
    if kinds and layers > len(kinds):
        return  # which kind a new one would be is not known
    for key in family(config.model_type).names["layers"]:
        setattr(config, key, layers)
    if kinds:
        config.layer_types = kinds[:layers]


def differences(node, config) -> list[str]:
    """Where a checkpoint's config has another shape than `node`: one clause each."""
    if config.model_type != node.architecture:
        return [f"architecture {node.architecture} is {config.model_type} there"]
    names = family(config.model_type).names
    return [
        f"{ours} {getattr(node, ours)} is {getattr(config, key, None)} there"
        for ours in SHAPE
        for key in names[ours][:1]
        if getattr(config, key, None) != getattr(node, ours)
    ]

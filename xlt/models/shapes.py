"""What a config can ask for as a model, and the transformers config that it means. Knows names and shapes; makes and loads no weights."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from xlt.errors import ConfigError, DataError
from xlt.files import verify
from xlt.models import families
from xlt.models.inputs import MultilingualInput
from xlt.models.pooling import Pool
from xlt.tokenization.load import looks_local, resolve

RECURRENT = "xlt-recurrent"
_RECURRENT = {
    "cell": "cell",
    "direction": "direction",
    "layers": "num_hidden_layers",
    "width": "hidden_size",
    "embedding_width": "embedding_size",
    "dropout": "hidden_dropout_prob",
}  # field of Recurrent -> of xlt.models.recurrent.RecurrentConfig

MOST_CONFIG = 1 << 24  # bytes of a config.json: 100,000 label names need no more
SIZES = (
    *("vocab_size", "max_position_embeddings", "hidden_size", "d_model", "intermediate_size", "num_hidden_layers"),
    *("num_attention_heads", "num_labels", "type_vocab_size"),
)
MOST_OF_ANYTHING = 1 << 24


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """A checkpoint: a run directory, a folder in transformers format, or a hub name. null: random weights are not meant; name one."""

    init_from: str | None


@dataclass(frozen=True, kw_only=True)
class MoreLanguages(Pretrained):
    """A task that was learned on adapters of languages, with more of these. language_adapters: a run that added languages to those; null: none was added."""

    language_adapters: str | None


@dataclass(frozen=True, kw_only=True)
class FromScratch:
    """A transformers architecture of the given shape. With init_from its weights come from a checkpoint, which must have that shape.

    Of a checkpoint with more layers the first ones are taken (Sajjad et al. 2023, section 3: top layers can go); none: the embeddings. To one with
    fewer, new ones are added on top, at random weights, which is said.
    max_positions null: the architecture has no limit. An encoder-decoder has `layers` on each side.
    """

    architecture: str
    layers: int
    width: int
    attention_heads: int
    feed_forward: int
    max_positions: int | None
    dropout: float
    attention_dropout: float
    init_from: str | None

    def __post_init__(self):
        if self.width % self.attention_heads:
            raise ConfigError(f"model.attention_heads: {self.attention_heads} does not divide model.width {self.width}")
        for name in ("dropout", "attention_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"model.{name}: {getattr(self, name)} is not in [0, 1)")


class Cell(str, Enum):
    """The unit of a recurrent model."""

    lstm = "lstm"
    gru = "gru"


class Direction(str, Enum):
    """forward: left to right; both: a pair that never see each other, each of half the width (`xlt.models.recurrent`)."""

    forward = "forward"
    both = "both"


@dataclass(frozen=True, kw_only=True)
class Recurrent:
    """An LSTM or GRU of the given shape. width: of a state, both directions together; embedding_width: of the table, which the head shares."""

    cell: Cell
    direction: Direction
    layers: int
    width: int
    embedding_width: int
    dropout: float
    init_from: str | None

    def __post_init__(self):
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"model.dropout: {self.dropout} is not in [0, 1)")
        if self.direction is Direction.both and self.width % 2:
            raise ConfigError(
                f"model.width: {self.width} is odd, and two directions share it equally; give an even one"
            )


def inner(node) -> Pretrained | FromScratch | Recurrent:
    """The model itself, without what is added to its input."""
    return node.backbone if isinstance(node, MultilingualInput) else node


def load_config(node, vocabulary_size: int, pad: int, seed_ids: dict[str, int]):
    """(transformers config, where its weights lie or None) of any node of the group. Loads no weights.

    With a shape and a checkpoint, the dropouts are those of the shape: a checkpoint's are of its own training.
    """
    from transformers import AutoConfig

    import xlt.models.recurrent  # noqa: F401 (registers its model type)

    node = inner(node)
    if node.init_from is None:
        if isinstance(node, Pretrained):
            raise ConfigError(
                "model.init_from: no checkpoint is named; give a run directory, folder or hub name, or choose a shape such as model=tiny"
            )
        return _scratch_config(node, vocabulary_size, pad, seed_ids), None
    place = locate(node.init_from)
    try:
        config = AutoConfig.from_pretrained(place, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(
            f"model.init_from: no model could be loaded from {node.init_from} ({str(error).splitlines()[0]})"
        ) from error
    if not isinstance(node, Pretrained):
        families.keep_layers(config, node.layers)
        wrong = (_recurrent_differences if isinstance(node, Recurrent) else families.differences)(node, config)
        if wrong:
            raise ConfigError(
                f"model.init_from: {node.init_from} has another shape than this model ({'; '.join(wrong)}); choose model=pretrained to take its own"
            )
        config.update(_dropouts(node))
    if config.vocab_size < vocabulary_size:
        raise ConfigError(
            f"tokenizer: it has {vocabulary_size} tokens but the model at {node.init_from} knows {config.vocab_size}; take the tokenizer beside it (tokenizer.path=null)"
        )
    return config, place


def _scratch_config(node: FromScratch | Recurrent, vocabulary_size: int, pad: int, special: dict[str, int]):
    from transformers import CONFIG_MAPPING, AutoConfig

    if isinstance(node, Recurrent):
        ids = {"vocab_size": vocabulary_size, "pad_token_id": pad, **special}
        return AutoConfig.for_model(
            RECURRENT, **{theirs: _plain(getattr(node, ours)) for ours, theirs in _RECURRENT.items()}, **ids
        )
    if node.architecture not in CONFIG_MAPPING:
        raise ConfigError(
            f"model.architecture: transformers knows no {node.architecture!r}; take for example {', '.join(families.FAMILIES)}"
        )
    named = families.settings(node, pad, special)
    families.check_names(node.architecture, CONFIG_MAPPING[node.architecture])
    return AutoConfig.for_model(node.architecture, vocab_size=vocabulary_size, **named)


def _dropouts(node: FromScratch | Recurrent) -> dict[str, float]:
    if isinstance(node, Recurrent):
        return {_RECURRENT["dropout"]: node.dropout}
    asked = families.settings(node, 0, {})
    names = families.family(node.architecture).names
    return {key: asked[key] for ours in ("dropout", "attention_dropout") for key in names[ours]}


def _recurrent_differences(node: Recurrent, config) -> list[str]:
    return [
        f"{ours} {_plain(getattr(node, ours))} is {getattr(config, theirs, None)} there"
        for ours, theirs in _RECURRENT.items()
        if ours != "dropout" and getattr(config, theirs, None) != _plain(getattr(node, ours))
    ]


def _plain(value):
    return value.value if isinstance(value, Enum) else value


def locate(init_from: str) -> str:
    """The folder or hub name to load from; files of ours that are damaged or missing are a DataError naming the file."""
    place = resolve(init_from)
    if looks_local(place) and not Path(place).is_dir():
        raise ConfigError(
            f"model.init_from: {init_from} does not exist; give the run directory of an earlier stage, a folder, or a hub name"
        )
    if Path(place).is_dir():
        if not (Path(place) / "config.json").is_file():
            raise ConfigError(
                f"model.init_from: {init_from} holds no config.json, so no model in transformers format; did that stage finish?"
            )
        _refuse_unsafe(Path(place), init_from)
        if problem := verify(Path(place)):
            raise DataError(f"{place}: {problem}; make that checkpoint anew, or take another one")
    return place


def _refuse_unsafe(place: Path, init_from: str) -> None:
    """ConfigError for a folder that would run code when it is loaded, or take all memory."""
    pickles = sorted(p.name for p in place.iterdir() if p.suffix in (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt"))
    if pickles and not any(place.glob("*.safetensors")):
        raise ConfigError(
            f"model.init_from: {init_from} has its weights in {pickles[0]}, a pickle, which can run code; convert it to safetensors where you trust it"
        )
    if (size := (place / "config.json").stat().st_size) > MOST_CONFIG:
        raise ConfigError(f"model.init_from: the config.json of {init_from} has {size:,} bytes; is it a model's?")
    try:
        found = json.loads((place / "config.json").read_text(encoding="utf-8"))
    except ValueError:
        return  # transformers says so
    if not isinstance(found, dict):
        return
    if "_attn_implementation_internal" in found:
        raise ConfigError(
            f"model.init_from: the config.json of {init_from} sets _attn_implementation_internal, by which it could run code; remove it"
        )
    for key, value in found.items():
        if isinstance(value, int) and not isinstance(value, bool) and value > MOST_OF_ANYTHING and key in SIZES:
            raise ConfigError(
                f"model.init_from: the config.json of {init_from} has {key}={value:,}, which no model has; correct it"
            )


def check_head(config, head: str, objective) -> None:
    """ConfigError for what would run and mean nothing: a decoder's first token, hidden words read from one side, an encoder trained without its decoder."""
    name = type(objective).__name__
    if head == "masked-lm" and config.model_type == RECURRENT and config.direction != Direction.both.value:
        raise ConfigError(
            f"model.direction: forward, and {name} predicts a token from both of its sides; set it to both (model=bilstm_tiny), or take a causal objective"
        )
    if head == "masked-lm" and config.is_encoder_decoder:
        raise ConfigError(
            f"model: {config.model_type} is an encoder-decoder, and {name} would leave its decoder untrained; take an encoder, or an objective that denoises"
        )
    if getattr(objective, "pool", None) is Pool.first and reads_left_to_right(config):
        raise ConfigError(
            f"objective.pool: first, but {config.model_type} reads from left to right, so its first token knows nothing of the text; set it to last or mean"
        )


def reads_left_to_right(config) -> bool:
    """Whether a token's state knows nothing of what follows it: decoders, and recurrent models of one direction."""
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    )

    if config.model_type == RECURRENT:
        return config.direction == Direction.forward.value
    kinds = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, MODEL_FOR_MASKED_LM_MAPPING_NAMES
    causal, masked = (config.model_type in kind for kind in kinds)
    return not config.is_encoder_decoder and (getattr(config, "is_decoder", False) if masked else causal)

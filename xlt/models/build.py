"""From a config node to a model: any checkpoint in transformers format, or a transformers architecture with random weights.

Knows nothing of data, objectives' losses or training. What it saves, plain transformers loads: `AutoModel.from_pretrained(DIR/"model")`.
"""

from __future__ import annotations

import inspect
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from xlt.errors import ConfigError, DataError
from xlt.files import verify
from xlt.models.capabilities import require_head
from xlt.models.heads import KINDS
from xlt.tokenization.load import looks_local, resolve

HEADS_FILE, TASK_FILE = "heads.safetensors", "xlt.json"
_SHAPE = {
    "layers": "num_hidden_layers",
    "width": "hidden_size",
    "attention_heads": "num_attention_heads",
    "feed_forward": "intermediate_size",
}


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """A checkpoint: a run directory, a folder in transformers format, or a hub name. null: random weights are not meant; name one."""

    init_from: str | None


@dataclass(frozen=True, kw_only=True)
class FromScratch:
    """A transformers architecture of the given shape. With init_from its weights come from a checkpoint, which must have that shape.

    Of a checkpoint with more layers the first ones are taken (Sajjad et al. 2023, section 3: top layers can go); none: the embeddings.
    """

    architecture: str
    layers: int
    width: int
    attention_heads: int
    feed_forward: int
    max_positions: int
    dropout: float
    attention_dropout: float
    init_from: str | None

    def __post_init__(self):
        if self.width % self.attention_heads:
            raise ConfigError(f"model.attention_heads: {self.attention_heads} does not divide model.width {self.width}")
        for name in ("dropout", "attention_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"model.{name}: {getattr(self, name)} is not in [0, 1)")


class TransferModel(nn.Module):
    """A transformers model (`backbone`) and what an objective adds to it (`heads`), so that optimiser and checkpoint see one module.

    Its forward runs any function of (model, batch): data parallelism and autocast wrap forward, whatever the objective computes.
    """

    def __init__(self, backbone, heads: dict[str, nn.Module], task: dict):
        super().__init__()
        self.backbone = backbone
        self.heads = nn.ModuleDict(heads)
        self.task = task

    def forward(self, function, batch):
        return function(self, batch)

    @property
    def width(self) -> int:
        """Size of a hidden state."""
        return self.backbone.config.hidden_size

    def hidden(self, inputs: dict[str, torch.Tensor | None], layer: int | None = None) -> torch.Tensor:
        """hidden_BLD of the last layer, or of `layer` (0: embeddings)."""
        inputs = {k: v for k, v in inputs.items() if v is not None}
        reader = self.reader
        if "use_cache" in inspect.signature(reader.forward).parameters:
            inputs["use_cache"] = (
                False  # a decoder would keep keys and values of every layer for a generation that never comes
            )
        if layer is None or layer == getattr(self.backbone.config, "num_hidden_layers", None):
            return reader(**inputs).last_hidden_state
        return reader(**inputs, output_hidden_states=True).hidden_states[layer]

    @property
    def reader(self) -> nn.Module:
        """The part that turns a text into states: the body without its head; of an encoder-decoder, the encoder."""
        body = self.backbone.base_model
        return body.get_encoder() if self.backbone.config.is_encoder_decoder else body


def load_config(node: Pretrained | FromScratch, vocabulary_size: int, pad: int, seed_ids: dict[str, int]):
    """(transformers config, where its weights lie or None). Loads no weights."""
    from transformers import AutoConfig

    if node.init_from is None:
        if isinstance(node, Pretrained):
            raise ConfigError(
                "model.init_from: no checkpoint is named; give a run directory, folder or hub name, or choose a shape such as model=tiny"
            )
        return _scratch_config(node, vocabulary_size, pad, seed_ids), None
    place = locate(node.init_from)
    try:
        config = AutoConfig.from_pretrained(place)
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(
            f"model.init_from: no model could be loaded from {node.init_from} ({str(error).splitlines()[0]})"
        ) from error
    if isinstance(node, FromScratch):
        _keep_layers(config, node.layers)
        wrong = [
            f"{ours} {getattr(node, ours)} is {getattr(config, theirs, None)} there"
            for ours, theirs in _SHAPE.items()
            if getattr(config, theirs, None) != getattr(node, ours)
        ]
        if wrong:
            raise ConfigError(
                f"model.init_from: {node.init_from} has another shape than this model ({'; '.join(wrong)}); choose model=pretrained to take its own"
            )
    if config.vocab_size < vocabulary_size:
        raise ConfigError(
            f"tokenizer: it has {vocabulary_size} tokens but the model at {node.init_from} knows {config.vocab_size}; take the tokenizer beside it (tokenizer.path=null)"
        )
    return config, place


def _keep_layers(config, layers: int) -> None:
    """Make the config that of its first `layers` layers, where it has as many."""
    if layers < (getattr(config, "num_hidden_layers", None) or 0):
        config.num_hidden_layers = layers
        if getattr(config, "layer_types", None):
            config.layer_types = config.layer_types[:layers]


def _scratch_config(node: FromScratch, vocabulary_size: int, pad: int, special: dict[str, int]):
    from transformers import AutoConfig

    try:
        return AutoConfig.for_model(
            node.architecture,
            vocab_size=vocabulary_size,
            hidden_size=node.width,
            num_hidden_layers=node.layers,
            num_attention_heads=node.attention_heads,
            intermediate_size=node.feed_forward,
            # RoBERTa's family counts positions from pad + 1
            max_position_embeddings=node.max_positions + (pad + 1 if "roberta" in node.architecture else 0),
            hidden_dropout_prob=node.dropout,
            attention_probs_dropout_prob=node.attention_dropout,
            type_vocab_size=1 if "roberta" in node.architecture else 2,
            pad_token_id=pad,
            **special,
        )
    except ValueError as error:
        raise ConfigError(
            f"model.architecture: transformers knows no {node.architecture!r}; take for example xlm-roberta or bert"
        ) from error


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
        if problem := verify(Path(place)):
            raise DataError(f"{place}: {problem}; make that checkpoint anew, or take another one")
    return place


def build(
    node: Pretrained | FromScratch,
    head: str,
    objective,
    labels: list[str] | None,
    tokenizer,
    seed: int,
    load_heads: bool = False,
) -> TransferModel:
    """The model for an objective that needs `head` (one of `xlt.models.heads.KINDS`) on its backbone.

    New parameters are drawn from `seed`. load_heads: take the objective's own parameters from the checkpoint, too (scoring a fine-tuned model).
    """
    import transformers

    special = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    config, place = load_config(node, len(tokenizer), tokenizer.pad_token_id, special)
    auto = getattr(transformers, KINDS[head])
    torch.manual_seed(seed)
    # XLM-R's and BERT's pooler is trained by no objective here: left out, it is neither saved nor updated.
    options = {"add_pooling_layer": False} if head == "encoder" and config.model_type in _HAS_POOLER else {}
    if place is None:
        backbone = auto.from_config(config, **options)
    else:
        backbone = _pretrained(auto, place, {"config": config, **options}, node.init_from, type(objective).__name__)
    require(backbone, head, objective)
    torch.manual_seed(seed)
    heads = objective.modules(backbone.config.hidden_size, labels)
    model = TransferModel(backbone, heads, {"labels": labels})
    if load_heads and heads:
        _load_heads(model, place)
    return model


def require(backbone, head: str, objective) -> None:
    """That the backbone can do what the objective needs, asked before training. objective.require(backbone), where it has one, asks for more."""
    require_head(backbone, head)
    if hasattr(objective, "require"):
        objective.require(backbone)


def _pretrained(auto, place: str, options: dict, init_from: str, objective: str):
    from safetensors import SafetensorError
    from transformers.utils import logging

    logging.disable_progress_bar()
    before = logging.get_verbosity()
    logging.set_verbosity_error()  # its table of weights that are not needed (the language model's head) alarms for nothing
    try:
        model, info = auto.from_pretrained(place, dtype=torch.float32, output_loading_info=True, **options)
        if new := sorted(info["missing_keys"]):
            print(
                f"xlt: model.init_from: {len(new)} weights are not in {init_from} and begin at random values (first: {new[0]})",
                file=sys.stderr,
            )
        return model
    except ValueError as error:
        if "Unrecognized configuration class" not in str(error):
            raise
        raise ConfigError(
            f"model.init_from: {init_from} cannot be loaded as {auto.__name__}, which {objective} needs: its architecture has no such head; "
            f"take {_EXAMPLE.get(auto.__name__, 'an encoder such as XLM-R')}, or another objective"
        ) from error
    except (OSError, SafetensorError) as error:
        raise DataError(
            f"model.init_from: the weights of {init_from} could not be read ({str(error).splitlines()[0]}); get that checkpoint anew"
        ) from error
    finally:
        logging.set_verbosity(before)


def max_tokens(model: TransferModel) -> int | None:
    """The longest row that the model has positions for; None where it has no such limit."""
    for name, module in model.backbone.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
            # RoBERTa's family counts from pad + 1, and only its positions have a padding index
            return module.num_embeddings - (0 if module.padding_idx is None else module.padding_idx + 1)
    return getattr(model.backbone.config, "max_position_embeddings", None)


_EXAMPLE = {
    "AutoModelForCausalLM": "a decoder such as GPT-2 or Llama",
    "AutoModelForSeq2SeqLM": "an encoder-decoder such as mBART or mT5",
}
_HAS_POOLER = {"xlm-roberta", "bert", "roberta", "xlm-roberta-xl", "camembert"}


def _load_heads(model: TransferModel, place: str | None) -> None:
    from safetensors.torch import load_file

    path = Path(place or "") / HEADS_FILE
    if not path.is_file():
        raise ConfigError(
            f"model.init_from: {place} has no task head ({HEADS_FILE}); give the run directory of `xlt finetune`"
        )
    model.heads.load_state_dict(load_file(path))


def read_task(init_from: str) -> dict:
    """What a fine-tuned checkpoint was trained for: labels, objective, source languages. ConfigError if it was not fine-tuned by xlt."""
    path = Path(locate(init_from)) / TASK_FILE
    if not path.is_file():
        raise ConfigError(
            f"model.init_from: {init_from} was not fine-tuned by xlt (no {TASK_FILE} in it); give the run directory of `xlt finetune`"
        )
    return json.loads(path.read_text())


def save(model: TransferModel, tokenizer, folder: Path) -> None:
    """Everything that another stage or plain transformers needs, into an existing folder."""
    from safetensors.torch import save_file

    model.backbone.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if len(model.heads):
        save_file({k: v.contiguous() for k, v in model.heads.state_dict().items()}, folder / HEADS_FILE)
    (folder / TASK_FILE).write_text(json.dumps(model.task, indent=2, ensure_ascii=False, sort_keys=True) + "\n")

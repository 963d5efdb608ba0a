"""From a config node to a model: any checkpoint in transformers format, or a transformers architecture with random weights.

Knows nothing of data, objectives' losses or training. What it saves, plain transformers loads: `AutoModel.from_pretrained(DIR/"model")`.
"""

from __future__ import annotations

import copy
import inspect
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from xlt.errors import ConfigError, DataError
from xlt.models import fused
from xlt.models.adapters import folder as adapter_folder
from xlt.models.capabilities import position_table, require_head
from xlt.models.families import family
from xlt.models.heads import KINDS
from xlt.models.inputs import InputEmbeddings, MultilingualInput, input_embeddings
from xlt.models.shapes import FromScratch, Pretrained, Recurrent, check_head, inner, load_config, locate
from xlt.models.space import Space
from xlt.types import Labels

HEADS_FILE, TASK_FILE = "heads.safetensors", "xlt.json"
_NO_HEAD = "Unrecognized configuration class"  # how transformers says that an architecture has no model of the kind


class Teacher(NamedTuple):
    """A frozen model, and the classification objective that reads its logits; None where its states are learned from. weights: of its labels, where they are
    learned (see `xlt.stages.pseudo_labels`)."""

    model: TransferModel
    classifier: Any
    weights: torch.Tensor | None = None


class TransferModel(nn.Module):
    """A transformers model (`backbone`) and what an objective adds to it (`heads`), so that optimiser and checkpoint see one module.

    Its forward runs any function of (model, batch): data parallelism and autocast wrap forward, whatever the objective computes.
    """

    def __init__(
        self,
        backbone,
        heads: dict[str, nn.Module],
        task: dict,
        inputs: InputEmbeddings | None = None,
        space: Space | None = None,
    ):
        super().__init__()
        self.backbone = backbone
        self.heads = nn.ModuleDict(heads)
        self.task = task
        self.inputs = inputs
        self.space = space
        self.fused = False  # training takes the fast paths of `xlt.models.fused`, where there is one
        self.adapter = None  # see `xlt.models.adapters`
        self.virtual_tokens = 0  # positions that an adapter takes
        self.examine()
        self._takes = set(inspect.signature(self.reader.forward).parameters)

    def examine(self) -> None:
        """See anew whether the fast path does what the reader does, after its modules have changed."""
        self._encodes = fused.encoder(self.reader)

    def forward(self, function, batch):
        if self.adapter is not None:
            self.adapter.speak(batch.languages)
        return function(self, batch)

    def stored(self, name: str) -> bool:
        """Whether a checkpoint holds what is called so: of a model with an adapter only what learns."""
        adapter = self.adapter
        return adapter is None or adapter.whole or name in adapter.trained or name.startswith("learned.")

    @property
    def width(self) -> int:
        """Size of a hidden state."""
        return self.backbone.config.hidden_size

    def teach(self, classifier) -> None:
        """Keep a copy of this model as it is now, with the objective it was trained by: the teacher, which is neither trained nor saved."""
        copied = copy.deepcopy(self).eval().requires_grad_(False)
        self.learn_from(copied, classifier)

    def learn_from(self, teacher: TransferModel, classifier=None) -> None:
        """Have a frozen model at hand, which is neither trained nor saved. ConfigError for a second one."""
        if hasattr(self, "teacher"):
            raise ConfigError("objective: two parts have a teacher, and a model has one; leave one of them out")
        object.__setattr__(self, "teacher", Teacher(teacher, classifier))  # unseen by parameters() and state_dict()

    def hidden(self, inputs: dict[str, torch.Tensor | None], layer: int | None = None) -> torch.Tensor:
        """hidden_BLD of the last layer, or of `layer` (0: embeddings)."""
        if self.space is None:
            return self._hidden(self._read(inputs), layer)
        spoken = inputs.get("language_ids")
        states_BLD = self._hidden(self._read({k: v for k, v in inputs.items() if k != "language_ids"}), layer)
        return self.space(states_BLD, spoken, self.backbone.config.num_hidden_layers if layer is None else layer)

    def _hidden(self, inputs: dict[str, torch.Tensor], layer: int | None) -> torch.Tensor:
        """As the encoder itself gives it."""
        if self.fused and self.training and self._encodes and fused.readable(inputs):
            return fused.encode(self.reader, inputs, layer)
        if layer is None or layer == getattr(self.backbone.config, "num_hidden_layers", None):
            return self.reader(**inputs).last_hidden_state
        return self.reader(**inputs, output_hidden_states=True).hidden_states[layer]

    def hidden_layers(self, inputs: dict[str, torch.Tensor | None]) -> list[torch.Tensor]:
        """hidden_BLD of the embeddings and of every layer, each as `hidden` gives it, by one forward pass."""
        spoken = None
        if self.space is not None:
            spoken, inputs = inputs.get("language_ids"), {k: v for k, v in inputs.items() if k != "language_ids"}
        found = self.reader(**self._read(inputs), output_hidden_states=True)
        states = [*found.hidden_states[:-1], found.last_hidden_state]
        return states if self.space is None else [self.space(s, spoken, layer) for layer, s in enumerate(states)]

    @property
    def reader(self) -> nn.Module:
        """The part that turns a text into states: the body without its head; of an encoder-decoder, the encoder."""
        body = self.backbone.base_model
        return body.get_encoder() if self.backbone.config.is_encoder_decoder else body

    @property
    def packs(self) -> bool:
        """Whether the fast path can read what it is given, and so computes no padding."""
        return self._encodes and self.inputs is None and not self.backbone.config.is_encoder_decoder

    @property
    def languages(self) -> tuple[str, ...] | None:
        """Languages that have an embedding, or a place in a solved space; None where the model does not ask which language it reads."""
        if self.space is not None:
            return self.space.languages
        return None if self.inputs is None else self.inputs.languages

    @property
    def segments(self) -> bool:
        """Whether the model has embeddings of a row's segments (beside BERT's own token types)."""
        return self.inputs is not None and self.inputs.segment is not None

    def _read(self, inputs: dict[str, torch.Tensor | None]) -> dict[str, torch.Tensor]:
        """What the reader is called with: what is there of the inputs, embedded where the model has embeddings of its own."""
        inputs = self._accepted({k: v for k, v in inputs.items() if v is not None})
        return inputs if self.inputs is None else self.inputs(self.backbone.get_input_embeddings(), inputs)

    def _accepted(self, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """What the reader takes. ConfigError for what would change nothing unnoticed; BERT's token types are dropped, as tokenizers do for others."""
        if self.inputs is None and (given := {"language_ids", "segment_ids"} & inputs.keys()):
            raise ConfigError(
                f"model: it has no embeddings for {', '.join(sorted(given))}, which the objective gives; choose model=multilingual_input"
            )
        if "position_ids" in inputs and "position_ids" not in self._takes:
            raise ConfigError(
                f"model: {type(self.reader).__name__} has no positions that could be set, which the objective asks for; let them continue, or take an encoder such as XLM-R"
            )
        if "token_type_ids" in inputs and "token_type_ids" not in self._takes:
            del inputs["token_type_ids"]
        return inputs | ({"use_cache": False} if "use_cache" in self._takes else {})


def build(
    node: Pretrained | FromScratch | Recurrent | MultilingualInput,
    head: str,
    objective,
    labels: Labels | None,
    tokenizer,
    seed: int,
    load_heads: bool = False,
    languages: list[str] | None = None,
) -> TransferModel:
    """The model for an objective that needs `head` (one of `xlt.models.heads.KINDS`) on its backbone.

    New parameters are drawn from `seed`. load_heads: take the objective's own parameters from the checkpoint, too (scoring a fine-tuned model).
    languages: those that get an embedding where `node` asks for new ones.
    """
    import transformers

    if (
        found := adapter_folder.find(inner(node).init_from, getattr(inner(node), "language_adapters", None))
    ) is not None:
        model = build(found.node(node), head, objective, labels, tokenizer, seed, False, languages)
        found.put(model)
        if load_heads and model.heads:
            _load_heads(model, str(found.place))
        return model
    special = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    config, place = load_config(node, len(tokenizer), tokenizer.pad_token_id, special)
    auto = getattr(transformers, KINDS[head])
    check_head(config, head, objective)
    torch.manual_seed(seed)
    # XLM-R's and BERT's pooler is trained by no objective here: left out, it is neither saved nor updated.
    options = {"add_pooling_layer": False} if head == "encoder" and config.model_type in _HAS_POOLER else {}
    if place is None:
        try:
            backbone = auto.from_config(config, **options)
        except ValueError as error:
            if _NO_HEAD not in str(error):
                raise
            raise ConfigError(
                _no_head(f"model.architecture: {config.model_type}", auto, type(objective).__name__)
            ) from error
        if family(config.model_type).narrow_table:
            with torch.no_grad():
                backbone.get_input_embeddings().weight.mul_(config.hidden_size**-0.5)
    else:
        backbone = _pretrained(auto, place, {"config": config, **options}, node.init_from, type(objective).__name__)
    require(backbone, head, objective)
    torch.manual_seed(seed)
    heads = objective.modules(backbone.config.hidden_size, labels)
    inputs = input_embeddings(node, place, backbone.get_input_embeddings().embedding_dim, languages or [])
    model = TransferModel(backbone, heads, {"labels": labels}, inputs, Space.load(place))
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
        model, info = auto.from_pretrained(
            place,
            dtype=torch.float32,
            output_loading_info=True,
            use_safetensors=True,
            trust_remote_code=False,
            **options,
        )
        if new := sorted(info["missing_keys"]):
            print(
                f"xlt: model.init_from: {len(new)} weights are not in {init_from} and begin at random values (first: {new[0]})",
                file=sys.stderr,
            )
        return model
    except ValueError as error:
        if _NO_HEAD not in str(error):
            raise
        raise ConfigError(_no_head(f"model.init_from: {init_from}", auto, objective)) from error
    except (OSError, SafetensorError) as error:
        raise DataError(
            f"model.init_from: the weights of {init_from} could not be read ({str(error).splitlines()[0]}); get that checkpoint anew"
        ) from error
    finally:
        logging.set_verbosity(before)


def _no_head(what: str, auto, objective: str) -> str:
    return (
        f"{what} cannot be loaded as {auto.__name__}, which {objective} needs: its architecture has no such head; "
        f"take {_EXAMPLE.get(auto.__name__, 'an encoder such as XLM-R')}, or another objective"
    )


def max_tokens(model: TransferModel) -> int | None:
    """The longest row that the model has positions for; None where it has no such limit."""
    table, first = position_table(model.backbone)
    if table is not None:
        return table.num_embeddings - first - model.virtual_tokens
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
    task = known_task(init_from)
    if task is None:
        raise ConfigError(
            f"model.init_from: {init_from} was not fine-tuned by xlt (no {TASK_FILE} in it); give the run directory of `xlt finetune`"
        )
    return task


def known_task(init_from: str) -> dict | None:
    """The same; None of a checkpoint that xlt did not train."""
    path = Path(locate(init_from)) / TASK_FILE
    return json.loads(path.read_text()) if path.is_file() else None


def read_labelled_task(init_from: str) -> dict:
    """The same of a checkpoint whose task has labels. ConfigError for one that was pretrained or aligned only."""
    task = read_task(init_from)
    if task.get("labels") is None:
        raise ConfigError(
            f"model.init_from: {init_from} was not fine-tuned on a task; give the run directory of `xlt finetune`"
        )
    return task


def save(model: TransferModel, tokenizer, folder: Path) -> None:
    """Everything that another stage or plain transformers needs, into an existing folder."""
    from safetensors.torch import save_file
    from transformers.utils import logging

    logging.disable_progress_bar()
    if model.adapter is None:
        model.backbone.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    else:
        adapter_folder.write(model, folder, folder.with_name("model"))
    if len(model.heads):
        save_file({k: v.contiguous() for k, v in model.heads.state_dict().items()}, folder / HEADS_FILE)
    if model.inputs is not None and model.adapter is None:
        model.inputs.save(folder)
    if model.space is not None:
        model.space.save(folder)
    (folder / TASK_FILE).write_text(json.dumps(model.task, indent=2, ensure_ascii=False, sort_keys=True) + "\n")

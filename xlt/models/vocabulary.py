"""The rows of a model that belong to pieces: its table of embeddings, and the head's outputs and biases, tied or not. Fewer of them, or more.

Works on any model of transformers by its own `resize_token_embeddings`, and checks afterwards what that made. Knows no text and no tokenizer.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from xlt.errors import ConfigError
from xlt.models.capabilities import position_table
from xlt.models.shapes import RECURRENT, locate

_IDS = (
    *("pad_token_id", "bos_token_id", "eos_token_id", "sep_token_id", "cls_token_id", "mask_token_id", "unk_token_id"),
    *("decoder_start_token_id", "forced_bos_token_id", "forced_eos_token_id"),
)
_BIASES = (
    *("lm_head.bias", "lm_head.decoder.bias", "cls.predictions.bias", "cls.predictions.decoder.bias", "decoder.bias"),
    *("final_logits_bias", "predictions.bias", "predictions.decoder.bias", "vocab_projector.bias"),
)


def load_whole(init_from: str):
    """The model at a run directory, folder or hub name as the class that it was saved as, in evaluation mode and fp32."""
    import transformers
    from transformers.utils import logging

    import xlt.models.recurrent as recurrent

    place = locate(init_from)
    logging.disable_progress_bar()
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        config = transformers.AutoConfig.from_pretrained(place)
        name = (config.architectures or [""])[0]
        home = recurrent if config.model_type == RECURRENT else transformers
        options = (
            {"add_pooling_layer": False} if name.endswith(("XLMRobertaModel", "BertModel", "RobertaModel")) else {}
        )
        return getattr(home, name, transformers.AutoModel).from_pretrained(place, dtype=torch.float32, **options).eval()
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(
            f"model.init_from: no model could be loaded from {init_from} ({str(error).splitlines()[0]})"
        ) from error
    finally:
        logging.set_verbosity(before)


def named_ids(model) -> set[int]:
    """Ids that the model itself reads: special tokens of its config, and where positions are counted from the padding's id, all up to it."""
    ids = set()
    for config in (model.config, getattr(model, "generation_config", None)):
        for name in _IDS:
            value = getattr(config, name, None)
            ids |= set(value if isinstance(value, list) else [value]) - {None}
    if position_table(model)[1]:
        ids |= set(range(model.config.pad_token_id + 1))
    return ids


@torch.no_grad()
def keep_rows(model, kept_K: np.ndarray) -> None:
    """Only the pieces kept_K, the n-th of which is piece n from then on: rows, biases, and the ids in the config. In place."""
    index_K = torch.from_numpy(kept_K)
    for table in _tables(model):
        table[: len(index_K)] = table[index_K].clone()
    _resize(model, len(index_K))
    new = {int(old): n for n, old in enumerate(kept_K)}
    for config in (model.config, getattr(model, "generation_config", None)):
        for name in _IDS:
            value = getattr(config, name, None)
            if isinstance(value, list):
                setattr(config, name, [new[i] for i in value])
            elif value is not None and value >= 0:
                setattr(config, name, new[value])
    pad = model.config.pad_token_id
    for embeddings in (model.get_input_embeddings(), *_further(model).values()):
        if embeddings.padding_idx is not None:
            embeddings.padding_idx = pad


@torch.no_grad()
def add_rows(
    model, first: int, rows_KD: torch.Tensor, outputs_KD: torch.Tensor | None, biases_K: torch.Tensor | None
) -> None:
    """Rows for K new pieces with ids from `first` on. outputs_KD: of a head that is not tied; biases_K: of a head that has some. In place.

    ConfigError if encoder and decoder read by different tables: rows_KD are of one.
    """
    count, table_VD = len(rows_KD), model.get_input_embeddings().weight
    if not all(torch.equal(each.weight, table_VD) for each in _further(model).values()):
        raise ConfigError(
            "model.init_from: its encoder and decoder have different embeddings, so new pieces would need rows of both; take a model that shares them"
        )
    if model.get_input_embeddings().num_embeddings < first + count:
        _resize(model, first + count)
    for embeddings in (model.get_input_embeddings(), *_further(model).values()):
        embeddings.weight[first : first + count] = rows_KD
    if outputs_KD is not None and not tied(model):
        model.get_output_embeddings().weight[first : first + count] = outputs_KD
    for bias_V in _biases(model):
        bias_V[first : first + count] = 0.0 if biases_K is None else biases_K


def tied(model) -> bool:
    """Whether the head's outputs are the embeddings; also of a model without a head."""
    head = model.get_output_embeddings()
    return head is None or head.weight is model.get_input_embeddings().weight


def output_rows(model) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """(weights_VD of an untied head, its biases_V); None where there is none."""
    head, biases = model.get_output_embeddings(), _biases(model)
    own = getattr(head, "bias", None)
    bias_V = own.detach() if own is not None else biases[0] if biases else None
    return None if tied(model) else head.weight.detach(), bias_V


def _tables(model) -> list[torch.Tensor]:
    """Everything with a row for each piece, once."""
    head = model.get_output_embeddings()
    weights = [model.get_input_embeddings().weight] + ([] if tied(model) else [head.weight])
    weights += [embeddings.weight for embeddings in _further(model).values()]
    return [w.data for w in weights] + _biases(model)


def _biases(model) -> list[torch.Tensor]:
    """The head's biases, each memory once: transformers ties some under two names, and BART's are a buffer of shape 1V."""
    size = model.get_input_embeddings().num_embeddings
    found = {
        tensor.data_ptr(): tensor.data
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]
        if name in _BIASES and tensor.shape in ((size,), (1, size))
    }
    has = getattr(model.get_output_embeddings(), "bias", None) is not None or hasattr(model, "final_logits_bias")
    return [t.view(-1) for t in found.values()] if has else []


def _further(model) -> dict[str, torch.nn.Embedding]:
    """{name: table of the encoder or decoder that is another memory than the model's own}: BART with an untied head has three."""
    own = model.get_input_embeddings().weight
    return {
        name: module
        for name, module in model.named_modules(remove_duplicate=False)
        if name.endswith(".embed_tokens") and module.weight is not own and module.weight.shape == own.shape
    }


def _apart(model) -> dict[str, torch.nn.Parameter]:
    """{name: bias that is another memory than the head's own}: BERT's and RoBERTa's with an untied head."""
    own = getattr(model.get_output_embeddings(), "bias", None)
    if own is None:
        return {}
    every = model.named_parameters(remove_duplicate=False)
    return {name: p for name, p in every if name in _BIASES and p is not own and p.shape == own.shape}


def _resize(model, size: int) -> None:
    """transformers' own, new rows undefined; its padding_idx is kept.

    With an untied head, transformers makes one memory of tables and biases that were several, or forgets some, and then saves what it cannot load.
    They are put back, each resized.
    """
    pad, further, apart = model.get_input_embeddings().padding_idx, _further(model), _apart(model)
    model.resize_token_embeddings(size, mean_resizing=False)
    for name, module in further.items():
        module.weight, module.num_embeddings = _longer(module.weight, size), size
        _put(model, name, module)
    for name, bias_V in apart.items():
        _put(model, name, _longer(bias_V, size))
    embeddings = model.get_input_embeddings()
    embeddings.padding_idx = pad
    model.config.vocab_size = size
    shapes = {next(iter(t.shape)) for t in _tables(model)}
    if shapes != {size} or embeddings.num_embeddings != size:
        raise ConfigError(
            f"model.init_from: {type(model).__name__} has rows for pieces that could not be resized; take another architecture"
        )


def _longer(old: torch.nn.Parameter, size: int) -> torch.nn.Parameter:
    """Its first rows, and zeros after them where there are fewer."""
    new = old.new_zeros(size, *old.shape[1:])
    new[: len(old)] = old[:size]
    return torch.nn.Parameter(new, requires_grad=old.requires_grad)


def _put(model, name: str, value) -> None:
    parent, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(parent), leaf, value)


def extra_files(init_from: str) -> list[Path]:
    """What xlt saved beside the transformers model: heads of a task, embeddings of languages, what it was trained for."""
    place = Path(locate(init_from))
    return [
        place / name
        for name in ("heads.safetensors", "inputs.safetensors", "inputs.json", "xlt.json")
        if (place / name).is_file()
    ]

"""Prefix and prompt tuning: peft's encoders of tokens that are not in the text, given to the reader by hooks on it.

Where there are hooks, `xlt.models.fused` leaves the model to transformers. What follows the reader sees the text's own states alone.
"""

from __future__ import annotations

import inspect
from pathlib import Path

import torch
from torch import nn

from xlt.errors import ConfigError
from xlt.models.adapters.kinds import PrefixTuning, PromptTuning
from xlt.models.adapters.protocol import Adapter
from xlt.models.adapters.tuned import WEIGHTS, write_config

_KEY = "prompt_embeddings"  # peft's name in a file


class Prompted(Adapter):
    """A prefix or a prompt on model.reader."""

    def __init__(self, kind: PrefixTuning | PromptTuning, model: nn.Module):
        self.kind = kind
        takes = "past_key_values" in inspect.signature(model.reader.forward).parameters
        if isinstance(kind, PrefixTuning) and (not takes or model.backbone.config.is_encoder_decoder):
            raise ConfigError(
                f"adapter: {type(model.reader).__name__} takes no keys and values from outside, so it can have no prefix; take adapter=prompt_tuning or lora, "
                "or an encoder such as XLM-R"
            )
        made = (
            _Prefix(kind.length, model.reader.config) if isinstance(kind, PrefixTuning) else _Prompt(kind.length, model)
        )
        self.module = model.learned = made
        model.virtual_tokens = kind.length
        model.reader.register_forward_pre_hook(made.before, with_kwargs=True)
        model.reader.register_forward_hook(made.after)

    def parameters_of(self, name: str) -> bool:
        return name.startswith("learned.")

    def write(self, folder: Path) -> None:
        """As peft writes it."""
        from safetensors.torch import save_file

        save_file({_KEY: self.module.encoder.embedding.weight.detach().contiguous()}, folder / WEIGHTS)
        write_config(self.module.config, self.base, folder)

    def read(self, folder: Path) -> None:
        from safetensors.torch import load_file

        weights = load_file(folder / WEIGHTS)[_KEY]
        own = self.module.encoder.embedding.weight
        if weights.shape != own.shape:
            raise ConfigError(
                f"model.init_from: the {self.kind.name} in {folder} is of a model of another shape {tuple(weights.shape)}; give the base that it was trained on"
            )
        with torch.no_grad():
            own.copy_(weights)


class _Prefix(nn.Module):
    """encoder: peft's, (tokens) -> keys and values of all layers."""

    def __init__(self, length: int, config):
        import peft
        from peft.tuners import PrefixEncoder

        super().__init__()
        heads = config.num_attention_heads
        keys = getattr(config, "num_key_value_heads", None) or heads
        self.shape = (length, config.num_hidden_layers * 2, keys, getattr(config, "head_dim", None) or config.hidden_size // heads)  # fmt: skip
        self.config = peft.PrefixTuningConfig(
            task_type="FEATURE_EXTRACTION",
            num_virtual_tokens=length,
            token_dim=keys * self.shape[-1],
            num_transformer_submodules=1,
            num_attention_heads=keys,
            num_layers=config.num_hidden_layers,
            encoder_hidden_size=config.hidden_size,
        )
        self.encoder = PrefixEncoder(self.config)

    def before(self, reader: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        from transformers import DynamicCache

        read = kwargs.get("input_ids", kwargs.get("inputs_embeds"))
        length, layers2, heads, size = self.shape
        all_BNKHS = self.encoder(torch.arange(length, device=read.device)).view(1, length, layers2, heads, size)
        pairs = all_BNKHS.expand(len(read), -1, -1, -1, -1).permute(2, 0, 3, 1, 4).split(2)
        cache = DynamicCache()
        for layer, (keys, values) in enumerate(pairs):
            cache.update(keys, values, layer)
        return args, {**kwargs, "past_key_values": cache, **_longer_mask(kwargs, length)}

    def after(self, reader: nn.Module, args: tuple, output):
        return output


class _Prompt(nn.Module):
    """encoder: peft's, (tokens) -> embeddings before the text's."""

    def __init__(self, length: int, model: nn.Module):
        import peft
        from peft.tuners import PromptEmbedding

        super().__init__()
        words, config = model.backbone.get_input_embeddings(), model.backbone.config
        self.length = length
        self.config = peft.PromptTuningConfig(
            task_type="FEATURE_EXTRACTION",
            prompt_tuning_init="SAMPLE_VOCAB",
            num_virtual_tokens=length,
            token_dim=words.embedding_dim,
            num_transformer_submodules=1,
            num_attention_heads=getattr(config, "num_attention_heads", 1),
            num_layers=config.num_hidden_layers,
        )
        self.encoder = PromptEmbedding(self.config, words)

    def before(self, reader: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        kwargs = dict(kwargs)
        if kwargs.pop("position_ids", None) is not None:
            raise ConfigError(
                "adapter: prompt_tuning puts tokens before the text, and this objective sets the positions itself; set objective.restart_positions=false, or take adapter=lora"
            )
        embedded_BLD = kwargs.pop("inputs_embeds", None)
        if embedded_BLD is None:
            embedded_BLD = reader.get_input_embeddings()(kwargs.pop("input_ids"))
        rows = len(embedded_BLD)
        prompt_ND = self.encoder(torch.arange(self.length, device=embedded_BLD.device))
        kwargs["inputs_embeds"] = torch.cat([prompt_ND.expand(rows, -1, -1), embedded_BLD], 1)
        if (types_BL := kwargs.get("token_type_ids")) is not None:
            kwargs["token_type_ids"] = torch.cat([types_BL.new_zeros(rows, self.length), types_BL], 1)
        return args, {**kwargs, **_longer_mask(kwargs, self.length)}

    def after(self, reader: nn.Module, args: tuple, output):
        """The states of the text."""
        output.last_hidden_state = output.last_hidden_state[:, self.length :]
        if getattr(output, "hidden_states", None) is not None:
            output.hidden_states = tuple(states[:, self.length :] for states in output.hidden_states)
        return output


def _longer_mask(kwargs: dict, length: int) -> dict:
    """The attention mask with `length` more tokens at the front, where there is a mask."""
    mask_BL = kwargs.get("attention_mask")
    return (
        {} if mask_BL is None else {"attention_mask": torch.cat([mask_BL.new_ones(len(mask_BL), length), mask_BL], 1)}
    )

"""Which layers learn, from which update on, and at which rate. Knows parameters by name and by layer; not what they compute.

Layers are numbered as everywhere in xlt: 0 is the embeddings, 1 the first layer; an encoder-decoder's decoder goes on where its encoder ends. What
lies above the last layer (final normalisation, language-model head, an objective's own parameters) is the top.
"""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass

import torch
from torch import nn

from xlt.errors import ConfigError

_LAYER = re.compile(r"\.(?:layer|layers|h|block)\.(\d+)\.|\.directions\.\d+\.(\d+)\.")
_EMBEDDINGS = re.compile(r"embed|\.wte\.|\.wpe\.|\.shared\.|^inputs\.")


@dataclass(frozen=True)
class Course:
    """How parameters learn. factor: of the run's learning rate. begins: the update, from 0, from which on they learn."""

    factor: float = 1.0
    begins: int = 0


class Layers:
    """The layer of every parameter of a `xlt.models.build.TransferModel`, and how it is to learn by the settings `xlt.config.schema.Train`."""

    def __init__(self, model, settings, steps: int):
        self.model, self.settings = model, settings
        table = model.backbone.get_input_embeddings().weight
        decoder, found = model.backbone.config.is_encoder_decoder, {}
        for name, parameter in model.named_parameters():
            at = 0 if parameter is table else _layer(name)  # a tied table may have the head's name
            found[name] = (decoder and ".decoder." in name, at)
        encoder = max((at for above, at in found.values() if at and not above), default=0)
        self.last = max([encoder, *(encoder + at for above, at in found.values() if at and above)])
        self.of = {
            name: self.last + 1 if at is None else at + encoder * (above and at > 0)
            for name, (above, at) in found.items()
        }
        self._every = round(
            settings.unfreeze_every if settings.unfreeze_every >= 1 else settings.unfreeze_every * steps
        )

    def prepare(self, seed: int) -> None:
        """Draw the top layers anew, then freeze what is not to learn. ConfigError if nothing is left, or if a setting names what is not there."""
        deepest = self.settings.freeze_layers
        for key, asked in (("freeze_layers", deepest or 0), ("reset_layers", self.settings.reset_layers)):
            if asked > self.last:
                raise ConfigError(f"train.{key}: {asked}, and this model has {self.last} layers; give fewer")
        reset(self.model.backbone, self.last - self.settings.reset_layers, self.last, seed)
        if deepest is not None:
            for name, parameter in self.model.named_parameters():
                parameter.requires_grad_(self.of[name] > deepest)
        freeze(self.model, self.settings.freeze)
        for pattern in self.settings.rates or {}:
            named(self.model, pattern, "rates")

    def courses(self) -> dict[str, Course]:
        """How each parameter that learns does so, by its name: its layer's rate, multiplied by those of the patterns that it matches, and its layer's beginning."""
        highest = max((self.of[n] for n, p in self.model.named_parameters() if p.requires_grad), default=0)
        factors = dict.fromkeys(self.model.parameters(), 1.0)
        for pattern, factor in (self.settings.rates or {}).items():
            for parameter in set(named(self.model, pattern, "rates").values()):
                factors[parameter] *= factor
        return {
            name: Course(
                factors[p] * self.settings.layer_decay ** (self.last + 1 - self.of[name]),
                self._every * (highest - self.of[name]),
            )
            for name, p in self.model.named_parameters()
            if p.requires_grad
        }

    def table(self, courses: dict[str, Course], peak: float) -> list[dict]:
        """What trains at which rate, from the top down: {layer, parameters, learning_rate (0: frozen), begins (update from 0; null: frozen)}."""
        sizes: dict[tuple, int] = {}
        for name, p in self.model.named_parameters():
            course = courses.get(name)
            key = self.of[name], *((0.0, None) if course is None else (peak * course.factor, course.begins))
            sizes[key] = sizes.get(key, 0) + p.numel()
        titles = {0: "embeddings", self.last + 1: "top"}
        return [
            {"layer": titles.get(layer, str(layer)), "parameters": size, "learning_rate": rate, "begins": begins}
            for (layer, rate, begins), size in sorted(sizes.items(), key=lambda item: (-item[0][0], -item[0][1]))
        ]


def rows(table: list[dict]) -> tuple[str, list[str], list[list[str]]]:
    """The same for the screen: title, head, lines."""

    def line(entry: dict) -> list[str]:
        frozen = entry["begins"] is None
        learns = ["frozen", ""] if frozen else [f"{entry['learning_rate']:.3g}", str(entry["begins"] + 1)]
        return [entry["layer"], f"{entry['parameters']:,}", *learns]

    return "what learns", ["layer", "parameters", "learning rate", "from update"], [line(entry) for entry in table]


def thaw(optimizer: torch.optim.Optimizer, step: int) -> None:
    """Let the parameters learn whose turn has come at `step`, and no others: gradual unfreezing (Howard and Ruder 2018, section 3.3)."""
    for group in optimizer.param_groups:
        for parameter in group["params"] if group.get("gradual") else ():
            parameter.requires_grad_(step >= group["begins"])


def named(model: nn.Module, pattern: str, key: str) -> dict[str, nn.Parameter]:
    """The parameters that have a name like a shell pattern, a tied one by any of its names. ConfigError if there are none."""
    everything = dict(model.named_parameters(remove_duplicate=False))
    found = fnmatch.filter(everything, pattern)
    if not found:
        raise ConfigError(
            f"train.{key}: no parameter is called like {pattern!r}; names begin as {', '.join(list(everything)[:3])}, and * stands for any part"
        )
    return {name: everything[name] for name in found}


def freeze(model: nn.Module, patterns: list[str]) -> int:
    """Parameters whose names match a shell pattern learn no more; returns how many numbers do not learn. ConfigError if a pattern matches none,
    or if nothing is left to learn."""
    for pattern in patterns:
        for parameter in named(model, pattern, "freeze").values():
            parameter.requires_grad_(False)
    if not any(p.requires_grad for p in model.parameters()):
        raise ConfigError(f"train.freeze: {patterns} leave no parameter to learn; name fewer")
    return sum(p.numel() for p in model.parameters() if not p.requires_grad)


@torch.no_grad()
def reset(backbone: nn.Module, above: int, last: int, seed: int) -> None:
    """Draw the layers after number `above` anew, as the architecture draws its own (Zhang et al. 2021, section 5.1). Nothing if there are none."""
    if above >= last:
        return
    decoder = backbone.config.is_encoder_decoder
    if decoder:
        raise ConfigError(
            f"train.reset_layers: {type(backbone).__name__} has layers on two sides; it is for encoders and decoders"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name, module in backbone.named_modules():
            own = list(module.parameters(recurse=False))
            if own and (_layer(f".{name}.") or 0) > above:
                for parameter in own:
                    parameter._is_hf_initialized = False  # else transformers keeps what came from a checkpoint
                backbone._init_weights(module)


def _layer(name: str) -> int | None:
    """Of a parameter's name: 0 of embeddings, n of a layer, None of what lies above."""
    if match := _LAYER.search(name):
        return int(match[1] or match[2]) + 1
    return 0 if _EMBEDDINGS.search(name) else None

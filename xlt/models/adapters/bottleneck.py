"""Bottleneck and invertible adapters, and the wrappers that put them into a layer of BERT's family. Modules only: no config, no files.

A wrapper stands where a dropout or a layer norm stood and calls it, so the model's own forward and `xlt.models.fused` both pass through it. It
holds adapters by name, of which those in `active` work, in that order: of a stack, the language's before the task's.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from xlt.errors import ConfigError

ACTIVATIONS = {"relu": F.relu, "gelu": F.gelu}


class Bottleneck(nn.Module):
    """x -> U f(D x), x of width D, beside what it is added to (Houlsby et al. 2019, figure 2). residual: with x added."""

    def __init__(self, width: int, inner: int, std: float, activation: str, residual: bool):
        super().__init__()
        self.down, self.up = nn.Linear(width, inner), nn.Linear(inner, width)
        self.activation, self.residual = activation, residual
        for part in (self.down, self.up):  # near zero, so that training begins near the model without adapters
            nn.init.trunc_normal_(part.weight, std=std, a=-2 * std, b=2 * std)
            nn.init.zeros_(part.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        change = self.up(ACTIVATIONS[self.activation](self.down(x)))
        return x + change if self.residual else change


class Nice(nn.Module):
    """An invertible map of states by additive coupling of their halves (NICE, Dinh et al. 2015; MAD-X, section 4.2): o1 = F(e2) + e1, o2 = G(o1) + e2.

    F and G are bottlenecks of half the width. A width that is odd is a ConfigError.
    """

    def __init__(self, width: int, reduction: int, std: float):
        super().__init__()
        if width % 2:
            raise ConfigError(
                f"adapter.invertible_reduction: the model's width {width} is odd, and the invertible adapter halves it; set it to null"
            )
        half = width // 2
        inner = max(half // reduction, 1)
        self.first, self.second = (Bottleneck(half, inner, std, "relu", residual=False) for _ in range(2))

    def forward(self, e: torch.Tensor) -> torch.Tensor:
        e1, e2 = e.chunk(2, -1)
        o1 = self.first(e2) + e1
        return torch.cat([o1, self.second(o1) + e2], -1)

    def inverse(self, o: torch.Tensor) -> torch.Tensor:
        """e of which `forward` made o."""
        o1, o2 = o.chunk(2, -1)
        e2 = o2 - self.second(o1)
        return torch.cat([o1 - self.first(e2), e2], -1)


class AfterDropout(nn.Module):
    """A dropout, then the adapters: where Houlsby's stand, and the invertible ones behind the embeddings."""

    def __init__(self, dropout: nn.Module):
        super().__init__()
        self.dropout, self.adapters = dropout, nn.ModuleDict()
        self.active: tuple[str, ...] = ()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.adapt(self.dropout(x))

    def adapt(self, x: torch.Tensor) -> torch.Tensor:
        """What follows the dropout."""
        for name in self.active:
            x = self.adapters[name](x)
        return x


class AroundNorm(nn.Module):
    """s -> LN(s + U f(D LN(s))), s the sum of the feed-forward layer and its residual connection: MAD-X's A(h, r), h = LN(s), r = s (section 4.1)."""

    def __init__(self, norm: nn.Module):
        super().__init__()
        self.norm, self.adapters = norm, nn.ModuleDict()
        self.active: tuple[str, ...] = ()

    def forward(self, s: torch.Tensor) -> torch.Tensor:
        for name in self.active:
            s = s + self.adapters[name](self.norm(s))
        return self.norm(s)


class BeforeWords(nn.Module):
    """The last norm of a masked-LM head, then the inverse of the adapters behind the embeddings, whose words come next (MAD-X, section 4.2)."""

    def __init__(self, norm: nn.Module, embedded: AfterDropout):
        super().__init__()
        self.norm = norm
        self.embedded = embedded

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(x)
        for name in reversed(self.embedded.active):
            x = self.embedded.adapters[name].inverse(x)
        return x


WRAPPERS = (AfterDropout, AroundNorm)


def layers_of(reader: nn.Module, name: str) -> list[nn.Module]:
    """The layers of an encoder that is built like BERT. ConfigError for another architecture."""
    layers = getattr(getattr(reader, "encoder", None), "layer", None)
    parts = ("attention.output.dropout", "output.dropout", "output.LayerNorm")
    try:
        for layer in layers or ():
            for part in parts:
                layer.get_submodule(part)
    except AttributeError:
        layers = None
    if layers is None or not hasattr(getattr(reader, "embeddings", None), "dropout"):
        raise ConfigError(
            f"adapter: {name} needs layers as BERT and XLM-R have them, and {type(reader).__name__} has others; take adapter=lora, or such an encoder"
        )
    if not layers:
        raise ConfigError(
            f"adapter: {name} stands in the layers of a model, and this one has no layers; take one that has"
        )
    return list(layers)


def wrapped(owner: nn.Module, attribute: str, wrapper: type) -> nn.Module:
    """The wrapper around owner.attribute, made now unless it is there."""
    there = getattr(owner, attribute)
    if not isinstance(there, wrapper):
        there = wrapper(there)
        setattr(owner, attribute, there)
    return there


def put_houlsby(reader: nn.Module, name: str, reduction: int, std: float) -> None:
    """Two adapters a layer (Houlsby et al. 2019, section 2.1)."""
    width = reader.config.hidden_size
    for layer in layers_of(reader, "houlsby"):
        for owner in (layer.attention.output, layer.output):
            inner = max(width // reduction, 1)
            wrapped(owner, "dropout", AfterDropout).adapters[name] = Bottleneck(width, inner, std, "gelu", True)


def put_pfeiffer(reader: nn.Module, name: str, reduction: int, std: float) -> None:
    """One adapter a layer (Pfeiffer et al. 2021, section 3.2)."""
    width = reader.config.hidden_size
    for layer in layers_of(reader, "pfeiffer"):
        inner = max(width // reduction, 1)
        wrapped(layer.output, "LayerNorm", AroundNorm).adapters[name] = Bottleneck(width, inner, std, "relu", False)


def put_invertible(backbone: nn.Module, reader: nn.Module, name: str, reduction: int, std: float) -> None:
    """One behind the embeddings; its inverse before the words of a masked-LM head, where the model has one. ConfigError for a head of another kind."""
    layers_of(reader, "madx_language")
    embedded = wrapped(reader.embeddings, "dropout", AfterDropout)
    embedded.adapters[name] = Nice(reader.config.hidden_size, reduction, std)
    if backbone is reader:
        return
    head, predictions = getattr(backbone, "lm_head", None), getattr(getattr(backbone, "cls", None), "predictions", None)
    for owner, attribute in ((head, "layer_norm"), (getattr(predictions, "transform", None), "LayerNorm")):
        if hasattr(owner, attribute):
            if not isinstance(getattr(owner, attribute), BeforeWords):
                setattr(owner, attribute, BeforeWords(getattr(owner, attribute), embedded))
            return
    raise ConfigError(
        f"adapter.invertible_reduction: {type(backbone).__name__} has a head into which no inverse can be put; set it to null"
    )


def activate(backbone: nn.Module, names: tuple[str, ...]) -> None:
    """Let the adapters of these names work, in this order, and no others."""
    for module in backbone.modules():
        if isinstance(module, WRAPPERS):
            module.active = tuple(name for name in names if name in module.adapters)

"""The bottleneck methods on a model: Houlsby's, Pfeiffer's, and MAD-X's of languages, with a task's stacked on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from xlt.errors import ConfigError
from xlt.models.adapters import bottleneck
from xlt.models.adapters.kinds import Houlsby, LanguageAdapter, Pfeiffer
from xlt.models.adapters.protocol import Adapter
from xlt.models.adapters.spoken import spoken_by

FILE = "adapter.safetensors"
TASK = "task"


class Bottlenecked(Adapter):
    """Adapters of one of these kinds; of LanguageAdapter one for each of `languages`, of which the language that is read works."""

    def __init__(self, kind: Houlsby | Pfeiffer | LanguageAdapter, model: nn.Module, languages: Sequence[str]):
        self.kind, self.backbone, self.reader = kind, model.backbone, model.reader
        self.languages, self.below = tuple(languages), model.adapter
        self.names = self.languages if isinstance(kind, LanguageAdapter) else (TASK,)
        for name in self.names:
            self._put(name)
        if not isinstance(kind, LanguageAdapter):
            self.languages = self.below.languages if self.below is not None else ()
        bottleneck.activate(self.backbone, self.active(self.languages[:1]))

    def _put(self, name: str) -> None:
        kind, at = self.kind, (self.reader, name)
        if isinstance(kind, Houlsby):
            bottleneck.put_houlsby(*at, kind.reduction, kind.std)
            return
        bottleneck.put_pfeiffer(*at, kind.reduction, kind.std)
        if isinstance(kind, LanguageAdapter) and kind.invertible_reduction is not None:
            bottleneck.put_invertible(self.backbone, *at, kind.invertible_reduction, kind.std)

    def parameters_of(self, name: str) -> bool:
        """Its own; of Houlsby's the norms of the layers, too."""
        if _adapter(name) is not None:
            return _adapter(name) in self.names
        parts = name.split(".")
        norms = isinstance(self.kind, Houlsby) and self.kind.layer_norms
        return norms and parts[-2] == "LayerNorm" and "layer" in parts

    def active(self, languages: Sequence[str]) -> tuple[str, ...]:
        """Names of the adapters that read these languages, in their order. ConfigError unless it is one that there is an adapter for."""
        lower = () if self.below is None else self.below.active(languages)
        if not isinstance(self.kind, LanguageAdapter):
            return (*lower, TASK)
        return (spoken_by(self, languages),)

    def speak(self, languages: Sequence[str]) -> None:
        if self.languages:
            bottleneck.activate(self.backbone, self.active(languages))

    def _own(self) -> dict[str, nn.Parameter]:
        """Its parameters by their names in the body, which has the same ones under any head."""
        named = self.backbone.base_model.named_parameters()
        return {n: p for n, p in named if self.parameters_of(f"backbone.{n}")}

    def write(self, folder: Path) -> None:
        from safetensors.torch import save_file

        save_file({n: p.detach().contiguous() for n, p in self._own().items()}, folder / FILE)

    def read(self, folder: Path) -> None:
        """Of languages, those that are in the folder."""
        from safetensors.torch import load_file

        weights = load_file(folder / FILE)
        there = {_adapter(n) for n in weights}
        own = {n: p for n, p in self._own().items() if _adapter(n) in there}
        odd = sorted(own.keys() ^ weights.keys()) or [n for n, p in own.items() if p.shape != weights[n].shape]
        if odd:
            raise ConfigError(
                f"model.init_from: the adapter in {folder} is not of the model under it (first difference: {odd[0]}); give the base that it was trained on"
            )
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(weights[name])


def _adapter(name: str) -> str | None:
    """Which adapter a parameter of this name is of; None of the model's own."""
    parts = name.split(".")
    return parts[parts.index("adapters") + 1] if "adapters" in parts[:-1] else None

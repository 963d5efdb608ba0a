"""Composable sparse fine-tuning (LT-SFT, Ansell et al. 2022): differences of few of the model's own weights, of a task or of languages, which add up.

The model computes with whole weights, so every fast path stays; only which of them may differ is kept here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from xlt.errors import ConfigError
from xlt.models.adapters.kinds import SparseFineTuning
from xlt.models.adapters.protocol import Adapter
from xlt.models.adapters.spoken import spoken_by

FILE = "sparse.safetensors"
Difference = dict[str, tuple[torch.Tensor, torch.Tensor]]  # name -> (places in the flattened weight int64, differences)


def largest(moved: Mapping[str, torch.Tensor], count: int) -> dict[str, torch.Tensor]:
    """{name: mask} of the `count` numbers that moved most, over all weights together (section 3.1). Of equal ones the first by name and place."""
    names = sorted(moved)
    sizes = torch.cat([moved[n].abs().flatten() for n in names])
    chosen = torch.zeros(len(sizes), dtype=torch.bool)
    chosen[sizes.argsort(descending=True, stable=True)[:count]] = True
    pieces = chosen.split([moved[n].numel() for n in names])
    return {n: piece.view(moved[n].shape) for n, piece in zip(names, pieces, strict=True)}


class Sparse(Adapter):
    """Differences on model.backbone's body. differences: {language, or "" of a task: Difference}.

    Training (`learn`) starts at the weights that are there: a task's at those of the base with its source language (section 3.2).
    """

    whole = True  # a checkpoint's moments are as large as the model, too

    def __init__(self, kind: SparseFineTuning, model: nn.Module, languages: Sequence[str]):
        self.kind, self.below = kind, model.adapter
        body = model.backbone.base_model
        self.weights = dict(body.named_parameters())
        self.prefix = "backbone." + (f"{model.backbone.base_model_prefix}." if body is not model.backbone else "")
        self.names = tuple(languages) if kind.per_language else ("",)
        self.languages = self.names if kind.per_language else self.below.languages if self.below is not None else ()
        self.differences: dict[str, Difference] = {}
        self.mask: dict[str, torch.Tensor] = {}
        self.start: dict[str, torch.Tensor] = {}
        self._base: dict[str, torch.Tensor] = {}
        self._spoken: str | None = None

    def parameters_of(self, name: str) -> bool:
        return name.startswith(self.prefix) and name.removeprefix(self.prefix) in self.weights

    def learn(self, tuned: Mapping[str, torch.Tensor], untouched: Mapping[str, torch.Tensor]) -> None:
        """Let the weights learn that differ most between a full fine-tuning and its start, both by their names in the body."""
        moved = {n: tuned[n] - untouched[n] for n in self.weights}
        total = sum(m.numel() for m in moved.values())
        count = self.kind.count if self.kind.count is not None else round(self.kind.share * total)
        if count > total:
            raise ConfigError(f"adapter.count: {count} weights are more than the {total} that the model has; lower it")
        self.mask = largest(moved, count)
        self.start = {n: p.detach().clone() for n, p in self.weights.items()}

    @property
    def count(self) -> int:
        """Numbers that learn."""
        return sum(int(m.sum()) for m in self.mask.values())

    @torch.no_grad()
    def before_update(self) -> None:
        """The gradient of l1 / N times the sum of |difference| is added (section 3.1; N: numbers of all weights), then all outside the mask is dropped."""
        total = sum(p.numel() for p in self.weights.values())
        for name, p in self.weights.items():
            if p.grad is None:
                p.grad = torch.zeros_like(p)
            p.grad.add_((p - self._at(self.start, name, p)).sign_(), alpha=self.kind.l1 / total)
            p.grad.mul_(self._at(self.mask, name, p))

    @torch.no_grad()
    def after_update(self, step: int) -> None:
        """What is not in the mask is as it was, weight decay or not."""
        for name, p in self.weights.items():
            p.copy_(torch.where(self._at(self.mask, name, p), p, self._at(self.start, name, p)))

    def _at(self, tensors: dict[str, torch.Tensor], name: str, p: torch.Tensor) -> torch.Tensor:
        if tensors[name].device != p.device:
            tensors[name] = tensors[name].to(p.device)
        return tensors[name]

    def difference(self) -> Difference:
        """What has been learned."""
        found = {}
        for name, mask in self.mask.items():
            places = mask.flatten().nonzero().squeeze(1)
            if len(places):
                p, start = (
                    self.weights[name].detach().flatten(),
                    self._at(self.start, name, self.weights[name]).flatten(),
                )
                found[name] = places, p[places] - start[places]
        return found

    def speak(self, languages: Sequence[str]) -> None:
        """The base with the differences of the one language, and of the task. Not while it learns, when only its source language is read."""
        if self.mask or not self.languages:
            return
        holder = self if self.kind.per_language else self.below
        code = spoken_by(holder, languages)
        if code != self._spoken:
            own = [] if holder is self else [self.differences[""]]
            compose(self.weights, self.origin, [holder.differences[code], *own])
            self._spoken = code

    @torch.no_grad()
    def reread(self, languages: Sequence[str]) -> None:
        """The task's differences anew, as what these weights have beyond the base with its source language; else `speak` would bring back the old."""
        if self.below is None or not self.languages:
            return
        code, own = spoken_by(self.below, languages), self.differences[""]
        now = {name: self.weights[name].detach().flatten()[places] for name, (places, _) in own.items()}
        compose(self.weights, self.origin, [self.below.differences[code]])
        self.differences[""] = {
            name: (places, (now[name] - self.weights[name].flatten()[places]).cpu())
            for name, (places, _) in own.items()
        }
        compose(self.weights, self.origin, [self.below.differences[code], self.differences[""]])
        self._spoken = code

    @property
    def origin(self) -> dict[str, torch.Tensor]:
        """The base's weights, without any difference."""
        if self.below is not None:
            return self.below.origin
        if not self._base:
            self._base = {n: p.detach().clone() for n, p in self.weights.items()}
        return self._base

    def write(self, folder: Path) -> None:
        from safetensors.torch import save_file

        if self.mask:
            self.differences = {self.names[0]: self.difference()}
        tensors = {}
        for language, difference in self.differences.items():
            for name, (places, values) in difference.items():
                tensors[f"{language}|{name}|places"] = places.to(torch.int32)
                tensors[f"{language}|{name}|values"] = values.contiguous()
        save_file(tensors, folder / FILE)

    def read(self, folder: Path) -> None:
        """The differences; a task's without languages is added at once."""
        from safetensors.torch import load_file

        tensors = load_file(folder / FILE)
        for key in sorted(tensors):
            language, name, what = key.split("|")
            if what == "places":
                if name not in self.weights or int(tensors[key].max()) >= self.weights[name].numel():
                    raise ConfigError(
                        f"model.init_from: the adapter in {folder} is not of the model under it (it changes {name}); give the base that it was trained on"
                    )
                values = tensors[f"{language}|{name}|values"]
                self.differences.setdefault(language, {})[name] = tensors[key].long(), values
        if not self.languages:
            compose(self.weights, self.origin, [self.differences[""]])

    @property
    def merges(self) -> bool:
        return not self.languages

    def merge(self) -> None:
        """The weights are in their places already."""
        if self.languages:
            raise ConfigError("adapter.merge: languages cannot be merged into one model; set it to false")


@torch.no_grad()
def compose(weights: Mapping[str, nn.Parameter], base: Mapping[str, torch.Tensor], parts: Sequence[Difference]) -> None:
    """weights = base + the differences (section 3.2)."""
    for name, p in weights.items():
        p.copy_(base[name])
        for part in parts:
            if name in part:
                places, values = (t.to(p.device) for t in part[name])
                p.view(-1).index_add_(0, places, values)

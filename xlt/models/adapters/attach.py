"""Putting an adapter on a model: what of it learns then, what of it is kept, and what that saves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from xlt.errors import ConfigError
from xlt.models.adapters.bottlenecked import Bottlenecked
from xlt.models.adapters.kinds import (
    IA3,
    AdaLoRA,
    LanguageAdapter,
    LoRA,
    Pfeiffer,
    PrefixTuning,
    PromptTuning,
    SparseFineTuning,
)
from xlt.models.adapters.prompts import Prompted
from xlt.models.adapters.protocol import Adapter
from xlt.models.adapters.sparse import Sparse
from xlt.models.adapters.spoken import code_of
from xlt.models.adapters.tuned import Tuned

RECURRENT = "xlt-recurrent"
BYTES = 12  # of a number that learns in fp32: its gradient, and two moments of AdamW


def attach(kind, model, base: dict, seed: int, languages: Sequence[str] = ()) -> Adapter:
    """An adapter of that kind on the model, new parameters drawn from `seed`; it and the task's head learn, nothing else does.

    base: what `xlt.models.adapters.folder.reference` says of the model as it is. languages: those that a kind of languages is for. ConfigError
    where the architecture has no place for it.
    """
    if model.backbone.config.model_type == RECURRENT:
        raise ConfigError(
            "adapter: a recurrent model has no attention and no feed-forward layers, which adapters change; set adapter=none, or take an encoder or decoder of transformers"
        )
    make_room(model, kind)
    torch.manual_seed(seed)
    codes = tuple(dict.fromkeys(code_of(language) for language in languages))
    if isinstance(kind, LoRA | AdaLoRA | IA3):
        adapter: Adapter = Tuned(kind, model)
    elif isinstance(kind, PrefixTuning | PromptTuning):
        adapter = Prompted(kind, model)
    elif isinstance(kind, SparseFineTuning):
        adapter = Sparse(kind, model, codes)
    else:
        adapter = Bottlenecked(kind, model, codes)
    adapter.base = base
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(adapter.parameters_of(name) or name.startswith("heads."))
    adapter.trained = frozenset(n for n, p in model.named_parameters() if p.requires_grad)
    model.adapter = adapter
    model.examine()
    return adapter


def make_room(model, kind=None) -> None:
    """An adapter that is there goes into the weights, or stays below what is stacked on it. kind: of the next adapter; None: all weights will learn."""
    there = model.adapter
    if there is None or (there.merges and not _stacks(there, kind)):
        if there is not None:
            there.merge()
            model.adapter = None
            model.examine()
        return
    if not _stacks(there, kind):
        way = "madx_task" if isinstance(there, Bottlenecked) else "lt_sft"
        remedy = f"take adapter={way}, or" if there.languages else "take"
        raise ConfigError(
            f"adapter: the model has one already ({there.kind.name}), which cannot be merged into its weights; {remedy} the base that it was trained on, {there.base['path']}"
        )


def _stacks(there: Adapter, kind) -> bool:
    """Whether an adapter of that kind is made to stand on the one that is there."""
    if isinstance(there.kind, LanguageAdapter):
        return isinstance(kind, Pfeiffer)
    return isinstance(there.kind, SparseFineTuning) and there.kind.per_language and isinstance(kind, SparseFineTuning)


def cost(model) -> dict[str, Any]:
    """What learns and what that saves, for metrics.json. Memory is computed, not measured: 12 bytes for each number that needs a gradient and moments.

    A sparse fine-tuning computes with whole gradients and moments, so it saves none.
    """
    adapter = model.adapter
    total = sum(p.numel() for p in model.parameters())
    dense = sum(p.numel() for p in model.parameters() if p.requires_grad)
    heads = sum(p.numel() for p in model.heads.parameters() if p.requires_grad)
    trained = adapter.count + heads if isinstance(adapter, Sparse) else dense
    return {
        "adapter": "none" if adapter is None else adapter.kind.name,
        "parameters": trained,
        "share": trained / total,
        "memory": {"gradients_and_moments": BYTES * dense, "saved": BYTES * (total - dense), "how": f"computed, {BYTES} bytes a number"},
    }  # fmt: skip

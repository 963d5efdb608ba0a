"""From the states of a sentence's tokens to one vector, and from a masked LM's states to logits: small functions on tensors."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

import torch

from xlt.errors import ConfigError

_HEADS = (
    ("lm_head",),  # RoBERTa and XLM-R
    ("cls",),  # BERT
    ("predictions",),  # ALBERT
    ("head", "decoder"),  # ModernBERT
    ("vocab_transform", "activation", "vocab_layer_norm", "vocab_projector"),  # DistilBERT
)


class Pool(str, Enum):
    """How a sentence becomes a vector: the mean over its tokens, or its first or last token's state (a decoder knows the text only at its end)."""

    mean = "mean"
    first = "first"
    last = "last"


def pool(hidden_BLD: torch.Tensor, mask_BL: torch.Tensor | None, how: Pool) -> torch.Tensor:
    """states_BD. mask_BL: 1 where a token is real; None: all are."""
    if how is Pool.first:
        return hidden_BLD[:, 0]
    if how is Pool.last and mask_BL is None:
        return hidden_BLD[:, -1]
    if how is Pool.last:
        place_BL = torch.arange(mask_BL.shape[1], device=mask_BL.device) * (mask_BL != 0)
        return hidden_BLD[torch.arange(len(hidden_BLD), device=mask_BL.device), place_BL.argmax(1)]
    if mask_BL is None:
        return hidden_BLD.mean(1)
    weights_BL1 = mask_BL.unsqueeze(-1).to(hidden_BLD.dtype)
    return (hidden_BLD * weights_BL1).sum(1) / weights_BL1.sum(1).clamp_min(1)


def masked_lm_logits(backbone, hidden_MD: torch.Tensor) -> torch.Tensor:
    """logits_MV of a transformers masked LM at chosen positions only: 15 % of the tokens, so a seventh of the head's work."""
    for part in masked_lm_head(backbone):
        hidden_MD = part(hidden_MD)
    return hidden_MD


def masked_lm_head(backbone) -> list[Callable]:
    """From states to logits, one after the other. transformers gives the head no common name; ConfigError where none of those known is there."""
    for names in _HEADS:
        if all(hasattr(backbone, name) for name in names):
            return [getattr(backbone, name) for name in names]
    raise ConfigError(
        f"model: the masked-LM head of {type(backbone).__name__} is not one that xlt knows; take XLM-R, RoBERTa, BERT, DistilBERT, ALBERT or ModernBERT"
    )

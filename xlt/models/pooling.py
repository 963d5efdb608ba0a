"""From the states of a sentence's tokens to one vector: small functions on tensors."""

from __future__ import annotations

from enum import Enum

import torch


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

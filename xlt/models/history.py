"""From the vectors of what a reader had, in their order, to one vector of what the reader wants: small modules on tensors that know no text."""

from __future__ import annotations

from enum import Enum

import torch
from torch import nn


class History(str, Enum):
    """mean: of the items; it needs no training. attention: the last item looks at all of them."""

    mean = "mean"
    attention = "attention"


def mean(items_BHD: torch.Tensor, mask_BH: torch.Tensor) -> torch.Tensor:
    """wants_BD. mask_BH: 1 where an item is real."""
    weights_BH1 = mask_BH.unsqueeze(-1).to(items_BHD.dtype)
    return (items_BHD * weights_BH1).sum(1) / weights_BH1.sum(1).clamp_min(1)


class HistoryAttention(nn.Module):
    """One block of self-attention as the last item sees it, which looks at all before it and at itself (SASRec, Kang and McAuley 2018, section III).

    Items are right-aligned: the last place is the newest item. places: learned, counted from the newest backwards.
    """

    def __init__(self, width: int, heads: int, length: int, dropout: float):
        super().__init__()
        self.places = nn.Parameter(torch.zeros(length, width))
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, dropout, batch_first=True)
        self.forward_layer = nn.Sequential(
            nn.Linear(width, width), nn.GELU(), nn.Dropout(dropout), nn.Linear(width, width)
        )

    def forward(self, items_BHD: torch.Tensor, mask_BH: torch.Tensor) -> torch.Tensor:
        """wants_BD."""
        seen_BHD = self.before(items_BHD) + self.places[: items_BHD.shape[1]].flip(0)
        last_B1D = seen_BHD[:, -1:]
        looked_B1D, _ = self.attention(last_B1D, seen_BHD, seen_BHD, key_padding_mask=mask_BH == 0, need_weights=False)
        wants_B1D = last_B1D + looked_B1D
        return (wants_B1D + self.forward_layer(self.between(wants_B1D)))[:, 0]

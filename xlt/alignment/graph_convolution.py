"""Entities as the mean of their neighbours' neighbours: a graph convolution of two layers over both graphs, drawn together at the seeds (GCN-Align).

Wang, Lv, Lan and Zhang 2018 (EMNLP): structure embeddings only. Not: embeddings of attributes.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


class Product(torch.autograd.Function):
    """a_NN @ x_ND for a fixed sparse a, whose transpose is given, so that no backward pass makes it anew."""

    @staticmethod
    def forward(ctx, x_ND: torch.Tensor, a_NN: torch.Tensor, transposed_NN: torch.Tensor) -> torch.Tensor:
        """The product."""
        ctx.transposed_NN = transposed_NN
        return a_NN @ x_ND

    @staticmethod
    def backward(ctx, gradient_ND: torch.Tensor):
        """Of x alone."""
        return ctx.transposed_NN @ gradient_ND, None, None


class GraphConvolution(nn.Module):
    """A relu(A X) for learned directions X_ND: two layers without weights, as the released code has them (the paper's W are the identity there).

    X is rows of length 1 throughout, not at the start alone: what is learned are vectors whose directions are taken, and these begin so short that an update
    turns them far (the released code normalises within its graph). Without it, Hits@1 of DBP15K zh-en is 6 points lower.
    """

    def __init__(self, a_NN: torch.Tensor, transposed_NN: torch.Tensor, width: int, generator: torch.Generator):
        """a_NN, transposed_NN: sparse."""
        super().__init__()
        start_ND = torch.empty(len(a_NN), width)
        std = len(a_NN) ** -0.5
        nn.init.trunc_normal_(start_ND, std=std, a=-2 * std, b=2 * std, generator=generator)
        self.entities = nn.Parameter(start_ND.to(a_NN.device))
        self.a_NN, self.transposed_NN = a_NN, transposed_NN  # no buffers: they are no part of what is learned

    def forward(self) -> torch.Tensor:
        """embeddings_ND of all entities."""
        hidden_ND = Product.apply(F.normalize(self.entities), self.a_NN, self.transposed_NN).relu()
        return Product.apply(hidden_ND, self.a_NN, self.transposed_NN)


def margin_loss(
    x_ND: torch.Tensor, links_P2: torch.Tensor, left_PK: torch.Tensor, right_PK: torch.Tensor, margin: float
) -> torch.Tensor:
    """Mean over 2 P K of [|a - b| + margin - |a' - b'|]+, L1, with b' from right_PK in b's place and with a' from left_PK in a's. Wang et al. 2018, equation 7."""
    a_PD, b_PD = F.embedding(links_P2[:, 0], x_ND), F.embedding(links_P2[:, 1], x_ND)
    near_P1 = (a_PD - b_PD).abs().sum(1, keepdim=True) + margin
    right_P = (near_P1 - (a_PD[:, None] - F.embedding(right_PK, x_ND)).abs().sum(2)).relu().mean()
    left_P = (near_P1 - (b_PD[:, None] - F.embedding(left_PK, x_ND)).abs().sum(2)).relu().mean()
    return (right_P + left_P) / 2

"""Sentence retrieval: how often the nearest sentence of the other language is the translation, in both directions."""

from __future__ import annotations

import torch

from xlt.alignment.csls import nearest, unit


def retrieval_accuracy(
    source_PD: torch.Tensor, target_PD: torch.Tensor, score: str = "cosine", k: int = 4
) -> dict[str, float]:
    """The means of `retrieval_hits`."""
    return {name: hits_P.mean().item() for name, hits_P in retrieval_hits(source_PD, target_PD, score, k).items()}


def retrieval_hits(
    source_PD: torch.Tensor, target_PD: torch.Tensor, score: str = "cosine", k: int = 4
) -> dict[str, torch.Tensor]:
    """Of each pair, float64 (P,): accuracy_forward (source finds target), accuracy_backward, and their mean; row i of both is the same sentence.

    score: one of `xlt.alignment.csls.SCORES`; of csls and ratio over k neighbours (Artetxe and Schwenk 2019, section 3.1, take the ratio with 4).
    Of equally near sentences the first counts, so of a sentence that occurs twice only one finds its own.
    """
    x_PD, y_PD = unit(source_PD.float()), unit(target_PD.float())
    gold_P = torch.arange(len(x_PD), device=x_PD.device)
    forward, backward = (
        (nearest(a_PD, b_PD, 1, score, k)[1][:, 0] == gold_P).double() for a_PD, b_PD in ((x_PD, y_PD), (y_PD, x_PD))
    )
    return {"accuracy": (forward + backward) / 2, "accuracy_forward": forward, "accuracy_backward": backward}

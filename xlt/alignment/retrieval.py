"""Sentence retrieval: how often the nearest sentence of the other language is the translation, in both directions."""

from __future__ import annotations

import torch

from xlt.alignment.csls import nearest, unit


def retrieval_accuracy(source_PD: torch.Tensor, target_PD: torch.Tensor) -> dict[str, float]:
    """accuracy_forward (source finds target), accuracy_backward, and their mean, by cosine (Artetxe and Schwenk 2019, Tatoeba).

    Row i of both is the same sentence. Of equally near sentences the one torch ranks first counts, so duplicates are not favoured.
    """
    x, y = unit(source_PD.float()), unit(target_PD.float())
    gold_P = torch.arange(len(x))
    forward = (nearest(x, y, 1, None)[1][:, 0] == gold_P).double().mean().item()
    backward = (nearest(y, x, 1, None)[1][:, 0] == gold_P).double().mean().item()
    return {"accuracy": (forward + backward) / 2, "accuracy_forward": forward, "accuracy_backward": backward}

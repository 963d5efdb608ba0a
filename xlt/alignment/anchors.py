"""From anchors, vectors of the same thing in two languages at each layer of an encoder, to the space that all languages share with one of them: in closed form.

Knows vectors only. Anchors are words, each the mean of its states in context (Schuster et al. 2019, section 3), or whole sentences (Aldarmaki and Diab 2019, section 3.2).
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from xlt.alignment.procrustes import procrustes


class Turned(NamedTuple):
    """means_GKD and maps_GKDD of the languages in their order: a state h of layer k becomes maps[g, k] (h - means[g, k])."""

    languages: list[str]
    means: torch.Tensor
    maps: torch.Tensor


def turn_onto(hub: str, anchors: dict[str, tuple[torch.Tensor, torch.Tensor]], center: bool) -> Turned:
    """anchors: of each other language (own_KPD, the hub's_KPD), row i of both the same thing. center: means are taken away, those of the hub over all of its anchors.

    Each map is Procrustes' (`xlt.alignment.procrustes`) on the anchors of its language; the hub stays as it is but for its mean.
    """
    of_hub = torch.cat([y_KPD for _, y_KPD in anchors.values()], 1)
    layers, _, width = of_hub.shape
    eye = torch.eye(width).expand(layers, -1, -1)
    still = torch.zeros(layers, width)
    means, maps = {hub: of_hub.mean(1) if center else still}, {hub: eye}
    for code, (x_KPD, y_KPD) in anchors.items():
        means[code] = x_KPD.mean(1) if center else still
        if center:
            x_KPD, y_KPD = x_KPD - x_KPD.mean(1, keepdim=True), y_KPD - y_KPD.mean(1, keepdim=True)
        maps[code] = torch.stack([procrustes(x_PD, y_PD) for x_PD, y_PD in zip(x_KPD, y_KPD, strict=True)])
    codes = sorted(means)
    return Turned(codes, torch.stack([means[c] for c in codes]), torch.stack([maps[c] for c in codes]))

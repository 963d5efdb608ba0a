"""Linear maps of two spaces into a common one, step by step: whitening, an orthogonal map, re-weighting, de-whitening.

Artetxe, Labaka and Agirre 2018 (AAAI), section 3, after their normalisation (`xlt.alignment.procrustes.normalise`): each step can be left out, and with all of
them left out it is the orthogonal Procrustes problem. Rows map as x @ source.T and y @ target.T.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch

from xlt.errors import DataError

SIDES = ("source", "target")


class Maps(NamedTuple):
    """source_DD and target_DD, the matrices of both sides."""

    source: torch.Tensor
    target: torch.Tensor


@dataclass(frozen=True)
class Steps:
    """whiten: both sides by their dictionary words. reweight_*: power of the cross-correlation that scales each dimension.

    dewhiten_*: by whose original scale each side is de-whitened (source or target); None: it stays white.
    """

    whiten: bool
    reweight_source: float
    reweight_target: float
    dewhiten_source: str | None
    dewhiten_target: str | None

    def problems(self) -> list[str]:
        """Sentences for what does not go together."""
        found = []
        for side in SIDES:
            by = getattr(self, f"dewhiten_{side}")
            if by is not None and by not in SIDES:
                found.append(f"objective.dewhiten_{side}: {by!r} is not one of {', '.join(SIDES)}")
            if by is not None and not self.whiten:
                found.append(
                    f"objective.dewhiten_{side}: nothing was whitened; set it to null, or objective.whiten=true"
                )
            if getattr(self, f"reweight_{side}") < 0:
                found.append(
                    f"objective.reweight_{side}: {getattr(self, f'reweight_{side}')} is below 0; 0 leaves it out"
                )
        return found


ORTHOGONAL = Steps(False, 0.0, 0.0, None, None)


def linear_maps(x_PD: torch.Tensor, y_PD: torch.Tensor, steps: Steps) -> Maps:
    """The maps of pairs of rows. Where the target's is orthogonal, both are turned so that the target stays as it is: no cosine changes, and every source is
    mapped into the target's own space.

    Solved in float64, returned in the type of x. DataError if whitening has fewer independent words than dimensions.
    """
    x, y = x_PD.double(), y_PD.double()
    white_x, white_y = (_whitening(x), _whitening(y)) if steps.whiten else (None, None)
    cross_DD = (x if white_x is None else x @ white_x).T @ (y if white_y is None else y @ white_y)
    u_DD, s_D, vt_DD = torch.linalg.svd(cross_DD)
    sides = {"source": (u_DD, white_x), "target": (vt_DD.T, white_y)}

    def side(name: str, power: float, dewhiten: str | None) -> torch.Tensor:
        turn_DD, white_DD = sides[name]
        map_DD = (turn_DD if white_DD is None else white_DD @ turn_DD) * s_D**power
        if dewhiten is not None:
            turn_DD, white_DD = sides[dewhiten]
            map_DD = map_DD @ turn_DD.T @ torch.linalg.inv(white_DD) @ turn_DD
        return map_DD

    source_DD = side("source", steps.reweight_source, steps.dewhiten_source)
    target_DD = side("target", steps.reweight_target, steps.dewhiten_target)
    eye_DD = torch.eye(len(target_DD), dtype=target_DD.dtype, device=target_DD.device)
    if (target_DD @ target_DD.T - eye_DD).abs().max() < 1e-6:
        source_DD, target_DD = source_DD @ target_DD.T, eye_DD
    return Maps(source_DD.T.to(x_PD.dtype), target_DD.T.to(x_PD.dtype))


def _whitening(x_PD: torch.Tensor) -> torch.Tensor:
    """(X^T X)^(-1/2)."""
    values_D, vectors_DD = torch.linalg.eigh(x_PD.T @ x_PD)
    if values_D[0] <= 1e-10 * values_D[-1]:
        raise DataError(
            f"whitening needs more independent words than the {x_PD.shape[1]} numbers of a vector, and the dictionary's {len(x_PD)} pairs have fewer; give a larger "
            "dictionary, or objective.whiten=false with dewhiten_source=null and dewhiten_target=null"
        )
    return vectors_DD * values_D.rsqrt() @ vectors_DD.T

"""The weights after the last validations of a run, kept for whoever selects among them later: the checkpoint of another rule, or their mean.

Weights only: nothing is resumed from here (see `xlt.training.checkpoint`). What stays does not depend on where the run was interrupted: the
last `keep` validations of all, and those that a resumed run makes again are the same bits.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import torch
from torch import nn

from xlt import files, processes
from xlt.errors import ConfigError, DataError
from xlt.training.checkpoint import WEIGHTS, put_weights, unique_weights, whole


class Candidates:
    """The kept weights of one run, in `folder`. keep: how many of the last validations; None: all."""

    def __init__(self, folder: Path, keep: int | None = None):
        self.folder, self.keep = folder, keep

    def path(self, step: int) -> Path:
        """Folder of the weights after `step` updates."""
        return self.folder / f"step-{step:08d}"

    def steps(self) -> list[int]:
        """Updates after which weights were kept, ascending."""
        names = (re.fullmatch(r"step-(\d{8})", p.name) for p in self.folder.glob("step-*"))
        return sorted(int(m[1]) for m in names if m)

    def save(self, step: int, model: nn.Module) -> None:
        """Keep the model's weights as they are after `step` updates, then let go of the oldest."""
        from safetensors.torch import save_file

        if self.keep == 0:
            return
        weights = whole(unique_weights(model))

        def write() -> None:
            files.write_folder(self.path(step), lambda place: save_file(weights, place / WEIGHTS))
            for old in [s for s in self.steps() if s <= step][: -self.keep if self.keep else 0]:
                shutil.rmtree(self.path(old), ignore_errors=True)

        processes.first(write)

    def load(self, step: int, model: nn.Module) -> None:
        """Put the weights after `step` updates into the model. DataError if they are damaged, ConfigError if they are of another model."""
        self._put(self._read(step), step, model)

    def load_mean(self, model: nn.Module) -> list[int]:
        """Put the arithmetic mean of all kept weights into the model; returns their steps (Schmidt, Vulić and Glavaš 2023).

        Summed in float64. What holds no real numbers (counters) is taken from the last.
        """
        steps, sums = self.steps(), {}
        for step in steps:
            for name, weight in self._read(step).items():
                real = weight.is_floating_point()
                sums[name] = (
                    sums[name] + weight.double() if real and name in sums else weight.double() if real else weight
                )
        mean = {name: total / len(steps) if total.is_floating_point() else total for name, total in sums.items()}
        self._put(mean, steps[-1], model)
        return steps

    def _read(self, step: int) -> dict[str, torch.Tensor]:
        from safetensors.torch import load_file

        place = self.path(step)
        damage = files.verify(place) if (place / files.MANIFEST).is_file() else f"{files.MANIFEST} is missing"
        if damage:
            raise DataError(f"{place}: {damage}; fine-tune anew, or remove that folder to select among the others")
        return load_file(place / WEIGHTS)

    def _put(self, weights: dict[str, torch.Tensor], step: int, model: nn.Module) -> None:
        own = unique_weights(model)
        strange = sorted(weights.keys() ^ own.keys()) or [n for n, w in weights.items() if w.shape != own[n].shape]
        if strange:
            raise ConfigError(
                f"{self.path(step)}: its weights are not those of this model (first difference: {strange[0]}); fine-tune anew"
            )
        put_weights(model, weights)

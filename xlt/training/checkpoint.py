"""What an interrupted run needs to go on as if nothing had happened: weights, optimizer moments, and a few numbers. No pickle.

A checkpoint is whole or absent (see `xlt.files`). There is no generator state in it: data order, noise and dropout are functions of the update.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from xlt import files, processes
from xlt.errors import CannotResume

WEIGHTS, MOMENTS, STATE = "weights.safetensors", "optimizer.safetensors", "state.json"
_OF = "of"  # in the state: whose it is


class Checkpoints:
    """The checkpoints of one run, in `folder`. say: where rejected ones are reported. beside: what learns and is no part of the model, by name.

    of: says which run it is; checkpoints of another are not used, those of older versions do not say whose they are.
    """

    def __init__(
        self,
        folder: Path,
        keep: int,
        say: Callable[[str], None],
        beside: dict[str, tuple[nn.Module, torch.optim.Optimizer]] | None = None,
        of: str | None = None,
    ):
        self.folder, self.keep, self.say, self.beside, self.of = folder, keep, say, beside or {}, of

    def path(self, step: int) -> Path:
        """Folder of the checkpoint after `step` updates."""
        return self.folder / f"step-{step:08d}"

    def save(
        self, step: int, model: nn.Module, optimizer: torch.optim.Optimizer, state: dict, chosen: int | None
    ) -> None:
        """Write the checkpoint, then remove old ones; the chosen one and the newest `keep` stay."""
        from safetensors.torch import save_file

        weights, moments = whole(unique_weights(model)), whole(_moments(model, optimizer))

        def fill(place: Path) -> None:
            save_file(weights, place / WEIGHTS)
            save_file(moments, place / MOMENTS)
            for name, (module, own) in self.beside.items():
                save_file(unique_weights(module), place / f"{name}.{WEIGHTS}")
                save_file(_moments(module, own), place / f"{name}.{MOMENTS}")
            text = json.dumps({**state, _OF: self.of}, sort_keys=True, allow_nan=False)
            (place / STATE).write_text(text + "\n")

        def write() -> None:
            files.write_folder(self.path(step), fill)
            for old in self.steps()[: -self.keep]:
                if old != chosen and old < step:
                    shutil.rmtree(self.path(old), ignore_errors=True)

        processes.first(write)

    def steps(self) -> list[int]:
        """Updates after which there is a checkpoint, ascending; whether it is valid is not checked."""
        names = (re.fullmatch(r"step-(\d{8})", p.name) for p in self.folder.glob("step-*"))
        return sorted(int(m[1]) for m in names if m)

    def newest(self) -> int | None:
        """Step of the newest valid checkpoint, None if there never was one. CannotResume if none of those there is valid.

        What is not valid is set aside as rejected-*, so that it does not count among those kept.
        """
        return processes.first(self._newest)

    def _newest(self) -> int | None:
        files.remove_leftovers(self.folder)
        for step in reversed(self.steps()):
            problem = self._problem(step)
            if problem is None:
                return step
            self.say(f"checkpoint {self.path(step)} is not used: {problem}")
            aside = self.folder / f"rejected-{self.path(step).name}"
            shutil.rmtree(aside, ignore_errors=True)
            self.path(step).rename(aside)
        if rejected := list(self.folder.glob("rejected-*")):
            raise CannotResume(
                f"{self.folder}: none of its {len(rejected)} checkpoints can be used; remove the run directory, or set run.overwrite=true, to start anew"
            )
        return None

    def _problem(self, step: int) -> str | None:
        """Why the run cannot go on from this checkpoint: it is damaged or another's, or the chosen one that it counts on is damaged."""
        if damage := self._damage(step):
            return damage
        state = json.loads((self.path(step) / STATE).read_text())
        if None not in (self.of, state.get(_OF)) and state[_OF] != self.of:
            return "it is of another run"
        chosen = state.get("best_step")
        if chosen not in (None, step) and (damage := self._damage(chosen)):
            return f"the chosen checkpoint {self.path(chosen).name} cannot be used ({damage})"
        return None

    def _damage(self, step: int) -> str | None:
        place = self.path(step)
        return files.verify(place) if (place / files.MANIFEST).is_file() else f"{files.MANIFEST} is missing"

    def load(self, step: int, model: nn.Module, optimizer: torch.optim.Optimizer | None) -> dict:
        """Put the weights (and moments) of a checkpoint in place; returns its state. CannotResume if it is damaged."""
        from safetensors.torch import load_file

        place = self.path(step)
        if damage := self._damage(step):  # hours may have passed since `newest` looked
            raise CannotResume(f"{place}: {damage}; run the same command again to go on from an earlier one")
        weights = load_file(place / WEIGHTS)
        if different := sorted(weights.keys() ^ unique_weights(model).keys()):
            raise CannotResume(
                f"{place}: its weights are not those of this model (first difference: {different[0]}); set run.overwrite=true or another run.name"
            )
        put_weights(model, weights)
        if optimizer is not None:
            _set_moments(model, optimizer, load_file(place / MOMENTS))
            for name, (module, own) in self.beside.items():
                module.load_state_dict(load_file(place / f"{name}.{WEIGHTS}"))
                _set_moments(module, own, load_file(place / f"{name}.{MOMENTS}"))
        state = json.loads((place / STATE).read_text())
        state.pop(_OF, None)
        return state


def unique_weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """Each parameter and buffer once: a tied one under its first name. Of a model with an adapter (`stored`) what learns."""
    seen, unique = set(), {}
    stored = getattr(model, "stored", lambda name: True)
    for name, tensor in model.state_dict(keep_vars=True).items():
        if id(tensor) not in seen and stored(name):
            seen.add(id(tensor))
            unique[name] = tensor.detach().contiguous()
    return unique


def whole(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Sharded tensors put together in the first process, the only one that writes: the others get {}. Every process has to call it."""
    from torch.distributed.tensor import DTensor

    found = {}
    for name, tensor in tensors.items():
        complete = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
        if processes.leads():
            found[name] = complete.contiguous()
    return found


def put_weights(model: nn.Module, weights: dict[str, torch.Tensor]) -> None:
    """Weights by name, where the model has them; of a sharded parameter each process takes its own part."""
    with torch.no_grad():
        for name, tensor in model.state_dict(keep_vars=True).items():
            if name in weights:  # tied parameters are stored once
                tensor.copy_(_placed(weights[name], tensor))


def _placed(value: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """`value` on the device of `like`, and sharded as it is."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    if isinstance(like, DTensor) and value.ndim:
        return distribute_tensor(value.to(like.device), like.device_mesh, like.placements)
    return value.to(like.device)


def _moments(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    names = {p: n for n, p in model.named_parameters()}
    return {
        f"{names[p]}|{key}": value.contiguous() for p, state in optimizer.state.items() for key, value in state.items()
    }


def _set_moments(model: nn.Module, optimizer: torch.optim.Optimizer, moments: dict[str, torch.Tensor]) -> None:
    parameters = dict(model.named_parameters())
    for name, value in moments.items():
        parameter, key = name.rsplit("|", 1)
        optimizer.state[parameters[parameter]][key] = _placed(value, parameters[parameter])

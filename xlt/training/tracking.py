"""metrics.jsonl, which every run writes, and its mirrors in TensorBoard or Weights & Biases through accelerate."""

from __future__ import annotations

import json
from pathlib import Path

from xlt import processes
from xlt.errors import ConfigError
from xlt.files import storage_error, write_text

_PACKAGES = {"tensorboard": "tensorboard", "wandb": "wandb"}


class MetricsLog:
    """One JSON object per line, each with its `step`. Lines that a resumed run will write again are dropped, so the file reads like that of
    one run: those after `resumed_step`, and its validation if that is still due (`unvalidated`)."""

    def __init__(self, path: Path, resumed_step: int, unvalidated: bool = False, accelerator=None):
        self.path, self.accelerator = path, accelerator
        processes.first(lambda: self._shorten(resumed_step, unvalidated))

    def _shorten(self, resumed_step: int, unvalidated: bool) -> None:
        path = self.path
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
        whole = [line for line in lines if line.endswith("\n")]
        kept = [line for line in whole if self._stays(json.loads(line), resumed_step, unvalidated)]
        write_text(path, "".join(kept))  # in one step: killed here, no line is lost

    @staticmethod
    def _stays(line: dict, resumed_step: int, unvalidated: bool) -> bool:
        return line["step"] < resumed_step or (
            line["step"] == resumed_step and not (unvalidated and "validation" in line)
        )

    def write(self, step: int, values: dict) -> None:
        """Append a line; nested dicts are flattened with / for the mirrors. Of several processes, the first one's."""
        if not processes.leads():
            return
        try:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps({"step": step, **values}, ensure_ascii=False, allow_nan=False) + "\n")
        except OSError as error:
            raise storage_error(self.path, error) from error
        if self.accelerator is not None and self.accelerator.trackers:
            self.accelerator.log(dict(_flat(values)), step=step)


def check_trackers(names: list[str]) -> list[str]:
    """The names, if their packages are installed."""
    from importlib.util import find_spec

    for name in names:
        if name not in _PACKAGES:
            raise ConfigError(f"tracking.trackers: {name!r} is not one of {', '.join(_PACKAGES)}")
        if find_spec(_PACKAGES[name]) is None:
            raise ConfigError(
                f"tracking.trackers: {name} is not installed; run pip install 'xlt[tracking]', or choose tracking=none"
            )
    return names


def _flat(values: dict, prefix: str = ""):
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}/")
        elif isinstance(value, int | float):
            yield prefix + key, value

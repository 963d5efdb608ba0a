"""The run directory: who may write in it, what it was asked, where it came from, and whether it is finished.

Knows nothing of training. What is in it is listed in the README; every file is replaced in one step, and metrics.json comes last: a
directory with metrics.json is finished.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import yaml

from xlt import files, limited_yaml, processes
from xlt.errors import CannotResume, ConfigError, RunInUse
from xlt.safety import redact
from xlt.tokenization.load import resolve

SCHEMA = 1
_SPEED_ONLY = ("hardware", "tracking", "run")  # groups that may differ between two halves of a run
_ASKED = ("manifest.json", "config.yaml")  # written before any work is done
# keys that the runs of older versions do not have, and the value that these went by; a new key that is null where it changes nothing need not stand here
_ADDED = {"train.nonfinite": "stop"}
_PACKAGES = ("xlt", "torch", "transformers", "tokenizers", "sentencepiece", "numpy", "accelerate")


class Finished(Exception):
    """The same run is there already, complete. Not an error: the command has nothing to do."""

    exit_code = 0


@dataclass
class RunDirectory:
    """A run directory held by this process until it ends. config: the resolved config, plain values."""

    path: Path
    stage: str
    config: dict
    lineage: dict = field(default_factory=dict)
    resumed: bool = False

    @classmethod
    def open(cls, path: str | Path, stage: str, config: dict, overwrite: bool, shared: bool = False) -> RunDirectory:
        """Lock it and see what is there. RunInUse, Finished, or CannotResume if what is there was asked differently.

        shared: the work can be done by several processes, of which the first one holds it, and alone writes there. ConfigError if they are several and it cannot.
        """
        if processes.world() > 1 and not shared:
            raise processes.agreed(
                ConfigError(
                    f"hardware.processes: {processes.world()} processes were started, but this work of xlt {stage} is done by one; choose hardware=cpu or hardware=gpu"
                )
            )
        run = cls(Path(path), stage, redact(config))
        run.resumed = processes.first(lambda: run._take(overwrite))
        return run

    @classmethod
    def refuse_finished(cls, path: str | Path, stage: str, config: dict, overwrite: bool) -> None:
        """Finished if this run is there already, complete. Nothing is locked or written."""
        run = cls(Path(path), stage, redact(config))
        asked = run.path / "config.yaml"
        whole = asked.exists() and (run.path / "metrics.json").exists()
        if whole and not overwrite and not run._differences(limited_yaml.load(asked)):
            raise run._finished()

    def _finished(self) -> Finished:
        return Finished(
            f"{self.path} is finished; see {self.path / 'metrics.json'}. Set run.overwrite=true to make it anew, or another run.name"
        )

    def _take(self, overwrite: bool) -> bool:
        """Whether the run that lies there goes on."""
        self._lock()
        asked = self.path / "config.yaml"
        if asked.exists():
            differences = self._differences(limited_yaml.load(asked))
            finished = (self.path / "metrics.json").exists()
            if overwrite or not self._begun():
                self._clear()
            elif differences:
                raise CannotResume(
                    f"{self.path}: a run with another config lies there ({'; '.join(differences[:5])}); set run.overwrite=true to remove it, or another run.name"
                )
            elif finished:
                raise self._finished()
            else:
                return True
        elif strange := [p.name for p in self.path.iterdir() if not p.name.startswith(".")]:
            raise CannotResume(f"{self.path}: holds {strange[0]!r} but no run of xlt; give another run.dir or run.name")
        files.write_text(asked, yaml.safe_dump(self.config, sort_keys=False, allow_unicode=True))
        return False

    def _lock(self) -> None:
        with files.disk(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            self._handle = open(self.path / ".lock", "w")  # noqa: SIM115  held until the process ends
            try:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:  # any other error: a file system without locks
                raise RunInUse(
                    f"{self.path}: another process is working there; wait for it, or give another run.name"
                ) from error

    def _differences(self, before: dict) -> list[str]:
        return [
            f"{key} was {_short(old)}, is {_short(new)}"
            for key, old, new in _differences(before, self.config)
            if key.split(".")[0] not in _SPEED_ONLY and not (old is None and key in _ADDED and _ADDED[key] == new)
        ]

    def _begun(self) -> bool:
        """Whether anything was made here yet: a run refused for a mistake in its config leaves only what was asked."""
        return any(p.name not in _ASKED and not p.name.startswith((".", "cleaning.")) for p in self.path.iterdir())

    def _clear(self) -> None:
        """Killed on the way, what is left neither looks finished nor loses what says whose it is: metrics.json goes first, config.yaml last."""
        first_and_last = {"metrics.json": 0, **{name: 2 + i for i, name in enumerate(_ASKED)}}
        with files.disk(self.path):
            for inside in sorted(self.path.iterdir(), key=lambda p: first_and_last.get(p.name, 1)):
                if inside.name != ".lock":
                    shutil.rmtree(inside) if inside.is_dir() else inside.unlink()

    def record(self, lineage: dict) -> None:
        """Write manifest.json: hashes of what went in. CannotResume if an interrupted run had other data, tokenizer or parent."""
        # of a run that goes on as it was written, for that may have been by an older version; that this run asks the same has been seen to
        config = limited_yaml.load(self.path / "config.yaml") if self.resumed else self.config
        self.lineage = {**lineage, "config": digest({k: v for k, v in config.items() if k not in _SPEED_ONLY})}
        processes.first(self._record)

    def _record(self) -> None:
        manifest_file = self.path / "manifest.json"
        if self.resumed and manifest_file.exists():
            before = json.loads(manifest_file.read_text())["lineage"]
            if changed := [key for key, *_ in _differences(before, self.lineage)]:
                raise CannotResume(
                    f"{self.path}: {changed[0]} is not what it was when the run began; restore it, or set run.overwrite=true to start anew"
                )
        threads = os.cpu_count()
        files.write_json(
            manifest_file,
            {
                "stage": self.stage,
                "seed": self.config["seed"],
                "lineage": self.lineage,
                "versions": versions(),
                "git": _git_revision(),
                "processors": threads,
                "processes": processes.world(),
                "command": redact(sys.argv),
            },
        )

    @property
    def identity(self) -> str:
        """Of all that was asked and went in: two runs that have the same are interchangeable. After `record`."""
        return digest(self.lineage)

    def finish(self, results: dict) -> None:
        """Write metrics.json, the last file of a run. results: what design section "metrics.json" lists beside schema, stage, run and versions."""
        fixed = {
            "schema": SCHEMA,
            "stage": self.stage,
            "run": str(self.config["run"]["name"]),
            "seed": self.config["seed"],
            "versions": versions(),
            "lineage": self.lineage,
        }
        processes.first(lambda: files.write_json(self.path / "metrics.json", redact({**fixed, **results})))


def digest(value) -> str:
    """Hex SHA-256 of anything JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def parent_lineage(init_from: str | None) -> dict | None:
    """Where weights came from: the name, and a hash of its files (None for a name of the hub)."""
    if init_from is None:
        return None
    place = Path(resolve(init_from))
    manifest = place / files.MANIFEST
    if manifest.is_file():
        content = files.sha256(manifest)
    elif place.is_dir():
        content = digest({p.name: files.sha256(p) for p in place.iterdir() if p.is_file()})
    else:
        content = None
    return {"init_from": init_from, "files": content}


def versions() -> dict[str, str]:
    """Installed versions of what decides results."""
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # a bare checkout on the path
            continue
    return found


def peak_memory() -> int:
    """Bytes of resident memory this process had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _git_revision() -> str | None:
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    try:
        answer = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
        )
    except OSError:  # a checkout on a machine without git
        return None
    return answer.stdout.strip() or None


def _differences(before, now, prefix: str = ""):
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted(before.keys() | now.keys()):
            yield from _differences(before.get(key), now.get(key), f"{prefix}{key}.")
    elif before != now:
        yield prefix.rstrip("."), before, now


def _short(value) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."

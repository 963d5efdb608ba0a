"""A sweep: how its jobs are called and where they write, and the board on which they say what became of them, wherever a launcher of Hydra's runs them."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import tempfile
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from xlt import files, signals
from xlt.config import messages


class Board:
    """Of one sweep: a folder of this machine, which the process that began the sweep holds a lock in, as long as it lives.

    A launcher's processes get a copy of this object. On another machine they find no folder: nothing can be noted there, and nobody asks them to stop.
    """

    def __init__(self):
        self.home, self.place = os.getpid(), None

    def __getstate__(self) -> dict:
        return {"home": self.home, "place": self.place}

    def open(self) -> None:
        """Make the folder, once; only the process that begins the sweep does."""
        if self.place is None:
            self.place = Path(tempfile.mkdtemp(prefix="xlt-sweep-"))
            self._lock = open(self.place / "lock", "w")  # noqa: SIM115  held until close()
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            signals.tell(self._stop)

    def close(self) -> None:
        """Remove it."""
        if self.place is not None:
            signals.tell(None)
            self._lock.close()
            shutil.rmtree(self.place, ignore_errors=True)

    def note(self, number: int, name: str, code: int) -> bool:
        """Leave the exit code of a job. False if the folder is not on this machine."""
        if self.place is None or not self.place.is_dir():
            return False
        files.write_text(self.place / f"{number:06d}.json", json.dumps([name, code]))
        return True

    def noted(self) -> list[tuple[str, int]]:
        """(name, exit code) of each job that has ended, in their order."""
        if self.place is None:
            return []
        return [tuple(json.loads(path.read_text("utf-8"))) for path in sorted(self.place.glob("*.json"))]

    def stopped(self) -> int | None:
        """The signal that asks this process or the sweep to stop: SIGTERM if the sweep is no more."""
        if (here := signals.requested()) or os.getpid() == self.home:
            return here
        try:
            if told := (self.place / "stop").read_text("utf-8"):
                return int(told)
        except OSError:
            pass
        return int(signal.SIGTERM) if self.abandoned() else None

    def abandoned(self) -> bool:
        """Whether the process that began the sweep is no more, though it left the folder."""
        if os.getpid() == self.home:
            return False
        try:
            with open(self.place / "lock") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:  # it is held; or this is another machine
            return False
        return True

    def _stop(self, signum: int) -> None:
        (self.place / "stop").write_text(str(int(signum)), encoding="utf-8")


def summary(jobs: list[tuple[str, int]]) -> str | None:
    """What to say at the end of a sweep of which some jobs failed. jobs: (name, exit code) of each."""
    failed = [(name, code) for name, code in jobs if code]
    if not failed:
        return None
    count = (
        f"{len(jobs) - len(failed)} of {len(jobs)} jobs are finished. Run the same command again: only these are run"
    )
    return "\n".join([count, *(f"  {name}: {_why(code)}" for name, code in failed)])


def _why(code: int) -> str:
    try:
        return f"{signal.Signals(code - 128).name} (exit code {code})"
    except ValueError:
        return f"exit code {code}"


def name_job(cfg: DictConfig, job: DictConfig, swept: set[str]) -> str:
    """A job of a sweep gets a run directory of its own, named by what it overrides, unless the sweep itself names it. Returns what to call the job.

    job: Hydra's own config. swept: the keys that the command line gives several values.
    """
    # Hydra's record of a sweep lies in the way of run directories, and config.yaml and manifest.json of each job say more
    (Path(job.sweep.dir) / "multirun.yaml").unlink(missing_ok=True)
    swept = swept | set(job.sweeper.get("params") or {})
    own = [o for o in job.overrides.task if messages.key_of(o) in swept]
    name = f"job {job.job.num + 1}: {' '.join(own)}"
    print(name, flush=True)
    if not own or swept & {"run.name", "run.dir"}:
        return name
    # of characters that Hydra reads without quotes, so that model.init_from=runs/NAME/seed-1/finetune can be typed
    suffix = "_".join(re.sub(r"[^\w.+-]+", "-", o) for o in own)
    named = "${run.name}" in OmegaConf.to_container(cfg.run)["dir"]
    with open_dict(cfg):
        cfg.run["name" if named else "dir"] += f"/{suffix}"
    return name


def command_of(flags: list[str], cfg: DictConfig) -> list[str]:
    """The command line of one job. flags: of the sweep's command line."""
    kept = [flag for flag in flags if flag not in ("-m", "--multirun")]
    where = [f"run.name={_quoted(cfg.run.name)}", f"run.dir={_quoted(cfg.run.dir)}"]
    return [*HydraConfig.get().overrides.task, *where, *kept]


def _quoted(value: str) -> str:
    """As Hydra reads it back."""
    return value if re.fullmatch(r"[\w./+-]+", value) else "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"

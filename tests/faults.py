"""Stages as real processes that are killed at a chosen point; no product code knows of it.

`Forks` starts one process that has imported everything, and forks a child for each command, so a trial costs a second and not ten. Before
the n-th call of a named function the child sends itself a signal: SIGKILL is as sudden as it gets, wherever the call stands. Or the call
fails as on a full disk.
"""

from __future__ import annotations

import errno
import importlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

DISK_FULL = 0  # given as the signal

# point: the function before whose n-th call the signal comes
POINTS = {
    "encoding": "xlt.data.building:take",
    "update": "xlt.training.loop:_ahead",  # counted per update, see _each
    "log": "xlt.training.tracking:MetricsLog.write",
    "scoring": "xlt.evaluation.loop:gather",
    "reading": "xlt.evaluation.vectors:model_inputs",
    "measuring": "xlt.stages.inspect:measure",
    "searching": "xlt.alignment.neighbours:Nearest.add",
    "saving: flush": "xlt.files:_flush",
    "saving: hash": "xlt.files:_entry",
    "saving: rename": "os:rename",
    "replacing a file": "os:replace",
    "finishing": "xlt.run:RunDirectory.finish",
    "solving": "xlt.objectives.procrustes:Procrustes.solve",
    "a round": "xlt.objectives.bootea:BootEALearner.learn",
    "matching": "xlt.alignment.matching:Matching.rescored",
    "learning pieces": "xlt.tokenization.train:normalizer",
}


def _forget_moments() -> None:
    from xlt.training.checkpoint import Checkpoints

    load = Checkpoints.load
    Checkpoints.load = lambda self, step, model, optimizer: load(self, step, model, None)


def _forget_of_progress(name: str, empty) -> None:
    from xlt.training.checkpoint import Checkpoints

    load = Checkpoints.load
    Checkpoints.load = lambda *args: {**load(*args), name: empty}


def _forget_draws() -> None:
    import torch

    torch.manual_seed = lambda seed: None


def _forget_rate() -> None:
    from xlt.training.optimizer import LearningRate

    rate, begun = LearningRate.__call__, []

    def from_zero(self, step):
        begun[:] = begun or [step]
        return rate(self, step - begun[0])

    LearningRate.__call__ = from_zero


def _forget_order() -> None:
    from xlt.training import loop

    ahead = loop._ahead
    loop._ahead = lambda batches, start, stop, workers: ahead(lambda step: batches(step - start), start, stop, workers)


# what a resumed run is made to forget, to see that the comparison with a run that was left alone would notice
FORGETS = {
    "moments": _forget_moments,
    "draws": _forget_draws,
    "learning rate": _forget_rate,
    "order": _forget_order,
    "sums of losses": lambda: _forget_of_progress("losses", {}),
    "tokens": lambda: _forget_of_progress("tokens", 0),
}


class Forks:
    """The process that forks. Use as a context."""

    def __enter__(self) -> Forks:
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            "PYTHONPATH": str(Path(__file__).resolve().parents[1]),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        return self

    def __exit__(self, *_) -> None:
        self._process.stdin.close()
        self._process.wait()

    def run(
        self,
        argv: list[str],
        output: Path,
        point: str | None = None,
        n: int = 1,
        signals: tuple[int, ...] = (9,),
        forgets: str | None = None,
    ) -> int:
        """Exit code of `xlt argv` (minus the signal's number if it died of one); what it printed is appended to `output`. forgets: see FORGETS."""
        ask = {"argv": argv, "output": str(output), "point": point, "n": n, "signals": signals, "forgets": forgets}
        self._process.stdin.write(json.dumps(ask) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


def _serve() -> None:
    for module in (
        "torch", "accelerate", "hydra", "sentencepiece", "sklearn.metrics", "transformers.models.xlm_roberta.modeling_xlm_roberta",
        "xlt.cli", "xlt.config.compose", "xlt.stages.training", "xlt.stages.align", "xlt.stages.tokenize", "xlt.stages.zero_shot_eval",
    ):  # fmt: skip
        importlib.import_module(module)
    for line in sys.stdin:
        ask = json.loads(line)
        child = os.fork()
        if child == 0:
            _child(**ask)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _child(argv: list[str], output: str, point: str | None, n: int, signals: list[int], forgets: str | None) -> None:
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    from xlt import cli

    if point is not None:
        _arm(POINTS[point], n, signals)
    if forgets is not None:
        FORGETS[forgets]()
    code = 1
    try:
        code = cli.main(argv)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _arm(where: str, n: int, signals: list[int]) -> None:
    module, _, path = where.partition(":")
    *owners, name = path.split(".")
    owner = importlib.import_module(module)
    for part in owners:
        owner = getattr(owner, part)
    function, left = getattr(owner, name), n

    def strike() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            if signals == [DISK_FULL]:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            for signum in signals:
                os.kill(os.getpid(), signum)
                signal.sigpending()  # gives Python's handler a chance to run between two signals

    def before(*args, **kwargs):
        strike()
        return function(*args, **kwargs)

    def each(*args, **kwargs):
        for item in function(*args, **kwargs):
            strike()
            yield item

    setattr(owner, name, each if name == "_ahead" else before)


if __name__ == "__main__":
    _serve()

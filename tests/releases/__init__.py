"""Runs as releases of xlt left them, one folder a release: begun and cut, and finished. Later versions go on with the one and score the other.

python -m tests.releases            writes the folder of the version that is installed, once it is released
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
NAMES = sorted(p.name for p in HERE.iterdir() if (p / "runs").is_dir())
PACE = ["train.steps=12", "train.epochs=null", "train.window=4", "train.max_length=24", "train.batch_size=8", "train.save_every=4", "train.eval_every=6",
        "train.log_every=2", "train.learning_rate=3e-3", "hardware=debug", "run.cache=cache"]  # fmt: skip
TUNE = ["finetune", "dataset=classification_files", "dataset.root=labelled", "languages.source=[en]", "model=tiny", "model.layers=1", "model.width=8",
        "model.feed_forward=16", "model.attention_heads=2", "model.max_positions=32", "tokenizer.path=tokenizer", *PACE]  # fmt: skip
SCORE = ["zero-shot-eval", "dataset=classification_files", "dataset.root=labelled", "hardware=debug", "run.cache=cache"]


def xlt(folder: Path, *command: str) -> tuple[int, str]:
    """(exit code, what was printed) of the command in that folder: its runs know relative paths alone."""
    answer = subprocess.run([sys.executable, "-m", "xlt", *command], cwd=folder, capture_output=True, text=True)
    return answer.returncode, answer.stdout + answer.stderr


def make(folder: Path) -> None:
    """The data, a finished run, one that was cut after update 8, and the scores of the former."""
    from tests import corpus
    from tests.faults import Forks

    corpus.write_labelled(folder / "labelled", rows=24)
    corpus.write_tokenizer(folder / "tokenizer")
    before = os.getcwd()
    os.chdir(folder)
    try:
        with Forks() as forks:
            said = folder / "said.txt"
            cut = forks.run([*TUNE, "run.name=cut"], said, "update", 9, (signal.SIGKILL,))
            tuned = forks.run([*TUNE, "run.name=done"], said)
            scored = forks.run([*SCORE, "run.name=done", "model.init_from=runs/done/finetune"], said)
            if (cut, tuned, scored) != (-signal.SIGKILL, 0, 0):
                raise RuntimeError(said.read_text())
    finally:
        os.chdir(before)
    said.unlink()
    shutil.rmtree(folder / "cache")
    for name in ("checkpoints", "candidates"):
        shutil.rmtree(folder / "runs" / "done" / "finetune" / name)

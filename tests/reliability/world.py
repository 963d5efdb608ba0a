"""The real experiment world_tiny, killed at random times over all of its stages, against one that was left alone.

python -m tests.reliability.world DATA [--kills 30] [--processes 2] [--seed 1] [--root DIR] [--out FILE]

DATA: the folder with mono, tatoeba, ntrex and sib200. Each kill is a SIGKILL after a time drawn at random: of all processes of the command, or of one of them. Then no
process may be left, and the same command is run again, until each stage has had its share of the kills and is finished. What must be equal, byte by byte: weights,
predictions, losses of each logged update, metrics.json without times.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from random import Random

from tests.stages.test_resume import outcome_of

STAGES = {
    "tokenize": ["tokenizer.vocab_size=8000", "tokenizer.sample=50000"],
    "pretrain": ["train.steps=150", "train.save_every=7", "train.eval_every=25", "train.log_every=1"],
    "align": [
        "train.steps=150",
        "train.batch_size=64",
        "train.save_every=7",
        "train.eval_every=25",
        "train.log_every=1",
    ],
    "finetune": ["train.epochs=4", "train.save_every=5", "train.eval_every=10", "train.log_every=1"],
    "zero-shot-eval": [],
}
WITHIN = 0.45  # of the time that the whole stage takes: it has to start anew after each kill, and goes on from its last checkpoint
PATIENCE = 30  # seconds in which the others of a killed process must have ended


def command(stage: str, processes: int) -> list[str]:
    """Of the experiment, made small, in the working directory; tokenizing is one process' work."""
    several = [f"hardware.processes={processes}"] if processes > 1 and stage != "tokenize" else []
    return [stage, "experiment=world_tiny", "run.cache=cache", "hardware.device=cpu", "hardware.threads=1", *several, *STAGES[stage]]  # fmt: skip


def members(mark: str) -> list[int]:
    """Living processes that have the mark in their environment: a command, and all that it started, in whatever group or session."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (
                    mark.encode() in (entry / "environ").read_bytes()
                    and (entry / "stat").read_text().rsplit(") ", 1)[1][0] != "Z"
                ):
                    found.append(int(entry.name))
            except OSError:
                continue  # it has just ended, or is not ours
    return found


def run(argv: list[str], data: Path, place: Path, draw: Random | None = None, within: float = 0.0) -> tuple[int, float]:
    """(exit code, seconds). With draw, something is killed at a time within so many seconds if it still runs then. RuntimeError if a process is left."""
    mark = f"XLT_TRIAL={uuid.uuid4().hex}"
    environment = {
        **os.environ,
        **dict([mark.split("=")]),
        "XLT_DATA": str(data),
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
    }
    began = time.monotonic()
    place.mkdir(parents=True, exist_ok=True)
    log = place / "said.txt"
    with open(log, "a", encoding="utf-8") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "xlt", *argv],
            cwd=place,
            env=environment,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    if draw is not None:
        try:
            process.wait(draw.uniform(0, within))
        except subprocess.TimeoutExpired:
            victims = members(mark)
            whole = draw.random() < 0.5
            for victim in victims if whole or not victims else [draw.choice(victims)]:
                try:
                    os.kill(victim, signal.SIGKILL)
                except ProcessLookupError:
                    continue
    code = process.wait()
    until = time.monotonic() + PATIENCE
    while left := members(mark):
        if time.monotonic() > until:
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            raise RuntimeError(f"{argv[0]}: processes {left} are left {PATIENCE} s after the command ended; see {log}")
        time.sleep(0.1)
    return code, time.monotonic() - began


def main() -> int:
    """Exit code 1 if the end is not the same."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    for name, default in (("kills", 30), ("processes", 1), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--root", type=Path)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    root = asked.root or Path(tempfile.mkdtemp(prefix="xlt-world-"))
    alone_in, killed_in = root / "alone", root / "killed"
    figures = {"processes": asked.processes, "kills": 0, "stages": {}}
    draw, data = Random(asked.seed), asked.data.resolve()
    for left, stage in zip(range(len(STAGES), 0, -1), STAGES, strict=True):
        print(f"{stage}: left alone", flush=True)
        again = command(stage, asked.processes)
        code, seconds = run(again, data, alone_in)
        if code:
            sys.exit(f"{stage} failed by itself with {code}; see {alone_in}")
        share, kills, starts = -(-(asked.kills - figures["kills"]) // left), 0, 0
        while code != 0 or kills < share:
            wanted = draw if kills < share else None
            code, _ = run(again, data, killed_in, wanted, WITHIN * seconds)
            starts += 1
            kills += code != 0 and wanted is not None
            print(f"{stage}: start {starts} ended with {code}", flush=True)
            if code == 0 and wanted is not None:
                break  # it was faster than the kill
            if code != 0 and wanted is None:
                sys.exit(f"{stage} failed by itself with {code}; see {killed_in}")
        figures["kills"] += kills
        places = [place / "runs" / "world_tiny" / stage for place in (alone_in, killed_in)]
        alone, killed = map(outcome_of, places)
        different = [part for part in ("metrics", "log") if alone[part] != killed[part]]
        different += sorted(
            f for f in alone["files"].keys() | killed["files"].keys() if alone["files"].get(f) != killed["files"].get(f)
        )
        figures["stages"][stage] = {
            "kills": kills,
            "starts": starts,
            "seconds": round(seconds, 1),
            "different": different,
        }
        print(f"{stage}: {kills} kills, {len(alone['files'])} files, different: {different or 'nothing'}", flush=True)
    if asked.out:
        asked.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(f"{figures['kills']} kills on {asked.processes} processes; see {root}")
    return int(any(stage["different"] for stage in figures["stages"].values()))


if __name__ == "__main__":
    sys.exit(main())

"""Tokens per second and core of two processes that share each update, against one process with one thread, on the demo's text; and that both learn the same.

    python scripts/bench_processes.py [--steps 60] [--rounds 3] [--out FILE]

The runs are interleaved. Speed is that of the last line of metrics.jsonl, without start-up and validation. Weights must agree to 1e-6 relative, with dropout off.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file

SHAPE = ["model=mini", "model.dropout=0", "model.attention_dropout=0", "hardware.threads=1"]
WORK = {
    "masked_lm": ["pretrain", "train.batch_tokens=8192"],
    "contrastive": ["align", "train.batch_size=256", "train.batch_tokens=null"],
}
WAYS = {"one process": [], "two processes": ["hardware=ddp", "hardware.device=cpu", "hardware.threads=1"]}


def measure(folder: Path, kind: str, way: str, steps: int, number: int) -> tuple[float, torch.Tensor]:
    """(tokens per second, all weights)."""
    stage, *more = WORK[kind]
    name = f"{kind}-{way.split()[0]}-{number}"
    pace = [
        "train.epochs=null",
        f"train.steps={steps}",
        "train.eval_every=0",
        "train.save_every=0",
        f"train.log_every={steps}",
        "train.eval_rows=1",
    ]
    run = ["dataset=demo", "tokenizer.path=runs/t/tokenize", f"run.name={name}", *SHAPE, *more, *pace, *WAYS[way]]
    call(folder, stage, *run)
    place = folder / "runs" / name / stage
    lines = [json.loads(line) for line in (place / "metrics.jsonl").read_text().splitlines()]
    found = load_file(place / "model" / "model.safetensors")
    speed = next(line["tokens_per_second"] for line in lines if "tokens_per_second" in line)
    return speed, torch.cat([found[key].double().flatten() for key in sorted(found)])


def call(folder: Path, *argv: str) -> None:
    """Run `xlt argv` there; what it says is shown if it fails."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    done = subprocess.run(
        [sys.executable, "-m", "xlt", *argv], cwd=folder, env=environment, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(done.stdout + done.stderr)


def main() -> None:
    """Measure, compare, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    asked, report = parser.parse_args(), {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        call(folder, "tokenize", "dataset=demo", "run.name=t", "tokenizer.vocab_size=4000")
        for kind in WORK:
            speeds: dict[str, list[float]] = {way: [] for way in WAYS}
            for number in range(asked.rounds):
                weights = {}
                for way in WAYS:
                    speed, weights[way] = measure(folder, kind, way, asked.steps, number)
                    speeds[way].append(speed)
                one, two = weights.values()
                apart = float((two - one).norm() / one.norm())
                if apart > 1e-6:
                    sys.exit(f"{kind}: the weights are {apart:.1e} apart")
            one, two = (statistics.median(each) for each in speeds.values())
            report[kind] = {"one": one, "two": two, "per_core": two / 2 / one, "apart": apart}
            print(
                f"{kind}: {one:,.0f} tokens/s in one process, {two:,.0f} in two: {two / 2 / one:.2f} a core; weights {apart:.1e} apart"
            )
    if asked.out:
        asked.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()

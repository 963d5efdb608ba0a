"""Batches of like length against random ones: validation loss per language after equal tokens, mean of several seeds.

    python scripts/bench_batches.py --data DIR/mono --tokenizer DIR --out scripts/results/batches.json [--seeds 1 2 3] [--steps 3000] [--jobs 1] [OVERRIDES]

`xlt pretrain objective=masked_lm` with train.window=64 (rows of 64 updates sorted by length) and with train.window=1 (each update a random draw of
rows), else equal: the same tokens an update, rate, dev data and masks. Reported are each language's dev loss, its mean over seeds and
languages, and the paired difference (like length less random) over seeds with its standard error.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

WINDOWS = {"like_length": 64, "random": 1}


def run(arguments, name: str, seed: int, window: int, steps: int) -> dict:
    """metrics.json of one run."""
    command = [
        sys.executable, "-m", "xlt", "pretrain", "objective=masked_lm", "dataset=mono", f"dataset.root={arguments.data}",
        f"tokenizer.path={arguments.tokenizer}", f"run.root={arguments.work}", f"run.name={name}", f"run.cache={arguments.work / 'cache'}",
        "run.overwrite=true", f"seed={seed}", f"train.window={window}", f"train.steps={steps}", "train.eval_rows=null",
        "train.eval_every=0", "train.save_every=0", "train.log_every=500", *arguments.overrides,
    ]  # fmt: skip
    done = subprocess.run(command, text=True, capture_output=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return json.loads((arguments.work / name / "pretrain" / "metrics.json").read_text())


def train(arguments, name: str, seed: int) -> dict:
    """Dev loss by language, tokens and speed of one run."""
    metrics = run(arguments, f"{name}-{seed}", seed, WINDOWS[name], arguments.steps)
    loss = next(iter(metrics["results"].values()))["loss"]
    mean, efficiency = sum(loss.values()) / len(loss), metrics["efficiency"]
    print(f"{name:12} seed {seed}  loss {mean:.4f}  {efficiency['tokens_per_second']:,.0f} tokens/s", flush=True)
    return {"window": name, "seed": seed, "mean": mean, "loss": loss, "efficiency": efficiency}


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--work", type=Path, default=Path("runs/bench_batches"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("overrides", nargs="*", help="of both, such as train.batch_tokens=4096 or hardware=gpu")
    arguments = parser.parse_intermixed_args(argv)
    wanted = [(name, seed) for seed in arguments.seeds for name in WINDOWS]
    run(arguments, "encoding", 1, 64, 1)  # encodes for all
    with ThreadPoolExecutor(arguments.jobs) as pool:
        rows = list(pool.map(lambda one: train(arguments, *one), wanted))
    of = {name: [row["mean"] for row in rows if row["window"] == name] for name in WINDOWS}
    gaps = [a - b for a, b in zip(of["like_length"], of["random"], strict=True)]
    error = statistics.stdev(gaps) / len(gaps) ** 0.5 if len(gaps) > 1 else None
    codes = rows[0]["loss"]
    by_language = {
        code: {name: statistics.mean(r["loss"][code] for r in rows if r["window"] == name) for name in WINDOWS}
        for code in codes
    }
    found = {
        "date": date.today().isoformat(),
        "machine": platform.machine(),
        "steps": arguments.steps,
        "overrides": arguments.overrides,
        "mean": {name: statistics.mean(values) for name, values in of.items()},
        "difference": statistics.mean(gaps),
        "standard_error": error,
        "by_language": by_language,
        "rows": rows,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(found, indent=1) + "\n")
    worse = sum(by["like_length"] > by["random"] for by in by_language.values())
    print(
        f"like length {found['mean']['like_length']:.4f}, random {found['mean']['random']:.4f}, difference {found['difference']:+.4f}"
        + (f" +- {error:.4f}" if error is not None else "")
        + f"; like length is worse in {worse} of {len(by_language)} languages"
    )


if __name__ == "__main__":
    main(sys.argv[1:])

"""Many trials of every promise, in turns until the time is spent; figures.json has trials and passes of each. A trial that fails once has failed.

python -m tests.reliability.run [--tier 6|60] [--out figures.json] [--only F01,D05] [--replay F01:17]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
import traceback
from contextlib import redirect_stderr, redirect_stdout
from datetime import date
from pathlib import Path

from tests.reliability import data_faults, input_faults, process_faults, security_faults

TRIALS = {**process_faults.TRIALS, **input_faults.TRIALS, **data_faults.TRIALS, **security_faults.TRIALS}


def attempt(name: str, seed: int) -> tuple[bool, str]:
    """(whether the promise was kept, what was printed)."""
    with (
        tempfile.TemporaryDirectory(prefix=f"xlt-{name}-") as folder,
        open(Path(folder) / "said.txt", "w+", encoding="utf-8") as said,
    ):
        place = Path(folder) / f"t{seed}"  # the trial makes it
        try:
            with redirect_stdout(said), redirect_stderr(said):
                kept = bool(TRIALS[name](seed, place))
        except Exception:
            traceback.print_exc(file=said)
            kept = False
        said.flush()
        said.seek(0)
        return kept, said.read()


def main() -> int:
    """Exit code 1 if a promise was broken."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tier", type=float, default=6.0, help="minutes")
    parser.add_argument("--out", type=Path, default=Path("figures.json"))
    parser.add_argument("--only", help="names of trials, with commas between")
    parser.add_argument("--replay", help="NAME:SEED, one trial, with what it prints")
    asked = parser.parse_args()
    if asked.replay:
        name, _, seed = asked.replay.partition(":")
        kept, said = attempt(name, int(seed))
        print(said, f"{asked.replay}: {'kept' if kept else 'BROKEN'}", sep="\n")
        return 0 if kept else 1
    names = asked.only.split(",") if asked.only else list(TRIALS)
    figures = {
        name: {
            "promise": (TRIALS[name].__doc__ or name).strip().splitlines()[0],
            "trials": 0,
            "passes": 0,
            "seconds": 0.0,
            "broken": [],
        }
        for name in names
    }
    end, seed = time.monotonic() + 60 * asked.tier, 0
    while time.monotonic() < end:
        for name in names:
            if time.monotonic() > end and seed:  # every promise is tried once, however little time there is
                break
            began = time.monotonic()
            kept, _ = attempt(name, seed)
            row = figures[name]
            row["trials"] += 1
            row["passes"] += kept
            row["seconds"] = round(row["seconds"] + time.monotonic() - began, 2)
            if not kept:
                row["broken"].append(seed)
                print(f"{name}: BROKEN; see python -m tests.reliability.run --replay {name}:{seed}", flush=True)
        seed += 1
        print(
            f"round {seed}: {sum(r['passes'] for r in figures.values())} of {sum(r['trials'] for r in figures.values())}",
            flush=True,
        )
    about = {
        "date": date.today().isoformat(),
        "processors": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
    }
    asked.out.write_text(json.dumps({"about": about, "figures": figures}, indent=2) + "\n")
    return 1 if any(row["broken"] for row in figures.values()) else 0


if __name__ == "__main__":
    sys.exit(main())

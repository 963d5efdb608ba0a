"""figures.json of `make reliability` as the README's table: python scripts/reliability_table.py figures.json"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main() -> None:
    """Print it."""
    found = json.loads(Path(sys.argv[1]).read_text())
    about, figures = found["about"], found["figures"]
    print(f"{about['date']}, {about['processors']} processors ({about['machine']}), Python {about['python']}:\n")
    print("| | what is done to it, and what is promised | trials | kept |\n|---|---|---:|---:|")
    for name, row in figures.items():
        print(f"| {name} | {row['promise'].replace('|', '/')} | {row['trials']} | {row['passes']} |")


if __name__ == "__main__":
    main()

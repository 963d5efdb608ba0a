"""The tables of new_language.sh from its runs' metrics.json: python new_language_table.py RUNS/new_language yo.

Losses of two tokenizers cannot be compared by the token, so the new language's are given by the character, too: loss per token by characters per token.
"""

import json
import sys
from pathlib import Path

RUNS = ("none", "random", "mean", "focus", "wechsel", "no_replay")


def main(folder: Path, new: str) -> None:
    def metrics(name: str) -> dict:
        return json.loads((folder / name / "metrics.json").read_text(encoding="utf-8"))

    tokenizers = metrics("report/report")["tokenizers"]  # by path, sorted
    old, extended = (next(v for k, v in tokenizers.items() if k.endswith(end)) for end in ("old/pretrain", "/extend"))
    print("| new rows | new language, loss before | after | after, nats a character | old languages, before | after |")
    print("|---|---:|---:|---:|---:|---:|")
    for name in RUNS:
        loss = metrics(f"{name}/pretrain")["forgetting"]["loss"]
        others = [each for each in loss.values() if each["old"]]
        means = [sum(each[when] for each in others) / len(others) for when in ("before", "after")]
        length = (old if name == "none" else extended)["results"]["characters_per_token"][new]
        mine = loss[new]
        print(
            f"| {name} | {mine['before']:.2f} | {mine['after']:.2f} | {mine['after'] / length:.3f} | {means[0]:.2f} | {means[1]:.2f} |"
        )
    trim, before, after = metrics("five/trim"), metrics("old/pretrain"), metrics("five/pretrain")
    [was], [now] = (m["results"].values() for m in (before, after))
    worst = max(abs(was["loss"][code] - now["loss"][code]) for code in trim["languages"])
    pieces, size = trim["vocabulary"], trim["size"]
    print(
        f"\ntrimmed to {', '.join(trim['languages'])}: {pieces['after']:,} of {pieces['before']:,} pieces, {size['after']['bytes'] / size['before']['bytes']:.1%} of the "
        f"bytes; dev losses differ by {worst:.4f} at most"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])

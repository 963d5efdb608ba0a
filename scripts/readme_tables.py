"""Writes a results table of the README from the metrics.json of finished runs: no number in it is typed by hand.

    python scripts/readme_tables.py MARK NAME=RUN[,RUN...] ...     for example  demo "random weights=runs/random/zero-shot-eval"

MARK names the place: the table goes between `<!-- MARK table -->` and `<!-- end of MARK table -->`. NAME heads a column; its runs differ in
their seed, and their mean and standard deviation stand in it. Languages are rows, those of the first run's source first.
"""

from __future__ import annotations

import sys
from pathlib import Path

from xlt import languages
from xlt.reporting.tables import SUMMARY, cell, collect, find

README = Path(__file__).resolve().parents[1] / "README.md"


def table(columns: dict[str, list[Path]]) -> str:
    """Markdown: a language a row, a column for each name, in percent."""
    dataset, metric, lines, sources = None, None, {}, []
    for name, runs in columns.items():
        found = find(runs)
        dataset, metric, merged = collect([{**run, "run": name} for run in found], dataset, metric)
        lines[name] = merged[0]
        sources = sources or found[0]["transfer"][dataset][metric]["source"]
    scored = sorted(
        {c for line in lines.values() for c in line.values} - SUMMARY.keys(), key=lambda c: (c not in sources, c)
    )
    seeds = {name: ", ".join(map(str, line.seeds)) for name, line in lines.items()}
    head = [
        "language",
        "script",
        *(f"{name} (seed{'s' if ',' in seeds[name] else ''} {seeds[name]})" for name in lines),
    ]
    rows = [head, ["---", "---", *["---:"] * len(lines)]]
    rows += [
        [
            f"{languages.info(c).name}{' (source)' if c in sources else ''}",
            languages.script(c),
            *(cell(line.values[c], metric) for line in lines.values()),
        ]
        for c in scored
    ]
    rows += [[f"**{c}**", "", *(f"**{cell(line.values[c], metric)}**" for line in lines.values())] for c in SUMMARY]
    return f"{dataset}, {metric} on the test split, in percent:\n\n" + "\n".join(
        f"| {' | '.join(row)} |" for row in rows
    )


def main(argv: list[str]) -> None:
    mark, columns = argv[0], dict(argument.split("=", 1) for argument in argv[1:])
    begin, end = f"<!-- {mark} table -->", f"<!-- end of {mark} table -->"
    text = README.read_text(encoding="utf-8")
    if begin not in text or end not in text:
        sys.exit(f"{README}: there is no {begin} ... {end}")
    before, rest = text.split(begin, 1)
    made = table({name: [Path(run) for run in runs.split(",")] for name, runs in columns.items()})
    README.write_text(f"{before}{begin}\n{made}\n{end}{rest.split(end, 1)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])

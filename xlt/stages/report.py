"""xlt report: several run directories -> one table, printed and written as Markdown and CSV."""

from __future__ import annotations

import argparse
from pathlib import Path

from xlt import files
from xlt.errors import ConfigError
from xlt.reporting.figures import heat_map
from xlt.reporting.protocols import comparisons, matrices
from xlt.reporting.tables import collect, csv_table, find, markdown, stamps


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        raise ConfigError(f"report: {message}; see xlt report --help")


def main(argv: list[str]) -> int:
    """`xlt report RUN [RUN ...]`; returns the exit code."""
    parser = _Parser(
        prog="xlt report",
        description="One table of runs x languages: mean and standard deviation over seeds, target mean, transfer gap.",
    )
    parser.add_argument(
        "runs", nargs="+", type=Path, help="run directories, or folders with run directories below them"
    )
    parser.add_argument("--dataset", help="data set to compare on (default: the first run's)")
    parser.add_argument("--metric", help="metric to compare (default: accuracy where there is one)")
    parser.add_argument("--out", type=Path, help="write OUT.md and OUT.csv")
    options = parser.parse_args(argv)
    runs = find(options.runs)
    dataset, metric, lines = collect(runs, options.dataset, options.metric)
    table = "\n".join([markdown(dataset, metric, lines), *comparisons(runs, dataset, metric), *stamps(runs)])
    print(table, end="")
    if options.out is not None:
        files.write_text(options.out.with_suffix(".md"), table)
        files.write_text(options.out.with_suffix(".csv"), csv_table(metric, lines))
        written = [options.out.with_suffix(".md"), options.out.with_suffix(".csv")]
        for number, (_, title, matrix) in enumerate(matrices(runs, dataset, metric), 1):
            picture = options.out.with_name(f"{options.out.name}-matrix-{number}.svg")
            written += [picture] * heat_map(matrix, title, picture)
        print(f"\nwritten: {' '.join(map(str, written))}")
    return 0

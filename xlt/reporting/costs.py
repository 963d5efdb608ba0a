"""One table of what scored runs had learned with: score, how many parameters, memory of their gradients and moments, and speed of the fine-tuning.

From the metrics.json of `xlt zero-shot-eval` and of the fine-tuning that its lineage names; of runs without an adapter among them there is no table.
"""

from __future__ import annotations

from pathlib import Path

from xlt.reporting.tables import Table, cell, collect, heading, name_of


def cost_table(runs: list[dict], dataset: str, metric: str) -> Table | None:
    """A line for each scored run (the mean over its seeds) whose fine-tuning is among `runs`; None unless one of these has an adapter."""
    tuned = {str(Path(run["path"]).parent.resolve()): run for run in runs if run.get("trained")}
    of: dict[str, list[dict]] = {}
    for run in runs:
        parent = ((run.get("lineage") or {}).get("parent") or {}).get("init_from")
        found = parent and tuned.get(str(Path(parent).resolve()))
        if run.get("transfer", {}).get(dataset, {}).get(metric) and found:
            of.setdefault(name_of(run), []).append(found)
    if all(t["trained"]["adapter"] == "none" for members in of.values() for t in members):
        return None
    scored = [run for run in runs if run.get("transfer") and name_of(run) in of]
    lines = {line.name: line for line in collect(scored, dataset, metric)[2]}
    rows = [
        [
            name,
            of[name][0]["trained"]["adapter"],
            *(cell(line.values.get(column), metric) for column in ("source mean", "target mean")),
            f"{of[name][0]['trained']['parameters']:,}",
            f"{of[name][0]['trained']['share']:.2%}",
            f"{of[name][0]['trained']['memory']['gradients_and_moments'] / 2**20:,.1f}",
            f"{sum(t['efficiency']['tokens_per_second'] for t in of[name]) / len(of[name]):,.0f}",
        ]
        for name, line in lines.items()
    ]
    head = ["run", "adapter", "source", "target", "parameters", "share", "MB", "tokens/s"]
    return Table(
        f"{heading(dataset, metric)}, and what learned",
        head,
        rows,
        "MB: of gradients and moments, computed; tokens/s: measured in fine-tuning",
    )

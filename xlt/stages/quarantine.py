"""What a run with dataset.on_error=quarantine left out: a file of the rows, the counts on the screen and in metrics.json."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

from xlt import files, processes
from xlt.data.faults import Collected, OnError
from xlt.data.sources import Files
from xlt.errors import DataError
from xlt.training.progress import Screen

NAME = "quarantine.jsonl"


def set_aside(cfg, folder: Path) -> dict:
    """{"quarantine": counts by data set, view, language and split} of all that was read; {} where nothing is to be set aside.

    Writes quarantine.jsonl; of several processes the first one does.
    """
    return processes.first(lambda: _set_aside(cfg, folder))


def _set_aside(cfg, folder: Path) -> dict:
    counts, lines, shown = {}, [], []
    for dataset in {id(each): each for each in _sources(vars(cfg))}.values():
        for view, code, split in sorted(dataset.asked):
            found = dataset.inspect(view, code, split, Collected(keep=None))
            if found.ended is not None:
                raise DataError(str(found.ended))
            line = {"rows": found.rows, "set_aside": found.total, "kinds": dict(sorted(found.counts.items()))}
            counts.setdefault(dataset.name, {}).setdefault(view, {}).setdefault(code, {})[split] = line
            place = {"dataset": dataset.name, "view": view, "language": code, "split": split}
            lines += [json.dumps(place | fault.record(), ensure_ascii=True) for fault in found.first]
            if found.total:
                shown.append([f"{dataset.name}, {code}, {split}", f"{found.rows:,}", f"{found.total:,}"])
    if not counts:
        return {}
    files.write_lines(folder / NAME, iter(lines))
    screen = Screen()
    if shown:
        screen.table(f"rows set aside, for they are faulty ({folder / NAME})", ["", "rows", "set aside"], shown)
    else:
        screen.say("dataset.on_error: no row had to be set aside")
    return {"quarantine": counts}


def _sources(value) -> Iterator[Files]:
    """All data sets of files inside that set rows aside: a mixture's, and those below a subset, a translation, a cleaning."""
    if isinstance(value, Files):
        if value.on_error is OnError.quarantine:
            yield value
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield from _sources(vars(value) if hasattr(value, "__dict__") else {})
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _sources(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _sources(inner)

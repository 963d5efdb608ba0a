"""The leakage guard at work in `xlt zero-shot-eval`: what the model learned from is looked up, what is to be scored is compared with it."""

from __future__ import annotations

from xlt.data.leakage import Action, LeakageGuard
from xlt.data.subset import Subset
from xlt.errors import ConfigError, DataError, XltError
from xlt.stages.protocols import learned_by
from xlt.stages.setup import changed
from xlt.training.progress import Screen


def guarded(cfg, view: str, wanted: dict[str, list[str]], screen: Screen):
    """(cfg, without the rows that leaked if that is asked for; the counts for metrics.json, None where nothing was compared).

    wanted: the languages to be scored, by split.
    """
    guard: LeakageGuard | None = cfg.leakage
    if guard is None or guard.action is Action.off:
        return cfg, None
    try:
        learned = learned_by(cfg.model.init_from)
        if not learned:
            raise ConfigError(f"no fine-tuning of xlt is known by which {cfg.model.init_from} was made")
        search = guard.search(learned)
    except XltError as error:
        if guard.action is Action.drop:
            raise ConfigError(
                f"leakage: what was learned from cannot be read ({error}); restore it, or choose leakage=report"
            ) from error
        screen.warn(f"leakage: nothing was compared, for what was learned from cannot be read ({error})")
        return cfg, None

    places = [(split, code) for split, codes in wanted.items() for code in codes]
    found = {place: search.find(cfg.dataset, view, place[1], place[0]) for place in places}
    rows = {place: sum(1 for _ in cfg.dataset.rows(view, place[1], place[0])) for place in places}
    either = {place: sorted({*leaks["id"], *leaks["text"]}) for place, leaks in found.items()}
    compared = ["id"] * search.by_id(cfg.dataset) + ["text"]
    counts: dict[str, dict] = {}
    for (split, code), leaks in found.items():
        line = {"rows": rows[split, code], "leaked": len(either[split, code])}
        counts.setdefault(split, {})[code] = line | {by: len(leaks[by]) for by in compared}
    _show(screen, guard, cfg.dataset.name, counts, compared)
    if guard.action is Action.drop:
        cfg = changed(cfg, dataset=Subset(cfg.dataset, _left(cfg.dataset.name, view, rows, either)))
    return cfg, {cfg.dataset.name: {"action": guard.action.value, "compared": compared, "splits": counts}}


def _left(name: str, view: str, rows: dict, either: dict) -> dict:
    """The numbers of the rows that stay, where any goes. DataError where none stays."""
    kept = {}
    for (split, code), gone in either.items():
        if len(gone) == rows[split, code]:
            raise DataError(
                f"leakage: all {len(gone)} rows of {name}, {code}, {split} were learned from, so nothing is left to score; leave {code} out, or choose "
                "leakage=report"
            )
        if gone:
            kept[view, code, split] = sorted(set(range(rows[split, code])) - set(gone))
    return kept


def _show(screen: Screen, guard: LeakageGuard, name: str, counts: dict, compared: list[str]) -> None:
    lines = [
        [f"{code}, {split}", *(f"{line[key]:,}" for key in ("rows", "leaked", *compared))]
        for split, by in counts.items()
        for code, line in by.items()
        if line["leaked"]
    ]
    if lines:
        done = "not scored" if guard.action is Action.drop else "scored all the same; leakage=drop leaves them out"
        screen.table(
            f"{name}: rows that the model learned from, in some language ({done})",
            ["", "rows", "leaked", *(f"by {c}" for c in compared)],
            lines,
        )
        return
    total = sum(line["rows"] for by in counts.values() for line in by.values())
    screen.say(f"leakage: none of {total:,} rows to be scored was learned from, by {' and '.join(compared)}")

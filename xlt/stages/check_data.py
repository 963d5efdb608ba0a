"""xlt check data: every split of every language read once, and all that is wrong with it told. No model, no tokenizer, no run directory."""

from __future__ import annotations

import json

from xlt.data.checks.survey import Survey, shown, survey
from xlt.data.leakage import Action
from xlt.errors import DataError
from xlt.stages.setup import choose_languages
from xlt.training.progress import Screen


def run(cfg, as_json: bool) -> None:
    """Print the table, the warnings and what is wrong. DataError if anything is."""
    screen, found = Screen(), []
    view = getattr(cfg.objective, "view", cfg.dataset.views()[0])
    asked = cfg.languages.target
    codes = choose_languages(asked, cfg.dataset, view, None, "languages.target")
    guard = None if cfg.leakage is None or cfg.leakage.action is Action.off else cfg.leakage
    found = survey(cfg.dataset, view, codes, guard)
    if as_json:
        print(json.dumps(found.plain(), indent=2, ensure_ascii=True, sort_keys=True))
    else:
        show(screen, found)
    if found.wrong:
        raise DataError("\n".join(shown(found.wrong)))


def show(screen: Screen, found: Survey) -> None:
    """A line for each split, and the warnings."""
    lines = []
    for (code, split), counts in found.splits.items():
        kinds = [f"{name}: {n:,}" for part in ("kinds", "notes") for name, n in counts[part].items()]
        kinds += [f"leaked by {by}: {n:,}" for by, n in counts.get("leaked", {}).items()]
        lines.append([f"{code}, {split}", f"{counts['rows']:,}", f"{counts['faulty']:,}", ", ".join(kinds)])
    screen.table(f"{found.dataset}: {found.view}", ["", "rows", "faulty", "of these"], lines)
    for warning in found.warnings:
        screen.say(f"warning: {warning}")

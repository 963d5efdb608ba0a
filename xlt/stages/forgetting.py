"""Going on from a checkpoint: which languages it knew, how many of the rows drawn are theirs (replay), and what it forgets of them."""

from __future__ import annotations

import json
from collections.abc import Callable

from xlt import files, languages, processes
from xlt.errors import ConfigError
from xlt.models.build import known_task
from xlt.objectives.mixture import Mixture
from xlt.run import RunDirectory
from xlt.stages.setup import choose_languages
from xlt.training.progress import Screen

BEFORE = "before.json"  # in the run directory: the scores before the first update, which an interrupted run keeps
Figures = dict[str, dict[str, float]]  # {metric: {language: score}}


def old_languages(cfg) -> list[str] | None:
    """What the checkpoint was trained on; None where it does not say, or there is no checkpoint."""
    task = known_task(cfg.model.init_from) if cfg.model.init_from is not None else None
    return None if task is None else task.get("source_languages")


def is_old(code: str, old: list[str]) -> bool:
    """Whether a language, or both languages of a pair, are among the old ones."""
    known = {single for each in old for single in _singles(each)}
    return code in old or all(single in known for single in _singles(code))


def _singles(code: str) -> tuple[str, ...]:
    return (code,) if languages.known(code) or "-" not in code else tuple(languages.pair(code))


def replayed_languages(cfg) -> list[str]:
    """Those of which train.replay is the share; [] where it is null. ConfigError where nobody knows them."""
    if cfg.train.replay is None:
        return []
    old = old_languages(cfg)
    if old is None:
        raise ConfigError(
            f"train.replay: {cfg.model.init_from or 'a model of random weights'} does not say which languages it was trained on; set it to null and give "
            "shares with train.sampling=weights train.weights={CODE:WEIGHT,...}"
        )
    return old


def judged(cfg) -> list[str] | None:
    """Languages whose dev data are scored: those learned and, of a checkpoint, those it knew that the data set has."""
    old = old_languages(cfg)
    if old is None or isinstance(cfg.objective, Mixture):
        return None
    view = cfg.objective.view
    learned = choose_languages(cfg.languages.train, cfg.dataset, view, "train", "languages.train")
    return learned + [code for code in cfg.dataset.languages(view) if code not in learned and is_old(code, old)]


def scores_before(run: RunDirectory, begun: bool, score: Callable[[], Figures]) -> Figures:
    """Of the checkpoint as it is, or as they were when this run began. begun: updates were made, so the model is not what it was."""
    place = run.path / BEFORE
    if begun and place.is_file():
        return json.loads(place.read_text(encoding="utf-8"))
    figures = {} if begun else score()
    processes.first(lambda: files.write_json(place, figures))
    return figures


def told(before: Figures, after: Figures, old: list[str] | None, metric: str, screen: Screen) -> dict:
    """The part of metrics.json: {metric: {language: {before, after, old}}}, old: whether the checkpoint knew it (null: it does not say). Prints
    the objective's own metric."""

    def known(code: str) -> bool | None:
        return None if old is None else is_old(code, old)

    found = {
        name: {
            code: {"before": before[name][code], "after": value, "old": known(code)}
            for code, value in by.items()
            if code in before[name]
        }
        for name, by in after.items()
        if name in before
    }
    if rows := found.get(metric):
        order = sorted(rows, key=lambda code: (bool(rows[code]["old"]), code))
        lines = [
            [
                code,
                {True: "old", False: "new", None: "-"}[rows[code]["old"]],
                *(f"{rows[code][when]:.3f}" for when in ("before", "after")),
                f"{rows[code]['after'] - rows[code]['before']:+.3f}",
            ]
            for code in order
        ]
        for name, which in (("mean of new", False), ("mean of old", True)):
            group = [each for each in rows.values() if each["old"] is which]
            if group:
                means = [sum(each[when] for each in group) / len(group) for when in ("before", "after")]
                lines.append([name, "", *(f"{m:.3f}" for m in means), f"{means[1] - means[0]:+.3f}"])
        screen.table(
            f"dev {metric} before and after: what was learned, and what was forgotten",
            ["language", "", "before", "after", "change"],
            lines,
        )
    return {"forgetting": found} if found else {}

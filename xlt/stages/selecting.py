"""Which weights of a fine-tuning are scored: the checkpoint that its source languages' dev data chose, the oracle's, or the mean of the last.

The oracle looks at dev data of the target languages, so its scores are no zero-shot transfer: every table that shows them says so (Keung et al.
2020 report them beside the others, for source dev data choose badly). All three are scored from one fine-tuning, by what it kept in candidates/.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from xlt.errors import ConfigError
from xlt.models.build import known_task
from xlt.reporting.tables import NOTES
from xlt.stages.protocols import config_of
from xlt.training.candidates import Candidates
from xlt.training.checkpoint import unique_weights

ORDER = ("source-dev", "oracle", "average")


def rules_of(asked: str | None) -> list[str]:
    """The rules to score by, source-dev first: the weights that the others replace."""
    return list(ORDER) if asked == "all" else [asked or "source-dev"]


def noted(title: str, rule: str) -> str:
    """A table's title with the rule in it, where it is not the ordinary one."""
    return f"{title}, selection {rule} ({NOTES[rule]})" if rule in NOTES else title


def candidates_of(init_from: str) -> Candidates:
    """The weights that the run of a fine-tuned model kept. ConfigError if it kept none."""
    place = config_of(init_from)
    if place is not None and (found := Candidates(place.parent / "candidates")).steps():
        return found
    raise ConfigError(
        f"selection: {init_from} kept no weights to select among; give the run directory of `xlt finetune` with train.candidates above 0, or take "
        "selection=source-dev"
    )


def select(rule: str, init_from: str, model, dev_score: Callable[[], float], higher_is_better: bool) -> dict[str, Any]:
    """Put the weights that the rule chooses into the model, which holds those of source-dev; returns what is to be known of the choice.

    dev_score(): the model's mean score on the target languages' dev data. Of equal ones the oracle takes the earlier checkpoint.
    """
    if rule == "source-dev":
        return {}
    candidates = candidates_of(init_from)
    adapter, sources = model.adapter, (known_task(init_from) or {}).get("source_languages", [])

    def put(step: int | None) -> list[int] | None:
        steps = candidates.load_mean(model) if step is None else candidates.load(step, model)
        if adapter is not None:
            adapter.reread(sources)
        return steps

    if rule == "average":
        return {"steps": put(None)}
    if adapter is not None and adapter.languages:
        adapter.speak(sources)  # as it was fine-tuned, so that these weights can be put back
    own = {name: weight.clone() for name, weight in unique_weights(model).items()}
    step = json.loads((candidates.folder.parent / "metrics.json").read_text(encoding="utf-8"))["step"]
    scores = {step: dev_score()}  # of the weights that are there
    for other in candidates.steps():
        if other != step:
            put(other)
            scores[other] = dev_score()
    best = min(scores, key=lambda s: (-scores[s] if higher_is_better else scores[s], s))
    if best == step:
        model.load_state_dict(own, strict=False)
        if adapter is not None:
            adapter.reread(sources)
    else:
        put(best)
    return {"step": best, "target_dev": {str(s): scores[s] for s in sorted(scores)}}


def oracle_languages(cfg, view: str, targets: list[str]) -> list[str]:
    """The target languages whose dev data the oracle looks at. ConfigError if there is none."""
    found = [code for code in targets if "dev" in cfg.dataset.splits(view, code)]
    if not found:
        raise ConfigError(
            f"selection: the oracle chooses on dev data of the target languages, and {cfg.dataset.name} has none in {', '.join(targets) or 'no language'}; "
            "take selection=source-dev or average"
        )
    return found

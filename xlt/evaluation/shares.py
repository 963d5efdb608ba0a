"""How much of what a model was pretrained on is in each language, read from the run directories it came from."""

from __future__ import annotations

import itertools
import json
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path

from xlt import languages
from xlt.errors import ConfigError


def pretraining_shares(init_from: str) -> dict[str, float] | None:
    """{code: share of the tokens drawn} over every `xlt pretrain` in the chain of parents that ends in `init_from`; None where there is none.

    Codes are xlt's own; of a pair each language has half. Where tokens were not counted (a stream), the share of rows.
    """
    drawn: dict[str, float] = {}
    lines = [line for run in _chain(init_from) if run.get("stage") == "pretrain" for line in run.get("sampling", [])]
    counted = all(line["tokens_drawn"] is not None for line in lines)
    for line in lines:
        amount = line["tokens_drawn"] if counted else line["share"]
        spoken = _languages(line["language"])
        for code in spoken:
            drawn[code] = drawn.get(code, 0.0) + amount / len(spoken)
    total = sum(drawn.values())
    return {code: amount / total for code, amount in drawn.items()} if total else None


def bins(shares: dict[str, float], scored: Sequence[str], bounds: Sequence[float]) -> dict[str, str]:
    """{language: the bin of its share}, such as `1% to 10%`; `none` for one that the model was not pretrained on. A pair's is its rarer language's."""
    edges = [f"{100 * bound:g}%" for bound in bounds]
    names = [f"below {edges[0]}", *(f"{a} to {b}" for a, b in itertools.pairwise(edges)), f"{edges[-1]} and more"] if edges else ["pretrained"]  # fmt: skip

    def name(language: str) -> str:
        share = min(shares.get(code, 0.0) for code in _languages(language))
        return names[bisect_right(bounds, share)] if share else "none"

    return {language: name(language) for language in scored}


def _languages(code: str) -> list[str]:
    """xlt's code of one; both of a pair; what is neither as it is."""
    try:
        return [languages.canonical(single) for single in ([code] if languages.known(code) else languages.pair(code))]
    except ConfigError:
        return [code]


def _chain(init_from: str | None) -> Iterator[dict]:
    """metrics.json of a run, of the run it came from, and so on, as far as they are still there."""
    seen: set[Path] = set()
    while init_from is not None:
        place = Path(init_from).expanduser()
        place = (
            place if (place / "metrics.json").is_file() else place.parent
        )  # the run's folder `model` can be given, too
        if place in seen or not (place / "metrics.json").is_file():
            return
        seen.add(place)
        run = json.loads((place / "metrics.json").read_text(encoding="utf-8"))
        yield run
        init_from = ((run.get("lineage") or {}).get("parent") or {}).get("init_from")

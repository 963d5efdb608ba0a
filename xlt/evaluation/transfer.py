"""What transfer means in numbers: source mean, target mean, gap, worst language, and means by script, family (Hu et al. 2020, section 4) and share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from xlt import languages


def transfer(
    scores: dict[str, float],
    source: list[str],
    higher_is_better: bool,
    share_bins: Mapping[str, str] | None = None,
) -> dict | None:
    """The summary of one metric over languages. gap = source mean - target mean (negated where less is better, so a gap is always a loss).

    None without both a source and a target language. relative = target mean / source mean, None where that is 0. share_bins: of each language,
    where its share of the pretraining data is known.
    """
    sources = {k: v for k, v in scores.items() if k in source}
    targets = {k: v for k, v in scores.items() if k not in source}
    if not sources or not targets:
        return None
    source_mean, target_mean = _mean(sources.values()), _mean(targets.values())
    gap = source_mean - target_mean
    worst = (min if higher_is_better else max)(sorted(targets), key=targets.get)
    return {
        "source": sorted(sources),
        "source_mean": source_mean,
        "target_mean": target_mean,
        "gap": gap if higher_is_better else -gap,
        "relative": target_mean / source_mean if source_mean else None,
        "worst": [worst, targets[worst]],
        **{
            f"by_{kind}": {name: _mean(targets[code] for code in codes) for name, codes in groups.items()}
            for kind, groups in grouped(targets, share_bins).items()
        },
    }


def grouped(codes: Iterable[str], share_bins: Mapping[str, str] | None) -> dict[str, dict[str, list[str]]]:
    """{script, family, and share where it is known: {group: its languages}}."""
    codes = sorted(codes)
    kinds = {"script": languages.script, "family": languages.family}
    if share_bins is not None:
        kinds["share"] = share_bins.__getitem__
    groups: dict[str, dict[str, list[str]]] = {}
    for kind, of in kinds.items():
        found: dict[str, list[str]] = {}
        for code in codes:
            found.setdefault(of(code), []).append(code)
        groups[kind] = dict(sorted(found.items()))
    return groups


def _mean(values) -> float:
    values = list(values)
    return sum(values) / len(values)

"""What transfer means in numbers: source mean, target mean, gap, worst language, and means by script and family (Hu et al. 2020, section 4)."""

from __future__ import annotations

from xlt import languages


def transfer(scores: dict[str, float], source: list[str], higher_is_better: bool) -> dict | None:
    """The summary of one metric over languages. gap = source mean - target mean (negated where less is better, so a gap is always a loss).

    None without both a source and a target language. relative = target mean / source mean, None where that is 0.
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
        "by_script": _grouped(targets, languages.script),
        "by_family": _grouped(targets, languages.family),
    }


def _mean(values) -> float:
    values = list(values)
    return sum(values) / len(values)


def _grouped(scores: dict[str, float], group_of) -> dict[str, float]:
    groups: dict[str, list[float]] = {}
    for language, score in sorted(scores.items()):
        groups.setdefault(group_of(language), []).append(score)
    return {group: _mean(values) for group, values in sorted(groups.items())}

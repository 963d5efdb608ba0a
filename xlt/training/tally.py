"""Training losses since the last line of the log, by part of a mixture and by language. Plain numbers in dicts, so that a checkpoint holds them."""

from __future__ import annotations

from collections.abc import Iterable

from xlt.types import Batch


def add(
    sums: dict, window: list[Batch], counts: dict[str, int], losses: list[float], rows: list[list[list[float]]]
) -> None:
    """Count one update in. counts: of the whole update, by part; losses: the sum of each batch; rows: of each batch, (loss, count) of each row, [] if its objective does not tell."""
    sums["updates"] = sums.get("updates", 0) + 1
    for batch, loss, by_row in zip(window, losses, rows, strict=True):
        fresh = {"loss": 0.0, "count": 0, "weighted": 0.0, "languages": {}}
        part = sums.setdefault("parts", {}).setdefault(batch.part, fresh)
        part["loss"] += loss
        part["count"] += batch.count
        part["weight"] = batch.weight
        part["weighted"] += batch.weight * loss / max(counts[batch.part], 1)
        for language, (row_loss, row_count) in zip(batch.languages, by_row, strict=False):
            total = part["languages"].setdefault(language, [0.0, 0.0])
            total[0] += row_loss
            total[1] += row_count


def counts_of(window: list[Batch]) -> dict[str, int]:
    """What each part's summed loss of an update is divided by."""
    counts: dict[str, int] = {}
    for batch in window:
        counts[batch.part] = counts.get(batch.part, 0) + batch.count
    return counts


def added(each: Iterable[dict[str, int]]) -> dict[str, int]:
    """The counts of all processes."""
    total: dict[str, int] = {}
    for counts in each:
        for part, count in counts.items():
            total[part] = total.get(part, 0) + count
    return total


def joined(each: Iterable[dict]) -> dict:
    """The sums of all processes, which counted different rows of the same updates, as one."""
    total: dict = {}
    for sums in each:
        if sums:
            total["updates"] = max(total.get("updates", 0), sums["updates"])
        for name, part in sums.get("parts", {}).items():
            into = total.setdefault("parts", {}).setdefault(
                name, {**part, "loss": 0.0, "count": 0, "weighted": 0.0, "languages": {}}
            )
            for key in ("loss", "count", "weighted"):
                into[key] += part[key]
            for language, (loss, count) in part["languages"].items():
                old = into["languages"].get(language, [0.0, 0.0])
                into["languages"][language] = [old[0] + loss, old[1] + count]
    return total


def means(sums: dict) -> dict:
    """For the log: loss and losses by language; of a mixture the weighted loss of an update, and that by part."""
    parts = dict(sorted(sums["parts"].items()))  # a checkpoint does not keep the order, and the sum depends on it
    if set(parts) == {""}:
        return _mean(parts[""])
    weighted = sum(part["weighted"] for part in parts.values()) / sums["updates"]
    return {
        "loss": weighted,
        "parts": {name: {"weight": part["weight"], **_mean(part)} for name, part in parts.items()},
    }


def note(means: dict) -> str:
    """The same in a few words, for the screen."""
    parts = "".join(f"  {name} {part['loss']:.4f}" for name, part in means.get("parts", {}).items())
    return f"loss {means['loss']:.4f}{parts}"


def _mean(part: dict) -> dict:
    by_language = {code: loss / count for code, (loss, count) in sorted(part["languages"].items()) if count}
    return {"loss": part["loss"] / max(part["count"], 1), **({"languages": by_language} if by_language else {})}

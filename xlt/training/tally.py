"""Training losses since the last line of the log, by part of a mixture and by language. Plain numbers in dicts, so that a checkpoint holds them."""

from __future__ import annotations

from xlt.types import Batch


def add(sums: dict, window: list[Batch], losses: list[float], rows: list[list[list[float]]]) -> None:
    """Count one update in. losses: the sum of each batch; rows: of each batch, (loss, count) of each row, [] if its objective does not tell."""
    counts = counts_of(window)
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

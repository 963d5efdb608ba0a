"""The report of a cleaning, as people read it: a table of languages x filters, and what goes into metrics.json. The whole is cleaning.json."""

from __future__ import annotations


def table(report: dict) -> tuple[str, list[str], list[list[str]]]:
    """(title, head, lines): rows removed by each filter that removed any, texts changed, and what was kept, per language and in all."""
    counts = dict(report["languages"])
    counts["all"] = _summed(list(counts.values()))
    removing = [name for name in report["filters"] if counts["all"]["removed"][name]]
    changing = [name for name, n in counts["all"]["changed"].items() if n]
    head = ["language", "rows", *(f"{name}*" for name in changing), *removing, "kept", "of rows", "of characters"]
    lines = [
        [
            language,
            f"{n['rows']:,}",
            *(f"{n['changed'][name]:,}" for name in changing),
            *(f"{n['removed'][name]:,}" for name in removing),
            f"{n['kept']:,}",
            _share(n["kept"], n["rows"]),
            _share(n["kept_characters"], n["characters"]),
        ]
        for language, n in counts.items()
    ]
    guarded = f"; {report['held_out_lines']:,} held-out lines are guarded" if report["held_out_lines"] else ""
    return f"cleaning: rows removed by each filter{' (*: rows changed)' if changing else ''}{guarded}", head, lines


def summary(report: dict) -> dict:
    """Counts without examples."""
    languages = {code: {k: v for k, v in n.items() if k != "examples"} for code, n in report["languages"].items()}
    return report | {"languages": languages}


def _summed(parts: list[dict]) -> dict:
    first = parts[0]
    return {
        key: {name: sum(p[key][name] for p in parts) for name in first[key]}
        if isinstance(first[key], dict)
        else sum(p[key] for p in parts)
        for key in first
        if key != "examples"
    }


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"

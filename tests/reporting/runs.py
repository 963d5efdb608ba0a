"""Finished runs as far as a report reads them, written by hand."""

from __future__ import annotations

import json

from xlt.evaluation.transfer import transfer


def scored(
    folder, run, dataset, scores, source=("en",), metric="accuracy", protocol="transfer", seed=1, target_interval=None, **more
):  # fmt: skip
    """metrics.json of an `xlt zero-shot-eval`. scores: of each language. protocol: its name, its stamp, or None for a model scored as it is."""
    higher = not metric.endswith("loss")
    summary = transfer(scores, list(source), higher)
    stamp = {"name": protocol} if isinstance(protocol, str) else protocol
    bounds = {"intervals": {dataset: {metric: {"target_mean": target_interval}}}, "bootstrap": {"level": 0.95}}
    found = {
        "run": run,
        "seed": seed,
        "split": "test",
        "metric": metric,
        "higher_is_better": {metric: higher},
        "results": {dataset: {metric: scores}},
        "transfer": {dataset: {metric: summary} if summary else {}},
        **({"protocol": stamp} if stamp else {}),
        **(bounds if target_interval else {}),
        **more,
    }
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps(found), encoding="utf-8")
    return found


def few_shot(k, bucket, languages=("de",), start="sequential"):
    """A protocol's stamp."""
    return {"name": "few-shot", "start": start, "languages": list(languages), "k": k, "bucket": bucket}


def matrix(folder, run, dataset, scores, metric="accuracy", seed=1):
    """A matrix with its cells below it: `xlt matrix`, whose cells are runs of their own."""
    for source, row in scores.items():
        scored(folder / source / "zero-shot-eval", f"{run}/matrix/{source}", dataset, row, [source], metric, seed=seed)
    found = {"run": run, "seed": seed, "split": "test", "protocol": {"name": "matrix"}, "matrix": {dataset: {metric: scores}}}  # fmt: skip
    (folder / "metrics.json").write_text(json.dumps(found), encoding="utf-8")

"""xlt matrix: every source language against every target language: of each source a fine-tuning and a zero-shot evaluation, of all one table.

The cells of a source are two ordinary runs below the matrix's own directory, SOURCE/finetune and SOURCE/zero-shot-eval. So what is finished is
not computed again, and what was killed goes on as those stages do.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

from xlt import files
from xlt.models.shapes import Pretrained
from xlt.reporting.figures import heat_map
from xlt.reporting.matrix import Matrix
from xlt.reporting.scores import WIDTH
from xlt.run import Finished, RunDirectory
from xlt.stages import finetune, zero_shot_eval
from xlt.stages.parts import configs
from xlt.stages.quarantine import set_aside
from xlt.stages.selecting import noted
from xlt.stages.setup import changed, choose_languages
from xlt.training.progress import Screen


def run(cfg) -> float:
    """Fill in what is missing; writes metrics.json, matrix.md and matrix.svg, returns the mean score of all sources on languages other than themselves."""
    screen = Screen()
    directory = RunDirectory.open(cfg.run.dir, cfg.stage, cfg.resolved, cfg.run.overwrite)
    part = configs(cfg)[getattr(cfg.objective, "main", "")]
    dataset, view, metric = part.dataset, part.objective.view, part.objective.metric
    sources = choose_languages(cfg.languages.source, dataset, view, "train", "languages.source")
    targets = choose_languages(cfg.languages.target, dataset, view, "test", "languages.target")
    screen.say(f"matrix: {len(sources)} source x {len(targets)} target languages of {dataset.name}")
    cells, lineage = {}, {}
    for number, source in enumerate(sources, 1):
        screen.say(f"source {number} of {len(sources)}: {source}")
        tuned = cell(cfg, "finetune", source)
        lineage[f"{source}/finetune"], _ = outcome(finetune, tuned, screen)
        scored = scoring(cfg, source, tuned.run.dir, dataset)
        lineage[f"{source}/zero-shot-eval"], cells[source] = outcome(zero_shot_eval, scored, screen)
    directory.record(lineage)

    by_rule = gather(cells, dataset.name, targets)
    for rule, found in by_rule.items():
        title = noted(f"{dataset.name}, {metric}", rule)
        screen.fitted(found[metric].table(title, metric), WIDTH)
    first = next(iter(by_rule))
    title, matrix = noted(f"{dataset.name}, {metric}", first), by_rule[first][metric]
    files.write_text(directory.path / "matrix.md", matrix.table(title, metric).markdown())
    drawn = heat_map(matrix, title, directory.path / "matrix.svg")
    results = {rule: {"matrix": {dataset.name: {m: x.scores for m, x in by.items()}}} for rule, by in by_rule.items()}
    directory.finish(
        {
            **set_aside(cfg, directory.path),
            "selection": first,
            "protocol": {"name": "matrix"},
            **results[first],
            **({"selections": results} if len(results) > 1 else {}),
            "split": "test",
            "n": cells[sources[0]]["n"],
            "higher_is_better": part.objective.higher_is_better,
            "efficiency": {"seconds": round(sum(c["efficiency"]["seconds"] for c in cells.values()), 1)},
        }
    )
    missing = f"; for a heat map, pip install 'xlt[figures]' and run xlt report {directory.path} --out NAME"
    screen.say(f"{directory.path}: done; {'matrix.md and matrix.svg' if drawn else f'matrix.md{missing}'}")
    return matrix.mean_of_others()


def outcome(stage, cfg, screen: Screen) -> tuple[dict, dict]:
    """(lineage, metrics) of a run, which is made now unless it is there."""
    try:
        stage.run(cfg)
    except Finished as done:
        screen.say(str(done).split(";")[0])
    manifest, metrics = (
        json.loads((Path(cfg.run.dir) / name).read_text()) for name in ("manifest.json", "metrics.json")
    )
    return manifest["lineage"], metrics


def gather(cells: dict[str, dict], dataset: str, targets: list[str]) -> dict[str, dict[str, Matrix]]:
    """{rule of selection: {metric: matrix}} from the metrics.json of each source; of metrics that every target has."""
    first = next(iter(cells.values()))
    metrics = [metric for metric, by in first["results"][dataset].items() if set(targets) <= by.keys()]

    def results(metrics_json: dict, rule: str) -> dict:
        return metrics_json.get("selections", {}).get(rule, metrics_json)["results"][dataset]

    return {
        rule: {
            m: Matrix.of({source: results(found, rule)[m] for source, found in cells.items()}, targets) for m in metrics
        }
        for rule in first.get("selections", [first["selection"]])
    }


def cell(cfg, stage: str, source: str):
    """The config of one stage of one source, with a run directory of its own below the matrix's."""
    run = replace(
        cfg.run, dir=str(Path(cfg.run.dir) / source / stage), name=f"{cfg.run.name}/matrix/{source}", overwrite=False
    )
    spoken = replace(cfg.languages, source=[source])
    resolved = {**cfg.resolved, "stage": stage, "run": asdict(run), "languages": asdict(spoken)}
    return changed(cfg, stage=stage, run=run, languages=spoken, resolved=resolved)


def scoring(cfg, source: str, tuned: str, dataset):
    """The config by which a source's model is scored."""
    one = cell(cfg, "zero-shot-eval", source)
    model = {"_target_": "xlt.models.shapes.Pretrained", "init_from": tuned}
    resolved = {**one.resolved, "model": model, "objective": None}
    return changed(one, model=Pretrained(init_from=tuned), objective=None, dataset=dataset, resolved=resolved)

"""Trials of the promises about what a run takes from elsewhere: checkpoints of another run, a stage's input, the cache, a run of an older version."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from random import Random

from tests import releases
from tests.reliability.process_faults import TRAINED, asking, bench, ends_the_same, name_of, place_of, said, spoil
from tests.stages import test_resume as resume


def encoded(name: str) -> set[str]:
    """The tables in its cache."""
    return {p.name for p in (bench().folder / name / "cache" / "encoded").iterdir() if not p.name.startswith(".")}


def stale(seed: int, folder: Path) -> bool:
    """A later checkpoint of another run, and an older one half removed, lie in a run's directory: neither is used, and the run ends as if they had not been there."""
    draw, kind = Random(f"stale {seed}"), TRAINED[seed % len(TRAINED)]
    name, other = name_of("stale", seed, folder), name_of("other", seed, folder)
    resume.whole(bench(), kind)
    with asking(kind, "seed=7"):
        if resume.run(bench(), kind, other, "update", draw.randint(6, 20)) != -signal.SIGKILL:
            return False
    if resume.run(bench(), kind, name, "update", draw.randint(11, 20)) != -signal.SIGKILL:
        return False
    checkpoints = place_of(kind, name) / "checkpoints"
    *older, newest = sorted(checkpoints.glob("step-*"))
    chosen = json.loads((newest / "state.json").read_text()).get("best_step")
    for old in [p for p in older if p.name != f"step-{chosen or 0:08d}"][:1]:  # as one killed while it removes it
        draw.choice(sorted(old.iterdir())).unlink()
    shutil.copytree(sorted((place_of(kind, other) / "checkpoints").glob("step-*"))[-1], checkpoints / "step-00009999")
    same = ends_the_same(kind, name)
    return same and "step-00009999 is not used: it is of another run" in said(kind, name)


def damaged_input(seed: int, folder: Path) -> bool:
    """A file of the model that a stage begins with is damaged, or that run was not finished: refused with the file's name before anything is made; whole again, it is taken."""
    draw, name = Random(f"input {seed}"), name_of("input", seed, folder)
    resume.whole(bench(), "finetune")
    source = bench().folder / name / "source"
    shutil.copytree(place_of("finetune", "whole"), source)
    kind = draw.choice(["zero-shot-eval", "inspect", "mine"])
    file = draw.choice([p for p in sorted((source / "model").iterdir()) if p.name != "MANIFEST.json"])
    content, kept = file.read_bytes(), source / "kept"
    with asking(kind, f"model.init_from={source}"):
        unfinished = seed % 4 == 3
        (source / "model").rename(kept) if unfinished else spoil(file, draw)
        code = resume.run(bench(), kind, name)
        told = str(source) in said(kind, name) and (unfinished or file.name in said(kind, name))
        nothing = not (place_of(kind, name) / "metrics.json").exists() and "Traceback" not in said(kind, name)
        kept.rename(source / "model") if unfinished else file.write_bytes(content)
        return code == 2 and told and nothing and resume.run(bench(), kind, name) == 0


def spoiled_cache(seed: int, folder: Path) -> bool:
    """Encoded text in the cache is damaged while a run is down: it is made anew, and the run ends as if nothing had been."""
    draw, kind = Random(f"cache {seed}"), TRAINED[seed % len(TRAINED)]
    name = name_of("cache", seed, folder)
    resume.whole(bench(), kind)
    if resume.run(bench(), kind, name, "update", draw.randint(3, 20)) != -signal.SIGKILL:
        return False
    tables = sorted(p for p in (bench().folder / name / "cache").rglob("*.bin") if p.stat().st_size)
    spoil(draw.choice(tables), draw)
    return bool(tables) and ends_the_same(kind, name)


def edited_source(seed: int, folder: Path) -> bool:
    """A data file changes by one letter and keeps its size and time: the table of the old text is not used, and an interrupted run refuses to go on."""
    draw, name = Random(f"source {seed}"), name_of("source", seed, folder)
    root = next(a for a in bench().commands["pretrain"] if a.startswith("dataset.root=")).removeprefix("dataset.root=")
    copy = bench().folder / name / "text"
    shutil.copytree(root, copy)
    with asking("pretrain", f"dataset.root={copy}"):
        if resume.run(bench(), "pretrain", name, "update", 7) != -signal.SIGKILL:
            return False
        file = draw.choice(sorted(p for p in copy.rglob("*") if p.is_file() and "train" in p.name))
        content, times = bytearray(file.read_bytes()), (file.stat().st_atime_ns, file.stat().st_mtime_ns)
        letters = [i for i, byte in enumerate(content) if chr(byte).isascii() and chr(byte).islower()]
        place = draw.choice(letters)
        content[place] = ord("z") if content[place] != ord("z") else ord("y")
        file.write_bytes(content)
        os.utime(file, ns=times)
        before = encoded(name)
        refused = resume.run(bench(), "pretrain", name) == 78 and "data" in said("pretrain", name)
        with asking("pretrain", "run.overwrite=true"):
            anew = resume.run(bench(), "pretrain", name)
        return refused and anew == 0 and len(encoded(name) - before) == 1


def released(seed: int, folder: Path) -> bool:
    """A run that an earlier release began is gone on with, and one that it finished scores as it did then."""
    folder = folder / "left"
    shutil.copytree(releases.HERE / releases.NAMES[seed % len(releases.NAMES)], folder)
    codes = [
        releases.xlt(folder, *releases.TUNE, "run.name=cut")[0],
        releases.xlt(folder, *releases.SCORE, "run.name=anew", "model.init_from=runs/done/finetune")[0],
    ]
    then, now = (
        json.loads((folder / "runs" / run / "zero-shot-eval" / "metrics.json").read_text())["results"]
        for run in ("done", "anew")
    )
    return codes == [0, 0] and then == now and (folder / "runs" / "cut" / "finetune" / "metrics.json").exists()


TRIALS = {"F16": stale, "F18": damaged_input, "F20": spoiled_cache, "F20-source": edited_source, "F23": released}

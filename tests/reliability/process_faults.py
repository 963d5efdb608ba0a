"""Trials of the promises about processes and disks, after the fault matrix' numbers: each strikes a real run at places drawn from its seed, runs the same command
again, and says whether the end is that of a run that was left alone, byte by byte. Plain functions, for pytest (few seeds) and for the harness (many).
"""

from __future__ import annotations

import atexit
import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from tests.faults import DISK_FULL, FORGETS
from tests.stages import test_resume as resume
from tests.stages import test_sweeps as sweeps

SWEEP = [*sweeps.TASK, *sweeps.PACE, "-m", "seed=1,2"]
TRAINED = ("pretrain", "align", "finetune", "mixture", "stream")


@cache
def bench():
    """One for all trials of this process, so that runs that are left alone are made once."""
    stack = ExitStack()
    folder = Path(stack.enter_context(TemporaryDirectory(prefix="xlt-reliability-")))
    atexit.register(stack.close)
    return stack.enter_context(resume.opened(folder))


def name_of(what: str, seed: int, folder: Path) -> str:
    """Of a run that no other trial has."""
    return f"{what}-{seed}-{folder.name}"


def ends_the_same(kind: str, name: str) -> bool:
    """Whether the command, run again, ends as the run that was left alone."""
    try:
        resume.finish(bench(), kind, name)
    except AssertionError:
        return False
    return True


def place_of(kind: str, name: str) -> Path:
    """The run directory."""
    return bench().folder / name / kind / bench().commands[kind][0]


def said(kind: str, name: str) -> str:
    """What the last command printed."""
    return (bench().folder / name / f"{kind}.txt").read_text()


@contextmanager
def asking(kind: str, *more: str) -> Iterator[None]:
    """The command with these words in place of those that set the same keys."""
    command, keys = bench().commands[kind], tuple(f"{word.split('=')[0]}=" for word in more)
    bench().commands[kind] = [*[word for word in command if not word.startswith(keys)], *more]
    try:
        yield
    finally:
        bench().commands[kind] = command


def spoil(file: Path, draw: Random) -> None:
    """Flip a bit of it, cut it short or remove it."""
    content, how = bytearray(file.read_bytes()), draw.choice(["flip", "cut", "remove"])
    if how == "remove" or not content:
        file.unlink()
    elif how == "cut":
        file.write_bytes(content[: draw.randrange(len(content))])
    else:
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        file.write_bytes(content)


def killed(seed: int, folder: Path) -> bool:
    """SIGKILL after three updates drawn at random; in scoring, before three batches."""
    draw = Random(f"killed {seed}")
    kind, name = draw.choice([*TRAINED, "zero-shot-eval"]), name_of("killed", seed, folder)
    resume.whole(bench(), kind)
    point, most = ("scoring", 3) if kind == "zero-shot-eval" else ("update", 10)
    for _ in range(3):
        if resume.run(bench(), kind, name, point, draw.randint(1, most), workers=seed % 2) not in (0, -signal.SIGKILL):
            return False
    return ends_the_same(kind, name)


def anywhere(seed: int, folder: Path) -> bool:
    """SIGKILL at any point of any stage: reading, encoding, saving, renaming, finishing."""
    draw = Random(f"anywhere {seed}")
    kind, name = draw.choice(sorted(resume.POINTS)), name_of("anywhere", seed, folder)
    resume.whole(bench(), kind)
    for _ in range(2):
        point = draw.choice(sorted(resume.POINTS[kind]))
        if resume.run(bench(), kind, name, point, draw.randint(1, resume.POINTS[kind][point])) not in (
            0,
            -signal.SIGKILL,
        ):
            return False
    return ends_the_same(kind, name)


def forgetful(seed: int, folder: Path) -> bool:
    """The control: a run that is killed and forgets a piece of its state (moments, draws, rate, order, sums, tokens) does not end the same, and that is noticed."""
    draw, name = Random(f"forgetful {seed}"), name_of("forgetful", seed, folder)
    forgets = sorted(FORGETS)[seed % len(FORGETS)]
    resume.whole(bench(), "pretrain")
    at = (
        7 if "losses" in forgets else draw.choice([7, 9, 12, 13])
    )  # sums are written every second update, so other checkpoints have none
    if resume.run(bench(), "pretrain", name, "update", at) != -signal.SIGKILL:
        return False
    try:
        resume.finish(bench(), "pretrain", name, forgets=forgets)
    except (AssertionError, FileNotFoundError):
        return True
    return False


def stopped(seed: int, folder: Path) -> bool:
    """SIGTERM or SIGINT at an update: exit code 143 or 130, and the checkpoint is that of the update."""
    draw = Random(f"stopped {seed}")
    kind, name = draw.choice(TRAINED), name_of("stopped", seed, folder)
    signum, at = draw.choice([signal.SIGTERM, signal.SIGINT]), draw.randint(1, 23)
    if resume.run(bench(), kind, name, "update", at, (signum,)) != 128 + signum:
        return False
    place = place_of(kind, name) / "checkpoints" / f"step-{at:08d}"
    return place.is_dir() and ends_the_same(kind, name)


def saving(seed: int, folder: Path) -> bool:
    """SIGKILL before a flush, hash or rename of a checkpoint."""
    draw = Random(f"saving {seed}")
    kind, name = draw.choice(TRAINED), name_of("saving", seed, folder)
    point = draw.choice(["saving: flush", "saving: hash", "saving: rename"])
    struck = resume.run(bench(), kind, name, point, draw.randint(1, resume.POINTS["pretrain"][point]))
    return struck in (0, -signal.SIGKILL) and ends_the_same(kind, name)


def disk_full(seed: int, folder: Path) -> bool:
    """No space at a flush or at the replacing of a file: exit code 74; with space again the run ends as if nothing had been."""
    draw = Random(f"full {seed}")
    kind, name = draw.choice(TRAINED), name_of("full", seed, folder)
    point = draw.choice(["saving: flush", "replacing a file"])
    struck = resume.run(bench(), kind, name, point, draw.randint(1, resume.POINTS["pretrain"][point]), (DISK_FULL,))
    return struck in (0, 74) and ends_the_same(kind, name)


def damaged(seed: int, folder: Path) -> bool:
    """A bit of the newest checkpoint is flipped, a file cut short or removed: it is not used, and an earlier one is."""
    draw = Random(f"damaged {seed}")
    kind, name = draw.choice(TRAINED), name_of("damaged", seed, folder)
    if resume.run(bench(), kind, name, "update", 13) != -signal.SIGKILL:
        return False
    checkpoints = sorted((place_of(kind, name) / "checkpoints").glob("step-*"))
    spoil(draw.choice(sorted(p for p in checkpoints[-1].iterdir() if p.is_file())), draw)
    same = ends_the_same(kind, name)
    return same and f"{checkpoints[-1].name} is not used: " in said(kind, name)


def occupied(seed: int, folder: Path) -> bool:
    """A second run in a directory that another process holds: exit code 75, nothing touched."""
    kind, name = TRAINED[seed % len(TRAINED)], name_of("occupied", seed, folder)
    if resume.run(bench(), kind, name, "update", 7) != -signal.SIGKILL:
        return False
    place = place_of(kind, name)
    before = {p: p.stat().st_mtime_ns for p in place.rglob("*") if p.name != ".lock"}
    with open(place / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused = resume.run(bench(), kind, name) == 75
    untouched = before == {p: p.stat().st_mtime_ns for p in place.rglob("*") if p.name != ".lock"}
    return refused and untouched and ends_the_same(kind, name)


def changed(seed: int, folder: Path) -> bool:
    """A field of the config is changed between two halves: exit code 78, with its name."""
    draw = Random(f"changed {seed}")
    key, value = draw.choice([("train.learning_rate", "1e-2"), ("train.max_grad_norm", "0.5"), ("train.beta1", "0.8"), ("seed", "9"), ("model.dropout", "0.2"),
                              ("train.steps", "25"), ("train.max_length", "20"), ("train.schedule", "cosine")])  # fmt: skip
    name = name_of("changed", seed, folder)
    if resume.run(bench(), "pretrain", name, "update", 7) != -signal.SIGKILL:
        return False
    with asking("pretrain", f"{key}={value}"):
        code = resume.run(bench(), "pretrain", name)
    named = f"{key} was" in said("pretrain", name)
    return code == 78 and named and ends_the_same("pretrain", name)


@cache
def swept_alone() -> tuple[Path, dict]:
    """(folder, the outcomes of a sweep that was left alone)."""
    folder = Path(atexit_folder())
    argv = ["tokenize", "dataset=demo", "run.name=t", "tokenizer.vocab_size=1500", "languages.train=[en,sw]"]
    for command in (argv, [*SWEEP, "run.name=whole"]):
        answer = sweeps.ended(sweeps.begun(folder, *command))
        if answer.code:
            raise RuntimeError(answer.said)
    return folder, sweeps.outcomes(folder, "whole")


def atexit_folder() -> str:
    """Removed when this process ends."""
    folder = TemporaryDirectory(prefix="xlt-reliability-")
    atexit.register(folder.cleanup)
    return folder.name


def swept(seed: int, folder: Path) -> bool:
    """SIGKILL of one job of a sweep: the others finish, and the same command, run again, runs that one alone and ends as an undisturbed sweep."""
    draw, (place, whole) = Random(f"swept {seed}"), swept_alone()
    name, struck = name_of("swept", seed, folder), draw.choice(sorted(whole))
    command = sweeps.begun(place, *SWEEP, f"run.name={name}")
    job = sweeps.job_of(command, f"{name}/{struck}")
    time.sleep(draw.uniform(0, 0.2))
    with suppress(ProcessLookupError):  # it was faster
        os.kill(job, signal.SIGKILL)
    first = sweeps.ended(command)
    finished = {p: p.stat().st_mtime_ns for p in (place / "runs" / name).glob("*/finetune/metrics.json")}
    again = sweeps.ended(sweeps.begun(place, *SWEEP, f"run.name={name}"))
    kept = all(p.stat().st_mtime_ns == then for p, then in finished.items())
    enough = first.code in (0, 137) and len(finished) >= len(whole) - 1 and again.code == 0
    return kept and enough and sweeps.outcomes(place, name) == whole


@cache
def odd_alone() -> tuple[Path, tuple]:
    """(folder, the outcome of one job by itself)."""
    folder, _ = swept_alone()
    sweeps.make_odd(folder)
    single = [word for word in sweeps.ODDLY if word != "-m"]
    answer = sweeps.ended(sweeps.begun(folder, *sweeps.TASK, *sweeps.PACE, "run.name=single/alone", *single))
    if answer.code:
        raise RuntimeError(answer.said)
    return folder, sweeps.outcomes(folder, "single")["alone"]


def failed(seed: int, folder: Path) -> bool:
    """One job of four raises, exits, is killed or has no memory: the others finish, as by themselves, and the same command, run again, runs that one alone."""
    how, code = [("raises", 1), ("exits", 5), ("killed", 137), ("full", 71)][seed % 4]
    (place, single), name = odd_alone(), name_of("failed", seed, folder)
    hows = Random(f"failed {seed}").sample([how, "calm", "quiet", "still"], 4)
    command = [*sweeps.TASK, *sweeps.PACE, f"run.name={name}", f"dataset.how={','.join(hows)}", *sweeps.ODDLY]
    sweeps.make_odd(place)
    first = sweeps.ended(sweeps.begun(place, *command))
    before = sweeps.outcomes(place, name)
    (place / "well").touch()
    again = sweeps.ended(sweeps.begun(place, *command))
    after = sweeps.outcomes(place, name)
    told = "3 of 4 jobs are finished" in first.said and again.said.count("is finished; see") == 3
    same = all(outcome == single for outcome in [*before.values(), *after.values()])
    return (first.code, again.code, len(before), len(after)) == (code, 0, 3, 4) and told and same


TRIALS = {
    "F01": killed, "F01-anywhere": anywhere, "F02": forgetful, "F03": stopped, "F04": saving, "F05": disk_full, "F07": damaged, "F13": occupied, "F14": changed,
    "F19": swept, "F19-kinds": failed,
}  # fmt: skip

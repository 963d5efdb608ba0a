"""Runs of several processes against the same runs of one: losses, weights, scores and what is written; killed, stopped, hung, resumed by another number of them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
PACE = ["dataset=demo", "train.steps=30", "train.log_every=10", "train.eval_every=15", "train.save_every=5", "train.eval_rows=20", "train.batch_size=16",
        "train.batch_tokens=null", "train.epochs=null"]  # fmt: skip
SHAPE = ["model=tiny", "model.dropout=0", "model.attention_dropout=0"]
RUNS = {
    "masked_lm": ["pretrain", "languages.train=[en,sw,zh]", *SHAPE],
    "mlm_tlm": ["pretrain", "objective=mlm_tlm", "languages.train=[en,sw]", *SHAPE],
    "contrastive": ["align", "languages.train=[en,sw]", *SHAPE],
    "mlm_coral": [
        "pretrain",
        "objective=mlm_contrastive",
        "objective@objective.parts.cross.objective=coral",
        "languages.train=[en,sw,zh]",
        *SHAPE,
    ],
    "classification": ["finetune", "languages.source=[en]", "objective.dropout=0", *SHAPE],
}
OUT: dict[int, Path] = {}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a tokenizer, and the runs of one process that were asked for."""
    folder = tmp_path_factory.mktemp("processes")
    finish(
        start(
            folder, "tokenize", "dataset=demo", "run.name=t", "tokenizer.vocab_size=1500", "languages.train=[en,sw,zh]"
        )
    )
    return SimpleNamespace(folder=folder, whole={})


def start(folder, *argv, launcher=()):
    """A process that runs `xlt argv` in `folder`; what it prints lies in out.txt."""
    with open(folder / "out.txt", "w") as out:
        process = subprocess.Popen(
            [*(launcher or [sys.executable]), "-m", "xlt", *argv], cwd=folder, env=ENVIRONMENT, stdout=out, stderr=out
        )
    OUT[process.pid] = folder / "out.txt"
    return process


def finish(process, seconds=300):
    code = process.wait(seconds)
    assert code == 0, (code, said(process))


def said(process) -> str:
    """What it printed."""
    return OUT[process.pid].read_text()


def trained(place, name, kind, *changes, launcher=()):
    """The run directory of a finished run."""
    command = [*RUNS[kind], *PACE, "tokenizer.path=runs/t/tokenize", f"run.name={name}", *changes]
    process = start(place.folder, *command, launcher=launcher)
    finish(process)
    return place.folder / "runs" / name / RUNS[kind][0]


def whole(place, kind):
    """The run of one process."""
    if kind not in place.whole:
        place.whole[kind] = trained(place, f"{kind}-one", kind)
    return place.whole[kind]


def weights(run):
    found = load_file(run / "model" / "model.safetensors")
    return torch.cat([found[name].double().flatten() for name in sorted(found)])


def apart(run, other) -> float:
    return float((weights(run) - weights(other)).norm() / weights(other).norm())


def log(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "tokens_per_second"} for line in lines]


def close(a, b):
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        return all(close(a[k], b[k]) for k in a)
    return a == pytest.approx(b, rel=2e-4, abs=1e-6) if isinstance(a, float) else a == b


def children(pid: int) -> list[int]:
    """Processes that `pid` started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(stat.parent.name))
        except OSError:  # it ended meanwhile
            continue
    return sorted(found)


def workers(process) -> list[int]:
    return [pid for pid in children(process.pid) if b"xlt" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def begun(place, name, kind, *changes):
    """A run of two processes that has made its first checkpoint, and is somewhere after it."""
    command = [
        *RUNS[kind],
        *PACE,
        "tokenizer.path=runs/t/tokenize",
        f"run.name={name}",
        "hardware=ddp",
        "hardware.device=cpu",
        *changes,
    ]
    process = start(place.folder, *command)
    folder = place.folder / "runs" / name / RUNS[kind][0] / "checkpoints"
    deadline = time.monotonic() + 120
    while not list(folder.glob("step-*")):
        assert process.poll() is None and time.monotonic() < deadline, said(process)
        time.sleep(0.05)
    return process


@pytest.mark.parametrize("hardware", ["ddp", "fsdp"])
@pytest.mark.parametrize("kind", RUNS)
def test_two_processes_learn_what_one_does(place, kind, hardware):
    one, two = (
        whole(place, kind),
        trained(place, f"{kind}-{hardware}", kind, f"hardware={hardware}", "hardware.device=cpu"),
    )
    assert apart(two, one) < 1e-6
    assert len(log(one)) == len(log(two)) and all(close(a, b) for a, b in zip(log(two), log(one), strict=True))
    first, second = (json.loads((run / "metrics.json").read_text()) for run in (one, two))
    assert first["efficiency"]["tokens"] == second["efficiency"]["tokens"] and second["efficiency"]["processes"] == 2
    assert first["n"] == second["n"] and close(second["results"], first["results"])


@pytest.mark.parametrize("hardware", ["ddp", "fsdp"])
@pytest.mark.parametrize("adapter", ["lora", "pfeiffer"])
def test_two_processes_learn_the_adapter_that_one_does(place, adapter, hardware):
    base = whole(place, "classification")
    command = ["finetune", "languages.source=[en]", "objective.dropout=0", "model=pretrained", f"model.init_from={base}", *PACE, f"adapter={adapter}"]  # fmt: skip
    found = []
    for name, more in (("one", []), (hardware, [f"hardware={hardware}", "hardware.device=cpu"])):
        run = place.folder / "runs" / f"{adapter}-{name}" / "finetune"
        if not run.exists():
            finish(start(place.folder, *command, f"run.name={adapter}-{name}", *more))
        [file] = (run / "model").glob("adapter*.safetensors")
        tensors = load_file(file)
        found.append(torch.cat([tensors[key].double().flatten() for key in sorted(tensors)]))
    one, two = found
    assert float((one - two).norm() / one.norm()) < 1e-6 and one.norm() > 0


def test_scores_of_two_processes_are_those_of_one_row_by_row(place):
    model = whole(place, "classification")
    found = {}
    for name, more in (("scored-one", []), ("scored-two", ["hardware=ddp", "hardware.device=cpu"])):
        process = start(
            place.folder,
            "zero-shot-eval",
            "dataset=demo",
            f"model.init_from={model}",
            f"run.name={name}",
            "hardware.eval_tokens=300",
            *more,
        )
        finish(process)
        found[name] = place.folder / "runs" / name / "zero-shot-eval"
    one, two = found.values()
    files = sorted(p.name for p in (one / "predictions").iterdir())
    assert files and files == sorted(p.name for p in (two / "predictions").iterdir())
    for name in files:
        rows = [
            [json.loads(line) for line in (run / "predictions" / name).read_text().splitlines()] for run in (one, two)
        ]
        assert [{k: v for k, v in r.items() if not isinstance(v, dict | float)} for r in rows[0]] == [
            {k: v for k, v in r.items() if not isinstance(v, dict | float)} for r in rows[1]
        ]
    first, second = (json.loads((run / "metrics.json").read_text()) for run in (one, two))
    assert first["results"] == second["results"] and first["n"] == second["n"]


def test_torchrun_starts_the_same_run(place):
    run = trained(
        place,
        "torchrun",
        "masked_lm",
        launcher=[str(Path(sys.executable).with_name("torchrun")), "--standalone", "--nproc-per-node", "2"],
    )
    assert json.loads((run / "metrics.json").read_text())["efficiency"]["processes"] == 2
    assert apart(run, whole(place, "masked_lm")) < 1e-6


@pytest.mark.parametrize("number", [0, 1])
def test_a_dead_process_ends_the_run_and_one_process_goes_on_from_its_checkpoint(place, number):
    process = begun(place, f"dead-{number}", "masked_lm")
    victims = workers(process)
    started = time.monotonic()
    os.kill(victims[number], signal.SIGKILL)
    code = process.wait(60)
    assert code == 137 and time.monotonic() - started < 45, (code, said(process))
    assert "was ended by SIGKILL" in said(process) or "Connection closed" in said(process)
    assert not any(Path(f"/proc/{pid}").exists() for pid in victims), "no orphan is left"
    run = trained(place, f"dead-{number}", "masked_lm")
    assert "resuming after update" in (place.folder / "out.txt").read_text()
    assert apart(run, whole(place, "masked_lm")) < 1e-6


def test_processes_end_when_the_one_that_started_them_is_killed(place):
    process = begun(place, "orphans", "masked_lm", "train.steps=4000")
    victims = workers(process)
    assert len(victims) == 2
    process.kill()
    process.wait(10)
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in victims):
        assert time.monotonic() < deadline, said(process)
        time.sleep(0.1)


def test_processes_begin_again_by_themselves_where_asked(place):
    process = begun(place, "restarted", "masked_lm", "hardware.restarts=1")
    os.kill(workers(process)[1], signal.SIGKILL)
    finish(process)
    assert apart(place.folder / "runs" / "restarted" / "pretrain", whole(place, "masked_lm")) < 1e-6


@pytest.mark.parametrize("signum, code", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_the_same_command_ends_in_the_same_bits(place, signum, code):
    straight = place.folder / "runs" / "straight" / "pretrain"
    if not straight.exists():
        trained(place, "straight", "masked_lm", "hardware=ddp", "hardware.device=cpu")
    process = begun(place, f"stopped-{signum}", "masked_lm")
    process.send_signal(signum)
    assert process.wait(60) == code, said(process)
    assert "checkpoint saved" in said(process)
    run = trained(place, f"stopped-{signum}", "masked_lm", "hardware=ddp", "hardware.device=cpu")
    assert torch.equal(weights(run), weights(straight)) and log(run) == log(straight)


def test_a_process_that_hangs_ends_the_run(place):
    process = begun(place, "hung", "masked_lm", "hardware.timeout=8")
    victims = workers(process)
    os.kill(victims[1], signal.SIGSTOP)
    started = time.monotonic()
    assert process.wait(120) != 0
    assert time.monotonic() - started < 8 + 60
    assert not any(Path(f"/proc/{pid}").exists() for pid in victims)


def test_work_of_one_process_refuses_several(place):
    process = start(place.folder, "tokenize", "dataset=demo", "run.name=refused", "hardware=ddp", "hardware.device=cpu")
    assert process.wait(120) == 2
    assert said(process).count("this work of xlt tokenize is done by one; choose hardware=cpu") == 1

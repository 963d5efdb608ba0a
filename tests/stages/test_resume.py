"""Real processes, killed anywhere and started again with the same command, end in the same bits as one that was left alone.

Equal means: every byte below model/, mappings/, tokenizer/, predictions/, mined/, graphs/ and learning/ and of tables and pictures, every line of metrics.jsonl and all of metrics.json, timings and memory aside.
Which points are struck is drawn from a fixed seed, so a failure can be repeated.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from types import SimpleNamespace

import pytest

from tests import corpus, graphs
from tests.faults import DISK_FULL, FORGETS, Forks

TIMINGS = {"seconds", "reading_seconds", "searching_seconds", "tokens_per_second", "peak_memory_bytes"}


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    with opened(tmp_path_factory.mktemp("resume")) as found:
        yield found


@contextmanager
def opened(folder: Path) -> Iterator[SimpleNamespace]:
    """Data of every kind, a fine-tuned model, and the process that forks."""
    text = corpus.write_text(folder / "text", {"en": 90, "de": 50, "sw": 20})
    labelled = corpus.write_labelled(folder / "labelled")
    parallel = corpus.write_parallel(folder / "parallel")
    dictionary = corpus.write_dictionary(folder / "dictionary")
    vectors = corpus.write_vectors(folder / "vectors")
    tokenizer = corpus.write_tokenizer(folder / "tokenizer")
    encoder = ["model=tiny", "model.width=32", "model.feed_forward=64", "model.max_positions=40", f"tokenizer.path={tokenizer}"]  # fmt: skip
    pace = ["train.steps=24", "train.epochs=null", "train.window=4", "train.max_length=24", "train.learning_rate=3e-3",
            "train.save_every=5", "train.eval_every=4", "train.log_every=2", "train.eval_rows=6"]  # fmt: skip
    stream = [
        "dataset.streaming=true",
        "train.sampling=weights",
        "train.weights={en:2,de:1,sw:1}",
        "train.shuffle_rows=16",
    ]
    commands = {
        "pretrain": ["pretrain", "dataset=text_files", f"dataset.root={text}", *encoder, *pace, "train.batch_tokens=160"],
        "stream": ["pretrain", "dataset=text_files", f"dataset.root={text}", *encoder, *pace, "train.batch_tokens=160", *stream],
        "mixture": ["pretrain", "dataset=text_files", f"dataset.root={text}", *encoder, *pace, "train.batch_tokens=160", "objective=mlm_contrastive",
                    "dataset@objective.parts.cross.dataset=parallel_files", f"objective.parts.cross.dataset.root={parallel}",
                    "objective.parts.cross.batch_size=8", "objective.parts.cross.weight=0:1,14:0.1,20:0"],
        "mixed streams": ["pretrain", "dataset=text_files", f"dataset.root={text}", *encoder, *pace, "train.batch_tokens=160", *stream, "objective=mlm_tlm_contrastive",
                          "objective.updates=alternate", "dataset@objective.parts.tlm.dataset=parallel_files", f"objective.parts.tlm.dataset.root={parallel}",
                          "objective.parts.tlm.dataset.streaming=true", "objective.parts.tlm.languages=[en-de]", "objective.parts.tlm.weight=0:1,9:0,14:0,15:1",
                          "dataset@objective.parts.cross.dataset=parallel_files", f"objective.parts.cross.dataset.root={parallel}",
                          "objective.parts.cross.alpha=0.5", "objective.parts.cross.batch_size=8"],
        "align": ["align", "dataset=parallel_files", f"dataset.root={parallel}", *encoder, *pace, "train.batch_size=8"],
        "finetune": ["finetune", "dataset=classification_files", f"dataset.root={labelled}", "languages.source=[en]", *encoder, *pace, "train.batch_size=8"],
        "solve": ["align", "dataset=dictionary_files", f"dataset.root={dictionary}", "objective=procrustes", f'objective.vectors="{vectors}"'],
        "entities": ["align", *graphs.write(folder / "graphs", entities=40, seeds=20, count=160), "objective=entity_fusion", "objective@objective.members.structure=bootea",
                     "objective.members.structure.width=12", "objective.members.structure.epochs=12", "objective.members.structure.round_epochs=2", "objective.members.structure.batch_size=60",
                     "objective.members.structure.bootstrap_from=4", "objective.members.structure.bootstrap_threshold=0.1", "objective.matching.merge=tsv", "train.save_every=12"],
        "tokenize": ["tokenize", "dataset=text_files", f"dataset.root={text}", "tokenizer.vocab_size=340"],
        "inspect": ["inspect", "dataset=parallel_files", f"dataset.root={parallel}", "inspection.split=train", f"model.init_from={folder / 'whole' / 'finetune' / 'finetune'}"],
        "mine": ["mine", "dataset=text_files", f"dataset.root={text}", "languages.train=[en-de,en-sw]", "mining.threshold=null", "mining.shard_size=16",
                 f"model.init_from={folder / 'whole' / 'finetune' / 'finetune'}"],
        "zero-shot-eval": ["zero-shot-eval", "dataset=classification_files", f"dataset.root={labelled}", f"model.init_from={folder / 'whole' / 'finetune' / 'finetune'}"],
    }  # fmt: skip
    with Forks() as forks:
        yield SimpleNamespace(folder=folder, commands=commands, forks=forks, whole={}, workers=0)


def run(bench, kind: str, name: str, point=None, n=1, signals=(9,), workers=0, forgets=None) -> int:
    """Exit code of the command in a run root of its own, but for the data."""
    root = bench.folder / name
    root.mkdir(exist_ok=True)
    places = [f"run.root={root}", f"run.name={kind}", f"run.cache={root / 'cache'}"]
    hardware = ["hardware=debug", "hardware.eval_tokens=64", f"hardware.workers={workers}"]
    command = [*bench.commands[kind], *places, *hardware]
    return bench.forks.run(command, root / f"{kind}.txt", point, n, signals, forgets)


def outcome(bench, kind: str, name: str) -> dict:
    """Everything that must be equal."""
    return outcome_of(bench.folder / name / kind / bench.commands[kind][0])


def outcome_of(place: Path) -> dict:
    """The same of a run directory."""
    metrics = json.loads((place / "metrics.json").read_text())
    metrics["efficiency"] = {k: v for k, v in metrics["efficiency"].items() if k not in TIMINGS}
    log = place / "metrics.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    results = [
        p
        for part in ("model", "mappings", "tokenizer", "predictions", "mined", "graphs", "learning")
        for p in sorted((place / part).rglob("*"))
    ]
    results += [*place.glob("*.svg"), *place.glob("*.md")]
    return {
        "metrics": metrics,
        "log": [{k: v for k, v in line.items() if k not in TIMINGS} for line in lines],
        "files": {str(p.relative_to(place)): p.read_bytes() for p in results if p.is_file()},
    }


def whole(bench, kind: str) -> dict:
    """The outcome of the run that is left alone."""
    if kind in ("zero-shot-eval", "inspect", "mine"):
        whole(bench, "finetune")
    if kind not in bench.whole:
        assert run(bench, kind, "whole") == 0, (bench.folder / "whole" / f"{kind}.txt").read_text()
        bench.whole[kind] = outcome(bench, kind, "whole")
        assert bench.whole[kind]["files"]
    return bench.whole[kind]


def finish(bench, kind: str, name: str, **options) -> None:
    """Run to the end and compare; the directory holds nothing half written."""
    code = run(bench, kind, name, **options)
    said = (bench.folder / name / f"{kind}.txt").read_text()
    assert code == 0, said
    found, expected = outcome(bench, kind, name), whole(bench, kind)
    assert found["log"] == expected["log"], said
    assert found["metrics"] == expected["metrics"], said
    assert found["files"].keys() == expected["files"].keys()
    assert [f for f in found["files"] if found["files"][f] != expected["files"][f]] == [], said
    left = [p.name for p in (bench.folder / name / kind).rglob(".*") if p.name.startswith((".tmp-", ".before-"))]
    assert left == []


@pytest.mark.parametrize("forgets", FORGETS)
def test_a_piece_of_state_that_is_forgotten_is_noticed(bench, forgets):
    """The control: with any of it switched off, the comparison that the other tests rest on fails."""
    name = f"forgets {forgets}".replace(" ", "-")
    whole(bench, "pretrain")
    assert run(bench, "pretrain", name, "update", 7) == -signal.SIGKILL
    try:
        finish(bench, "pretrain", name, forgets=forgets)
    except (AssertionError, FileNotFoundError):
        return
    pytest.fail(f"a run that forgets its {forgets} when it is resumed ends as one that was left alone")


@pytest.mark.parametrize(
    "kind", ["pretrain", "stream", "mixture", "mixed streams", pytest.param("finetune", marks=pytest.mark.slow)]
)
def test_killed_three_times_and_run_again(bench, kind):
    """Twice within one epoch, and once while a checkpoint is written."""
    for point, n in (("update", 8), ("update", 3), ("saving: hash", 2)):
        assert run(bench, kind, "thrice", point, n) == -signal.SIGKILL
    finish(bench, kind, "thrice")


@pytest.mark.parametrize(
    "kind, points", [("inspect", ["reading", "measuring"]), ("mine", ["reading", "searching", "searching"])]
)
def test_what_was_read_and_searched_is_not_read_and_searched_again(bench, kind, points):
    whole(bench, kind)
    for n, point in enumerate(points, 2):
        assert run(bench, kind, "went on", point, n) == -signal.SIGKILL
    finish(bench, kind, "went on")
    assert (
        not list((bench.folder / "went on" / kind / kind).rglob("*.npy"))
        and not (bench.folder / "went on" / kind / kind / "work").exists()
    )


def test_graphs_are_learned_on_from_the_last_checkpoint(bench):
    """Links that the model believes in, false partners and moments are as if nothing had happened."""
    assert any(line["structure/links"] > 20 for line in whole_history(bench)), "nothing was believed in"
    assert run(bench, "entities", "graphs", "a round", 5) == -signal.SIGKILL
    assert run(bench, "entities", "graphs", "a round", 2, (signal.SIGTERM,)) == 143
    said = (bench.folder / "graphs" / "entities.txt").read_text()
    assert "zh-en: goes on after round" in said and "stopped by SIGTERM after round" in said
    finish(bench, "entities", "graphs")


def whole_history(bench) -> list[dict]:
    return [json.loads(line) for line in whole(bench, "entities")["files"]["learning/zh-en.jsonl"].split(b"\n")[:-1]]


@pytest.mark.parametrize(
    "signum, code", [(signal.SIGTERM, 143), pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow)]
)
def test_a_signal_in_training_saves_and_says_so(bench, signum, code):
    name = f"signal {signum}"
    assert run(bench, "pretrain", name, "update", 7, (signum,)) == code
    said = (bench.folder / name / "pretrain.txt").read_text()
    assert "stopped by signal" in said and "after update 7 of 24; checkpoint saved" in said
    assert (bench.folder / name / "pretrain" / "pretrain" / "checkpoints" / "step-00000007").is_dir()
    finish(bench, "pretrain", name)


def test_a_changed_config_is_refused_and_changed_hardware_is_not(bench):
    assert run(bench, "pretrain", "changed", "update", 12) == -signal.SIGKILL
    before = bench.commands["pretrain"]
    try:
        bench.commands["pretrain"] = [*before, "train.learning_rate=1e-2"]
        assert run(bench, "pretrain", "changed") == 78
    finally:
        bench.commands["pretrain"] = before
    assert "train.learning_rate was 0.003, is 0.01" in (bench.folder / "changed" / "pretrain.txt").read_text()
    finish(bench, "pretrain", "changed", workers=1)


@pytest.mark.parametrize(
    "point, n",
    [("saving: flush", 3), *(pytest.param(p, 1, marks=pytest.mark.slow) for p in ("encoding", "replacing a file"))],
)
def test_a_full_disk_is_a_sentence_and_nothing_is_lost(bench, point, n):
    """In the cache, in a checkpoint, in the smallest file."""
    name = f"full {point}".replace(": ", "_")
    assert run(bench, "pretrain", name, point, n, (DISK_FULL,)) == 74
    said = (bench.folder / name / "pretrain.txt").read_text()
    assert "could not be written (No space left on device)" in said and "MB are free there" in said
    assert "Traceback" not in said
    finish(bench, "pretrain", name)


def test_a_damaged_checkpoint_is_passed_over_and_none_whole_is_78(bench):
    assert run(bench, "pretrain", "damaged", "update", 14) == -signal.SIGKILL
    checkpoints = bench.folder / "damaged" / "pretrain" / "pretrain" / "checkpoints"
    (checkpoints / "step-00000010" / "optimizer.safetensors").write_bytes(b"")
    assert run(bench, "pretrain", "damaged", "update", 2) == -signal.SIGKILL
    said = (bench.folder / "damaged" / "pretrain.txt").read_text()
    assert "step-00000010 is not used: optimizer.safetensors has 0 bytes" in said and "resuming after update 5" in said
    kept = (checkpoints / "step-00000005" / "state.json").read_text()
    (checkpoints / "step-00000005" / "state.json").write_text(kept.replace("5", "6"))
    for _ in range(2):
        assert run(bench, "pretrain", "damaged") == 78
    assert "none of its 2 checkpoints can be used" in (bench.folder / "damaged" / "pretrain.txt").read_text()


# Every point of a stage at which it may be struck, and how often it is passed at least.
POINTS = {
    "pretrain": {"encoding": 10, "update": 24, "log": 17, "scoring": 24, "saving: flush": 40, "saving: hash": 15, "saving: rename": 6, "replacing a file": 3, "finishing": 1},
    "stream": {"encoding": 10, "update": 24, "log": 17, "scoring": 24, "saving: flush": 40, "saving: hash": 15, "saving: rename": 6, "replacing a file": 3, "finishing": 1},
    "mixture": {"encoding": 12, "update": 24, "log": 17, "scoring": 28, "saving: flush": 40, "saving: hash": 15, "saving: rename": 8, "replacing a file": 3, "finishing": 1},
    "align": {"encoding": 4, "update": 24, "log": 17, "scoring": 10, "saving: flush": 40, "saving: hash": 15, "saving: rename": 6, "replacing a file": 3, "finishing": 1},
    "finetune": {"encoding": 4, "update": 24, "log": 17, "scoring": 8, "saving: flush": 40, "saving: hash": 15, "saving: rename": 6, "replacing a file": 3, "finishing": 1},
    "entities": {"a round": 6, "matching": 2, "saving: hash": 15, "saving: rename": 5, "replacing a file": 4, "finishing": 1},
    "solve": {"solving": 2, "saving: hash": 6, "saving: rename": 2, "replacing a file": 2, "finishing": 1},
    "tokenize": {"learning pieces": 2, "saving: flush": 4, "saving: rename": 1, "replacing a file": 2, "finishing": 1},
    "inspect": {"reading": 8, "measuring": 3, "replacing a file": 6, "finishing": 1},
    "mine": {"reading": 12, "searching": 20, "replacing a file": 30, "finishing": 1},
    "zero-shot-eval": {"encoding": 6, "scoring": 8, "replacing a file": 4, "finishing": 1},
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("trial", range(12))
@pytest.mark.parametrize("kind", POINTS)
def test_killed_anywhere_any_number_of_times(bench, kind, trial):
    """Three strikes a trial, each at a point drawn at random; a run that ends before its strike was not killed, and that is fine."""
    whole(bench, kind)
    draw, name = Random(f"{kind} {trial}"), f"trial {trial}"
    for _ in range(3):
        point = draw.choice(sorted(POINTS[kind]))
        if run(bench, kind, name, point, draw.randint(1, POINTS[kind][point]), workers=trial % 2) == 0:
            break
    finish(bench, kind, name)


@pytest.mark.slow
@pytest.mark.parametrize("n", range(1, 38, 2))
def test_killed_at_every_system_call_of_a_save(bench, n):
    """Through the first checkpoints: each flush, of a file, of a manifest, of a folder."""
    assert run(bench, "pretrain", f"flush {n}", "saving: flush", n) == -signal.SIGKILL
    finish(bench, "pretrain", f"flush {n}")


@pytest.mark.slow
@pytest.mark.parametrize("signum, code", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize(
    "kind, point, n",
    [
        ("pretrain", "encoding", 1),
        ("pretrain", "update", 5),
        ("pretrain", "scoring", 5),
        ("pretrain", "saving: hash", 2),
        ("finetune", "encoding", 1),
        ("finetune", "update", 23),
        ("finetune", "scoring", 2),
        ("finetune", "finishing", 1),
        ("align", "scoring", 3),
        ("solve", "solving", 1),
        ("tokenize", "learning pieces", 1),
        ("inspect", "reading", 2),
        ("mine", "reading", 3),
        ("mine", "searching", 5),
        ("zero-shot-eval", "encoding", 2),
        ("zero-shot-eval", "scoring", 3),
    ],
)
def test_a_signal_in_every_phase(bench, kind, point, n, signum, code):
    """What is being done when it comes is brought to a point from which the next try goes on; nothing is left to do at the very end."""
    name = f"{signum} {point}".replace(": ", "_")
    assert run(bench, kind, name, point, n, (signum,)) == (0 if point == "finishing" else code)
    finish(bench, kind, name)


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind, point", [("pretrain", "update"), ("pretrain", "encoding"), ("zero-shot-eval", "scoring")]
)
def test_the_second_signal_ends_it_at_once(bench, kind, point):
    whole(bench, kind)
    assert run(bench, kind, f"impatient {point}", point, 2, (signal.SIGINT, signal.SIGTERM)) in (143, -signal.SIGTERM)
    assert "checkpoint saved" not in Path(bench.folder / f"impatient {point}" / f"{kind}.txt").read_text()
    finish(bench, kind, f"impatient {point}")


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_struck_from_outside_at_any_moment(bench, signum):
    """The installed command, from its first import on; when exactly the signal comes is left to chance, and that it does not matter is the test."""
    whole(bench, "pretrain")
    root = bench.folder / f"outside {signum}"
    root.mkdir()
    places = [f"run.root={root}", "run.name=pretrain", f"run.cache={root / 'cache'}", "hardware=debug", "hardware.eval_tokens=64"]  # fmt: skip
    command = [sys.executable, "-m", "xlt", *bench.commands["pretrain"], *places]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    draw, codes = Random(int(signum)), []
    for _ in range(6):
        with open(root / "pretrain.txt", "a") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
            try:
                process.wait(draw.random() * 12)
            except subprocess.TimeoutExpired:
                process.send_signal(signum)
            codes.append(process.wait())
    # before the first line of xlt runs, a signal is the system's own business
    assert set(codes) <= {0, -signum, 128 + signum}, (root / "pretrain.txt").read_text()
    finish(bench, "pretrain", root.name)

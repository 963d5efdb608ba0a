"""The command line as a shell sees it: what each word prints, where, and with which exit code. No model is trained here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest

from xlt import cli, errors
from xlt.config import paths
from xlt.run import Finished

TOPICS = "dataset=classification_files"


def process(*argv, cwd=None, **options):
    """`xlt ARGV` in a process of its own."""
    environment = {k: v for k, v in os.environ.items() if k != "XLT_CONF"}
    command = [sys.executable, "-m", "xlt", *argv]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, **options)


@pytest.fixture
def stage(monkeypatch):
    """Stands in for the stages: records the configs it is called with; stage.action(cfg) may fail or return."""
    seen = SimpleNamespace(configs=[], action=lambda cfg: None)

    def function(name):
        def run(cfg):
            seen.configs.append(cfg)
            return seen.action(cfg)

        return run

    monkeypatch.setattr(cli, "_stage_function", function)
    return seen


@pytest.mark.parametrize(
    "argv", [[], ["--help"], ["-h"], ["help"], ["ls", "--help"], ["check", "-h"], ["completion", "-h"]]
)
def test_help_lists_every_command(shell, argv):
    answer = shell(*argv)
    assert answer.code == 0 and not answer.err
    for word in [*cli.STAGES, *cli.OTHERS]:
        assert f"\n  {word} " in answer.out


@pytest.mark.parametrize("name", cli.STAGES)
def test_help_of_a_stage_lists_groups_choices_and_flags(shell, name):
    answer = shell(name, "--help")
    assert answer.code == 0 and answer.out == shell("help", name).out
    assert answer.out.startswith(f"xlt {name}: {cli.STAGES[name]}\n")
    words = answer.out.replace(",", " ").split()
    for group in paths.groups([]):
        assert group in words
        assert set(paths.choices(group, [])) <= set(words)
    assert {"--cfg", "--multirun", "--config-dir", "--plugin", "--info"} <= set(words)
    assert f"\n  xlt {name} " in answer.out, "an example of its own"
    assert max(map(len, answer.out.split("\n"))) <= 120


def test_help_wraps_at_the_terminal(shell, monkeypatch):
    monkeypatch.setenv("COLUMNS", "70")
    listed = shell("finetune", "--help").out.split("keys:")[0]
    assert max(map(len, listed.split("\n"))) <= 70


def test_help_and_listings_load_neither_torch_nor_hydra():
    code = (
        "import sys; from xlt.cli import main\n"
        "for argv in ['--help'], ['ls'], ['finetune', '--help'], ['completion', 'bash'], ['--version'], ['_complete', 'xlt finetune mod']:\n"
        "    assert main(argv) == 0\n"
        "print('loaded', sorted({'torch', 'transformers', 'hydra', 'omegaconf', 'numpy', 'yaml'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.endswith("loaded []\n")


def test_printing_a_config_loads_no_torch(tmp_path):
    code = "import sys; from xlt.cli import main; main(sys.argv[1:]); print('torch' in sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", code, "pretrain", TOPICS, "--cfg", "job"], cwd=tmp_path, capture_output=True, text=True, check=True
    )  # fmt: skip
    assert answer.stdout.endswith("False\n")


def test_version(shell):
    assert shell("--version").out.startswith("xlt 0.")


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["pretain"], "pretain: there is no such command; did you mean pretrain?"),
        (["xyz"], "xyz: there is no such command; there are tokenize, pretrain, align, inspect, mine, finetune, zero-shot-eval, matrix, report, check, ls"),
        (["ls", "modeel"], "ls: there is no group modeel; did you mean model?"),
        (["ls", "xyz"], "ls: there is no group xyz; there are dataset, cleaning, languages"),
        (["ls", "--jsno"], "--jsno: there is no such flag; there are --json and --config-dir DIR"),
        (["check"], "check: give a stage: tokenize, pretrain, align, inspect, mine, finetune, zero-shot-eval"),
        (["check", "finetun"], "check: finetun is not a stage; did you mean finetune?"),
        (["completion", "tcsh"], "completion: give one of bash, zsh, fish, for example: source <(xlt completion bash)"),
        (["report"], "report: the following arguments are required: runs; see xlt report --help"),
        (["report", "nothing"], "nothing: no metrics.json in it or below it; give run directories of finished runs"),
    ],
)  # fmt: skip
def test_a_word_that_is_not_known(shell, argv, sentence):
    answer = shell(*argv)
    assert (answer.code, answer.out, len(answer.err)) == (2, "", 1)
    assert answer.err[0].startswith(f"xlt: {sentence}")


def test_ls_shows_every_choice_with_its_comment(shell):
    every = shell("ls").out
    for group in paths.groups([]):
        assert f"{group}\n" in every
        listed = json.loads(shell("ls", group, "--json").out)[group]
        assert listed == paths.choices(group, [])
        lines = shell("ls", group).out.split("\n")[:-1]
        assert [line.split()[0] for line in lines] == list(listed)
        assert all(line.endswith(comment) for line, comment in zip(lines, listed.values(), strict=True))


def test_ls_shows_the_users_own(shell, tmp_path):
    (tmp_path / "my" / "dataset").mkdir(parents=True)
    (tmp_path / "my" / "dataset" / "mine.yaml").write_text("# what I collected\nname: mine\n")
    (tmp_path / "my" / "dataset" / "plain.yaml").write_text("name: plain\n")
    for flag in (["--config-dir", "my"], ["--config-dir=my"], ["-cd", "my"]):
        listed = json.loads(shell("ls", "dataset", "--json", *flag).out)["dataset"]
        assert listed["mine"] == "what I collected" and listed["plain"] == ""


def test_hydras_own_flags(shell, tmp_path):
    job = shell("finetune", TOPICS, "train.steps=9", "--cfg", "job").out
    assert job.startswith("stage: finetune\n") and "  steps: 9\n" in job and "dir: ${run.root}" in job
    assert "dir: runs/main/finetune\n" in shell("finetune", TOPICS, "--cfg", "job", "--resolve").out
    assert shell("finetune", "--cfg", "job", TOPICS, "-p", "train").out.startswith("# @package train\nsteps: ")
    # Hydra prints this through loggers, which one process sets up once
    assert (
        f"| main     | file://{paths.conf_dir()}"
        in process("finetune", TOPICS, "--info", "searchpath", cwd=tmp_path).stdout
    )
    assert "Hydra" in shell("finetune", "--hydra-help").out
    assert not list(tmp_path.iterdir())


def test_recipes_take_the_file_of_the_stage(shell, stage, tmp_path):
    place = tmp_path / "my" / "experiment" / "mine"
    place.mkdir(parents=True)
    (place / "finetune.yaml").write_text(
        f"# @package _global_\n# x\ndefaults: [override /{TOPICS.replace('=', ': ')}]\nseed: 5\n".replace(
            "[", "[{"
        ).replace("]", "}]")
    )
    assert shell("finetune", "-cd", "my", "experiment=mine").code == 0
    assert stage.configs[0].seed == 5
    answer = shell("align", "-cd", "my", "experiment=mine")
    assert (answer.code, answer.err) == (2, ["xlt: experiment: mine has nothing for align; it has finetune"])


def test_the_same_command_from_anywhere(tmp_path):
    (tmp_path / "deep").mkdir()
    answers = [process("pretrain", TOPICS, "--cfg", "job", cwd=place) for place in (tmp_path, tmp_path / "deep")]
    assert answers[0].returncode == 0
    assert answers[0].stdout == answers[1].stdout


def test_overrides_and_flags_in_any_order(shell, stage):
    assert shell("finetune", "train.steps=3", "-m", "seed=1,2", TOPICS, "model=tiny").code == 0
    assert [(c.seed, c.train.steps) for c in stage.configs] == [(1, 3), (2, 3)]


def test_jobs_of_a_sweep_have_their_own_directories(shell, stage, tmp_path):
    answer = shell("finetune", TOPICS, "run.name=try", "train.alpha=0.3", "-m", "seed=1,2")
    assert (answer.code, answer.err) == (0, [])
    assert [c.run.dir for c in stage.configs] == ["runs/try/seed-1/finetune", "runs/try/seed-2/finetune"]
    assert [c.run.name for c in stage.configs] == ["try/seed-1", "try/seed-2"]
    assert answer.out == "job 1: seed=1\njob 2: seed=2\n"
    assert not [p for p in tmp_path.rglob("*") if p.is_file()], "Hydra left something behind"


def test_the_directory_of_a_job_can_be_given_to_the_next_stage(shell, stage):
    shell("finetune", TOPICS, "-m", "languages.source=[en,de],[sw]", "seed=3", "train.learning_rate=2e-5")
    parents = [c.run.dir for c in stage.configs]
    assert len(set(parents)) == 2
    assert shell("zero-shot-eval", TOPICS, f"model.init_from={parents[0]}").code == 0
    assert stage.configs[-1].model.init_from == parents[0]


def test_a_sweep_over_names_keeps_them(shell, stage):
    shell("finetune", TOPICS, "-m", "run.name=a,b")
    assert [c.run.dir for c in stage.configs] == ["runs/a/finetune", "runs/b/finetune"]


def test_jobs_of_a_sweep_share_no_directory_that_is_given(shell, stage):
    shell("finetune", TOPICS, "run.dir=here", "-m", "seed=1,2")
    assert [c.run.dir for c in stage.configs] == ["here/seed-1", "here/seed-2"]


def test_one_value_is_no_sweep(shell, stage):
    shell("finetune", TOPICS, "-m", "seed=4")
    assert [c.run.dir for c in stage.configs] == ["runs/main/finetune"]


def test_a_job_that_fails_takes_no_other_with_it(shell, stage):
    def action(cfg):
        if cfg.seed == 2:
            raise errors.NonFinite("update 3: the loss is nan")

    stage.action = action
    answer = shell("finetune", TOPICS, "-m", "seed=2,3")
    assert [c.seed for c in stage.configs] == [2, 3]
    assert (answer.code, answer.err) == (76, ["xlt: update 3: the loss is nan"])


def test_a_wrong_config_stops_a_sweep_before_its_first_job(shell, stage):
    answer = shell("finetune", TOPICS, "-m", "train.steps=1,many")
    assert (answer.code, stage.configs) == (2, [])
    assert answer.err == ["xlt: train.steps: 'many' is not a whole number; give one"]


def test_a_signal_ends_a_sweep(shell, stage):
    def action(cfg):
        raise errors.Interrupted(15, "stopped by SIGTERM")

    stage.action = action
    answer = shell("finetune", TOPICS, "-m", "seed=1,2")
    assert (answer.code, len(stage.configs)) == (143, 1)
    assert answer.err == ["xlt: stopped by SIGTERM"]


CODES = [
    (errors.ConfigError(["a: wrong", "b: wrong"]), 2, ["xlt: a: wrong", "xlt: b: wrong"]),
    (errors.DataError("f line 3: bad"), 2, ["xlt: f line 3: bad"]),
    (errors.NotConverged("far off"), 3, ["xlt: far off"]),
    (errors.StorageError("f: full"), 74, ["xlt: f: full"]),
    (errors.RunInUse("r: in use"), 75, ["xlt: r: in use"]),
    (errors.NonFinite("nan"), 76, ["xlt: nan"]),
    (errors.CannotResume("r: other"), 78, ["xlt: r: other"]),
    (errors.Interrupted(2, "stopped by SIGINT"), 130, ["xlt: stopped by SIGINT"]),
    (errors.Interrupted(15, "stopped by SIGTERM"), 143, ["xlt: stopped by SIGTERM"]),
    (KeyboardInterrupt(), 130, []),
    (SystemExit(4), 4, []),
    (SystemExit(None), 0, []),
    (OSError(28, "No space left on device", "/x/y"), 74, ["xlt: /x/y: could not be written (No space left on device); free some space and run the same command again"]),
]  # fmt: skip


@pytest.mark.parametrize(("error", "code", "lines"), CODES, ids=lambda e: type(e).__name__)
def test_every_error_has_its_exit_code_and_its_sentence(error, code, lines, capsys):
    assert cli.report(error) == code
    assert capsys.readouterr().err.split("\n")[:-1] == lines


def test_a_fault_of_ours_is_shown_in_full(shell, stage):
    stage.action = lambda cfg: 1 / 0
    answer = shell("finetune", TOPICS)
    assert answer.code == 1
    assert answer.err[0] == "Traceback (most recent call last):"
    assert answer.err[-1] == "xlt: this is a fault of xlt; please report it with the lines above"


def test_a_finished_run_is_no_error(shell, stage):
    def action(cfg):
        raise Finished("runs/main/finetune is finished")

    stage.action = action
    answer = shell("finetune", TOPICS)
    assert (answer.code, answer.out, answer.err) == (0, "runs/main/finetune is finished\n", [])


def test_a_closed_pipe_is_no_error():
    read, write = os.pipe()
    os.close(read)
    answer = subprocess.run(
        [sys.executable, "-m", "xlt", "ls"], stdout=write, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(write)
    assert (answer.returncode, answer.stderr) == (0, "")


COMPLETED = {
    "xlt fine": ["finetune"],
    "xlt check al": ["align"],
    "xlt completion ": ["bash", "zsh", "fish"],
    "xlt ls model": ["model"],
    "xlt finetune model=xlmr": ["model=xlmr_base", "model=xlmr_large"],
    "xlt finetune model": ["model=", "model."],
    f"xlt finetune {TOPICS} train.warm": ["train.warmup="],
    f"xlt check finetune {TOPICS} model=tiny model.lay": ["model.layers="],
    f"xlt finetune {TOPICS} model=nonsense model.lay": [],
    "xlt nonsense mod": [],
    "xlt finetune --config-dir nowhere mod": [],
}


@pytest.mark.parametrize("line", COMPLETED)
def test_candidates(shell, line):
    answer = shell("_complete", line)
    assert (answer.code, answer.err) == (0, [])
    assert answer.out.split("\n")[:-1] == COMPLETED[line]


@pytest.mark.parametrize(
    ("line", "words"), [("xlt fine", ["finetune"]), ("xlt finetune model=xlmr", ["xlmr_base", "xlmr_large"])]
)
def test_bash_completes(tmp_path, line, words):
    (tmp_path / "xlt").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m xlt "$@"\n')
    (tmp_path / "xlt").chmod(0o755)
    script = f"""
source <(xlt completion bash)
complete -p xlt
COMP_LINE='{line}'; COMP_POINT=${{#COMP_LINE}}; COMP_WORDS=($COMP_LINE); COMP_CWORD=1
_xlt
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    answer = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert answer.stdout.split("\n")[:-1] == ["complete -F _xlt xlt", *words]
    assert not answer.stderr


@pytest.mark.parametrize("name", ["zsh", "fish"])
def test_scripts_of_other_shells_are_read(shell, name):
    script = shell("completion", name).out
    assert "xlt _complete" in script
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    subprocess.run([name, "-n", "-c", script], check=True)

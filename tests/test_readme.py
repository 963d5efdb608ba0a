"""What the README tells a reader to type works: every command composes, and the chain of "Using it" runs as it is printed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.stages.test_comparing import write as scored_run
from xlt import cli
from xlt.training import launch

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
COMMANDS = [
    shlex.split(line, comments=True)[1:]
    for language, text in BLOCKS
    if language == "bash"
    for line in text.replace("\\\n", " ").split("\n")
    if line.startswith("xlt ")
]
CHAIN = [c for c in COMMANDS if "run.name=first" in c or c == ["report", "runs/first"]]


def test_the_commands_were_found():
    assert {c[0] for c in COMMANDS} >= {*cli.STAGES, "report", "check", "ls", "--help"}
    assert [c[0] for c in CHAIN] == [*cli.STAGES, "report"]


@pytest.mark.parametrize(
    "command", [c for c in COMMANDS if c[0] in (*cli.STAGES, "check") and c[:2] != ["check", "data"]], ids=" ".join
)
def test_each_command_composes_and_builds(shell, monkeypatch, tmp_path, command):
    for language, text in BLOCKS:
        if language == "yaml" and (named := re.match(r"# (\S+\.yaml)\n", text)):
            file = tmp_path / named[1]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    seen = []
    monkeypatch.setattr(cli, "_stage_function", lambda stage: seen.append)
    monkeypatch.setattr(
        launch, "needed", lambda hardware: False
    )  # its processes would each compose it again, and wait for the other nodes
    stage, *rest = command[1:] if command[0] == "check" else command
    answer = shell(stage, *rest)
    jobs = next((len(a.split("=")[1].split(",")) for a in rest if a.startswith("seed=") and "-m" in rest), 1)
    assert (answer.code, answer.err, len(seen)) == (0, [], jobs)


@pytest.mark.parametrize("command", [c for c in COMMANDS if c[:2] == ["check", "data"]], ids=" ".join)
def test_data_are_checked(shell, command):
    answer = shell(*command)
    assert (answer.code, answer.err) == (0, [])


@pytest.mark.parametrize("command", [c for c in COMMANDS if c[0] in ("ls", "--help")], ids=" ".join)
def test_listings(shell, command):
    assert shell(*command).code == 0


@pytest.mark.parametrize("command", [c for c in COMMANDS if c[0] == "report"], ids=" ".join)
def test_each_report_is_made_of_finished_runs(shell, tmp_path, command):
    """Of two data sets below each folder that it names, or of one data set in each, if they are compared."""
    folders = [tmp_path / a for a in command[1:] if a.startswith("runs/")]
    one_each = "--compare" in command or command == ["report", "runs/first"]
    for folder in folders:
        for dataset in ("sib200",) if one_each else ("nli", "sib200"):
            scored_run(folder / dataset, folder.name, 1, {"en": 0.8, "de": 0.5, "sw": 0.4}, dataset)
    answer = shell(*command)
    assert (answer.code, answer.err) == (0, [])
    assert re.search(
        r"^ .*\bde\b" if one_each or "--dataset" in command else r"^  mean of 2 tasks", answer.out, re.MULTILINE
    )
    if "--out" in command:
        assert sorted(p.name for p in tmp_path.glob("table.*")) == ["table.csv", "table.json", "table.md"]


@pytest.mark.slow
def test_the_chain_runs_as_it_is_printed(shell, tmp_path):
    for command in CHAIN:
        answer = shell(*command)
        assert answer.code == 0, answer.err
    assert re.search(r"^demo, accuracy in percent$", answer.out, re.MULTILINE)
    assert re.search(r"^ .* first$", answer.out, re.MULTILINE), "the column of the chain, beside those of the matrix"
    assert {p.parent.name for p in (tmp_path / "runs/first").glob("*/metrics.json")} == set(cli.STAGES)


def test_every_exit_code_is_in_its_table():
    table = README.split("| exit code | meaning |")[1].split("\n\n")[0]
    listed = {int(code) for cell in re.findall(r"^\| ([\d, ]+) \|", table, re.MULTILINE) for code in cell.split(",")}
    from xlt import errors

    ours = {e.exit_code for e in vars(errors).values() if isinstance(e, type) and issubclass(e, errors.XltError)}
    assert listed == ours | {0, 1, 71, 130, 143}

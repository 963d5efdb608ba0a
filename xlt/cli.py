"""The command line: argv -> stage -> Hydra -> a stage's function, and the one place where an error becomes a sentence and an exit code.

Imports the standard library only; `xlt --help` and `xlt ls` never load Hydra or torch.
"""

from __future__ import annotations

import errno
import importlib
import json
import os
import shutil
import sys
import textwrap
import traceback
from collections.abc import Callable
from pathlib import Path

from xlt import signals
from xlt.config import paths
from xlt.errors import ConfigError, XltError, suggest
from xlt.safety import redact, visible

STAGES = {
    "tokenize": "text -> a SentencePiece tokenizer balanced over languages; or one reported on, trimmed, extended (mode)",
    "pretrain": "text -> a multilingual language model",
    "align": "parallel text or dictionaries -> an encoder or a mapping whose space is shared",
    "inspect": "an encoder -> what its layers make of parallel sentences, in figures and pictures",
    "mine": "two languages' texts -> sentences that are translations of each other",
    "finetune": "labelled source languages -> a task model",
    "zero-shot-eval": "a task model -> scores per language and the transfer gap",
    "matrix": "labelled data -> every source language against every target language",
}
OTHERS = {
    "report": "xlt report RUN ...: run directories -> one table (Markdown, CSV)",
    "check": "xlt check STAGE ...: compose and build everything, load no weights; xlt check data ...: read all rows",
    "ls": "xlt ls [GROUP] [--json]: what can be chosen",
    "completion": "xlt completion bash|zsh|fish: a script to source",
}
EXAMPLES = """\
  xlt tokenize dataset=demo run.name=first tokenizer.vocab_size=2000
  xlt pretrain dataset=demo run.name=first model=tiny train.steps=200
  xlt align dataset=demo run.name=first model.init_from=runs/first/pretrain
  xlt inspect dataset=ntrex dataset.root=/data/ntrex model.init_from=runs/first/align
  xlt mine dataset=mono_files dataset.root=/data/web languages.train=[en-de] model.init_from=runs/first/align
  xlt finetune dataset=sib200 dataset.root=/data/sib200 languages.source=[en] model=xlmr_base
  xlt finetune experiment=demo -m seed=1,2,3
  xlt zero-shot-eval dataset=demo run.name=first model.init_from=runs/first/finetune
  xlt matrix dataset=demo run.name=first model.init_from=runs/first/align train.epochs=1
  xlt report runs/first
  xlt pretrain --cfg job            the composed config
  xlt ls model                      the choices of a group"""
FLAGS = """\
  --cfg job            print the composed config (-p train: only that group; --resolve: with values for ${...})
  --multirun, -m       one job for each of several values: -m seed=1,2,3
  --config-dir DIR     your own dataset/, model/ ... files beside ours (or the environment variable XLT_CONF)
  --plugin MODULE      trust a module of yours: configs may then name its classes
  --info [WHAT]        how the config was found: defaults, defaults-tree, searchpath, plugins
  --hydra-help         Hydra's own flags"""
_WITH_VALUE = {
    *("-c", "--cfg", "-p", "--package", "-cp", "--config-path", "-cn", "--config-name", "-cd", "--config-dir"),
    "--experimental-rerun",
}
_BARE = {"-m", "--multirun", "-r", "--run", "-i", "--info", "--resolve", "--hydra-help", "--version", "-h", "--help"}
_INFO = {"all", "config", "defaults", "defaults-tree", "plugins", "searchpath"}
_DISK = {errno.ENOSPC, errno.EROFS, errno.EIO, errno.EDQUOT, errno.EFBIG}


def main(argv: list[str] | None = None) -> int:
    """Run `xlt ARGV`; returns the exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _dispatch(argv)
        sys.stdout.flush()  # a closed pipe is met here, not after the last line of Python
        return code
    except BaseException as error:
        return report(error)


def report(error: BaseException) -> int:
    """Print an error as the user should see it; returns its exit code."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else (0 if error.code is None else 1)
    if getattr(error, "silent", False):  # another process of the run tells it
        return error.exit_code
    if isinstance(error, XltError):
        for line in str(error).split("\n"):
            print(f"xlt: {visible(redact(line))}", file=sys.stderr)
        return error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return 130
    if isinstance(error, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    if isinstance(error, MemoryError):
        print(
            f"xlt: memory ran out ({error or 'no more is said'}); read less data, or lower hardware.workers",
            file=sys.stderr,
        )
        return 71
    if isinstance(error, OSError) and error.errno in _DISK:
        where = error.filename or "a file"
        remedy = "free some space and run the same command again"
        print(f"xlt: {where}: could not be written ({error.strerror}); {remedy}", file=sys.stderr)
        return 74
    print(redact("".join(traceback.format_exception(error))), end="", file=sys.stderr)
    print("xlt: this is a fault of xlt; please report it with the lines above", file=sys.stderr)
    return 1


def _dispatch(argv: list[str]) -> int:
    word, rest = (argv[0], argv[1:]) if argv else ("--help", [])
    if word in STAGES:
        return _stage(word, rest)
    if word == "report":
        return importlib.import_module("xlt.stages.report").main(rest)
    if word == "help" and rest and rest[0] in STAGES:
        return _stage(rest[0], ["--help"])
    if word in ("-h", "--help", "help") or (word in OTHERS and {"-h", "--help"} & set(rest)):
        return _say(_help())
    if word == "--version":
        from importlib.metadata import version

        return _say(f"xlt {version('xlt')}")
    commands = {"check": _check, "ls": _ls, "completion": _completion, "_complete": _complete}
    if word in commands:
        return commands[word](rest)
    raise ConfigError(f"{word}: there is no such command; {suggest(word, [*STAGES, *OTHERS])}")


def _say(text: str) -> int:
    print(text)
    return 0


def _help() -> str:
    lines = [f"  {name:<16}{what}" for name, what in {**STAGES, **OTHERS}.items()]
    return "\n".join(
        [
            "xlt: cross-lingual transfer, from text to scores per language",
            "",
            "usage: xlt STAGE [group=choice ...] [key=value ...] [--multirun]",
            "",
            *lines,
            "",
            "xlt STAGE --help lists the groups, their choices and the flags.",
            "",
            "examples:",
            EXAMPLES,
        ]
    )


def _stage_help(stage: str, folders: list[Path]) -> str:
    width = max(shutil.get_terminal_size((100, 24)).columns, 60)
    listed = [
        textwrap.fill(
            ", ".join(paths.choices(group, folders)),
            width,
            initial_indent=f"  {group:<14}",
            subsequent_indent=" " * 16,
            break_on_hyphens=False,
        )
        for group in paths.groups(folders)
    ]
    return "\n".join(
        [
            f"xlt {stage}: {STAGES[stage]}",
            "",
            f"usage: xlt {stage} [group=choice ...] [key=value ...] [flags]",
            "",
            "groups and their choices (xlt ls GROUP explains them):",
            *listed,
            "",
            f"keys: run.name=NAME (runs/NAME/{stage}), seed=1, and all that --cfg job prints",
            "",
            "flags:",
            FLAGS,
            "",
            "examples:",
            *(line for line in EXAMPLES.split("\n") if line.startswith(f"  xlt {stage} ")),
            f"  xlt check {stage} dataset=demo",
            "",
            f"the other stages: {', '.join(s for s in STAGES if s != stage)}",
        ]
    )


def _stage(stage: str, argv: list[str], action: Callable | None = None) -> int:
    signals.install()
    importlib.import_module("xlt.training.launch").end_with_starter()
    argv, plugins = _take(argv, "--plugin")
    folders = paths.user_dirs(argv)
    if "--help" in argv or "-h" in argv:
        return _say(_stage_help(stage, folders))
    if problems := paths.shadowed(folders):
        raise ConfigError(problems)
    if folders and not any(a.startswith(("--config-dir", "-cd")) for a in argv):
        argv = [*argv, "--config-dir", str(folders[0])]
    argv = [_recipe(stage, argument, folders) for argument in argv]
    from xlt.config import compose

    function = action or _stage_function(stage)
    return compose.run(stage, _overrides_first(stage, argv), plugins, function, report, launches=action is None)


def _stage_function(stage: str) -> Callable:
    def call(cfg):
        return importlib.import_module(f"xlt.stages.{stage.replace('-', '_')}").run(cfg)

    return call


def _check(argv: list[str]) -> int:
    if argv and argv[0] == "data":
        return _check_data(argv[1:])
    if not argv or argv[0] not in STAGES:
        named = (
            f"{argv[0]} is not a stage; {suggest(argv[0], [*STAGES, 'data'])}"
            if argv
            else f"give a stage: {', '.join(STAGES)}, or data"
        )
        raise ConfigError(f"check: {named}")

    def look(cfg):
        importlib.import_module("xlt.stages.check").run(cfg)
        print("ok")

    return _stage(argv[0], argv[1:], look)


def _check_data(argv: list[str]) -> int:
    def look(cfg):
        importlib.import_module("xlt.stages.check_data").run(cfg, "--json" in argv)

    return _stage("zero-shot-eval", [a for a in argv if a != "--json"], look)


def _recipe(stage: str, argument: str, folders: list[Path]) -> str:
    """experiment=NAME -> experiment=NAME/<stage> where NAME is a folder with one file per stage."""
    if not argument.startswith("experiment="):
        return argument
    return "experiment=" + ",".join(_recipe_file(stage, name, folders) for name in argument.split("=", 1)[1].split(","))


def _recipe_file(stage: str, name: str, folders: list[Path]) -> str:
    for folder in [paths.conf_dir(), *folders]:
        place = folder / "experiment" / name
        if name and place.is_dir():
            if not (place / f"{stage}.yaml").is_file():
                there = ", ".join(sorted(p.stem for p in place.glob("*.yaml")))
                raise ConfigError(f"experiment: {name} has nothing for {stage}; it has {there}")
            return f"{name}/{stage}"
    known = paths.choices("experiment", folders)
    if name not in (*known, "null") and "/" not in name:
        raise ConfigError(f"experiment: there is no {name or 'choice without a name'}; {suggest(name, known)}")
    return name


def _take(argv: list[str], flag: str) -> tuple[list[str], list[str]]:
    """(argv without the flag, the flag's values)."""
    rest, values, waiting = [], [], False
    for argument in argv:
        if waiting or argument.startswith(flag + "="):
            values.append(argument if waiting else argument.split("=", 1)[1])
            waiting = False
        elif argument == flag:
            waiting = True
        else:
            rest.append(argument)
    if waiting:
        raise ConfigError(f"{flag}: give a value")
    return rest, values


def _overrides_first(stage: str, argv: list[str]) -> list[str]:
    """Hydra's parser takes one run of overrides only: `a=1 -m seed=1,2` becomes `a=1 seed=1,2 -m`."""
    flags, overrides, rest = [], [], list(argv)
    while rest:
        argument = rest.pop(0)
        if not argument.startswith("-"):
            overrides.append(argument)
            continue
        name = argument.split("=", 1)[0]
        if name not in _WITH_VALUE | _BARE:
            near = suggest(name, [f for f in (*_WITH_VALUE, *_BARE, "--plugin") if f.startswith("--")])
            hint = f"{near}; " if near.startswith("did you mean") else ""
            raise ConfigError(f"{argument}: there is no such flag; {hint}see xlt {stage} --help")
        flags.append(argument)
        if argument in _WITH_VALUE and not rest:
            raise ConfigError(f"{argument}: nothing follows it; see xlt {stage} --help")
        if argument in ("-c", "--cfg") and rest[0] not in ("job", "hydra", "all"):
            raise ConfigError(f"--cfg: {rest[0]} cannot be printed; give job, hydra or all")
        if argument in _WITH_VALUE or (argument in ("-i", "--info") and rest and rest[0] in _INFO):
            flags.append(rest.pop(0))
    return flags if "--hydra-help" in flags else overrides + flags  # Hydra's own help knows no override of ours


def _ls(argv: list[str]) -> int:
    folders = paths.user_dirs(argv)
    named, rest = [], list(argv)
    while rest:
        argument = rest.pop(0)
        if argument in ("--config-dir", "-cd"):
            rest.pop(0)
        elif not argument.startswith("-"):
            named.append(argument)
        elif argument != "--json" and not argument.startswith(("--config-dir=", "-cd=")):
            raise ConfigError(f"{argument}: there is no such flag; there are --json and --config-dir DIR")
    known = paths.groups(folders)
    if unknown := [g for g in named if g not in known]:
        raise ConfigError(f"ls: there is no group {unknown[0]}; {suggest(unknown[0], known)}")
    listing = {group: paths.choices(group, folders) for group in named or known}
    if "--json" in argv:
        return _say(json.dumps(listing, indent=2, ensure_ascii=False))
    for group, found in listing.items():
        if len(named) != 1:
            print(group)
        width, indent = max(map(len, found)), "" if len(named) == 1 else "  "
        for name, comment in found.items():
            print(f"{indent}{name:<{width}}  {comment}")
    return 0


def _completion(argv: list[str]) -> int:
    from xlt.complete import SCRIPTS

    if len(argv) != 1 or argv[0] not in SCRIPTS:
        raise ConfigError(f"completion: give one of {', '.join(SCRIPTS)}, for example: source <(xlt completion bash)")
    print(SCRIPTS[argv[0]], end="")
    return 0


def _complete(argv: list[str]) -> int:
    """Candidates for the last word of a command line, one per line; asked by the shell, so it never complains."""
    from xlt.complete import candidates

    try:
        found = candidates(argv[0] if argv else "", list(STAGES), list(OTHERS))
    except XltError:
        found = []
    return _say("\n".join(found)) if found else 0


if __name__ == "__main__":
    sys.exit(main())

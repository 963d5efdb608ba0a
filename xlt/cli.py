"""The command line: argv -> stage -> Hydra -> a stage's function, and the one place where an error becomes a sentence and an exit code.

Imports the standard library only; `xlt --help` and `xlt ls` never load Hydra or torch.
"""

from __future__ import annotations

import difflib
import errno
import importlib
import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from xlt import signals
from xlt.config import paths
from xlt.errors import ConfigError, Interrupted, XltError

STAGES = {
    "tokenize": "text -> a SentencePiece tokenizer balanced over languages",
    "pretrain": "text -> a multilingual language model",
    "align": "parallel text or dictionaries -> an encoder or a mapping whose space is shared",
    "finetune": "labelled source languages -> a task model",
    "zero-shot-eval": "a task model -> scores per language and the transfer gap",
}
OTHERS = {
    "report": "run directories -> one table (Markdown, CSV)",
    "check": "xlt check STAGE ...: compose and build everything, load no weights",
    "ls": "xlt ls [GROUP]: what can be chosen",
    "completion": "xlt completion bash|zsh|fish: a script to source",
}
EXAMPLES = """examples:
  xlt tokenize dataset=demo run.name=first
  xlt pretrain dataset=demo run.name=first model=tiny train.steps=200
  xlt finetune dataset=sib200 dataset.root=/data/sib200 languages.source=[en] model=xlmr_base
  xlt finetune experiment=demo -m seed=1,2,3
  xlt pretrain --cfg job            the composed config
  xlt ls model                      the choices of a group"""
_WITH_VALUE = {
    "-c",
    "--cfg",
    "-p",
    "--package",
    "-cp",
    "--config-path",
    "-cn",
    "--config-name",
    "-cd",
    "--config-dir",
    "--experimental-rerun",
}
_INFO = {"all", "config", "defaults", "defaults-tree", "plugins", "searchpath"}
_DISK = {errno.ENOSPC, errno.EROFS, errno.EIO, errno.EDQUOT, errno.EFBIG}


def main(argv: list[str] | None = None) -> int:
    """Run `xlt ARGV`; returns the exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(argv)
    except BaseException as error:
        return report(error)


def report(error: BaseException) -> int:
    """Print an error as the user should see it; returns its exit code."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else (0 if error.code is None else 1)
    if isinstance(error, XltError):
        for line in str(error).splitlines():
            print(f"xlt: {line}", file=sys.stderr)
        return error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return 130
    if isinstance(error, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    if isinstance(error, OSError) and error.errno in _DISK:
        print(
            f"xlt: {error.filename or 'a file'}: could not be written ({error.strerror}); free some space and run the same command again",
            file=sys.stderr,
        )
        return 74
    traceback.print_exception(error)
    print("xlt: this is a fault of xlt; please report it with the lines above", file=sys.stderr)
    return 1


def _dispatch(argv: list[str]) -> int:
    word, rest = (argv[0], argv[1:]) if argv else ("--help", [])
    if word in STAGES:
        return _stage(word, rest)
    if word in ("-h", "--help", "help"):
        print(_help())
        return 0
    if word == "--version":
        from importlib.metadata import version

        print(f"xlt {version('xlt')}")
        return 0
    if word == "check":
        return _check(rest)
    if word == "ls":
        return _ls(rest)
    if word == "report":
        return importlib.import_module("xlt.stages.report").main(rest)
    if word == "completion":
        return _completion(rest)
    if word == "_complete":
        return _complete(rest)
    near = difflib.get_close_matches(word, [*STAGES, *OTHERS], 1)
    raise ConfigError(
        f"{word}: there is no such command{f'; did you mean xlt {near[0]}?' if near else ''}; there are {', '.join([*STAGES, *OTHERS])}"
    )


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
            EXAMPLES,
        ]
    )


def _stage_help(stage: str, folders: list[Path]) -> str:
    listed = [f"  {group:<12}{', '.join(paths.choices(group, folders))}" for group in paths.groups(folders)]
    flags = "--cfg job (print the config), --multirun/-m (sweep), --config-dir DIR (your own configs), --plugin MODULE (your own classes), --info, --hydra-help"
    return "\n".join(
        [
            f"xlt {stage}: {STAGES[stage]}",
            "",
            "groups and their choices (group=choice; xlt ls GROUP explains them):",
            *listed,
            "",
            f"flags: {flags}",
            "",
            EXAMPLES,
        ]
    )


def _stage(stage: str, argv: list[str], action: Callable | None = None) -> int:
    signals.install()
    argv, plugins = _take(argv, "--plugin")
    folders = paths.user_dirs(argv)
    if "--help" in argv or "-h" in argv:
        print(_stage_help(stage, folders))
        return 0
    if problems := paths.shadowed(folders):
        raise ConfigError(problems)
    if folders and not any(a.startswith(("--config-dir", "-cd")) for a in argv):
        argv = [*argv, "--config-dir", str(folders[0])]
    argv = [_recipe(stage, argument, folders) for argument in argv]
    from xlt.config import compose

    return compose.run(stage, _overrides_first(argv), plugins, action or _stage_function(stage), report)


def _stage_function(stage: str) -> Callable:
    def call(cfg):
        return importlib.import_module(f"xlt.stages.{stage.replace('-', '_')}").run(cfg)

    return call


def _check(argv: list[str]) -> int:
    if not argv or argv[0] not in STAGES:
        raise ConfigError(f"check: {argv[0] if argv else 'nothing'} is not a stage; give one of {', '.join(STAGES)}")

    def look(cfg):
        importlib.import_module("xlt.stages.check").run(cfg)
        print("ok")

    return _stage(argv[0], argv[1:], look)


def _recipe(stage: str, argument: str, folders: list[Path]) -> str:
    """experiment=NAME -> experiment=NAME/<stage> where NAME is a folder with one file per stage."""
    if not argument.startswith("experiment=") or "," in argument:
        return argument
    name = argument.split("=", 1)[1]
    for folder in [paths.conf_dir(), *folders]:
        place = folder / "experiment" / name
        if name and place.is_dir():
            if not (place / f"{stage}.yaml").is_file():
                raise ConfigError(
                    f"experiment: {name} has nothing for {stage}; it has {', '.join(sorted(p.stem for p in place.glob('*.yaml')))}"
                )
            return f"experiment={name}/{stage}"
    return argument


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


def _overrides_first(argv: list[str]) -> list[str]:
    """Hydra's parser takes one run of overrides only: `a=1 -m seed=1,2` becomes `a=1 seed=1,2 -m`."""
    flags, overrides, i = [], [], 0
    argv = ["--help" if a == "--hydra-help" else a for a in argv] if "--hydra-help" not in argv else argv
    while i < len(argv):
        argument = argv[i]
        i += 1
        (flags if argument.startswith("-") else overrides).append(argument)
        if i < len(argv) and (argument in _WITH_VALUE or (argument in ("-i", "--info") and argv[i] in _INFO)):
            flags.append(argv[i])
            i += 1
    return overrides + flags


def _ls(argv: list[str]) -> int:
    folders = paths.user_dirs(argv)
    as_json = "--json" in argv
    named = [
        a
        for i, a in enumerate(argv)
        if not a.startswith("-") and (i == 0 or argv[i - 1] not in ("--config-dir", "-cd"))
    ]
    known = paths.groups(folders)
    if unknown := [g for g in named if g not in known]:
        near = difflib.get_close_matches(unknown[0], known, 1)
        raise ConfigError(
            f"ls: there is no group {unknown[0]}{f'; did you mean {near[0]}?' if near else ''}; there are {', '.join(known)}"
        )
    listing = {group: paths.choices(group, folders) for group in named or known}
    if as_json:
        print(json.dumps(listing, indent=2, ensure_ascii=False))
        return 0
    for group, found in listing.items():
        if not named:
            print(group)
        width = max(map(len, found))
        for name, comment in found.items():
            print(f"{'' if named else '  '}{name:<{width}}  {comment}")
    return 0


_BASH = """_xlt() {
  local IFS=$'\\n' word="${COMP_WORDS[*]:0:COMP_CWORD+1}"
  local line="${COMP_LINE:0:COMP_POINT}"
  local current="${line##* }"
  COMPREPLY=($(COMP_POINT= xlt _complete "$line"))
  # readline breaks words at = and :, so only what follows the last break is replaced
  if [[ "$current" == *[=:]* ]]; then
    local head="${current%[=:]*}"
    local cut="${current:0:${#head}+1}"
    COMPREPLY=("${COMPREPLY[@]#"$cut"}")
  fi
  [[ ${#COMPREPLY[@]} -eq 1 && ( "${COMPREPLY[0]}" == *[=.] ) ]] && compopt -o nospace
}
complete -F _xlt xlt
"""
_ZSH = """#compdef xlt
_xlt() { local -a found; found=("${(@f)$(xlt _complete "${LBUFFER}")}"); compadd -Q -S '' -- $found }
compdef _xlt xlt
"""
_FISH = """complete -c xlt -f -a '(xlt _complete (commandline -cp))'
"""


def _completion(argv: list[str]) -> int:
    scripts = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
    if len(argv) != 1 or argv[0] not in scripts:
        raise ConfigError(f"completion: give one of {', '.join(scripts)}, for example: source <(xlt completion bash)")
    print(scripts[argv[0]], end="")
    return 0


def _complete(argv: list[str]) -> int:
    """Candidates for the last word of a command line, one per line."""
    words = argv[0].split(" ") if argv else [""]
    current, before = words[-1], [w for w in words[1:-1] if w]
    if not before or (before[0] in ("check", "help") and len(before) == 1):
        found = [*STAGES, *OTHERS] if not before else list(STAGES)
    elif before[0] == "completion":
        found = ["bash", "zsh", "fish"]
    elif before[0] == "ls":
        found = paths.groups(paths.user_dirs(before))
    elif before[0] in STAGES or (before[0] == "check" and before[1] in STAGES):
        stage, rest = (before[0], before[1:]) if before[0] in STAGES else (before[1], before[2:])
        found = _stage_candidates(stage, rest, current)
    else:
        return 0
    print("\n".join(c for c in found if c.startswith(current)))
    return 0


def _stage_candidates(stage: str, rest: list[str], current: str) -> list[str]:
    folders = paths.user_dirs(rest)
    if "=" in current:
        group = current.split("=", 1)[0]
        return [f"{group}={choice}" for choice in paths.choices(group, folders)]
    groups = [f"{group}=" for group in paths.groups(folders)]
    if "." not in current:
        return groups + [f"{group}." for group in paths.groups(folders)]
    from xlt.config import compose

    try:
        return compose.keys(stage, [a for a in rest if "=" in a and not a.startswith("-")], folders)
    except XltError:
        return []


def _interrupted(error: BaseException) -> bool:
    return isinstance(error, Interrupted | KeyboardInterrupt)


if __name__ == "__main__":
    sys.exit(main())

"""Shell completion: the scripts to source, and the candidates they ask for. Loads Hydra only where keys inside a group are asked for."""

from __future__ import annotations

from xlt.config import paths
from xlt.errors import XltError

BASH = r"""_xlt() {
  local IFS=$'\n'
  local line="${COMP_LINE:0:COMP_POINT}"
  local current="${line##* }"
  COMPREPLY=($(xlt _complete "$line"))
  # readline breaks words at = and :, so only what follows the last break is replaced
  if [[ "$current" == *[=:]* ]]; then
    local head="${current%[=:]*}"
    local cut="${current:0:${#head}+1}"
    COMPREPLY=("${COMPREPLY[@]#"$cut"}")
  fi
  [[ ${#COMPREPLY[@]} -eq 1 && "${COMPREPLY[0]}" == *[=.] ]] && compopt -o nospace 2>/dev/null
  return 0
}
complete -F _xlt xlt
"""
ZSH = """#compdef xlt
_xlt() { local -a found; found=("${(@f)$(xlt _complete "${LBUFFER}")}"); compadd -Q -S '' -- $found }
compdef _xlt xlt
"""
FISH = """complete -c xlt -f -a '(xlt _complete (commandline -cp))'
"""
SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}


def candidates(line: str, stages: list[str], others: list[str]) -> list[str]:
    """What the last word of a command line could become."""
    *before, current = line.split(" ")
    before = [word for word in before[1:] if word]
    return [c for c in _all(before, current, stages, others) if c.startswith(current)]


def _all(before: list[str], current: str, stages: list[str], others: list[str]) -> list[str]:
    match before:
        case []:
            return [*stages, *others]
        case ["check" | "help"]:
            return stages
        case ["completion"]:
            return list(SCRIPTS)
        case ["ls", *_]:
            return paths.groups(paths.user_dirs(before))
        case ["check", stage, *rest] | [stage, *rest] if stage in stages:
            return _of_stage(stage, rest, current)
    return []


def _of_stage(stage: str, rest: list[str], current: str) -> list[str]:
    folders = paths.user_dirs(rest)
    if "=" in current:
        group = current.split("=", 1)[0]
        return [f"{group}={choice}" for choice in paths.choices(group, folders)]
    groups = paths.groups(folders)
    if "." not in current:
        return ["seed=", *(f"{group}=" for group in groups), *(f"{group}." for group in ("run", *groups))]
    from xlt.config import compose

    overrides = [a for a in rest if "=" in a and not a.startswith("-")]
    try:
        return [f"{key}=" for key in compose.keys(stage, overrides, folders)]
    except (XltError, *compose.REFUSALS):  # a line half typed is nobody's mistake
        return []

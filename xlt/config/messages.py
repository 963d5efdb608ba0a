"""What Hydra, OmegaConf and PyYAML raise, as sentences with path, value and remedy."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from hydra.errors import OverrideParseException

from xlt.config import paths
from xlt.errors import suggest

_REASON = re.compile(r"could not be|Invalid value|not in|is not|Incompatible|Unsupported|Cannot")


def key_of(override: str) -> str:
    """The key of KEY=VALUE, +KEY=VALUE, ~KEY or GROUP@PACKAGE=CHOICE."""
    return override.lstrip("+~").split("=", 1)[0].split("@")[0]


def culprit(error: Exception) -> str | None:
    """The key (or the whole override, if it has none) that an error blames."""
    text = _text(error)
    if isinstance(error, OverrideParseException):
        return key_of(error.override)
    if match := re.search(
        r"Could not override '([^']+)'|(\S+) appears more than once|Multiple values for (\S+)\.", text
    ):
        return (match[1] or match[2] or match[3]).split("@")[0]
    if match := re.search(r"rror (?:merging|parsing) override '?(.+?)'?$", text, re.MULTILINE):
        return key_of(match[1])
    if match := re.search(r"Could not (?:find|load) '([^']+)/[^'/]*'|Ambiguous value for argument '([^'=]+)=", text):
        return match[1] or key_of(match[2])
    match = re.search(r"In '([^'/]+)/|full_key: (\S+)", text)  # a file of a group: its choice
    return (match[1] or match[2]) if match else None


def no_choices(overrides: list[str]) -> list[str]:
    """A sentence for each GROUP=null and the like, on which Hydra fails with an exception of Python."""
    found = {key_of(o): o.partition("=")[2] for o in overrides if not o.startswith("~")}
    return [
        f"{key}: {value} is not a choice; {'leave it out' if key == 'experiment' else f'choose one with {key}=NAME (xlt ls {key})'}"
        for key, value in found.items()
        if key in paths.GROUPS and re.fullmatch(r"null|true|false|[\d.]+", value, re.IGNORECASE)
    ]


def sentence(error: Exception, stage: str, folders: list[Path], known: list[str]) -> str:
    """One sentence. known: the keys of the stage's config."""
    text, path = _text(error), culprit(error)
    if isinstance(error, yaml.YAMLError | UnicodeDecodeError):
        return _unreadable(error, folders)
    if match := re.search(r"Could not override '([^'@]+@[^']+)'", text):
        return f"{match[1]}: nothing was chosen there that could be replaced; add it with +{match[1]}=NAME"
    if "Could not override" in text and (group := paths.choices(path, folders)):
        return f"{path}: xlt {stage} takes no {path}, or it is given twice; it could be {', '.join(group)}"
    if "Could not override" in text:
        return _unknown_key(path, known)
    if match := re.search(r"Could not (?:find|load) '([^']+)/([^'/]*)'", text):
        group, name = match.groups()
        options = list(paths.choices(group, folders))
        return f"{group}: there is no {name or 'choice without a name'}; {suggest(name, options)}"
    if isinstance(error, OverrideParseException):
        return (
            f"{error.override}: cannot be read as key=value; a value that holds = , : or blanks is quoted for Hydra and for the shell: "
            "'key=\"a, b\"'"
        )
    if "Ambiguous value for argument" in text:
        return f"{path}: several values need a sweep; add --multirun, or write a list as [a,b]"
    if match := re.search(r"rror merging override ~(\S+)", text):
        return f"{match[1]}: cannot be removed, every {stage} needs it; set it to another value"
    if "appears more than once" in text or "Multiple values for" in text:
        return f"{path or ' '.join(text.split())}: chosen twice; give {path or 'it'}=NAME once, without +"
    where = re.search(r"In '([^']+/[^']+)'", text)
    lines = [line for line in text.splitlines() if _REASON.search(line) and not line.startswith("In '")]
    reason = lines[0] if lines else text.splitlines()[0]
    place = f"{where[1]}.yaml: " if where else ""
    full = match[1] if (match := re.search(r"full_key: (\S+)", text)) else path
    if match := re.search(r"Key '([^']+)' not in '\w+'", text):
        return place + _unknown_key(full if "." in full or not where else f"{path}.{match[1]}", known)
    return f"{place}{full}: {plain(reason)}" if full else " ".join(text.splitlines()[0].split())


def plain(reason: str) -> str:
    """OmegaConf's reason in the user's words."""
    kinds = {"Integer": "a whole number", "Float": "a number"}
    if match := re.search(r"Value '(.*)' of type '\w+' could not be converted to (\w+)", reason):
        value, kind = match.groups()
        return f"{value!r} is not {kinds.get(kind, kind)}; give one"
    if match := re.search(r"Value '(.*)' is not a valid bool", reason):
        return f"{match[1]!r} is not true or false; give one of the two"
    if match := re.search(r"Invalid value '(.*)', expected one of \[(.*)\]", reason):
        return f"{match[1]!r} is not one of its values; {suggest(match[1], match[2].split(', '))}"
    if match := re.search(r"Interpolation key '(.*)' not found", reason):
        return f"${{{match[1]}}} refers to nothing; correct the name in it"
    if match := re.search(r"Environment variable '(.*)' not found", reason):
        return f"the environment variable {match[1]} is not set; set it, or give a value here"
    if "is not a ListConfig" in reason:
        return "a list is expected here; write [a,b]"
    if re.search(r"cannot assign \w+ to Dict|is not a DictConfig", reason, re.IGNORECASE):
        return "keys with values are expected here; write {a:b,c:d}"
    if "'NoneType'" in reason or "not Optional" in reason:
        return "null is not a value it can have; give one"
    return f"{reason[0].lower()}{reason[1:]}"


def _unknown_key(path: str, known: list[str]) -> str:
    """Unknown at its own level: a near name there, else one like the whole path, else what there is."""
    parent, _, last = path.rpartition(".")
    depth = path.count(".") + 1
    names = list(dict.fromkeys(".".join(k.split(".")[:depth]) for k in known))
    inside = [n.rpartition(".")[2] for n in names if n.rpartition(".")[0] == parent]
    if inside and suggest(last, inside).startswith("did you mean"):
        return f"{path}: there is no such key; {suggest(last, inside)}"
    if suggest(path, names).startswith("did you mean"):
        return f"{path}: there is no such key; {suggest(path, names)}"
    return f"{path}: there is no such key; {parent or 'a config'} has {', '.join(inside) or 'no keys'}"


def _unreadable(error: Exception, folders: list[Path]) -> str:
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        what = error.problem or error.context
        return f"{mark.name} line {mark.line + 1} column {mark.column + 1}: not YAML ({what}); correct the line"
    place = next((p for f in folders for p in sorted(f.rglob("*.yaml")) if not _is_text(p)), "a config")
    return f"{place}: not UTF-8 text; save the file as UTF-8"


def _is_text(path: Path) -> bool:
    try:
        path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _text(error: BaseException | None) -> str:
    """The messages of an error and of its causes, outermost first."""
    chain = []
    while error is not None:
        chain.append(str(error))
        error = error.__cause__ or error.__context__
    return "\n".join(chain)

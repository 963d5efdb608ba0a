"""Where configs lie: those of xlt, and those of the user. The directory listing is the registry.

Imports nothing heavy: `xlt ls` and `xlt --help` live on it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from xlt.errors import ConfigError

GROUPS = (
    *("dataset", "cleaning", "languages", "tokenizer", "model", "adapter", "objective", "part", "train", "hardware"),
    *("tracking", "scores", "few_shot", "adversarial", "perturbation", "leakage"),
    *("mode", "inspection", "mining", "matching", "experiment"),
)


def conf_dir() -> Path:
    """Installed: xlt/conf. In a checkout or an editable install: conf/ beside xlt/."""
    package = Path(__file__).resolve().parents[1]
    shipped = package / "conf"
    return shipped if shipped.is_dir() else package.parent / "conf"


def user_dirs(argv: list[str]) -> list[Path]:
    """The folder given by --config-dir (or -cd), else by the environment variable XLT_CONF; [] if none is. ConfigError if it is missing."""
    named, source = [], "--config-dir"
    for flag, value in zip(argv, [*argv[1:], ""], strict=False):
        if flag in ("--config-dir", "-cd"):
            named.append(value)
        elif flag.startswith(("--config-dir=", "-cd=")):
            named.append(flag.split("=", 1)[1])
    if os.environ.get("XLT_CONF") and not named:
        named, source = [os.environ["XLT_CONF"]], "XLT_CONF"
    if len(named) > 1:  # Hydra takes the last one only
        raise ConfigError(f"--config-dir: given twice ({', '.join(named)}); put your files into one folder")
    for name in named:
        if not Path(name).is_dir():
            raise ConfigError(
                f"{source}: {name or 'nothing'} is not a folder; give the folder that holds your dataset/, model/ ... files"
            )
    return [Path(name) for name in named]


def shadowed(folders: list[Path]) -> list[str]:
    """A sentence for every file of the user that has the name of one of ours: Hydra would silently take ours."""
    ours = conf_dir()
    return [
        f"{path}: xlt ships a {path.relative_to(folder)} and Hydra would ignore yours; rename it"
        for folder in folders
        for path in sorted(folder.rglob("*.yaml"))
        if (ours / path.relative_to(folder)).exists()
    ]


def choices(group: str, folders: list[Path]) -> dict[str, str]:
    """{name: first comment line} of a group, ours and the user's. A recipe folder (experiment) is one choice."""
    found = {}
    for folder in [conf_dir(), *folders]:
        place = folder / group
        if not place.is_dir():
            continue
        for path in sorted(place.iterdir()):
            if path.suffix == ".yaml":
                found[path.stem] = first_comment(path)
            elif path.is_dir() and (stages := sorted(path.glob("*.yaml"))):
                found[path.name] = f"{first_comment(stages[0])} [{', '.join(p.stem for p in stages)}]"
    return dict(sorted(found.items()))


def groups(folders: list[Path]) -> list[str]:
    """Groups that have a choice: ours in their order, then the user's own."""
    extra = sorted({p.name for folder in folders for p in folder.iterdir() if p.is_dir()} - set(GROUPS))
    return [g for g in (*GROUPS, *extra) if choices(g, folders)]


def first_comment(path: Path) -> str:
    """The text of a file's first comment line, or ""."""
    for line in _lines(path):
        if line.startswith("#") and not line.startswith("# @package"):
            return line.lstrip("# ").strip()
        if line and not line.startswith("#"):
            break
    return ""


def _lines(path: Path) -> Iterator[str]:
    with open(path, encoding="utf-8", errors="replace") as file:  # that it is not UTF-8 is said to who chooses it
        for line in file:
            yield line.rstrip("\n")

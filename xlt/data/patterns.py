"""Which file holds which language and split: a pattern such as `{root}/{lang}/{split}.jsonl`, matched against the disk.

{lang} is a language, or a pair `en-de` where rows have two; {source} and {target} are the sides of a pair; {side} is one of them in two
aligned files; {split} is the file's own name of a split; `*` is anything within a name. A pattern without .gz or .zst matches such files too.
"""

from __future__ import annotations

import difflib
import glob
import os
import re
from collections.abc import Iterable
from pathlib import Path

from xlt.data.lines import COMPRESSED
from xlt.errors import DataError

CODE = r"[A-Za-z0-9_]+"
HOLES = {"root", "lang", "source", "target", "side", "split"}
_PARTS = re.compile(r"(\{\w*\}|\*)")

Found = dict[tuple[str | None, str | None, str | None], list[Path]]  # (language or pair, file's split, side) -> files


def holes(pattern: str) -> set[str]:
    """Names in braces."""
    return {part[1:-1] for part in _PARTS.split(pattern) if part.startswith("{")}


def find(root: str | None, pattern: str, splits: Iterable[str]) -> Found:
    """All files that match. DataError if root is no directory, nothing matches, or a file lies there both plain and compressed."""
    if root is not None and not Path(root).is_dir():
        raise DataError(f"{root}: no such directory{_near(Path(root))}; give dataset.root=DIR")
    full = pattern.replace("{root}", root or "")
    literal = _PARTS.split(pattern.replace("{root}", glob.escape(root or "")))  # holes are at odd places
    wild = "".join(part if i % 2 == 0 else "*" for i, part in enumerate(literal))
    regex = re.compile(_regex(pattern, root or "", splits))
    found: Found = {}
    for path in sorted(p for suffix in _suffixes(full) for p in glob.glob(wild + suffix)):
        if (match := regex.fullmatch(Path(path).as_posix())) and os.path.isfile(path):
            groups = match.groupdict()
            pair = f"{groups['source']}-{groups['target']}" if groups.get("source") and groups.get("target") else None
            found.setdefault((groups.get("lang") or pair, groups.get("split"), groups.get("side")), []).append(Path(path))
    if not found:
        raise DataError(f"{full}: no file matches, with split one of {', '.join(splits)}{_listing(root, full)}; correct dataset.root, dataset.pattern or dataset.splits")
    for paths in found.values():
        _refuse_doubles(paths)
    return found


def _regex(pattern: str, root: str, splits: Iterable[str]) -> str:
    groups = {
        "{root}": re.escape(Path(root).as_posix() if root else ""),
        "{lang}": rf"(?P<lang>{CODE}(?:-{CODE})*)",
        "{split}": f"(?P<split>{'|'.join(re.escape(s) for s in splits)})",
        "*": "[^/]*",
    }
    text, seen = "", set()
    for i, part in enumerate(_PARTS.split(pattern)):
        name = part[1:-1]
        if i % 2 == 0:
            text += re.escape(part)
        elif part in ("*", "{root}"):
            text += groups[part]
        else:
            text += f"(?P={name})" if name in seen else groups.get(part, f"(?P<{name}>{CODE})")
            seen.add(name)
    return text + ("" if pattern.endswith(COMPRESSED) else r"(?:\.gz|\.zst)?")


def _suffixes(pattern: str) -> tuple[str, ...]:
    return ("",) if pattern.endswith(COMPRESSED) else ("", *COMPRESSED)


def _refuse_doubles(paths: list[Path]) -> None:
    seen: dict[str, Path] = {}
    for path in paths:
        plain = str(path.with_suffix("") if path.suffix in COMPRESSED else path)
        if plain in seen:
            raise DataError(f"{path}: {seen[plain].name} lies beside it, and the rows would count twice; remove one, or name one in dataset.pattern")
        seen[plain] = path


def _near(path: Path) -> str:
    """", did you mean ...?" from the names beside a path that is not there."""
    parent = path.absolute().parent
    names = [p.name for p in parent.iterdir() if p.is_dir()] if parent.is_dir() else []
    near = difflib.get_close_matches(path.name, names, 1)
    return f", did you mean {path.parent / near[0]}?" if near else ""


def _listing(root: str | None, full: str) -> str:
    """What lies where the pattern looks, for the error."""
    folder = Path(root) if root is not None else Path(_PARTS.split(full)[0]).parent
    if not folder.is_dir():
        return f" ({folder} is no directory{_near(folder)})"
    files = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())[:200]
    return f" ({folder} holds {', '.join(files[:4])}{', ...' if len(files) > 4 else ''})" if files else f" ({folder} is empty)"

"""Which file holds which language and split: a pattern such as `{root}/{lang}/{split}.jsonl`, matched against the disk.

{lang} is a language, or a pair `en-de` where rows have two. {source} and {target} are the sides of a pair, {side} one
of them where each has its own file. {split} is the file's own name of a split. {format} is any suffix that is known.
`*` is anything within a name; then the files' rows are concatenated, by name. A pattern without .gz or .zst matches
such files, too.
"""

from __future__ import annotations

import difflib
import glob
import os
import re
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from xlt.data.lines import COMPRESSED
from xlt.data.readers import SUFFIXES
from xlt.errors import DataError

CODE = r"[A-Za-z0-9_]+"
HOLES = {
    "root": "",
    "lang": rf"{CODE}(?:-{CODE})*",
    "source": CODE,
    "target": CODE,
    "side": CODE,
    "split": "",
    "format": "|".join(s[1:] for s in SUFFIXES),
}
_PARTS = re.compile(r"(\{\w*\}|\*)")  # re.split by it leaves holes at odd places

Found = dict[tuple[str | None, str | None, str | None], list[Path]]  # (language or pair, file's split, side) -> files


def holes(pattern: str) -> set[str]:
    """Names in braces."""
    return {part[1:-1] for part in _PARTS.split(pattern)[1::2] if part != "*"}


def fill(text: str, language: str) -> str:
    """`text` with {lang}, {source}, {target}, {target3} (ISO 639-3), {flores} (FLORES-200 code) or {name} (the language's English name) replaced."""
    source, _, target = language.partition("-")
    text = text.replace("{lang}", language).replace("{source}", source).replace("{target}", target)
    if any(hole in text for hole in ("{flores}", "{target3}", "{name}")):
        from xlt import languages

        text = text.replace("{name}", languages.info(language).name if "{name}" in text else "")
        text = text.replace("{flores}", languages.flores(language) if "{flores}" in text else "")
        text = text.replace("{target3}", languages.info(target).iso639_3 if "{target3}" in text else "")
    return text


def find(root: str | None, pattern: str, splits: Iterable[str]) -> Found:
    """All files that match. DataError if root is no directory, nothing matches, or a file lies there in two forms."""
    folder = Path(root or "").expanduser()
    if not folder.is_dir():
        raise DataError(f"{root}: no such directory{_near(folder)}; give dataset.root=DIR")
    inner = os.path.normpath(pattern.removeprefix("{root}/"))
    parts = _PARTS.split(inner)
    wild = "".join("*" if i % 2 else glob.escape(part) for i, part in enumerate(parts))
    suffixes = ("",) if inner.endswith(COMPRESSED) else ("", *COMPRESSED)
    regex = re.compile(_regex(parts, splits) + f"(?:{'|'.join(map(re.escape, suffixes))})")
    found: Found = {}
    for path in sorted({path for suffix in suffixes for path in glob.glob(wild + suffix, root_dir=folder)}):
        if (match := regex.fullmatch(Path(path).as_posix())) and (folder / path).is_file():
            groups = match.groupdict()
            language = groups.get("lang") or (f"{groups['source']}-{groups['target']}" if "source" in groups else None)
            found.setdefault((language, groups.get("split"), groups.get("side")), []).append(folder / path)
    if not found:
        raise DataError(
            f"{pattern.replace('{root}', root or '')}: no file matches with a split named "
            f"{' or '.join(splits)}{_listing(folder)}; "
            "correct dataset.root, dataset.pattern or dataset.split_names"
        )
    for paths in found.values():
        _refuse_doubles(paths, "*" in inner)
    return found


def _regex(parts: list[str], splits: Iterable[str]) -> str:
    bodies = HOLES | {"split": "|".join(map(re.escape, splits))}
    text, seen = "", set()
    for i, part in enumerate(parts):
        name = part[1:-1]
        if i % 2 == 0:
            text += re.escape(part)
        elif part == "*":
            text += "[^/]*"
        else:
            text += f"(?P={name})" if name in seen else f"(?P<{name}>{bodies[name]})"
            seen.add(name)
    return text


def _refuse_doubles(paths: list[Path], several: bool) -> None:
    """several: the pattern asks for more than one file; even so, none may be there twice."""
    seen: dict[Path, Path] = {}
    for path in paths:
        plain = path.with_suffix("") if path.suffix in COMPRESSED else path
        if plain in seen or (seen and not several):
            other = seen.get(plain) or next(iter(seen.values()))
            raise DataError(
                f"{path}: {other.name} lies beside it, and the rows would count twice; remove one of them, or name one "
                "in dataset.pattern"
            )
        seen[plain] = path


def _near(folder: Path) -> str:
    """ ", did you mean ...?" from the names beside a folder that is not there."""
    parent = folder.absolute().parent
    names = [p.name for p in parent.iterdir() if p.is_dir()] if parent.is_dir() else []
    near = difflib.get_close_matches(folder.name, names, 1)
    return f" (did you mean {folder.parent / near[0]}?)" if near else ""


def _listing(folder: Path) -> str:
    """What lies there, for the error."""
    files = [str(p.relative_to(folder)) for p in islice((p for p in folder.rglob("*") if p.is_file()), 5)]
    return (
        f" (there are {', '.join(sorted(files[:4]))}{', ...' if len(files) > 4 else ''})"
        if files
        else " (the folder is empty)"
    )

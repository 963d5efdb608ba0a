"""Writing so that a reader sees a whole file or none: aside, flushed, with sizes and SHA-256, then renamed.

Disk errors become StorageError with the sizes a user needs. What the files mean is not known here.
"""

from __future__ import annotations

import errno
import glob
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from xlt.errors import StorageError

MANIFEST = "MANIFEST.json"
_BEFORE = ".before-"


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_text(path: Path, text: str) -> None:
    """Replace `path` in one step."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Replace `path` in one step. One writer per path at a time: what a killed one left aside is written over by the next."""
    with disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.part")
        try:
            with open(aside, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(aside, path)
        finally:
            aside.unlink(missing_ok=True)


def write_lines(path: Path, lines: Iterator[str]) -> None:
    """Replace `path` in one step by lines that are more than memory should hold."""
    aside = path.with_name(f".{path.name}.part")
    with disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(aside, "w", encoding="utf-8", errors="surrogatepass", newline="\n") as file:
                file.writelines(f"{line}\n" for line in lines)
                file.flush()
                os.fsync(file.fileno())
            os.replace(aside, path)
        finally:
            aside.unlink(missing_ok=True)


def write_json(path: Path, value: dict) -> None:
    """Sorted keys and no NaN, so that equal results are equal bytes."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


def write_folder(place: Path, fill: Callable[[Path], None]) -> None:
    """Make the folder `place` with what `fill` writes into it, and a manifest; replaces what was there.

    One writer per `place` at a time, which the lock of the run directory sees to.
    """
    aside, before = place.with_name(f".tmp-{place.name}-{os.getpid()}"), place.with_name(f"{_BEFORE}{place.name}")
    with disk(place):
        remove_leftovers(place.parent, place.name)
        try:
            aside.mkdir(parents=True)
            fill(aside)
            files = {}
            for path in sorted(p for p in aside.rglob("*") if p.is_file()):
                _flush(path)
                files[str(path.relative_to(aside))] = _entry(path)
            (aside / MANIFEST).write_text(json.dumps({"files": files}, indent=2, sort_keys=True) + "\n")
            _flush(aside / MANIFEST)
            _flush(aside)
            if (
                place.exists()
            ):  # a folder cannot be replaced in one step: killed between these two, the old one is put back
                os.rename(place, before)
            os.rename(aside, place)
            _flush(place.parent)
            shutil.rmtree(before, ignore_errors=True)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def _entry(path: Path) -> dict:
    """Of a file, in a manifest."""
    return {"bytes": path.stat().st_size, "sha256": sha256(path)}


def verify(place: Path) -> str | None:
    """What is wrong with a folder written by `write_folder`, or None. A folder without manifest is not ours: None."""
    if not (place / MANIFEST).is_file():
        return None
    try:
        files = json.loads((place / MANIFEST).read_text())["files"]
    except (ValueError, KeyError, OSError) as error:
        return f"{MANIFEST} cannot be read ({error})"
    for name, expected in files.items():
        path = place / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != expected["bytes"]:
            return f"{name} has {path.stat().st_size} bytes where {expected['bytes']} were written"
        if sha256(path) != expected["sha256"]:
            return f"{name} is damaged: its SHA-256 is not the one that was written"
    return None


def remove_leftovers(folder: Path, name: str | None = None) -> None:
    """Tidy up after writers of folders in `folder` that were killed (name: of this one only): what was half written goes, and what was
    about to be replaced comes back."""
    for old in folder.glob(f"{_BEFORE}{glob.escape(name or '')}{'' if name else '*'}"):
        if not (place := old.with_name(old.name.removeprefix(_BEFORE))).exists():
            os.rename(old, place)
        shutil.rmtree(old, ignore_errors=True)
    for half in folder.glob(f".tmp-{glob.escape(name) + '-' if name else ''}*"):
        shutil.rmtree(half, ignore_errors=True)


@contextmanager
def disk(path: Path) -> Iterator[None]:
    """Turn the system's refusal to write at `path` into StorageError."""
    try:
        yield
    except OSError as error:
        raise storage_error(path, error) from error
    except Exception as error:
        # safetensors and tokenizers wrap the system's error in their own type and keep only its text
        if (number := re.search(r"\(os error (\d+)\)", str(error))) is None:
            raise
        raise storage_error(path, OSError(int(number[1]), os.strerror(int(number[1])))) from error


def storage_error(path: Path, error: OSError) -> StorageError:
    """One sentence for a disk that refuses."""
    existing = next(p for p in [path.absolute(), *path.absolute().parents] if p.exists())
    free = shutil.disk_usage(existing).free // 2**20
    remedy = (
        f"{free} MB are free there; free some space and run the same command again"
        if error.errno in (errno.ENOSPC, errno.EDQUOT)
        else "check the disk and its permissions, then run the same command again"
    )
    return StorageError(f"{path}: could not be written ({error.strerror or error}); {remedy}")


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

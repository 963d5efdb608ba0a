"""Builds one table of the cache: text is read, tokenized and written at the same time, in memory that does not grow with the corpus.

Chunks of rows go through the tokenizer in threads (it lets go of Python's lock), and come back in the rows' order. What is finished is noted
every few million tokens, so a build that was killed goes on from there; the bytes are those of a build that was left alone. A folder
`.building-NAME` is a table on its way, with one builder at a time; another process that wants the same table waits for it.
"""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from xlt import files, signals
from xlt.errors import Interrupted

CHUNK_ROWS = 1024  # rows per call of the tokenizer: enough to keep its threads busy, few enough to answer a signal
CHUNK_CHARS = 1 << 19  # of long rows, fewer
CHARS_AHEAD = 1 << 22  # text at work at once; a tokenizer takes up to 100 bytes for a character
SAVE_TOKENS = 1 << 22  # a killed build loses no more than so many
ABANDONED = 7 * 24 * 3600  # seconds without a byte after which a half-built table is not waited for
Texts = Callable[[dict], tuple[str, ...]]
FILES = ("tokens.bin", "offsets.bin", "labels.bin")


@dataclass
class Done:
    """How far a build is. labels: names in the order in which they were met."""

    rows: int = 0
    segments: int = 1
    tokens: int = 0
    labels: list[str] = field(default_factory=list)

    def sizes(self, dtype: np.dtype) -> tuple[int, int, int]:
        """Bytes of FILES."""
        return (
            self.tokens * dtype.itemsize,
            (self.rows * self.segments + 1) * 8,
            self.rows * 4 if self.labels else 0,
        )


def dtype_of(tokenizer) -> np.dtype:
    """Of stored ids."""
    return np.dtype(np.uint16 if len(tokenizer) <= 2**16 else np.int32)


def encoder(tokenizer) -> Callable[[list[str]], tuple[np.ndarray, np.ndarray]]:
    """The function from texts to (ids of all one after the other, tokens of each), no special ones added. Threads may share it.

    The ids are those of `tokenizer(texts, add_special_tokens=False)`; the backend alone is asked where that adds nothing, which saves a third.
    """
    from transformers import TokenizersBackend

    dtype, kind = dtype_of(tokenizer), type(tokenizer)
    tokenizer([""], add_special_tokens=False)  # sets truncation, padding and what special tokens in the text are
    plain = all(
        getattr(kind, name, None) is getattr(TokenizersBackend, name, None)
        for name in ("__call__", "_encode_plus", "_batch_encode_plus")
    )

    def backend(texts: list[str]) -> list[list[int]]:
        return [e.ids for e in tokenizer.backend_tokenizer.encode_batch_fast(texts, add_special_tokens=False)]

    def whole(texts: list[str]) -> list[list[int]]:
        return tokenizer(texts, add_special_tokens=False, return_attention_mask=False, verbose=False)["input_ids"]

    def encode(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        ids = backend(texts) if plain else whole(texts)
        lengths = np.fromiter(map(len, ids), np.int64, len(ids))
        return np.fromiter(itertools.chain.from_iterable(ids), dtype, int(lengths.sum())), lengths

    return encode if plain else _one_at_a_time(encode)


def build(place: Path, rows: Iterator[dict], texts: Texts, tokenizer, whole: Callable[[], bool]) -> None:
    """Make the table `place`, or go on making it. whole: whether it is there, perhaps by another process in the meantime.

    OSError if the disk refuses, Interrupted after a signal: then what is finished is kept for the next try.
    """
    aside = place.with_name(f".building-{place.name}")
    place.parent.mkdir(parents=True, exist_ok=True)
    with _alone(aside.with_name(f"{aside.name}.lock")):
        if whole():
            return
        remove_abandoned(place.parent)
        try:
            done = _fill(aside, rows, texts, tokenizer)
            meta = {**asdict(done), "labels": done.labels or None, "dtype": dtype_of(tokenizer).name}
            (aside / "meta.json").write_text(json.dumps(meta))
            (aside / "done.json").unlink(missing_ok=True)
            shutil.rmtree(place, ignore_errors=True)  # damaged, if it is there at all
            os.rename(aside, place)
        except (OSError, Interrupted):
            if not (aside / "done.json").exists():
                shutil.rmtree(aside, ignore_errors=True)
            raise
        except BaseException:  # with these rows it will never be whole
            shutil.rmtree(aside, ignore_errors=True)
            raise


def remove_abandoned(folder: Path) -> None:
    """Remove half-built tables that nobody works on nor has gone on with."""
    for half in folder.glob(".building-*"):
        touched = max((p.stat().st_mtime for p in [half, *half.glob("*")] if p.exists()), default=0.0)
        if half.is_dir() and time.time() - touched > ABANDONED:
            shutil.rmtree(half, ignore_errors=True)
            half.with_name(f"{half.name}.lock").unlink(missing_ok=True)


def _fill(aside: Path, rows: Iterator[dict], texts: Texts, tokenizer) -> Done:
    """Write FILES of all rows into `aside`."""
    dtype = dtype_of(tokenizer)
    done = _found(aside, dtype) or Done()
    for _ in itertools.islice(rows, done.rows):  # to read is quick beside to tokenize
        signals.stop_if_requested("while encoding text; what is finished is kept, run the same command again")
    aside.mkdir(exist_ok=True)
    with ExitStack() as stack:
        out = [stack.enter_context(open(aside / name, "r+b" if done.rows else "wb")) for name in FILES]
        for file, size in zip(out, done.sizes(dtype), strict=True):
            file.truncate(size if done.rows else 0)
            file.seek(0, os.SEEK_END)
        tokens, offsets, labels = out
        if not done.rows:
            offsets.write(np.zeros(1, np.int64).tobytes())
        numbers, saved = {name: i for i, name in enumerate(done.labels)}, done.tokens

        def save() -> None:
            for file in out:
                file.flush()
                os.fsync(file.fileno())
            files.write_json(aside / "done.json", asdict(done))

        for count, segments, names, (ids, lengths) in _encoded(rows, texts, encoder(tokenizer)):
            done.segments = segments
            tokens.write(ids.tobytes())  # tofile would hide why a disk refuses
            offsets.write((done.tokens + np.cumsum(lengths)).tobytes())
            if names:
                labels.write(np.array([numbers.setdefault(name, len(numbers)) for name in names], np.int32).tobytes())
                done.labels = list(numbers)
            done.rows, done.tokens = done.rows + count, done.tokens + len(ids)
            if signals.requested() or done.tokens - saved >= SAVE_TOKENS:
                saved = done.tokens
                save()
            signals.stop_if_requested("while encoding text; what is finished is kept, run the same command again")
    return done


def _found(aside: Path, dtype: np.dtype) -> Done | None:
    """What a killed build has noted, if its files still hold it."""
    try:
        done = Done(**json.loads((aside / "done.json").read_text()))
        sizes = [(aside / name).stat().st_size for name in FILES]
    except (OSError, ValueError, TypeError):
        return None
    return done if all(a >= b for a, b in zip(sizes, done.sizes(dtype), strict=True)) else None


def _encoded(rows: Iterator[dict], texts: Texts, encode: Callable) -> Iterator[tuple[int, int, list[str], tuple]]:
    """(rows, segments of each, labels, ids and lengths) of one chunk after the other; the next ones are tokenized meanwhile."""
    threads = min(len(os.sched_getaffinity(0)), 8)  # beyond that, reading is the slower part
    waiting: deque[tuple[int, tuple, Future]] = deque()
    ahead = 0
    with ThreadPoolExecutor(threads) as pool:
        try:
            while True:
                parts, names, size = take(rows, texts)
                if parts:
                    future = pool.submit(encode, [text for part in parts for text in part])
                    waiting.append((size, (len(parts), len(parts[0]), names), future))
                    ahead += size
                while waiting and (not parts or len(waiting) > 2 * threads or ahead > CHARS_AHEAD):
                    size, about, future = waiting.popleft()
                    ahead -= size
                    yield *about, future.result()
                if not parts:
                    return
        finally:
            pool.shutdown(cancel_futures=True)


def take(rows: Iterator[dict], texts: Texts, most: int | None = None) -> tuple[list[tuple[str, ...]], list[str], int]:
    """(texts of each row, labels if they have any, characters) of the next chunk; empty at the end. most: rows, if fewer than usual."""
    most = min(most or CHUNK_ROWS, CHUNK_ROWS)
    parts, names, size = [], [], 0
    for row in rows:
        part = texts(row)
        parts.append(part)
        size += sum(map(len, part))
        if "label" in row:
            names.append(row["label"])
        if len(parts) == most or size >= CHUNK_CHARS:
            break
    return parts, names, size


def _one_at_a_time(function: Callable) -> Callable:
    """A tokenizer of its own making may not be asked by two threads at once."""
    from threading import Lock

    lock = Lock()

    def locked(texts: list[str]):
        with lock:
            return function(texts)

    return locked


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the lock file `path`, waiting for the one who does. It is removed in the end."""
    while True:
        handle = open(path, "w")  # noqa: SIM115  closed below, or held while the block runs
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.path.samestat(os.fstat(handle.fileno()), os.stat(path)):
                break
        except BlockingIOError:
            signals.stop_if_requested("while another process encodes the same text; run the same command again")
            time.sleep(0.2)
        except FileNotFoundError:
            pass  # removed between the two looks
        handle.close()
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        handle.close()

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
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from xlt import files, signals
from xlt.data.notes import Note, Noted, collect, entries_of, offsets_of
from xlt.data.subwords import Encoding, Text, dtype_of, encoder, encodings
from xlt.errors import BadRow, Interrupted

CHUNK_ROWS = 1024  # rows per call of the tokenizer: enough to keep its threads busy, few enough to answer a signal
CHUNK_CHARS = 1 << 19  # of long rows, fewer
CHARS_AHEAD = 1 << 22  # text at work at once; a tokenizer takes up to 100 bytes for a character
SAVE_TOKENS = 1 << 22  # a killed build loses no more than so many
ABANDONED = 7 * 24 * 3600  # seconds without a byte after which a half-built table is not waited for
Texts = Callable[[dict], tuple[Text, ...]]
Annotate = Callable[[dict, tuple[Encoding, ...]], dict[str, np.ndarray | list[str]]]


@dataclass
class Done:
    """How far a build is. labels: names in the order in which they were met. dtype: of the ids. digests: SHA-256 of each file, once all is there."""

    dtype: str
    rows: int = 0
    segments: int = 1
    tokens: int = 0
    labels: list[str] = field(default_factory=list)
    notes: dict[str, Note] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)

    def digests_in(self, folder: Path) -> dict[str, str]:
        """Of its files as they lie there."""
        return {name: files.sha256(folder / name) for name in self.sizes}

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of each file."""
        sizes = {
            "tokens.bin": self.tokens * np.dtype(self.dtype).itemsize,
            "offsets.bin": (self.rows * self.segments + 1) * 8,
            "labels.bin": self.rows * 4 if self.labels else 0,
        }
        for name, note in self.notes.items():
            sizes |= note.sizes(name, self.rows)
        return sizes

    def write(self, path: Path) -> None:
        """As JSON."""
        files.write_json(path, vars(self) | {"notes": {name: note.meta() for name, note in self.notes.items()}})

    @classmethod
    def read(cls, path: Path, exact: bool) -> Done | None:
        """What is written there, if the files beside it hold it; exact: and no byte more."""
        try:
            fields = json.loads(path.read_text())
            done = cls(**fields | {"notes": {name: Note(**note) for name, note in fields["notes"].items()}})
            there = {name: (path.parent / name).stat().st_size for name in done.sizes}
        except (OSError, ValueError, TypeError, KeyError):
            return None
        fits = all(there[name] == size or (there[name] > size and not exact) for name, size in done.sizes.items())
        return done if fits else None


@dataclass
class Chunk:
    """Rows that are tokenized together. size: characters."""

    rows: list[dict] = field(default_factory=list)
    texts: list[tuple[Text, ...]] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    size: int = 0


def build(
    place: Path,
    rows: Iterator[dict],
    texts: Texts,
    tokenizer,
    whole: Callable[[], bool],
    annotate: Annotate | None = None,
) -> None:
    """Make the table `place`, or go on making it. whole: whether it is there, perhaps by another process in the meantime.

    annotate: what is noted of a row (see `xlt.data.notes`); needed where texts are given as words.
    OSError if the disk refuses, Interrupted after a signal: then what is finished is kept for the next try. BadRow, with the row's number,
    if `texts` or `annotate` refuse it.
    """
    aside = place.with_name(f".building-{place.name}")
    place.parent.mkdir(parents=True, exist_ok=True)
    with _alone(aside.with_name(f"{aside.name}.lock")):
        if whole():
            return
        remove_abandoned(place.parent)
        try:
            done = _fill(aside, rows, texts, tokenizer, annotate)
            done.digests = done.digests_in(aside)
            done.write(aside / "meta.json")
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


def _fill(aside: Path, rows: Iterator[dict], texts: Texts, tokenizer, annotate: Annotate | None) -> Done:
    """Write the files of all rows into `aside`."""
    done = Done.read(aside / "done.json", exact=False) or Done(dtype_of(tokenizer).name)
    for _ in itertools.islice(rows, done.rows):  # to read is quick beside to tokenize
        signals.stop_if_requested("while encoding text; what is finished is kept, run the same command again")
    aside.mkdir(exist_ok=True)
    with ExitStack() as stack:
        out = {}

        def opened(name: str):
            """The file, to be written on from where it is."""
            if name not in out:
                out[name] = stack.enter_context(open(aside / name, "r+b" if done.rows else "wb"))
                out[name].truncate(done.sizes[name] if done.rows else 0)
                out[name].seek(0, os.SEEK_END)
                if name.endswith("offsets.bin") and not done.rows:
                    out[name].write(np.zeros(1, np.int64).tobytes())
            return out[name]

        for name in done.sizes:
            opened(name)
        numbers, saved = {name: i for i, name in enumerate(done.labels)}, done.tokens

        def save() -> None:
            for file in out.values():
                file.flush()
                os.fsync(file.fileno())
            done.write(aside / "done.json")

        work = plain(tokenizer) if annotate is None else annotated(tokenizer, annotate)
        for chunk, ids, lengths, noted in _encoded(rows, texts, work, done.rows):
            opened("tokens.bin").write(ids.tobytes())  # tofile would hide why a disk refuses
            opened("offsets.bin").write((done.tokens + np.cumsum(lengths)).tobytes())
            if chunk.labels:
                label_of = [numbers.setdefault(name, len(numbers)) for name in chunk.labels]
                opened("labels.bin").write(np.array(label_of, np.int32).tobytes())
                done.labels = list(numbers)
            for name, (entries, counts) in noted.items():
                note = done.notes.setdefault(name, Note.like(entries))
                files_of_note = opened(entries_of(name)), opened(offsets_of(name))
                for file, new in zip(files_of_note, note.bytes_of(entries, counts), strict=True):
                    file.write(new)
            done.segments = len(chunk.texts[0])
            done.rows, done.tokens = done.rows + len(chunk.rows), done.tokens + len(ids)
            if signals.requested() or done.tokens - saved >= SAVE_TOKENS:
                saved = done.tokens
                save()
            signals.stop_if_requested("while encoding text; what is finished is kept, run the same command again")
    return done


def plain(tokenizer) -> Callable[[Chunk], tuple[np.ndarray, np.ndarray, Noted]]:
    """The function from a chunk to its ids and their lengths."""
    encode = encoder(tokenizer)
    return lambda chunk: (*encode([text for texts in chunk.texts for text in texts]), {})


def annotated(tokenizer, annotate: Annotate) -> Callable[[Chunk], tuple[np.ndarray, np.ndarray, Noted]]:
    """The function from a chunk to its ids, their lengths, and the notes."""
    encode, dtype = encodings(tokenizer), dtype_of(tokenizer)

    def work(chunk: Chunk) -> tuple[np.ndarray, np.ndarray, Noted]:
        found, count = encode([text for texts in chunk.texts for text in texts]), len(chunk.texts[0])
        noted = []
        for i, row in enumerate(chunk.rows):
            with numbered(i):
                noted.append(annotate(row, tuple(found[i * count : (i + 1) * count])))
        lengths = np.fromiter((len(e.ids) for e in found), np.int64, len(found))
        return np.concatenate([e.ids for e in found]).astype(dtype), lengths, collect(noted)

    return work


@contextmanager
def numbered(row: int) -> Iterator[None]:
    """A BadRow inside is so many rows further on."""
    try:
        yield
    except BadRow as error:
        error.row += row
        raise


def _encoded(rows: Iterator[dict], texts: Texts, work: Callable, first: int) -> Iterator[tuple]:
    """One chunk after the other, and what `work` makes of it; the next ones are worked on meanwhile. first: number of the first row."""
    threads = min(len(os.sched_getaffinity(0)), 8)  # beyond that, reading is the slower part
    waiting: deque[tuple[Chunk, int, Future]] = deque()
    ahead = 0
    with ThreadPoolExecutor(threads) as pool:
        try:
            while True:
                with numbered(first):
                    chunk = take(rows, texts)
                if chunk.rows:
                    waiting.append((chunk, first, pool.submit(work, chunk)))
                    ahead, first = ahead + chunk.size, first + len(chunk.rows)
                while waiting and (not chunk.rows or len(waiting) > 2 * threads or ahead > CHARS_AHEAD):
                    ready, begin, future = waiting.popleft()
                    ahead -= ready.size
                    with numbered(begin):
                        made = future.result()
                    yield ready, *made
                if not chunk.rows:
                    return
        finally:
            pool.shutdown(cancel_futures=True)


def take(rows: Iterator[dict], texts: Texts, most: int | None = None) -> Chunk:
    """The next rows; none at the end. most: rows, if fewer than usual."""
    most = min(most or CHUNK_ROWS, CHUNK_ROWS)
    chunk = Chunk()
    for row in rows:
        with numbered(len(chunk.rows)):
            chunk.texts.append(texts(row))
        chunk.rows.append(row)
        chunk.size += sum(len(text) if isinstance(text, str) else sum(map(len, text)) for text in chunk.texts[-1])
        if "label" in row:
            chunk.labels.append(row["label"])
        if len(chunk.rows) == most or chunk.size >= CHUNK_CHARS:
            break
    return chunk


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

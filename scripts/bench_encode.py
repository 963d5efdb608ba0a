"""How fast text becomes token ids on disk: xlt's encoding against datasets.map with the same tokenizer, in interleaved rounds.

    python scripts/bench_encode.py [--rows 120000] [--rounds 5]

The text is that of $XLT_DATA/mono if it is there, else that of dataset=demo, repeated. First it is asserted that both give the same ids for
every line. Each measurement is a process of its own: wall and processor seconds, and the growth of its peak memory; at last xlt's for 8 times
the text. xlt's time holds reading and checking the files; that of datasets.map does not, for its reading into Arrow is timed apart. On a
machine that others use, wall seconds say little: look at the load and the processor seconds. Writes scripts/results/encode.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import chain, cycle, islice, zip_longest
from pathlib import Path
from statistics import median

RESULT = Path(__file__).parent / "results" / "encode.json"
WAYS = ("xlt", "map", "map in 2 processes")
PIECES, LEARNED_FROM = 16000, 40000  # of the tokenizer: its size, and the lines it is learned from


def dataset_of(*choice: str):
    """The data set that a command line would name."""
    from omegaconf import OmegaConf

    from xlt.config.build import build_node
    from xlt.config.compose import compose

    return build_node(OmegaConf.to_container(compose("pretrain", [*choice], []).dataset, resolve=True), "dataset")


def write_text(folder: Path, rows: int) -> str:
    """`rows` lines, languages in turn, as <folder>/text/und/train.txt; returns where they are from."""
    real = Path(os.environ.get("XLT_DATA", "nowhere")) / "mono"
    choice = ["dataset=mono", f"dataset.root={real}"] if real.is_dir() else ["dataset=demo"]
    dataset = dataset_of(*choice)
    each = [dataset.rows("text", code, "train") for code in dataset.languages("text")]
    turns = (row["text"].replace("\n", " ") for row in chain.from_iterable(zip_longest(*each)) if row is not None)
    place = folder / "text" / "und"
    place.mkdir(parents=True)
    with open(place / "train.txt", "w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in islice(cycle(turns), rows))
    return choice[0].removeprefix("dataset=")


def write_tokenizer(folder: Path) -> None:
    """Unigram, as tokenizer=unigram learns it."""
    from xlt.tokenization.train import Kind, Normalization, SentencePiece, train

    spec = SentencePiece(
        language_tokens=False,
        kind=Kind.unigram, vocab_size=PIECES, alpha=1.0, sample=LEARNED_FROM, max_repeats=1,
        byte_fallback=True, character_coverage=0.9995, normalization=Normalization.nfc,
    )  # fmt: skip
    with open(folder / "text" / "und" / "train.txt", encoding="utf-8") as file:
        lines = list(dict.fromkeys(line.rstrip("\n") for line in islice(file, LEARNED_FROM)))
    pieces = min(PIECES, len(lines))  # the demo's world has few words
    train(SentencePiece(**{**vars(spec), "vocab_size": pieces}), lines, 1, 256).save_pretrained(folder / "tokenizer")


def measure(folder: Path, way: str) -> dict:
    """One run of one way, in this process."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer")
    with tempfile.TemporaryDirectory(dir=folder) as out:
        return run_xlt(folder, tokenizer, Path(out)) if way == "xlt" else run_map(folder, tokenizer, way, Path(out))


def run_xlt(folder: Path, tokenizer, out: Path) -> dict:
    """Files to a memory-mapped table."""
    from xlt.data.encode import encode

    dataset = dataset_of("dataset=text_files", f"dataset.root={folder / 'text'}")
    with Measured() as measured:
        table = encode(dataset, "text", "und", "train", lambda row: (row["text"],), tokenizer, "bench", out)
    if not (folder / "xlt.npy").exists():
        save(folder / "xlt.npy", table.tokens, table.offsets[1:] - table.offsets[:-1])
    return {**measured.figures, "tokens": len(table.tokens)}


def run_map(folder: Path, tokenizer, way: str, out: Path) -> dict:
    """The usual way: datasets' text builder, then map in batches."""
    import datasets
    import numpy as np

    datasets.disable_progress_bars()
    with Measured() as loading:
        files = str(folder / "text" / "und" / "train.txt")
        table = datasets.load_dataset("text", data_files=files, split="train", cache_dir=str(out))

    def encode(rows: dict) -> dict:
        return tokenizer(rows["text"], add_special_tokens=False)

    with Measured() as measured:
        made = table.map(encode, batched=True, remove_columns=["text"], num_proc=2 if "2" in way else None)
    if not (folder / "map.npy").exists():
        lists = made.with_format("numpy")["input_ids"][:] if len(made) else []
        save(folder / "map.npy", np.concatenate(lists), np.array([len(ids) for ids in lists]))
    return {**measured.figures, "loading_seconds": loading.figures["seconds"]}


def save(path: Path, tokens, lengths) -> None:
    """Ids and lengths as one array, to be compared."""
    import numpy as np

    np.save(path, np.concatenate([np.asarray(lengths, np.int64), np.asarray(tokens, np.int64)]))


class Measured:
    """Wall and processor seconds of the block, children included, and the growth of this process's peak memory."""

    def __enter__(self) -> Measured:
        self._wall, self._processor, self._peak = time.perf_counter(), processor_seconds(), peak_mb()
        return self

    def __exit__(self, *_) -> None:
        self.figures = {
            "seconds": round(time.perf_counter() - self._wall, 3),
            "processor_seconds": round(processor_seconds() - self._processor, 3),
            "memory_growth_mb": round(peak_mb() - self._peak, 1),
            "peak_memory_mb": round(peak_mb(), 1),
        }


def processor_seconds() -> float:
    """Of this process and its children."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def peak_mb() -> float:
    """Of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def apart(folder: Path, way: str) -> dict:
    """`measure` in a process of its own."""
    command = [sys.executable, __file__, "--one", way, "--folder", str(folder)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "true"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{way}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=120_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measure(asked.folder, asked.one)))
        return
    import numpy as np

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = write_text(folder, asked.rows)
        write_tokenizer(folder)
        warm = {way: apart(folder, way) for way in WAYS}
        same = np.array_equal(np.load(folder / "xlt.npy"), np.load(folder / "map.npy"))
        assert same, "xlt and datasets.map disagree about the ids"
        print(f"{asked.rows:,} lines of {text}, {warm['xlt']['tokens']:,} tokens: the ids are the same")
        rounds = []
        for number in range(asked.rounds):  # each round begins with another way
            order = [WAYS[(number + i) % len(WAYS)] for i in range(len(WAYS))]
            rounds.append({way: apart(folder, way) for way in order})
            print("  ".join(f"{way} {rounds[-1][way]['seconds']:.2f} s" for way in WAYS), flush=True)
        text_file = folder / "text" / "und" / "train.txt"
        text_file.write_text(text_file.read_text(encoding="utf-8") * 8, encoding="utf-8")
        longer = apart(folder, "xlt")
        assert longer["peak_memory_mb"] < 1000, "encoding took more than 1 GB"
    result = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "processors": os.cpu_count(),
            "load_at_the_end": os.getloadavg(),
            "python": platform.python_version(),
        },
        "versions": {name: version(name) for name in ("tokenizers", "transformers", "datasets", "numpy")},
        "text": {"from": text, "lines": asked.rows, "tokens": warm["xlt"]["tokens"], "pieces": PIECES},
        "ratios": {way: ratios(rounds, way) for way in WAYS[1:]},
        "xlt on 8 times the text": longer,
        "rounds": rounds,
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result["ratios"], indent=1))


def ratios(rounds: list[dict], way: str) -> dict:
    """How many times as long as xlt `way` takes, per round and as median: wall, processor, and wall with its loading."""

    def against(theirs, ours: str) -> dict:
        each = [round(theirs(r[way]) / r["xlt"][ours], 2) for r in rounds]
        return {"median": median(each), "rounds": each}

    return {
        "seconds": against(lambda took: took["seconds"], "seconds"),
        "seconds with loading": against(lambda took: took["seconds"] + took["loading_seconds"], "seconds"),
        "processor_seconds": against(lambda took: took["processor_seconds"], "processor_seconds"),
    }


if __name__ == "__main__":
    main()

"""Prediction speed: the loop behind `xlt zero-shot-eval` against transformers.Trainer.predict, same model and rows, in interleaved rounds.

    python scripts/bench_eval.py --out scripts/results/eval.json [--vocab 32000] [--rows 4000] [--rounds 3]

First asserts, in fp32, that both give the same logits for the same rows (absolute 1e-5). Rows are those of bench_pretrain.py (log-normal lengths
of mean 25, Zipf ids), tokenized beforehand on both sides; what is timed is batching, padding, the forward passes and the way back into the rows'
order. The Trainer has its default collator, which pads each batch to its longest row, at its default of 8 rows a batch and at `--batches`; xlt has
its default token budget. The Trainer's rows are lists in memory, which it reads faster than a `datasets.Dataset`; xlt's lie in its cache on disk.
Each measurement is a process of its own, whose first rows are predicted once before the clock starts; its memory counts the tokenizing, too.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from statistics import median

import numpy as np
import yaml
from bench_pretrain import HEADS, LAYERS, LONGEST, ROWS, WIDTH, alone, config_of, rows_of, tokenizer_of

LABELS, WARM, TOLERANCE = ["a", "b", "c"], 256, 1e-5


def shipped(group: str, name: str, **changes) -> dict:
    """A node of conf/, with some of its values changed."""
    from xlt.config import paths

    return yaml.safe_load((paths.conf_dir() / group / f"{name}.yaml").read_text(encoding="utf-8")) | changes


def model_of(vocabulary: int):
    """(model, objective) of both sides: a classifier of `bench_pretrain`'s shape with weights that make its logits differ from row to row."""
    import torch
    from transformers import XLMRobertaModel

    from xlt.config.build import build_node
    from xlt.models.build import TransferModel

    torch.manual_seed(1)
    objective = build_node(shipped("objective", "sequence_classification"), "objective")
    backbone = XLMRobertaModel(config_of(vocabulary, 0.0, 0.0), add_pooling_layer=False)
    model = TransferModel(backbone, objective.modules(WIDTH, LABELS), {}).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
    return model, objective


def by_trainer(vocabulary: int, rows: int, batch: int) -> tuple[np.ndarray, dict]:
    """(logits, figures) of Trainer.predict."""
    import torch
    from transformers import Trainer, TrainingArguments

    from xlt.models.pooling import pool

    model, objective = model_of(vocabulary)

    class Plain(torch.nn.Module):
        """The same weights behind transformers' interface."""

        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, input_ids, attention_mask):
            hidden_BLD = self.model.backbone(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            return {"logits": self.model.heads["classifier"](pool(hidden_BLD, attention_mask, objective.pool))}

    data = [
        {"input_ids": [0, *ids.tolist(), 2], "attention_mask": [1] * (len(ids) + 2)}
        for ids in rows_of(vocabulary)[:rows]
    ]
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder, per_device_eval_batch_size=batch, use_cpu=True, report_to=[], disable_tqdm=True, remove_unused_columns=False,
            label_names=[],
        )  # fmt: skip
        trainer = Trainer(Plain(), arguments, processing_class=tokenizer_of(vocabulary))
        return timed(lambda n: trainer.predict(data[:n]).predictions, rows)


def by_xlt(vocabulary: int, rows: int) -> tuple[np.ndarray, dict]:
    """(logits, figures) of `xlt.evaluation.loop.predict`."""
    from accelerate import Accelerator

    from xlt.config.build import build_node
    from xlt.data.encode import encode
    from xlt.evaluation.loop import predict
    from xlt.vocabulary import Vocabulary

    model, objective = model_of(vocabulary)
    tokenizer, budget = tokenizer_of(vocabulary), shipped("hardware", "cpu")["eval_tokens"]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "en" / "test.tsv"
        place.parent.mkdir()
        texts = [" ".join(f"w{i}" for i in ids) for ids in rows_of(vocabulary)[:rows]]
        lines = [f"{text}\t{LABELS[i % len(LABELS)]}\n" for i, text in enumerate(texts)]
        place.write_text("".join(["text\tlabel\n", *lines]))
        dataset = build_node(shipped("dataset", "classification_files", root=folder), "dataset")
        table = encode(
            dataset, "classification", "en", "test", objective.texts, tokenizer, "bench", Path(folder) / "cache"
        )
        gold, known = table.gold({"label": LABELS}), Vocabulary.of(tokenizer)
        accelerator = Accelerator(cpu=True)

        def work(n: int) -> np.ndarray:
            return predict(model, objective, table, gold, known, LONGEST, budget, accelerator, n)["logits"]

        return timed(work, rows)


def timed(work, rows: int) -> tuple[np.ndarray, dict]:
    """(its result, figures) of work(rows), after work(WARM)."""
    import torch

    work(min(WARM, rows))
    start = time.perf_counter()
    logits = work(rows)
    seconds = time.perf_counter() - start
    memory = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    figures = {"rows_per_second": round(rows / seconds, 1), "seconds": round(seconds, 2), "peak_memory_mb": memory, "threads": torch.get_num_threads()}  # fmt: skip
    return np.asarray(logits), figures


def same_logits(one: np.ndarray, other: np.ndarray) -> dict:
    """How far they are apart. AssertionError above TOLERANCE, or if all rows have the same."""
    error = float(np.abs(one - other).max())
    assert one.shape == other.shape and error < TOLERANCE, f"the logits differ by {error}"
    assert np.ptp(one, axis=0).min() > 100 * TOLERANCE, "rows that all look alike would prove nothing"
    return {"rows": len(one), "largest_difference": error, "spread": float(np.ptp(one, axis=0).min())}


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vocab", type=int, default=32_000)
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", type=int, nargs="+", default=[8, 64], help="rows a batch of the Trainer")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args(argv)
    if not 0 < arguments.rows <= ROWS:
        parser.error(f"--rows: there are {ROWS} rows, and {arguments.rows} are asked for")
    found = {
        "date": date.today().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "load_before": [round(each, 2) for each in os.getloadavg()],
        "vocabulary": arguments.vocab,
        "model": f"{LAYERS} x {WIDTH}, {HEADS} heads",
        "rows": arguments.rows,
        "same": [],
        "rounds": [],
    }
    for number in range(arguments.rounds):
        logits, figures = {}, {}
        for batch in arguments.batches:
            logits[batch], figures[f"trainer_{batch}"] = alone(by_trainer, arguments.vocab, arguments.rows, batch)
        ours, figures["xlt"] = alone(by_xlt, arguments.vocab, arguments.rows)
        found["same"] += [
            {"round": number + 1, "batch": batch, **same_logits(each, ours)} for batch, each in logits.items()
        ]
        found["rounds"].append(figures)
        for name, each in figures.items():
            print(
                f"round {number + 1}  {name:12} {each['rows_per_second']:9.1f} rows/s  {each['peak_memory_mb']} MB",
                flush=True,
            )
    speeds = {name: median(r[name]["rows_per_second"] for r in found["rounds"]) for name in found["rounds"][0]}
    found["ratio"] = {name: round(speeds["xlt"] / speed, 3) for name, speed in speeds.items() if name != "xlt"}
    apart = max(each["largest_difference"] for each in found["same"])
    print(f"logits differ by {apart:.1e} at most; xlt / Trainer, median rows/s: {json.dumps(found['ratio'])}")
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])

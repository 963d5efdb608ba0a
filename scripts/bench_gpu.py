"""Pretraining on a GPU at base size: `xlt pretrain` with and without its fast paths against transformers.Trainer, all in bf16.

    python scripts/bench_gpu.py --out scripts/results/gpu.json [--seconds 8] [--only same sentences documents words]

First asserts that the GPU computes what the processor does: 30 updates of a tiny model in fp32 without dropout, the loss of each within a
relative 1e-4. Then, for rows of mean 25 tokens (at most 128) and of mean 160 (at most 512), tokens a second of real tokens and the share of the
peak, which counts useful FLOPs only (see bench_pretrain.py, whose measurements these are) against a measured bf16 product of 8192 x 8192 matrices.
Without dropout in attention (as Llama, ModernBERT and others train), xlt's fast path takes FlashAttention's varlen kernel, which reads no padding;
with it, it attends in groups of like length. Each measurement is a process of its own; a model that doesn't fit is reported as such.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from datetime import date
from pathlib import Path

import bench_pretrain

BASE = {"LAYERS": 12, "WIDTH": 768, "HEADS": 12, "FEED_FORWARD": 3072}
SETTINGS = {  # constants of bench_pretrain, words, rows of an update
    "sentences": (BASE | {"LONGEST": 128, "LOG_LENGTH": 2.95}, 32_000, 640),
    "documents": (BASE | {"LONGEST": 512, "LOG_LENGTH": 4.85}, 32_000, 100),
    "words": (BASE | {"LONGEST": 128, "LOG_LENGTH": 2.95}, 250_000, 160),
    "large": (BASE | {"LONGEST": 512, "LOG_LENGTH": 4.85}, 32_000, 500),
}


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--only", nargs="+", choices=["same", *SETTINGS], default=["same", *SETTINGS])
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="cpu: only to try the script")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args(argv)
    device = arguments.device
    found = {"date": date.today().isoformat(), "device": bench_pretrain.device_name(device), "versions": versions()}

    def keep() -> None:
        if arguments.out:
            arguments.out.parent.mkdir(parents=True, exist_ok=True)
            arguments.out.write_text(json.dumps(found, indent=1) + "\n")

    if "same" in arguments.only:
        found["same"] = same_run(device)
        print("same", json.dumps(found["same"]), flush=True)
        keep()
    found["peak"] = bench_pretrain.alone(bench_pretrain.gemm_peak, device, "bf16", 8192 if device == "cuda" else 1024)
    print("peak", json.dumps(found["peak"]), flush=True)
    for setting in (name for name in arguments.only if name != "same"):
        found[setting] = runs = {}
        for name, (function, attention_dropout, more) in measurements(arguments, setting).items():
            runs[name] = measured(setting, attention_dropout, function, *more)
            keep()
            if "failed" in runs[name]:
                print(f"{setting:10} {name:24} {runs[name]['failed']}", flush=True)
                continue
            share = runs[name]["useful_gflops_per_second"] / found["peak"]["gflops_per_second"]
            runs[name]["share_of_peak"] = round(share, 3)
            memory = runs[name].get("peak_gpu_memory_mb", runs[name]["peak_memory_mb"])
            print(
                f"{setting:10} {name:24} {runs[name]['tokens_per_second']:10,.0f} tokens/s  {share:.3f} of the peak  {memory} MB",
                flush=True,
            )
    keep()


def measurements(arguments, setting: str) -> dict[str, tuple[str, float, tuple]]:
    """name -> (function of bench_pretrain, dropout in attention, its arguments)."""
    constants, vocabulary, rows = SETTINGS[setting]
    apply(constants)
    tokens = int(sum(len(row) + 2 for row in bench_pretrain.rows_of(vocabulary)) / bench_pretrain.ROWS * rows)
    theirs = {"random": "trainer", "group_by_length": "trainer_grouped"}
    runs = {
        name: ("trainer", 0.1, (vocabulary, "bf16", how, arguments.seconds, arguments.device, rows))
        for how, name in theirs.items()
    }
    for dropout in (0.1, 0.0):
        for fused in (False, True):
            name = f"xlt{'_fused' if fused else '_plain'}{'' if dropout else '_no_attention_dropout'}"
            runs[name] = (
                "xlt_pretrain",
                dropout,
                (vocabulary, "bf16", arguments.seconds, tokens, "mlm", arguments.device, fused),
            )
    return runs


def apply(constants: dict) -> None:
    for name, value in constants.items():
        setattr(bench_pretrain, name, value)


def measured(setting: str, attention_dropout: float, function: str, *arguments) -> dict:
    """Figures of a measurement in a process of its own, or why there are none."""
    try:
        return bench_pretrain.alone(_measure, setting, attention_dropout, function, arguments)
    except Exception as error:
        return {"failed": f"{type(error).__name__}: {str(error)[:300]}"}


def _measure(setting: str, attention_dropout: float, function: str, arguments: tuple) -> dict:
    apply(SETTINGS[setting][0] | {"ATTENTION_DROPOUT": attention_dropout})
    return getattr(bench_pretrain, function)(*arguments)


def same_run(device: str) -> dict:
    """Losses of the same 30 updates of the tiny model on the processor and on the GPU, fp32, no dropout, with and without the fast paths."""
    losses = {
        (where, fused): bench_pretrain.alone(_losses, where, fused)
        for where in ("cpu", device)
        for fused in (False, True)
    }
    plain = losses["cpu", False]
    worst = {
        f"{where}{'_fused' if fused else ''}": max(abs(a - b) / b for a, b in zip(found, plain, strict=True))
        for (where, fused), found in losses.items()
    }
    assert max(worst.values()) < 1e-4, f"the losses differ: {worst}"
    return {"updates": len(plain), "first_loss": plain[0], "last_loss": plain[-1], "worst_relative_error": worst}


def _losses(device: str, fused: bool) -> list[float]:
    from xlt import cli

    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        bench_pretrain.write_rows(here, 2_000)
        bench_pretrain.tokenizer_of(2_000).save_pretrained(here / "tokenizer")
        os.chdir(here)
        code = cli.main(
            ["pretrain", *bench_pretrain.KINDS["mlm"], "tokenizer.path=tokenizer", "run.cache=cache", "run.dir=run", "model.dropout=0", "model.attention_dropout=0",
             "train.steps=30", "train.eval_every=0", "train.save_every=0", "train.log_every=1", "train.warmup=0", "train.learning_rate=1e-3",
             f"hardware={'cpu' if device == 'cpu' else 'gpu'}", "hardware.precision=fp32", f"hardware.fused={str(fused).lower()}"]
        )  # fmt: skip
        if code:
            raise RuntimeError(f"xlt pretrain ended with {code}")
        lines = map(json.loads, (here / "run" / "metrics.jsonl").read_text().splitlines())
        return [next(iter(line["loss"].values())) if isinstance(line["loss"], dict) else line["loss"] for line in lines if "loss" in line]


def versions() -> dict:
    import torch
    import transformers

    return {"torch": torch.__version__, "transformers": transformers.__version__}


if __name__ == "__main__":
    main(sys.argv[1:])

"""Pretraining speed: `xlt pretrain` against transformers.Trainer, same model, rows, dropouts and loss, in interleaved rounds.

    python scripts/bench_pretrain.py --out scripts/results/pretrain.json [--vocab 32000] [--rounds 3] [--seconds 25]

First asserts, with dropout off and in fp32, that both compute the same loss for the same masked rows (relative 1e-5) and the same
gradients. Rows are synthetic (log-normal lengths of mean 25, Zipf ids), so the figures do not depend on anyone's data. Each measurement is
a process of its own; the first updates are left out. Tokens are real ones, no padding. The share of the peak counts useful FLOPs only:
no padding, the LM head at predicted positions, attention over a row's own length (of a decoder, over what stands before a token); the peak is
a measured fp32 GEMM of the same threads.

Beside xlt's masked LM stand its causal LM (a GPT-2 of the same shape), its translation LM (a row and as many words more as its translation) and
the mixture mlm_tlm, in the same rounds; each is printed with its share of the peak relative to masked LM's.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from pathlib import Path

import numpy as np
import yaml

LAYERS, WIDTH, HEADS, FEED_FORWARD, LONGEST = 4, 256, 4, 1024, 128
ROWS, BATCH, MASKED = 20_000, 32, 0.15
LOG_LENGTH, DROPOUT, ATTENTION_DROPOUT = 2.95, 0.1, 0.1
TEXT = ["dataset=text_files", "dataset.root=text"]
KINDS = {  # what xlt pretrains, on which of the files
    "mlm": ["objective=masked_lm", *TEXT],
    "clm": ["objective=causal_lm", "model=gpt2_tiny", *TEXT],
    "tlm": ["objective=translation_lm", "dataset=parallel_files", "dataset.root=pairs"],
    "mlm_tlm": ["objective=mlm_tlm", *TEXT, "dataset@objective.parts.tlm.dataset=parallel_files", "objective.parts.tlm.dataset.root=pairs",
                "objective.parts.tlm.languages=[en-de]"],
}  # fmt: skip


def rows_of(vocabulary: int) -> list[np.ndarray]:
    """Token ids of rows, without special tokens: log-normal lengths (mean near 25 with specials), Zipf ids."""
    random = np.random.default_rng(0)
    lengths = np.clip(np.exp(random.normal(LOG_LENGTH, 0.72, ROWS)).astype(int), 1, LONGEST - 2)
    ids = np.minimum(random.zipf(1.2, int(lengths.sum())), 10**9) % (vocabulary - 5) + 5
    return np.split(ids, np.cumsum(lengths)[:-1])


def config_of(vocabulary: int, dropout: float, attention_dropout: float):
    """The model of both sides."""
    from transformers import XLMRobertaConfig

    return XLMRobertaConfig(
        vocab_size=vocabulary, hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS, intermediate_size=FEED_FORWARD,
        max_position_embeddings=LONGEST + 2, type_vocab_size=1, hidden_dropout_prob=dropout, attention_probs_dropout_prob=attention_dropout,
        pad_token_id=1, bos_token_id=0, eos_token_id=2,
    )  # fmt: skip


def tokenizer_of(vocabulary: int):
    """Words w5 w6 ...: one token each; ids 0 to 4 are <s> <pad> </s> <unk> <mask>."""
    import tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {
        t: i
        for i, t in enumerate(["<s>", "<pad>", "</s>", "<unk>", "<mask>", *(f"w{i}" for i in range(5, vocabulary))])
    }
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    names = {
        "bos_token": "<s>",
        "eos_token": "</s>",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "mask_token": "<mask>",
        "cls_token": "<s>",
        "sep_token": "</s>",
    }
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


def useful_flops(lengths: np.ndarray, vocabulary: int, predicted: int | None = None, decoder: bool = False) -> float:
    """Of an update's forward and backward pass (three times the forward) over rows of these lengths, specials counted.

    predicted: positions with a prediction; None: the expected number of masked ones. decoder: GPT-2's, whose token attends to itself and those
    before it, and whose head has no dense layer before the table.
    """
    per_token = LAYERS * (2 * 4 * WIDTH * WIDTH + 2 * 2 * WIDTH * FEED_FORWARD)
    lengths = lengths.astype(np.float64)
    attended = float((lengths * (lengths + 1) / 2 if decoder else lengths**2).sum())
    positions = MASKED * float((lengths - 2).sum()) if predicted is None else predicted
    head = positions * 2 * WIDTH * (vocabulary if decoder else WIDTH + vocabulary)
    return 3 * (per_token * float(lengths.sum()) + LAYERS * 4 * WIDTH * attended + head)


def trainer(vocabulary: int, precision: str, sampling: str, seconds: float, device: str, batch: int) -> dict:
    """transformers.Trainer, set up as examples/pytorch/language-modeling/run_mlm.py --line_by_line does, padding each batch to its longest."""
    import torch
    from transformers import (
        DataCollatorForLanguageModeling,
        Trainer,
        TrainerCallback,
        TrainingArguments,
        XLMRobertaForMaskedLM,
        set_seed,
    )

    set_seed(1)
    if device != "cpu":
        multiprocessing.set_start_method("fork", force=True)  # the loader's workers take the collator below as it is
    tokenizer = tokenizer_of(vocabulary)
    data = [{"input_ids": [0, *row.tolist(), 2], "length": len(row) + 2} for row in rows_of(vocabulary)]
    seen: list[torch.Tensor] = []

    class Collator(DataCollatorForLanguageModeling):
        def __call__(self, features, return_tensors=None):
            return super().__call__([{"input_ids": f["input_ids"]} for f in features], return_tensors)

    class Watched(Trainer):
        def compute_loss(self, model, inputs, *more, **others):
            seen.append(inputs["attention_mask"].sum(1))
            return super().compute_loss(model, inputs, *more, **others)

    clock: list[tuple[float, int]] = []

    class Watch(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            clock.append((time.monotonic(), len(clock)))
            control.should_training_stop = len(clock) > 3 and clock[-1][0] - clock[1][0] > seconds

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder, per_device_train_batch_size=batch, max_steps=10**6, learning_rate=5e-5, use_cpu=device == "cpu", bf16=precision == "bf16",
            train_sampling_strategy=sampling, dataloader_num_workers=0 if device == "cpu" else 8, report_to=[], save_strategy="no", logging_strategy="no", disable_tqdm=True, remove_unused_columns=False,
        )  # fmt: skip
        model = XLMRobertaForMaskedLM(config_of(vocabulary, DROPOUT, ATTENTION_DROPOUT))
        Watched(model, arguments, Collator(tokenizer, mlm_probability=MASKED), data, callbacks=[Watch()]).train()
    measured = [lengths.cpu().numpy() for lengths in seen[2 : len(clock)]]
    elapsed = clock[-1][0] - clock[1][0]
    flops = sum(useful_flops(n, vocabulary) for n in measured)
    return report(measured, elapsed, flops, torch.get_num_threads())


def xlt_pretrain(
    vocabulary: int, precision: str, seconds: float, batch_tokens: int, kind: str, device: str, fused: bool
) -> dict:
    """The stage `xlt pretrain` itself, on the same rows as text; an update holds as many tokens as a batch of the Trainer's on average."""
    import torch

    from xlt import cli
    from xlt.training import loop

    clock, drawn = [], []
    inner = loop._ahead

    def watched(batches, start, stop, workers):
        for step, window in inner(batches, start, stop, workers):
            clock.append(time.monotonic())
            if len(clock) > 4 and clock[-1] - clock[2] > seconds:
                return
            drawn.append(window)
            yield step, window

    loop._ahead = watched
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        write_rows(here, vocabulary)
        tokenizer_of(vocabulary).save_pretrained(here / "tokenizer")
        os.chdir(here)
        code = cli.main(
            ["pretrain", *KINDS[kind], "tokenizer.path=tokenizer", "run.cache=cache",
             f"model.layers={LAYERS}", f"model.width={WIDTH}", f"model.attention_heads={HEADS}", f"model.feed_forward={FEED_FORWARD}",
             f"model.max_positions={LONGEST}", f"model.dropout={DROPOUT}", f"model.attention_dropout={ATTENTION_DROPOUT}", f"train.max_length={LONGEST}", f"train.batch_tokens={batch_tokens}", "train.steps=100000", "train.learning_rate=5e-5",
             "train.eval_every=0", "train.save_every=0", "train.log_every=1000000", "train.warmup=0", f"hardware={'cpu' if device == 'cpu' else 'gpu'}",
             f"hardware.precision={precision}", f"hardware.fused={str(fused).lower()}"]
        )  # fmt: skip
    if code:
        raise RuntimeError(f"xlt pretrain ({kind}) ended with {code}")
    measured = drawn[2 : len(clock) - 1]
    lengths = [np.concatenate([lengths_of(batch) for batch in window]) for window in measured]
    predicted = [sum(len(batch["where"]) for batch in window) for window in measured]
    flops = sum(useful_flops(n, vocabulary, m, kind == "clm") for n, m in zip(lengths, predicted, strict=True))
    return report(lengths, clock[len(drawn)] - clock[2], flops, torch.get_num_threads())


def write_rows(here: Path, vocabulary: int) -> None:
    """The rows as text, and each with a translation of as many words, as parallel text."""
    rows = [[f"w{i}" for i in row] for row in rows_of(vocabulary)]
    others = [[f"w{i + 1}" for i in row] for row in rows_of(vocabulary - 1)]
    for name in ("text/en", "pairs/en-de"):
        (here / name).mkdir(parents=True)
    (here / "text" / "en" / "train.txt").write_text("".join(" ".join(row) + "\n" for row in rows))
    pairs = [f"{' '.join(source)}\t{' '.join(target)}\n" for source, target in zip(rows, others, strict=True)]
    (here / "pairs" / "en-de" / "train.tsv").write_text("".join(["source\ttarget\n", *pairs]))


def lengths_of(batch) -> np.ndarray:
    """Real tokens of each row."""
    if batch["attention_mask"] is not None:
        return batch["attention_mask"].sum(1).numpy()
    rows, length = batch["input_ids"].shape
    return np.full(rows, length)


def report(lengths: list[np.ndarray], seconds: float, flops: float, threads: int) -> dict:
    """Figures of one measurement."""
    import torch

    on_gpu = {"peak_gpu_memory_mb": torch.cuda.max_memory_allocated() >> 20} if torch.cuda.is_available() else {}
    return {
        **on_gpu,
        "updates": len(lengths),
        "seconds": round(seconds, 2),
        "tokens_per_update": round(float(np.mean([n.sum() for n in lengths])), 1),
        "tokens_per_second": round(sum(int(n.sum()) for n in lengths) / seconds, 1),
        "useful_gflops_per_second": round(flops / seconds / 1e9, 2),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "threads": threads,
    }


def gemm_peak(device: str, precision: str = "fp32", size: int = 2048) -> dict:
    """GFLOP/s of a product of square matrices, best of 20."""
    import torch

    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))

    def timed() -> float:
        start = time.perf_counter()
        a @ b
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    best = min(timed() for _ in range(20))
    return {"gflops_per_second": round(2 * size**3 / best / 1e9, 1), "threads": torch.get_num_threads()}


def same_loss(vocabulary: int) -> dict:
    """Loss and gradients of both for the same masked rows, dropout off, fp32."""
    import torch
    from transformers import XLMRobertaForMaskedLM

    from xlt.config import paths
    from xlt.config.build import build_node
    from xlt.models.build import TransferModel
    from xlt.types import Rows
    from xlt.vocabulary import Vocabulary

    torch.manual_seed(0)
    backbone = XLMRobertaForMaskedLM(config_of(vocabulary, 0.0, 0.0)).train()
    objective = build_node(yaml.safe_load((paths.conf_dir() / "objective" / "masked_lm.yaml").read_text()), "objective")
    assert objective.mask_rate == MASKED
    picked = rows_of(vocabulary)[:BATCH]
    rows = Rows([picked], None, np.arange(BATCH, dtype=np.uint64) * np.uint64(7919), ["en"] * BATCH)
    batch = objective.collate(rows, Vocabulary.of(tokenizer_of(vocabulary)), LONGEST)
    labels = torch.full(batch["input_ids"].shape, -100).flatten()
    labels[batch["where"]] = batch["targets"]
    theirs = backbone(
        input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels.view_as(batch["input_ids"])
    ).loss
    theirs.backward()
    expected = {name: p.grad.clone() for name, p in backbone.named_parameters() if p.grad is not None}
    backbone.zero_grad(set_to_none=True)
    model = TransferModel(backbone, {}, {}).train()
    model.fused = True
    ours = objective.loss(model, batch) / batch.count
    ours.backward()
    loss_error = abs(float(ours.detach()) - float(theirs.detach())) / float(theirs.detach())
    # against the whole gradient, since the key biases' own is zero but for rounding
    whole = sum(float(g.norm()) ** 2 for g in expected.values()) ** 0.5
    worst = max(float((p.grad - expected[n]).norm()) for n, p in backbone.named_parameters() if n in expected) / whole
    assert loss_error < 1e-5, f"the losses differ by {loss_error}"
    assert worst < 1e-5, f"the gradients differ by {worst}"
    return {"loss": float(theirs.detach()), "relative_loss_error": loss_error, "worst_gradient_error": worst}


def device_name(device: str) -> str:
    """Which processor or GPU."""
    if device == "cpu":
        return "cpu"
    import torch

    return torch.cuda.get_device_name()


def alone(function, *arguments):
    """The result of a function in a process of its own, so that neither memory nor threads of another measurement count."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:  # may have workers of its own, as a Trainer's loader does
        return pool.submit(function, *arguments).result()


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vocab", type=int, default=32_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=25)
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16"])
    parser.add_argument(
        "--only",
        nargs="+",
        choices=["trainer", "trainer_grouped", "xlt"],
        default=["trainer", "trainer_grouped", "xlt"],
    )
    parser.add_argument("--kinds", nargs="+", choices=[*KINDS], default=[*KINDS], help="what xlt pretrains")
    parser.add_argument(
        "--device", choices=["cpu", "cuda"], default="cpu", help="cuda: xlt with and without its fast paths"
    )
    parser.add_argument("--batch", type=int, default=BATCH, help="rows of an update; of xlt, as many tokens")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args(argv)
    found = {
        "date": date.today().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "vocabulary": arguments.vocab,
        "model": f"{LAYERS} x {WIDTH}",
        "device": device_name(arguments.device),
        "same": alone(same_loss, arguments.vocab),
        "peak": alone(gemm_peak, arguments.device),
        "rounds": [],
    }
    print(json.dumps(found["same"]), json.dumps(found["peak"]), flush=True)
    tokens = int(np.mean([len(row) + 2 for row in rows_of(arguments.vocab)]) * arguments.batch)
    more = arguments.seconds, arguments.device, arguments.batch
    for number in range(arguments.rounds):
        runs = {}
        for precision in arguments.precisions:
            if "trainer" in arguments.only:
                runs[f"trainer_{precision}"] = alone(trainer, arguments.vocab, precision, "random", *more)
            if "trainer_grouped" in arguments.only:
                runs[f"trainer_grouped_{precision}"] = alone(
                    trainer, arguments.vocab, precision, "group_by_length", *more
                )
            for kind in arguments.kinds if "xlt" in arguments.only else ():
                name = f"xlt_{precision}" if kind == "mlm" else f"xlt_{kind}_{precision}"
                shared = arguments.vocab, precision, arguments.seconds, tokens, kind, arguments.device
                runs[name] = alone(xlt_pretrain, *shared, True)
                if arguments.device == "cuda":
                    runs[name.replace("xlt_", "xlt_plain_")] = alone(xlt_pretrain, *shared, False)
        found["rounds"].append(runs)
        for name, figures in runs.items():
            share = figures["useful_gflops_per_second"] / found["peak"]["gflops_per_second"]
            masked = runs.get(f"xlt_{name.rsplit('_', 1)[1]}") if name.startswith("xlt") else None
            if masked:
                figures["share_relative_to_mlm"] = round(
                    figures["useful_gflops_per_second"] / masked["useful_gflops_per_second"], 3
                )
            beside = f", {figures['share_relative_to_mlm']:.2f} of masked LM's" if masked else ""
            print(
                f"round {number + 1}  {name:24} {figures['tokens_per_second']:9.1f} tokens/s  {share:.2f} of the fp32 peak{beside}  {figures['peak_memory_mb']} MB",
                flush=True,
            )
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])

"""Quality per minute: zero-shot topics in 29 languages from English labels, the plain way and by `experiment=quick_transfer`, on the same clock.

    python scripts/bench_transfer.py speed --data DIR --tokenizer T --out scripts/results/transfer.json      # on a quiet machine
    python scripts/bench_transfer.py plain --data DIR --tokenizer T --out ... [--minutes 1 2 5 10 15 40] [--seeds 1 2 3] [--device cuda]
    python scripts/bench_transfer.py xlt --data DIR --out ... [--seeds 1 2 3]

DIR holds mono, ntrex, tico19 and sib200. A way has so many minutes for all that it learns; tokenizers, which both learn beforehand, and scoring are not counted.

plain: transformers.Trainer, masked LM on the lines of all languages as they are (proportional sampling), padded to the longest of a batch, set up as
run_mlm.py sets it up; then Trainer's fine-tuning on English. `speed` measures how many updates of either this machine's processors make a second;
`plain` then makes those that a mark has time for, on any device. One run passes all the marks, so the rate is constant after its warm-up, and at each
mark a copy is fine-tuned for EPOCHS, or for as many as fit into half of the time. Of RATES, the fine-tuning that is best on English dev data counts,
and only its time.
xlt: `xlt align` and `xlt finetune`, as processes on the clock; a mark beyond their time changes nothing.

Test accuracy: of English, and the mean of the other languages. Results are added to those in --out.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

LAYERS, WIDTH, HEADS, LONGEST, BATCH = 4, 256, 4, 128, 32
EPOCHS, RATES = 10, (1e-4, 3e-4, 1e-3)


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("way", choices=["speed", "plain", "xlt"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, help="of the plain way")
    parser.add_argument("--minutes", nargs="+", type=float, default=[1, 2, 5, 10, 15, 40])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--seconds", type=float, default=60, help="of masked LM, to measure its speed")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--work", type=Path, default=Path("runs/bench_transfer"), help="weights and run directories")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args(argv)
    found = json.loads(arguments.out.read_text()) if arguments.out.exists() else {"rows": []}

    def keep() -> None:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(found, indent=1) + "\n")

    if arguments.way == "speed":
        machine = f"{platform.machine()}, {os.cpu_count()} cores"
        found["speed"] = {"date": date.today().isoformat(), "machine": machine, **speed(arguments)}
        print(found["speed"])
        keep()
        return
    for seed in arguments.seeds:
        rows = xlt(arguments, seed) if arguments.way == "xlt" else plain(arguments, seed, found["speed"])
        for row in rows:
            found["rows"].append({"date": date.today().isoformat(), "way": arguments.way, "seed": seed, **row})
            print({k: v for k, v in found["rows"][-1].items() if k != "languages"}, flush=True)
            keep()


def speed(arguments) -> dict:
    """Updates a second of masked LM and of fine-tuning."""
    (end,) = pretrain(arguments, [10**6], 1, arguments.seconds)
    tuned = fine_tune(end["folder"], arguments, RATES[0], 1, 2)
    return {
        "mlm_updates_per_second": round(end["updates"] / end["seconds"], 4),
        "fine_tuning_updates_per_second": round(tuned["updates"] / tuned["seconds"], 4),
    }


def lines(path: Path) -> list[str]:
    """Of a text file, gzip or not."""
    path = path if path.exists() else path.with_name(path.name + ".gz")
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as file:
        return [line.rstrip("\n") for line in file]


def plain(arguments, seed: int, speed: dict):
    """Of each mark: updates and loss of masked LM, epochs and rate of the fine-tuning, accuracies."""
    rows = len(lines(arguments.data / "sib200" / "en" / "train.jsonl"))
    epoch = -(-rows // BATCH) / speed["fine_tuning_updates_per_second"]  # seconds
    minutes = sorted(arguments.minutes)
    epochs = [max(1, min(EPOCHS, int(30 * m / epoch))) for m in minutes]
    marks = [
        max(1, round((60 * m - e * epoch) * speed["mlm_updates_per_second"]))
        for m, e in zip(minutes, epochs, strict=True)
    ]
    for m, e, pretrained in zip(minutes, epochs, pretrain(arguments, marks, seed), strict=True):
        tuned = [fine_tune(pretrained["folder"], arguments, rate, seed, e) for rate in RATES]
        best = max(tuned, key=lambda one: one["dev"])
        scores = best["test"]()
        yield {
            "minutes": m,
            "updates": pretrained["updates"],
            "mlm_loss": pretrained["loss"],
            **{"epochs": e, "rate": best["rate"], "dev": best["dev"]},
            **summary(scores),
        }


def pretrain(arguments, marks: list[int], seed: int, seconds: float = float("inf")) -> list[dict]:
    """Masked LM that goes on to the last of `marks` (updates), or to the end of `seconds`; {folder, updates, seconds, loss} of each."""
    from transformers import (
        AutoTokenizer,
        DataCollatorForLanguageModeling,
        Trainer,
        TrainerCallback,
        TrainingArguments,
        XLMRobertaConfig,
        XLMRobertaForMaskedLM,
        set_seed,
    )

    set_seed(seed)
    mono, folder = arguments.data / "mono", arguments.work / f"plain-{seed}"
    tokenizer = AutoTokenizer.from_pretrained(arguments.tokenizer)
    texts = [line for language in sorted(mono.iterdir()) for line in lines(language / "train.txt")]
    ids = tokenizer(texts, truncation=True, max_length=LONGEST)["input_ids"]
    config = XLMRobertaConfig(
        vocab_size=len(tokenizer), hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS, intermediate_size=4 * WIDTH,
        max_position_embeddings=LONGEST + 2, type_vocab_size=1, pad_token_id=tokenizer.pad_token_id, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    model, kept = XLMRobertaForMaskedLM(config), []

    class Marks(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            now = time.monotonic()
            self.begin = getattr(self, "begin", now)  # the first update, slower than the others, is left out
            if state.global_step >= marks[len(kept)] or now - self.begin > seconds:
                place = folder / f"mlm-{state.global_step}"
                model.save_pretrained(place)
                tokenizer.save_pretrained(place)
                losses = [entry["loss"] for entry in state.log_history if "loss" in entry]
                kept.append(
                    {"folder": place, "updates": state.global_step, "seconds": now - self.begin, "loss": losses[-1:]}
                )
            control.should_training_stop = len(kept) == len(marks)

    settings = TrainingArguments(
        str(folder / "trainer"), per_device_train_batch_size=BATCH, max_steps=10**6, learning_rate=5e-4, lr_scheduler_type="constant_with_warmup",
        warmup_steps=100, use_cpu=arguments.device == "cpu", report_to=[], save_strategy="no", logging_steps=20, disable_tqdm=True, seed=seed,
        weight_decay=0.01,
    )  # fmt: skip
    data = [{"input_ids": row} for row in ids]
    collator = DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15)
    Trainer(model, settings, data_collator=collator, train_dataset=data, callbacks=[Marks()]).train()
    return kept


def fine_tune(pretrained: Path, arguments, rate: float, seed: int, epochs: int) -> dict:
    """Trainer on the English topics: updates, seconds, English dev accuracy, and a function for the test accuracies."""
    import numpy as np
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
        set_seed,
    )

    set_seed(seed)
    sib200, tokenizer = arguments.data / "sib200", AutoTokenizer.from_pretrained(pretrained)

    def read(code: str, split: str) -> list[dict]:
        return [json.loads(line) for line in lines(sib200 / code / f"{split}.jsonl")]

    labels = sorted({row["label"] for row in read("en", "train")})

    def encoded(rows: list[dict]) -> list[dict]:
        ids = tokenizer([row["text"] for row in rows], truncation=True, max_length=LONGEST)["input_ids"]
        return [{"input_ids": i, "label": labels.index(row["label"])} for i, row in zip(ids, rows, strict=True)]

    def accuracy(code: str, split: str) -> float:
        data = encoded(read(code, split))
        found = trainer.predict(data).predictions.argmax(-1)
        return float(np.mean(found == np.array([row["label"] for row in data])))

    model = AutoModelForSequenceClassification.from_pretrained(pretrained, num_labels=len(labels))
    settings = TrainingArguments(
        str(arguments.work / "trainer"), per_device_train_batch_size=BATCH, num_train_epochs=epochs, learning_rate=rate, warmup_steps=20,
        use_cpu=arguments.device == "cpu", report_to=[], save_strategy="no", logging_strategy="no", disable_tqdm=True, seed=seed,
        per_device_eval_batch_size=64,
    )  # fmt: skip
    data = encoded(read("en", "train"))
    trainer = Trainer(model, settings, data_collator=DataCollatorWithPadding(tokenizer), train_dataset=data)
    begin = time.monotonic()
    trainer.train()
    seconds = time.monotonic() - begin
    codes = sorted(place.name for place in sib200.iterdir() if place.is_dir())
    return {
        "updates": trainer.state.global_step,
        "seconds": seconds,
        "rate": rate,
        "dev": accuracy("en", "dev"),
        "test": lambda: {code: accuracy(code, "test") for code in codes},
    }


def summary(scores: dict[str, float]) -> dict:
    """English, the mean of the others, and all."""
    others = [score for code, score in scores.items() if code != "en"]
    return {"english": scores["en"], "targets": sum(others) / len(others), "languages": scores}


def xlt(arguments, seed: int):
    """quick_transfer with the vectors that a mark leaves time for."""
    environment = os.environ | {"XLT_DATA": str(arguments.data.resolve())}
    name = f"quick_transfer-{seed}"
    common = [f"run.root={arguments.work}", f"run.name={name}", f"seed={seed}", "experiment=quick_transfer"]

    def stage(*words: str) -> float:
        begin = time.monotonic()
        subprocess.run(
            [sys.executable, "-m", "xlt", *words, *common], check=True, env=environment, stdout=subprocess.DEVNULL
        )
        return time.monotonic() - begin

    if not (arguments.work / name / "tokenize").exists():
        print(f"tokenizer: {stage('tokenize'):.0f} s, not counted", flush=True)
    shutil.rmtree(arguments.work / name / "cache", ignore_errors=True)
    seconds = stage("align", f"run.cache={arguments.work / name / 'cache'}", "run.overwrite=true")
    seconds += stage("finetune", f"run.cache={arguments.work / name / 'cache'}", "run.overwrite=true")
    stage("zero-shot-eval", "run.overwrite=true")
    scores = json.loads((arguments.work / name / "zero-shot-eval" / "metrics.json").read_text())["results"]["sib200"]
    yield {"minutes": round(seconds / 60, 2), "seconds": round(seconds, 1), **summary(scores["accuracy"])}


if __name__ == "__main__":
    main(sys.argv[1:])

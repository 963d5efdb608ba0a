"""Quality per minute: zero-shot topics in 29 languages from English labels, the plain way and by `experiment=quick_transfer`, on the same clock.

    python scripts/bench_transfer.py --data DIR --tokenizer runs/plain/tokenize/tokenizer --out scripts/results/transfer.json \
        [--ways plain xlt] [--minutes 1 2 5 10 15 40] [--seeds 1] [--work DIR]

DIR holds mono, ntrex, tico19 and sib200. A way has so many minutes for all that it learns; tokenizers, which both learn beforehand, and scoring are not counted.

plain: transformers.Trainer, masked LM on the lines of all languages as they are (proportional sampling), padded to the longest of a batch, set up as
run_mlm.py sets it up; then Trainer's fine-tuning on English. One run passes all the marks: at each, less FINE_TUNING seconds, its weights are copied and
fine-tuned, so the rate is constant after its warm-up. Of RATES, the fine-tuning that is best on English dev data counts, and only its time.
xlt: `xlt align` and `xlt finetune`, as processes; at a mark that they do not need whole, nothing more is learned.

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
FINE_TUNING, EPOCHS, RATES = 30.0, 10, (1e-4, 3e-4, 1e-3)  # seconds kept for it


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, help="of the plain way")
    parser.add_argument("--ways", nargs="+", choices=["plain", "xlt"], default=["plain", "xlt"])
    parser.add_argument("--minutes", nargs="+", type=float, default=[1, 2, 5, 10, 15, 40])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--work", type=Path, default=Path("runs/bench_transfer"), help="weights and run directories")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args(argv)
    found = json.loads(arguments.out.read_text()) if arguments.out.exists() else {"rows": []}
    found |= {"date": date.today().isoformat(), "machine": f"{platform.machine()}, {os.cpu_count()} cores"}
    for way in arguments.ways:
        for seed in arguments.seeds:
            for row in {"plain": plain, "xlt": xlt}[way](arguments, seed):
                row = {"way": way, "seed": seed, **row}
                found["rows"].append(row)
                print({k: v for k, v in row.items() if k != "languages"}, flush=True)
                arguments.out.parent.mkdir(parents=True, exist_ok=True)
                arguments.out.write_text(json.dumps(found, indent=1) + "\n")


def lines(path: Path) -> list[str]:
    """Of a text file, gzip or not."""
    path = path if path.exists() else path.with_name(path.name + ".gz")
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as file:
        return [line.rstrip("\n") for line in file]


def plain(arguments, seed: int):
    """Of each mark: seconds, updates and loss of masked LM, seconds and rate of the fine-tuning, accuracies."""
    marks = [60 * minutes - FINE_TUNING for minutes in sorted(arguments.minutes)]
    folder = arguments.work / f"plain-{seed}"
    for pretrained in pretrain(arguments.data / "mono", arguments.tokenizer, marks, seed, folder):
        tuned = [fine_tune(pretrained["folder"], arguments.data / "sib200", rate, seed, folder) for rate in RATES]
        best = max(tuned, key=lambda one: one["dev"])
        minutes = round((pretrained["mark"] + FINE_TUNING) / 60, 2)
        yield {"minutes": minutes, **{k: pretrained[k] for k in ("updates", "mlm_seconds", "mlm_loss")}, **best}


def pretrain(mono: Path, tokenizer_folder: Path, marks: list[float], seed: int, folder: Path) -> list[dict]:
    """Masked LM that goes on to the last of `marks` (seconds); {mark, folder, updates, mlm_seconds, mlm_loss} of each."""
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
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    texts = [line for language in sorted(mono.iterdir()) for line in lines(language / "train.txt")]
    ids = tokenizer(texts, truncation=True, max_length=LONGEST)["input_ids"]
    config = XLMRobertaConfig(
        vocab_size=len(tokenizer), hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS, intermediate_size=4 * WIDTH,
        max_position_embeddings=LONGEST + 2, type_vocab_size=1, pad_token_id=tokenizer.pad_token_id, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    model, kept, away = XLMRobertaForMaskedLM(config), [], [0.0]

    class Marks(TrainerCallback):
        def on_train_begin(self, args, state, control, **kwargs):
            self.begin = time.monotonic()

        def on_step_end(self, args, state, control, **kwargs):
            seconds = time.monotonic() - self.begin - away[0]
            while len(kept) < len(marks) and seconds >= marks[len(kept)]:
                begin, place = time.monotonic(), folder / f"mlm-{marks[len(kept)]:.0f}"
                model.save_pretrained(place)
                tokenizer.save_pretrained(place)
                losses = [entry["loss"] for entry in state.log_history if "loss" in entry]
                kept.append(
                    {
                        "mark": marks[len(kept)],
                        "folder": place,
                        "updates": state.global_step,
                        "mlm_seconds": round(seconds, 1),
                        "mlm_loss": losses[-1] if losses else None,
                    }
                )
                print(f"plain, seed {seed}: {kept[-1]}", flush=True)
                away[0] += time.monotonic() - begin
            control.should_training_stop = len(kept) == len(marks)

    settings = TrainingArguments(
        str(folder / "trainer"), per_device_train_batch_size=BATCH, max_steps=10**6, learning_rate=5e-4, lr_scheduler_type="constant_with_warmup",
        warmup_steps=100, use_cpu=True, report_to=[], save_strategy="no", logging_steps=50, disable_tqdm=True, seed=seed, weight_decay=0.01,
    )  # fmt: skip
    data = [{"input_ids": row} for row in ids]
    collator = DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15)
    Trainer(model, settings, data_collator=collator, train_dataset=data, callbacks=[Marks()]).train()
    return kept


def fine_tune(pretrained: Path, sib200: Path, rate: float, seed: int, folder: Path) -> dict:
    """Trainer on the English topics: seconds, English dev accuracy, test accuracies."""
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
    tokenizer = AutoTokenizer.from_pretrained(pretrained)
    read = {
        "en": {split: [json.loads(x) for x in lines(sib200 / "en" / f"{split}.jsonl")] for split in ("train", "dev")}
    }
    labels = sorted({row["label"] for row in read["en"]["train"]})

    def encoded(rows: list[dict]) -> list[dict]:
        ids = tokenizer([row["text"] for row in rows], truncation=True, max_length=LONGEST)["input_ids"]
        return [{"input_ids": i, "label": labels.index(row["label"])} for i, row in zip(ids, rows, strict=True)]

    def accuracy(rows: list[dict]) -> float:
        data = encoded(rows)
        found = trainer.predict(data).predictions.argmax(-1)
        return float(np.mean(found == np.array([row["label"] for row in data])))

    model = AutoModelForSequenceClassification.from_pretrained(pretrained, num_labels=len(labels))
    settings = TrainingArguments(
        str(folder / "trainer"), per_device_train_batch_size=BATCH, num_train_epochs=EPOCHS, learning_rate=rate, warmup_steps=20, use_cpu=True,
        report_to=[], save_strategy="no", logging_strategy="no", disable_tqdm=True, seed=seed, per_device_eval_batch_size=64,
    )  # fmt: skip
    trainer = Trainer(
        model, settings, data_collator=DataCollatorWithPadding(tokenizer), train_dataset=encoded(read["en"]["train"])
    )
    begin = time.monotonic()
    trainer.train()
    seconds = round(time.monotonic() - begin, 1)
    codes = sorted(place.name for place in sib200.iterdir() if place.is_dir())
    scores = {code: accuracy([json.loads(x) for x in lines(sib200 / code / "test.jsonl")]) for code in codes}
    return {"fine_tuning_seconds": seconds, "rate": rate, "dev": accuracy(read["en"]["dev"]), **summary(scores)}


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

"""The losses of 20 updates per training stage, as they were when somebody last looked.

Text, seed and config are fixed, so the losses are, up to the rounding of another processor (1e-4 relative allows for it). A change here means that training is no
longer what it was: another order of rows, other noise, another initialisation, another default. If that is what a commit wants, write the numbers anew with
`XLT_WRITE_GOLDEN=1 pytest tests/test_golden.py` and say in its message why they moved; if not, the commit has a mistake that no error would show.
A new release of torch or transformers may move them too: then nothing else in the diff does.
"""

import json
import os
from pathlib import Path

import pytest

from tests import corpus

GOLDEN = Path(__file__).parent / "golden"
COMMON = ["model=tiny", "hardware=debug", "train.steps=20", "train.log_every=1", "train.window=4", "train.max_length=24", "train.eval_every=0"]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("golden")
    corpus.write_text(folder / "text", {"en": 90, "de": 50, "sw": 20})
    corpus.write_labelled(folder / "labelled")
    corpus.write_parallel(folder / "parallel")
    corpus.write_tokenizer(folder / "tokenizer")
    return folder


STAGES = {
    "pretrain": ["dataset=text_files", "dataset.root={}/text", "train.batch_tokens=200"],
    "align": ["dataset=parallel_files", "dataset.root={}/parallel", "train.batch_size=8"],
    "finetune": ["dataset=classification_files", "dataset.root={}/labelled", "languages.source=[en,de]", "train.epochs=null", "train.batch_size=8", "train.learning_rate=1e-3"],
}  # fmt: skip


@pytest.mark.parametrize("stage", STAGES)
def test_losses_are_those_on_record(stage, place, forks):
    data = [argument.format(place) for argument in STAGES[stage]]
    where = [f"tokenizer.path={place}/tokenizer", f"run.root={place}/runs", f"run.cache={place}/cache"]
    code = forks.run([stage, *data, *COMMON, *where], place / f"{stage}.txt")
    assert code == 0, (place / f"{stage}.txt").read_text()
    run = place / "runs" / "main" / stage
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    metrics = json.loads((run / "metrics.json").read_text())
    found = {
        "losses": [line["loss"] for line in lines if "loss" in line],
        "gradient_norms": [line["grad_norm"] for line in lines if "grad_norm" in line],
        "tokens": metrics["efficiency"]["tokens"],
        "parameters": metrics["parameters"],
    }
    assert len(found["losses"]) == 20
    record = GOLDEN / f"{stage}.json"
    if os.environ.get("XLT_WRITE_GOLDEN"):
        record.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    expected = json.loads(record.read_text())
    assert (found["tokens"], found["parameters"]) == (expected["tokens"], expected["parameters"])
    assert found["losses"] == pytest.approx(expected["losses"], rel=1e-4)
    assert found["gradient_norms"] == pytest.approx(expected["gradient_norms"], rel=1e-3)

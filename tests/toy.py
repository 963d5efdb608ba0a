"""A data set in memory and a tokenizer of whole words, for tests that need both without a file."""

from __future__ import annotations

import hashlib
import json
from types import SimpleNamespace

import tokenizers
from transformers import PreTrainedTokenizerFast

from tests.shipped import shipped
from xlt.config import schema


class Toy:
    """rows: {(view, language, split): [row, ...]}."""

    name = "toy"

    def __init__(self, rows, labels=None):
        self._rows, self._labels = rows, labels

    def views(self):
        return tuple(sorted({view for view, _, _ in self._rows}))

    def languages(self, view):
        return sorted({language for v, language, _ in self._rows if v == view})

    def splits(self, view, language):
        return [s for v, code, s in self._rows if (v, code) == (view, language)]

    def rows(self, view, language, split):
        return iter(self._rows[view, language, split])

    def labels(self):
        return self._labels

    def fingerprint(self, view, language, split):
        return hashlib.sha256(json.dumps(self._rows[view, language, split]).encode()).hexdigest()


def word_tokenizer(words, template="xlm-r"):
    """Ids 0..4 are <s> <pad> </s> <unk> <mask>; each word is one token."""
    vocabulary = {token: i for i, token in enumerate(["<s>", "<pad>", "</s>", "<unk>", "<mask>", *words])}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    pair = {"xlm-r": "<s> $A </s> </s> $B </s>", "bert": "<s> $A </s> $B:1 </s>:1"}[template]
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A </s>", pair=pair, special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    names = {
        "bos_token": "<s>",
        "cls_token": "<s>",
        "eos_token": "</s>",
        "sep_token": "</s>",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "mask_token": "<mask>",
    }
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


def stage_config(folder, stage, dataset, objective, model, tokenizer, name="run", **changes):
    """A built config as `xlt.config` makes it, without Hydra. changes: fields of the groups train and hardware, source, and seed."""
    train = dict(
        steps=12, epochs=None, batch_size=8, batch_tokens=None, window=4, max_length=24, sampling=schema.Sampling.alpha, alpha=0.3, epoch_cap=10.0, weights=None, shuffle_rows=100, learning_rate=1e-3, schedule=schema.Schedule.linear,
        warmup=2, weight_decay=0.01, beta1=0.9, beta2=0.98, epsilon=1e-6, max_grad_norm=1.0, eval_every=4, save_every=3, log_every=2, keep=2, candidates=0, eval_rows=None, replay=None, freeze=[],
        freeze_layers=None, reset_layers=0, unfreeze_every=0.0, layer_decay=1.0, rates=None,
    )  # fmt: skip
    hardware = dict(
        device=schema.Device.cpu,
        precision=schema.Precision.fp32,
        threads=1,
        micro_batch_size=None,
        group_tokens=None,
        fused=False,
        workers=0,
        eval_tokens=256,
    )
    for key, value in changes.items():
        (train if key in train else hardware)[key] = value
    run = schema.Run(
        name=name, root=str(folder), dir=str(folder / name / stage), overwrite=False, cache=str(folder / "cache")
    )
    resolved = {"seed": 1, "run": {"name": name}, "train": {"steps": train["steps"]}, "objective": None}
    return SimpleNamespace(
        stage=stage, seed=1, run=run, languages=schema.Languages(None, ["en"], None), train=schema.Train(**train), hardware=schema.Hardware(**hardware),
        tracking=schema.Tracking([], "xlt"), scores=schema.Scores(50, 1, 0.95, [0.01]), dataset=dataset, cleaning=None, tokenizer=tokenizer, model=model, objective=objective,
        adapter=None, few_shot=None, translations=None, selection=None, leakage=None, adversarial=None, perturbation=None, export=None, resolved=resolved,
    )  # fmt: skip


def masked_lm(**changes):
    """MaskedLM as in conf/objective/masked_lm.yaml, with changes."""
    return shipped("masked_lm", **changes)

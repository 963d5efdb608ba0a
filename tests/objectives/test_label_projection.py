"""Labels go from a classifier's sentence to the translation: the loss is the formula, and a language of other words is learned exactly."""

import json

import numpy as np
import pytest
import torch

from tests.toy import Toy, stage_config, word_tokenizer
from xlt import noise
from xlt.errors import ConfigError
from xlt.models.build import FromScratch, Pretrained, build
from xlt.models.pooling import Pool
from xlt.objectives.label_projection import LabelProjection
from xlt.objectives.sequence_classification import SequenceClassification
from xlt.stages import align, finetune, zero_shot_eval
from xlt.tokenization.load import Pretrained as PretrainedTokenizer
from xlt.types import Rows
from xlt.vocabulary import Vocabulary

ENGLISH = [f"e{i}" for i in range(12)]
OTHER = [f"x{i}" for i in range(12)]
TASK = SequenceClassification(pair=False, pool=Pool.mean, hidden=False, dropout=0.0)


def projection(**changes):
    return LabelProjection(**{"sharpness": 2.0, "source_weight": 1.0, **changes})


def encoder(**changes):
    return FromScratch(**{"architecture": "xlm-roberta", "layers": 0, "width": 16, "attention_heads": 2, "feed_forward": 32, "max_positions": 30, "dropout": 0.0, "attention_dropout": 0.0, "init_from": None, **changes})  # fmt: skip


def sentences(words, count, seed):
    """Rows of words of one of three topics (i % 3), and the topic."""
    random = np.random.default_rng(seed)
    for i in range(count):
        yield " ".join(words[3 * w + i % 3] for w in random.integers(0, 4, 5)), f"topic{i % 3}"


@pytest.fixture(scope="module")
def tokenizer():
    return word_tokenizer(ENGLISH + OTHER)


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_the_loss_is_the_formula_and_the_teacher_is_not_trained(tokenizer, weight):
    model = build(encoder(layers=1), "encoder", TASK, ["a", "b", "c"], tokenizer, 1)
    model.teach(TASK)
    names = set(model.state_dict())
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn_like(p) * 0.3)
    pairs = [("e1 e2", "x1"), ("e3", "x4 x5 x6")]
    ids = [[np.array(tokenizer(p[i], add_special_tokens=False)["input_ids"]) for p in pairs] for i in range(2)]
    rows = Rows(ids, None, noise.combine(noise.key(0), np.arange(2)), ["en-xx"] * 2)
    ours = projection(source_weight=weight)
    batch = ours.collate(rows, Vocabulary.of(tokenizer), 30)

    def logits(which, text):
        hidden_LD = which.hidden(dict(tokenizer(text, return_tensors="pt", return_token_type_ids=False)))[0]
        return which.heads["classifier"](hidden_LD.mean(0))

    expected = 0.0
    for source, target in pairs:
        p = logits(model.teacher.model, source).softmax(-1).detach()
        q = p**2 / (p**2).sum()
        for text, scale in ((target, 1.0), (source, weight)):
            expected = expected - scale * (q * logits(model, text).log_softmax(-1)).sum()
    loss = ours.loss(model, batch)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert all(p.grad is None for p in model.teacher.model.parameters()) and not model.teacher.model.training
    assert set(model.state_dict()) == names, "the teacher is not saved"
    assert batch.count == 2 and batch.tokens == (4 + 3) + (3 + 5)


def test_a_language_of_other_words_is_learned_from_translations_alone(tmp_path, tokenizer):
    """Topics of English; translations word by word: the other language's topics are known exactly, and were at chance before."""
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    labelled = {
        ("classification", code, split): [{"text": t, "label": y} for t, y in sentences(words, n, seed)]
        for code, words in (("en", ENGLISH), ("fr", OTHER))
        for split, n, seed in (("train", 60, 1), ("dev", 30, 2), ("test", 60, 3))
    }
    pairs = {
        ("parallel", "en-fr", split): [
            {"source": t, "target": t.replace("e", "x")} for t, _ in sentences(ENGLISH, n, seed)
        ]
        for split, n, seed in (("train", 90, 4), ("dev", 30, 5))
    }
    data, parallel = Toy(labelled, ["topic0", "topic1", "topic2"]), Toy(pairs)
    words = PretrainedTokenizer(path=str(tmp_path / "tokenizer"))
    steps = dict(steps=60, learning_rate=0.03, batch_size=15)

    def accuracy(name, of):
        node = Pretrained(init_from=str(tmp_path / of))
        zero_shot_eval.run(stage_config(tmp_path, "zero-shot-eval", data, None, node, words, name=name))
        metrics = json.loads((tmp_path / name / "zero-shot-eval/metrics.json").read_text())
        return metrics["results"]["toy"]["accuracy"]

    classification = {"_target_": "xlt.objectives.sequence_classification.SequenceClassification", "pair": False, "pool": "mean", "hidden": False, "dropout": 0.0}  # fmt: skip
    tuned = stage_config(tmp_path, "finetune", data, TASK, encoder(), words, **steps)
    tuned.resolved["objective"] = classification
    finetune.run(tuned)
    before = accuracy("before", "run/finetune")
    node = encoder(init_from=str(tmp_path / "run/finetune"))
    projected = stage_config(tmp_path, "align", parallel, projection(), node, words, **steps)
    agreement = align.run(projected)
    after = accuracy("after", "run/align")
    assert before["en"] == after["en"] == 1.0 and before["fr"] < 0.6
    assert after["fr"] == 1.0 and agreement == 1.0


@pytest.mark.parametrize(
    ("change", "sentence"),
    [({"sharpness": 0.0}, "objective.sharpness: 0.0 is not positive"), ({"source_weight": -1.0}, "is negative")],
)
def test_what_cannot_be(change, sentence):
    with pytest.raises(ConfigError, match=sentence):
        projection(**change)


def test_a_model_without_a_task_is_refused(tmp_path, tokenizer):
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    words = PretrainedTokenizer(path=str(tmp_path / "tokenizer"))
    data = Toy({("parallel", "en-fr", "train"): [{"source": "e1", "target": "x1"}] * 9})
    with pytest.raises(ConfigError, match="LabelProjection continues a fine-tuned model; give the run directory"):
        align.run(stage_config(tmp_path, "align", data, projection(), encoder(), words))

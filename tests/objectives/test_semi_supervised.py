"""Self-training and consistency against their formulas, and what they do to a language of other words."""

import json

import numpy as np
import pytest
import torch

from tests.objectives.test_label_projection import ENGLISH, OTHER, TASK, encoder, sentences, tokenizer  # noqa: F401
from tests.toy import Toy, stage_config
from xlt import noise
from xlt.errors import ConfigError
from xlt.models.build import Pretrained, build
from xlt.objectives.consistency import Consistency, divergences
from xlt.objectives.self_training import SelfTraining
from xlt.stages import align, finetune, zero_shot_eval
from xlt.tokenization.load import Pretrained as PretrainedTokenizer
from xlt.types import Rows
from xlt.vocabulary import Vocabulary


def taught(tokenizer):  # noqa: F811
    """A model that has moved away from its teacher."""
    model = build(encoder(layers=1), "encoder", TASK, ["a", "b", "c"], tokenizer, 1)
    with torch.no_grad():
        for p in model.heads.parameters():
            p.mul_(20)
    model.teach(TASK)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn_like(p) * 0.3)
    return model


def rows_of(tokenizer, *columns):  # noqa: F811
    ids = [[np.array(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in column] for column in columns]
    return Rows(ids, None, noise.combine(noise.key(0), np.arange(len(columns[0]))), ["en"] * len(columns[0]))


def probabilities(model, tokenizer, text):  # noqa: F811
    ids = torch.tensor([tokenizer(text)["input_ids"]])
    return model.heads["classifier"](model.backbone(input_ids=ids).last_hidden_state.mean(1)).softmax(-1)[0].double()


def test_the_loss_of_self_training_is_the_formula(tokenizer):  # noqa: F811
    model, texts = taught(tokenizer), ["e1 e2", "e3", "x4 x5 x6", "e7 x1"]
    said = torch.stack([probabilities(model.teacher.model, tokenizer, t) for t in texts])
    sure, label = said.max(-1)
    threshold = float(sure.sort().values[1:3].mean())
    ours = SelfTraining(threshold=threshold, balance=True)
    weights = torch.tensor([0.5, 2.0, 1.25])
    object.__setattr__(model, "teacher", model.teacher._replace(weights=weights))
    batch = ours.collate(rows_of(tokenizer, texts), Vocabulary.of(tokenizer), 30)
    now = torch.stack([probabilities(model, tokenizer, t) for t in texts])
    expected = [-w * torch.log(p[k]) if s >= threshold else 0.0 for p, k, s, w in zip(now, label, sure, weights[label], strict=True)]  # fmt: skip
    assert sum(e == 0.0 for e in expected) == 2
    assert float(ours.loss(model, batch)) == pytest.approx(float(sum(expected)), rel=1e-5)
    ours.loss(model, batch).backward()
    assert all(p.grad is None for p in model.teacher.model.parameters())


def test_the_rows_that_are_kept_of_each_label_weigh_the_same():
    sure = np.array([0.95, 0.99, 0.5, 0.91, 0.97, 0.9, 0.2])
    label = np.array([0, 0, 1, 0, 2, 0, 1])
    weights = SelfTraining(threshold=0.9, balance=True).class_weights(sure, label, 4)
    assert weights.tolist() == pytest.approx([5 / (2 * 4), 0.0, 5 / (2 * 1), 0.0])
    assert sum(weights[k] for k, s in zip(label, sure, strict=True) if s >= 0.9) == pytest.approx(5), "the mean is 1"
    assert SelfTraining(threshold=0.9, balance=False).class_weights(sure, label, 4).tolist() == [1.0] * 4
    with pytest.raises(ConfigError, match=r"of no row is the classifier so sure \(0.999; at most 0.990\)"):
        SelfTraining(threshold=0.999, balance=True).class_weights(sure, label, 4)


def test_the_loss_of_consistency_is_the_formula(tokenizer):  # noqa: F811
    model, pairs = taught(tokenizer), [("e1 e2", "x1"), ("e3", "x4 x5 x6")]
    ours = Consistency(anchor=0.7)
    batch = ours.collate(rows_of(tokenizer, *zip(*pairs, strict=True)), Vocabulary.of(tokenizer), 30)

    def kl(p, q):
        return float((p * (p / q).log()).sum())

    expected = 0.0
    for source, target in pairs:
        p, q = (probabilities(model, tokenizer, text) for text in (source, target))
        said = probabilities(model.teacher.model, tokenizer, source)
        expected += kl(p, q) + kl(q, p) + 0.7 * kl(said, p)
    assert float(ours.loss(model, batch)) == pytest.approx(expected, rel=1e-4)
    same = torch.tensor([[0.2, 0.8]]).log()
    assert float(divergences(same, same)) == 0.0


def chain(tmp_path, tokenizer, objective, **changes):  # noqa: F811
    """(accuracy of a language of other words before, after), of a run of `objective` on what finetune made."""
    folder = tmp_path / "tokenizer"
    tokenizer.save_pretrained(folder)
    rows = {}
    for split, n, seed in (("train", 240, 1), ("dev", 60, 2), ("test", 60, 3)):
        both = [list(sentences(words, n, seed)) for words in (ENGLISH, OTHER)]
        for code, made in zip(("en", "de"), both, strict=True):
            rows["classification", code, split] = [{"text": t, "label": k} for t, k in made]
        # the other language's sentences follow two English words, by which the classifier knows them
        rows["text", "de", split] = [
            {"text": f"{' '.join(e[0].split()[:2])} {x[0]}"} for e, x in zip(*both, strict=True)
        ]
        rows["parallel", "en-de", split] = [{"source": e[0], "target": x[0]} for e, x in zip(*both, strict=True)]
    data = Toy(rows, labels=["topic0", "topic1", "topic2"])

    def config(stage, objective, model, name):
        cfg = stage_config(tmp_path, stage, data, objective, model, PretrainedTokenizer(path=str(folder)), name=name, steps=80, eval_every=40, save_every=0, learning_rate=2e-2, batch_size=24, **changes)  # fmt: skip
        cfg.resolved["objective"] = {"_target_": "xlt.objectives.sequence_classification.SequenceClassification", "pair": False, "pool": "mean", "hidden": False, "dropout": 0.0}  # fmt: skip
        return cfg

    def accuracy(place, name):
        zero_shot_eval.run(config("zero-shot-eval", None, Pretrained(init_from=str(place)), name))
        metrics = json.loads((tmp_path / name / "zero-shot-eval" / "metrics.json").read_text())
        return metrics["results"]["toy"]["accuracy"]["de"]

    finetune.run(config("finetune", TASK, encoder(), "first"))
    before = accuracy(tmp_path / "first" / "finetune", "before")
    align.run(config("align", objective, Pretrained(init_from=str(tmp_path / "first" / "finetune")), "second"))
    return before, accuracy(tmp_path / "second" / "align", "after")


@pytest.mark.parametrize(
    "objective",
    [SelfTraining(threshold=0.6, balance=True), Consistency(anchor=1.0)],
    ids=["self_training", "consistency"],
)
def test_a_language_of_other_words_is_learned(tmp_path, tokenizer, objective):  # noqa: F811
    before, after = chain(tmp_path, tokenizer, objective)
    assert before < 0.7 and after > 0.9


def test_what_cannot_be_is_said(tmp_path, tokenizer):  # noqa: F811
    with pytest.raises(ConfigError, match="objective.threshold: 1.5 is not in"):
        SelfTraining(threshold=1.5, balance=True)
    with pytest.raises(ConfigError, match="objective.anchor: 0.0 is not positive"):
        Consistency(anchor=0.0)
    with pytest.raises(ConfigError, match="objective.threshold: of no row is the classifier so sure"):
        chain(tmp_path, tokenizer, SelfTraining(threshold=1.0, balance=True))

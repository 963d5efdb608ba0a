"""Distillation from a teacher against its definition, with a teacher of other words, width and shape than the student's."""

import json

import numpy as np
import pytest

from tests.objectives.test_similarities import pairs
from tests.shipped import shipped
from tests.toy import Toy, stage_config, word_tokenizer
from xlt.errors import ConfigError
from xlt.models.build import FromScratch, build, save
from xlt.models.pooling import Pool
from xlt.models.shapes import Pretrained
from xlt.stages import align, zero_shot_eval
from xlt.tokenization.load import Pretrained as Tokenizer
from xlt.types import Rows
from xlt.vocabulary import Vocabulary

WORDS = [f"w{i}" for i in range(40)]
STUDENT, TEACHER = word_tokenizer(WORDS), word_tokenizer(list(reversed(WORDS)), "bert")


def shape(width=16, layers=1):
    return FromScratch(
        architecture="xlm-roberta", layers=layers, width=width, attention_heads=2, feed_forward=32, max_positions=40,
        dropout=0.1, attention_dropout=0.1, init_from=None,
    )  # fmt: skip


def teacher_at(folder, width=16):
    objective = shipped("mean_squared_error")
    folder.mkdir()
    save(build(shape(width, layers=2), "encoder", objective, None, TEACHER, seed=9), TEACHER, folder)
    TEACHER.save_pretrained(folder)
    return str(folder)


def text(seed, n):
    return " ".join(f"w{i}" for i in np.random.default_rng(seed).integers(0, 40, n))


def test_both_sides_move_to_where_the_teacher_puts_the_source(tmp_path):
    objective = shipped(
        "teacher_distillation", teacher=teacher_at(tmp_path / "teacher"), teacher_layer=1, teacher_pool="first"
    )
    model = build(shape(), "encoder", objective, None, STUDENT, seed=5)
    objective.prepare(model)
    model.train()
    assert not model.teacher.model.training, "model.train() leaves the teacher as it is"
    model.eval()
    sources, targets = [text(i, 3 + i) for i in range(4)], [text(9 + i, 5) for i in range(4)]
    ids = [[np.array(STUDENT(t, add_special_tokens=False)["input_ids"]) for t in side] for side in (sources, targets)]
    notes = {"teacher": [objective.annotate({"source": t}, ())["teacher"] for t in sources]}
    rows = Rows(ids, None, pairs(4).keys, ["en-de"] * 4, notes)
    batch = objective.collate(rows, Vocabulary.of(STUDENT), 99)
    expected = 0.0
    for source, target in zip(sources, targets, strict=True):
        goal = model.teacher.model.hidden({"input_ids": TEACHER(source, return_tensors="pt")["input_ids"]}, 1)[0, 0]
        for side in (source, target):
            mine = model.hidden({"input_ids": STUDENT(side, return_tensors="pt")["input_ids"]})[0].mean(0)
            expected += float(((mine - goal) ** 2).mean().detach())
    total, by_row = objective.loss_by_row(model, batch)
    assert total.item() == pytest.approx(expected, rel=1e-4) and by_row[:, 0].sum().item() == pytest.approx(
        expected, rel=1e-4
    )
    total.backward()
    assert all(p.grad is None for p in model.teacher.model.parameters())
    assert not any("teacher" in name for name in model.state_dict())


def data():
    rows = {}
    for split, n in (("train", 60), ("dev", 10), ("test", 10)):
        sources = [text(1000 * len(split) + i, 3 + i % 4) for i in range(n)]
        # the translation of w_i is w_(i + 20)
        turned = [" ".join(f"w{(int(word[1:]) + 20) % 40}" for word in source.split()) for source in sources]
        rows["parallel", "en-de", split] = [{"source": s, "target": t} for s, t in zip(sources, turned, strict=True)]
    return Toy(rows)


def test_the_stage_teaches_and_the_student_is_scored_without_its_teacher(tmp_path):
    place = teacher_at(tmp_path / "teacher")
    STUDENT.save_pretrained(tmp_path / "tokenizer")
    objective = shipped("teacher_distillation", teacher=place)
    cfg = stage_config(
        tmp_path,
        "align",
        data(),
        objective,
        shape(),
        Tokenizer(path=str(tmp_path / "tokenizer")),
        steps=80,
        learning_rate=1e-2,
        eval_every=0,
        save_every=0,
    )
    cfg.languages.source = None
    align.run(cfg)
    lines = [json.loads(line) for line in (tmp_path / "run" / "align" / "metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[-1] < 0.7 * losses[0]
    assert not list((tmp_path / "run" / "align" / "model").glob("heads*"))
    scored = stage_config(
        tmp_path,
        "zero-shot-eval",
        data(),
        objective,
        Pretrained(init_from=str(tmp_path / "run" / "align")),
        Tokenizer(path=None),
    )
    assert 0 <= zero_shot_eval.run(scored) <= 1


def test_what_cannot_teach_is_refused(tmp_path):
    nobody = shipped("teacher_distillation")
    with pytest.raises(ConfigError, match="objective.teacher: null, and there is nobody to learn from"):
        nobody.annotate({"source": "w1"}, ())
    wide = shipped("teacher_distillation", teacher=teacher_at(tmp_path / "wide", width=24))
    model = build(shape(), "encoder", wide, None, STUDENT, seed=5)
    with pytest.raises(ConfigError, match="has states of 24 numbers and the model of 16, .* model.width=24"):
        wide.prepare(model)
    deep = shipped("teacher_distillation", teacher=teacher_at(tmp_path / "deep"), teacher_layer=3)
    with pytest.raises(ConfigError, match="objective.teacher_layer: 3, and the teacher has 2"):
        deep.prepare(model)
    with pytest.raises(ConfigError, match="objective.teacher: .*nowhere does not exist"):
        shipped("teacher_distillation", teacher=str(tmp_path / "nowhere")).annotate({"source": "w1"}, ())
    assert nobody.pool is Pool.mean

"""Questions from fine-tuning to prediction files: a model that has learned its rows by heart answers them word for word, through windows, files and exports."""

import json

import pytest
import yaml

from tests.shipped import shipped
from tests.stages.test_shapes import BESIDE
from tests.stages.test_training import encoder, tokenizer  # noqa: F401 (a fixture)
from tests.toy import Toy, stage_config
from xlt.config import paths
from xlt.errors import ConfigError
from xlt.models.build import Pretrained
from xlt.stages import finetune, zero_shot_eval

COLOURS = ("w1", "w2", "w3")


def row(i: int, answered: bool = True) -> dict:
    """Which colour stands in it: among 10 to 39 other words, so that many contexts are longer than the model reads."""
    words = [f"w{5 + (i * 7 + k * 3) % 35}" for k in range(10 + (i * 11) % 30)]
    place = (i * 5) % len(words)
    if answered:
        words[place] = COLOURS[i % 3]
    start = len(" ".join([*words[:place], ""]))
    known = {"text": [words[place]], "answer_start": [start]} if answered else {"text": [], "answer_start": []}
    return {"id": f"q{i}", "question": "a b w4", "context": " ".join(words), "answers": known}


def data(none: bool):
    rows = [row(i, not (none and i % 3 == 2)) for i in range(15)]
    return Toy(
        {
            ("qa", code, split): rows
            for code, splits in (("en", ("train", "dev", "test")), ("sw", ("test",)))
            for split in splits
        }
    )


@pytest.fixture(scope="module", params=[False, True], ids=["answerable", "unanswerable"])
def tuned(request, tmp_path_factory, tokenizer):  # noqa: F811
    """(may have no answer, its folder) after it has learned fifteen questions by heart."""
    folder, changes = tmp_path_factory.mktemp("tuned"), {"overlap": 0.5, "n_best": 3, "unanswerable": request.param}
    cfg = stage_config(folder, "finetune", data(request.param), shipped("span_extraction", **changes), encoder(0.0), tokenizer,
                       steps=150, batch_size=15, learning_rate=1e-2, eval_every=50, log_every=50, save_every=0)  # fmt: skip
    node = yaml.safe_load((paths.conf_dir() / "objective" / "span_extraction.yaml").read_text())
    cfg.resolved["objective"] = node | changes
    finetune.run(cfg)
    return request.param, folder


def evaluated(folder, dataset, **changes):
    cfg = stage_config(
        folder,
        "zero-shot-eval",
        dataset,
        None,
        Pretrained(init_from=str(folder / "run" / "finetune")),
        BESIDE,
        **changes,
    )
    cfg.export = "squad"
    zero_shot_eval.run(cfg)
    return folder / cfg.run.name / "zero-shot-eval"


def test_what_was_learned_by_heart_is_answered_word_for_word(tuned):
    none, folder = tuned
    place = evaluated(folder, data(none))
    metrics = json.loads((place / "metrics.json").read_text())["results"]["toy"]
    assert set(metrics) == set(shipped("span_extraction", unanswerable=none).higher_is_better)
    assert all(by == {"en": 1.0, "sw": 1.0} for by in metrics.values()), metrics
    lines = [json.loads(line) for line in (place / "predictions" / "toy.sw.jsonl").read_text().splitlines()]
    rows = list(data(none).rows("qa", "sw", "test"))
    assert [line["id"] for line in lines] == [row["id"] for row in rows]
    for line, row in zip(lines, rows, strict=True):
        assert line["answers"] == row["answers"]["text"] and line["prediction"] == "".join(line["answers"])
        assert line["start"] == (row["answers"]["answer_start"] or [None])[0]
    exported = json.loads((place / "exports" / "squad" / "toy.sw.json").read_text())
    assert exported == {line["id"]: line["prediction"] for line in lines}
    beside = place / "exports" / "squad" / "toy.sw.na_prob.json"
    assert beside.exists() == none
    assert not none or {key for key, p in json.loads(beside.read_text()).items() if p > 0.5} == {row["id"] for row in rows if not row["answers"]["text"]}  # fmt: skip


def test_the_threshold_is_saved_with_the_model(tuned):
    none, folder = tuned
    saved = json.loads((folder / "run" / "finetune" / "model" / "xlt.json").read_text())["objective"]
    assert (saved["null_threshold"] is not None) == none and saved["unanswerable"] == none


def test_what_has_no_room_for_a_context_is_refused(tmp_path, tokenizer):  # noqa: F811
    cfg = stage_config(
        tmp_path, "finetune", data(False), shipped("span_extraction"), encoder(), tokenizer, max_length=7
    )
    with pytest.raises(
        ConfigError,
        match="train.max_length: 7 has room for no token of a context beside 3 of its question and the 4 special ones",
    ):
        finetune.run(cfg)

"""What an earlier release left is gone on with and scored as it was then."""

import json
import shutil

import pytest

from tests.releases import HERE, NAMES, SCORE, TUNE, xlt


@pytest.fixture(params=NAMES)
def left(request, tmp_path):
    shutil.copytree(HERE / request.param, tmp_path / "left")
    return tmp_path / "left"


def test_there_is_a_release_to_go_on_from():
    assert NAMES


def losses(place) -> list[float]:
    lines = map(json.loads, (place / "metrics.jsonl").read_text().splitlines())
    return [line["loss"] for line in lines if "learning_rate" in line]


def test_a_run_that_was_cut_is_gone_on_with(left):
    place = left / "runs" / "cut" / "finetune"
    before = losses(place)
    assert not (place / "metrics.json").exists()
    code, said = xlt(left, *TUNE, "run.name=cut")
    assert code == 0, said
    after = losses(place)
    assert len(before) == 4 and after[:4] == before
    assert after == pytest.approx(losses(left / "runs" / "done" / "finetune"), rel=1e-3), (
        "other machines add up in another order"
    )
    assert (place / "metrics.json").exists()


def test_a_finished_run_is_finished_and_is_scored_as_it_was_then(left):
    code, said = xlt(left, *TUNE, "run.name=done")
    assert code == 0 and "is finished" in said, said
    code, said = xlt(left, *SCORE, "run.name=anew", "model.init_from=runs/done/finetune")
    assert code == 0, said
    then, now = (json.loads((left / "runs" / run / "zero-shot-eval" / "metrics.json").read_text())["results"] for run in ("done", "anew"))  # fmt: skip
    assert now == then

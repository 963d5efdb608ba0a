"""The composed config of each stage, key by key: a new knob or another default is a visible diff. `make snapshots` writes them anew."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from xlt.cli import STAGES
from xlt.config import paths

DATASET = [] if "demo" in paths.choices("dataset", []) else ["dataset=text_files"]  # the default, once it is there
FOLDER = Path(__file__).resolve().parents[1] / "snapshots"


@pytest.mark.parametrize("stage", STAGES)
def test_the_composed_config_is_the_one_that_was_reviewed(stage, shell):
    printed = shell(stage, *DATASET, "--cfg", "job").out
    assert printed.startswith(f"stage: {stage}\n")
    path = FOLDER / f"{stage}.yaml"
    if os.environ.get("XLT_WRITE_SNAPSHOTS") == "1":
        path.write_text(printed, encoding="utf-8")
    assert printed == path.read_text(encoding="utf-8"), "if this is wanted: make snapshots"


def test_there_is_one_for_each_stage():
    assert {p.stem for p in FOLDER.glob("*.yaml")} == set(STAGES)

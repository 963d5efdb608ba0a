"""Three trials of each promise about dirty data; `tests/reliability/data_faults.py` tells them, the harness makes many."""

from __future__ import annotations

import pytest

from tests.reliability.data_faults import TRIALS
from xlt import signals


@pytest.mark.parametrize("name", TRIALS)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_promise(name, seed, tmp_path, monkeypatch):
    if name == "D21" and seed > 1:
        pytest.skip("trains a model; the harness makes more of them")
    monkeypatch.setattr(signals, "install", lambda: None)
    assert TRIALS[name](seed, tmp_path / "corpus")

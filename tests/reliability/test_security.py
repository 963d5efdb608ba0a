"""One trial of each promise about hostile input (see `tests/reliability/security_faults.py`), and what must go on to work beside them."""

from __future__ import annotations

import pytest

from tests.reliability.security_faults import TRIALS
from xlt import safety, signals
from xlt.config import build


@pytest.mark.parametrize("name", TRIALS)
def test_promise(name, tmp_path, monkeypatch):
    monkeypatch.setattr(signals, "install", lambda: None)
    monkeypatch.setattr(build, "_trusted", {"xlt"})
    monkeypatch.delenv("XLT_CONF", raising=False)
    monkeypatch.chdir(tmp_path)
    assert TRIALS[name](1, tmp_path / "place")


def test_what_is_no_secret_stays():
    plain = {
        "tokenizer": "unigram", "batch_tokens": 4096, "eval_tokens": 256, "mask_token": "<mask>", "key": "id", "sha256": "a" * 64, "name": "sk-learn",
        "command": ["xlt", "finetune", "dataset=demo", "tokenizer.path=runs/a", "train.batch_tokens=4096"],
    }  # fmt: skip
    assert safety.redact(plain) == plain


def test_a_plugin_opens_one_module_and_no_other(tmp_path, shell):
    body = "from dataclasses import dataclass\n\n@dataclass(frozen=True, kw_only=True)\nclass Mine:\n    x: int = 1\n"
    for name in ("mine_ok", "mine_other"):
        (tmp_path / f"{name}.py").write_text(body)
    shell("check", "finetune", "--plugin", "mine_ok", "dataset._target_=mine_ok.Mine")
    assert build.build_node({"_target_": "mine_ok.Mine"}, "objective").x == 1
    answer = shell("check", "finetune", "--plugin", "mine_ok", "dataset._target_=mine_other.Mine")
    assert answer.code == 2 and any("mine_other.Mine is outside xlt" in line for line in answer.err)

"""Shares of the pretraining data come from the runs a model descends from, as far as these are still there."""

import json

import pytest

from xlt.evaluation.shares import bins, pretraining_shares


def write(folder, stage, parent, sampling=()):
    """Each language's (tokens, share)."""
    folder.mkdir(parents=True)
    lines = [{"language": code, "tokens_drawn": tokens, "share": share} for code, tokens, share in sampling]
    lineage = {"parent": None if parent is None else {"init_from": str(parent), "files": "x"}}
    (folder / "metrics.json").write_text(json.dumps({"stage": stage, "lineage": lineage, "sampling": lines}))
    return folder


def test_the_chain_is_followed_to_every_pretraining(tmp_path):
    first = write(tmp_path / "first", "pretrain", None, [("en", 600.0, 0.5), ("zh_Hant", 100.0, 0.5)])
    more = write(tmp_path / "more", "pretrain", first, [("de", 100.0, 0.5), ("en-sw", 200.0, 0.5)])
    aligned = write(tmp_path / "aligned", "align", more / "model", [("en-fr", 1000.0, 1.0)])
    tuned = write(tmp_path / "tuned", "finetune", aligned, [("en", 1000.0, 1.0)])
    assert pretraining_shares(str(tuned)) == {"en": 0.7, "zh": 0.1, "de": 0.1, "sw": 0.1}


def test_rows_count_where_tokens_were_not_counted(tmp_path):
    run = write(tmp_path / "a", "pretrain", None, [("en", 600.0, 0.75), ("de", None, 0.25)])
    assert pretraining_shares(str(run)) == {"en": 0.75, "de": 0.25}


def test_there_is_none_without_a_pretraining(tmp_path):
    assert pretraining_shares("xlm-roberta-base") is None
    assert pretraining_shares(str(write(tmp_path / "a", "finetune", "gone/away", [("en", 1.0, 1.0)]))) is None
    loop = write(tmp_path / "b", "finetune", tmp_path / "b", [("en", 1.0, 1.0)])
    assert pretraining_shares(str(loop)) is None


def test_bins():
    shares = {"en": 0.9, "de": 0.1, "fr": 0.0999, "sw": 0.01, "yo": 0.0001}
    found = bins(shares, ["eng_Latn", "de", "fr", "sw", "yo", "ja", "en-sw"], [0.01, 0.1])
    few, some, many = "below 1%", "1% to 10%", "10% and more"
    assert found == {"eng_Latn": many, "de": many, "fr": some, "sw": some, "yo": few, "ja": "none", "en-sw": some}
    assert bins(shares, ["de", "ja"], []) == {"de": "pretrained", "ja": "none"}


@pytest.mark.parametrize("code", ["als", "xx_unknown"])
def test_a_code_nobody_knows_has_no_share(code):
    assert bins({"en": 1.0}, [code], [0.5]) == {code: "none"}

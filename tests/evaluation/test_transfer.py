"""The transfer summary on figures worked out by hand."""

import pytest

from xlt.evaluation.transfer import transfer

SCORES = {"en": 0.9, "de": 0.8, "ru": 0.6, "sw": 0.4}


def test_means_gap_and_worst():
    summary = transfer(SCORES, ["en"], higher_is_better=True)
    assert summary["source_mean"] == 0.9
    assert summary["target_mean"] == pytest.approx(0.6)
    assert summary["gap"] == pytest.approx(0.3)
    assert summary["relative"] == pytest.approx(2 / 3)
    assert summary["worst"] == ["sw", 0.4]
    assert summary["by_script"] == {"Cyrl": 0.6, "Latn": pytest.approx(0.6)}


def test_less_is_better_turns_gap_and_worst_round():
    summary = transfer({"en": 2.0, "de": 3.0, "ru": 2.5}, ["en"], higher_is_better=False)
    assert summary["gap"] == pytest.approx(0.75) and summary["worst"] == ["de", 3.0]


def test_no_target_is_no_summary():
    assert transfer({"en": 0.9}, ["en"], True) is None
    assert transfer({"de": 0.9}, ["en"], True) is None

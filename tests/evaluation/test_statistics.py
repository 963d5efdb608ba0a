"""What rows add to scores comes back from disk as it was, in the same bytes each time; and what cannot be read is named."""

import numpy as np
import pytest

from xlt import metrics
from xlt.errors import DataError
from xlt.evaluation.statistics import Statistics

ROWS = [{"id": 7}, {"id": "ü\tb"}, {}]


def statistics():
    counts = np.array([[1, 2, 3], [0, 300, 1], [0, 0, 0]])
    figures = {"em": np.array([True, False, True]), "loss": np.array([0.1, 2.5, 1 / 3], np.float32)}
    return Statistics.of("de", ROWS, {**figures, "f1": metrics.Sums(counts, "f1"), "recall": metrics.Sums(counts, "recall")})  # fmt: skip


def test_it_comes_back(tmp_path):
    saved = statistics()
    saved.save(tmp_path / "s" / "toy.de.npz")
    found = Statistics.load(tmp_path / "s" / "toy.de.npz")
    assert found.ids == ["7", "ü\tb", "de 2"] and found.sums.keys() == saved.sums.keys()
    for metric, sums in saved.sums.items():
        assert np.array_equal(found.sums[metric].each, sums.each) and found.sums[metric].score == sums.score
    assert found.sums["f1"].each.dtype.itemsize <= 2, "whole numbers are small on disk"


def test_equal_statistics_are_equal_bytes(tmp_path):
    for name in "ab":
        statistics().save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_what_cannot_be_read_is_named(tmp_path):
    with pytest.raises(
        DataError, match=r"toy.sw.npz: is missing, so its run cannot be compared; run its xlt zero-shot-eval anew"
    ):
        Statistics.load(tmp_path / "toy.sw.npz")
    (tmp_path / "toy.de.npz").write_bytes(b"PK no zip")
    with pytest.raises(DataError, match=r"toy.de.npz: is damaged \(.*\); run its xlt zero-shot-eval anew"):
        Statistics.load(tmp_path / "toy.de.npz")


def test_figures_are_of_these_rows():
    with pytest.raises(ValueError, match="em: 2 figures for 3 rows"):
        Statistics.of("de", ROWS, {"em": np.ones(2)})

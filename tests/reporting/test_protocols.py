"""What stands beside transfer for one data set: other protocols, few-shot curves and matrices, and which runs they tell of."""

import csv

import pytest

from tests.reporting.runs import few_shot, matrix, scored
from xlt.reporting.protocols import beside_transfer, comparisons, told_apart
from xlt.reporting.tables import find
from xlt.stages.report import main

AT = ("sib200", "accuracy")
ROWS = {"en": {"en": 0.8, "de": 0.4, "sw": 0.2}, "de": {"en": 0.5, "de": 0.9, "sw": 0.3}}


@pytest.fixture
def runs(tmp_path):
    """A chain with a run of its own, a matrix, and few-shot runs that go on from it in two buckets."""
    scored(tmp_path / "zero-shot-eval", "first", "sib200", {"en": 0.8, "de": 0.4, "sw": 0.2})
    matrix(tmp_path / "matrix", "first", "sib200", ROWS)
    for k, bucket, de in ((1, 1, 0.4), (1, 2, 0.6), (5, 1, 0.7), (5, 2, 0.7)):
        run = f"first/few_shot.k={k},few_shot.bucket={bucket}"
        protocol = few_shot(k, bucket, ["de", "sw"])
        scored(tmp_path / f"few-{k}-{bucket}", run, "sib200", {"en": 0.7, "de": de, "sw": 0.2}, protocol=protocol)
    return tmp_path


def test_cells_and_shots_are_no_columns_where_a_matrix_and_a_curve_tell_of_them(runs, capsys):
    assert [run["run"] for run in told_apart(find([runs]), *AT)] == ["first"]
    assert main([str(runs)]) == 0
    assert capsys.readouterr().out == (
        "sib200, accuracy in percent\n"
        "               first\n"
        "  seeds            1\n"
        "  source mean   80.0\n"
        "  target mean   30.0\n"
        "  gap           50.0\n"
        "  de            40.0\n"
        "  en            80.0\n"
        "  sw            20.0\n"
        "\n"
        "sib200, accuracy: few-shot, first, after the source languages; up to 2 runs a cell, over buckets and seeds\n"
        "  language      k=0         k=1        k=5\n"
        "  de           40.0  50.0 ±14.1  70.0 ±0.0\n"
        "  sw           20.0   20.0 ±0.0  20.0 ±0.0\n"
        "  en (source)  80.0   70.0 ±0.0  70.0 ±0.0\n"
        "  target mean  30.0   35.0 ±7.1  45.0 ±0.0\n"
        "\n"
        "sib200, accuracy, matrix of first: sources down, targets across\n"
        "  from \\ to    en    de    sw  others\n"
        "  en         80.0  40.0  20.0    30.0\n"
        "  de         50.0  90.0  30.0    40.0\n"
        "  others     50.0  40.0  25.0    35.0\n"
    )


def test_a_cell_is_a_run_where_its_matrix_is_not_among_those_given(runs):
    cell = runs / "matrix" / "de"
    assert [run["run"] for run in told_apart(find([cell]), *AT)] == ["first/matrix/de"]
    both = find([runs / "matrix"])
    assert told_apart([run for run in both if "matrix" not in run], *AT) == [run for run in both if "matrix" not in run]


def test_a_matrix_of_another_metric_hides_no_cell(runs):
    scored(runs / "f1" / "en" / "zero-shot-eval", "f1/matrix/en", "sib200", {"en": 0.8, "de": 0.4})
    matrix(runs / "f1" / "other", "f1", "sib200", {"en": {"en": 1.0, "de": 0.5}}, metric="f1")
    (runs / "f1" / "other" / "metrics.json").rename(runs / "f1" / "metrics.json")
    assert "f1/matrix/en" in [run["run"] for run in told_apart(find([runs]), *AT)]


def test_a_matrix_alone_is_shown_alone(runs, capsys):
    assert main([str(runs / "matrix"), "--out", str(runs / "table")]) == 0
    assert capsys.readouterr().out.startswith("sib200, accuracy, matrix of first: sources down, targets across\n")
    assert (runs / "table.md").read_text().startswith("sib200, accuracy, matrix of first")
    lines = list(csv.DictReader((runs / "table.csv").open()))
    assert {line["run"] for line in lines} == {"first/matrix/en", "first/matrix/de"}, "figures leave nothing out"


def test_joint_beside_transfer_also_where_there_is_a_matrix(runs):
    """Its cells are transfer runs, too, but no base for a comparison."""
    scored(runs / "joint", "joint", "sib200", {"en": 0.9, "de": 0.6, "yo": 0.5}, ["en", "de", "yo"], protocol="joint")
    table = comparisons(find([runs]), *AT)[0]
    assert table.head == ["language", "transfer from en", "joint", "difference"]
    assert table.lines == [["de", "40.0", "60.0", "+20.0"], ["sw", "20.0", "", ""], ["mean", "30.0", "60.0", "+20.0"]]


def test_without_both_there_is_nothing_to_compare(runs):
    found = find([runs / "zero-shot-eval"])
    assert beside_transfer(found, *AT) is None
    assert comparisons(found, *AT) == []


def test_shots_of_languages_that_differ_have_a_mean_over_those_that_all_have(tmp_path):
    for k, languages in ((1, ["de", "sw"]), (5, ["de"])):
        scored(tmp_path / str(k), f"r/few_shot.k={k}", "sib200", {"en": 0.8, "de": k / 10, "sw": 0.2}, protocol=few_shot(k, 1, languages))  # fmt: skip
    (table,) = comparisons(find([tmp_path]), *AT)
    assert table.lines == [["de", "10.0", "50.0"], ["sw", "20.0", ""], ["en (source)", "80.0", "80.0"], ["target mean", "10.0", "50.0"]]  # fmt: skip

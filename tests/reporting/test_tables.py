"""The comparison table: seeds are averaged, missing languages stay empty, the same runs give the same bytes."""

import csv
import io
import json

import pytest

from xlt.errors import DataError
from xlt.reporting.tables import collect, csv_table, find, runs_below_each_other, runs_beside_each_other
from xlt.stages.report import main


def write(folder, name, seed, scores, gap=None):
    folder.mkdir(parents=True)
    summary = {"source_mean": scores["en"], "target_mean": scores["de"], "gap": scores["en"] - scores["de"]}
    metrics = {
        "run": name,
        "seed": seed,
        "results": {"sib200": {"accuracy": scores}},
        "transfer": {"sib200": {"accuracy": summary}},
    }
    (folder / "metrics.json").write_text(json.dumps(metrics))


@pytest.fixture
def runs(tmp_path):
    write(tmp_path / "a" / "1", "world/seed=1", 1, {"en": 0.9, "de": 0.5})
    write(tmp_path / "a" / "2", "world/seed=2", 2, {"en": 0.8, "de": 0.7})
    write(tmp_path / "b", "random", 1, {"en": 0.4, "de": 0.2, "sw": 0.1})
    return tmp_path


def test_seeds_are_averaged(runs):
    dataset, metric, lines = collect(find([runs]), None, None)
    assert runs_below_each_other(dataset, metric, lines).markdown() == (
        "sib200, accuracy in percent\n\n"
        "| run | seeds | source mean | target mean | gap | de | en | sw |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
        "| world | 2 | 85.0 ±7.1 | 60.0 ±14.1 | 25.0 ±21.2 | 60.0 ±14.1 | 85.0 ±7.1 |  |\n"
        "| random | 1 | 40.0 | 20.0 | 20.0 | 20.0 | 40.0 | 10.0 |\n"
    )


def test_csv_is_unrounded(runs):
    _, metric, lines = collect(find([runs]), None, None)
    table = list(csv.DictReader(io.StringIO(csv_table(metric, lines))))
    line = next(r for r in table if r["run"] == "world" and r["column"] == "de")
    assert float(line["mean"]) == 0.6 and float(line["std"]) == pytest.approx(0.1414213562)


def test_the_command_writes_both(runs, capsys):
    assert main([str(runs), "--out", str(runs / "table")]) == 0
    printed = capsys.readouterr().out
    assert (runs / "table.md").read_text() == runs_below_each_other(*collect(find([runs]), None, None)).markdown()
    assert (runs / "table.csv").exists() and f"written: {runs / 'table.md'}" in printed
    assert printed.startswith(
        "sib200, accuracy in percent\n"
        "                    world  random\n"
        "  seeds                 2       1\n"
        "  source mean   85.0 ±7.1    40.0\n"
    )


def test_a_screen_holds_as_many_runs_beside_each_other_as_fit(tmp_path):
    for i in range(9):
        write(tmp_path / str(i), f"a run with a long name {i}", 1, {"en": 0.9, "de": i / 10})
    lines = collect(find([tmp_path]), None, None)[2]
    tables = runs_beside_each_other("sib200", "accuracy", lines).fitting(100)
    assert [name for head, _ in tables for name in head[1:]] == [line.name for line in lines]
    assert len(tables) == 3 and max(len("".join(head)) + 3 * len(head) + 1 for head, _ in tables) <= 100
    assert [row[1] for row in tables[0][1]] == ["1", "90.0", "0.0", "90.0", "0.0", "90.0"]


def test_the_metric_is_the_one_the_run_is_about(tmp_path):
    results = {"ner": {"accuracy": {"en": 0.9}, "f1": {"en": 0.5}}}
    for name, more in (("old", {}), ("new", {"metric": "f1"})):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.json").write_text(json.dumps({"run": name, "seed": 1, "results": results} | more))
    assert collect(find([tmp_path / "old"]), None, None)[1] == "accuracy"
    assert collect(find([tmp_path / "new"]), None, None)[1] == "f1"


def test_errors_name_the_path(tmp_path, runs):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: no metrics.json in it"):
        find([tmp_path / "empty"])
    with pytest.raises(DataError, match="no run was scored on xnli; the runs given have sib200"):
        collect(find([runs / "b"]), "xnli", None)
    with pytest.raises(DataError, match="has no f1 on sib200; it has accuracy"):
        collect(find([runs / "b"]), None, "f1")


@pytest.mark.parametrize("name", ["loss", "mlm/loss"])
def test_a_loss_is_no_percentage(tmp_path, name):
    for seed, loss in ((1, 2.5), (2, 3.5)):
        (tmp_path / str(seed)).mkdir()
        metrics = {"run": f"lm/seed={seed}", "seed": seed, "results": {"mono": {name: {"en": loss}}}}
        (tmp_path / str(seed) / "metrics.json").write_text(json.dumps(metrics))
    table = runs_below_each_other(*collect(find([tmp_path]), None, None)).markdown()
    assert table.startswith(f"mono, {name}\n") and "| lm | 2 | 3.000 ±0.707 |" in table

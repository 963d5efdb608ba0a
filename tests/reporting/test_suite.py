"""The table over tasks, against figures worked out by hand; what it may average, what it calls its columns, and what its files hold."""

import csv
import json
import random

import pytest

from tests.reporting.runs import few_shot, matrix, scored
from xlt.evaluation.transfer import transfer
from xlt.reporting.scores import WIDTH
from xlt.reporting.suite import suite_tables
from xlt.reporting.tables import find
from xlt.reporting.tasks import Figures, tasks
from xlt.stages.report import main


@pytest.fixture
def suite(tmp_path):
    """Two tasks in two protocols, topics in two seeds; retrieval, which has no source; entities by transfer alone."""
    place = tmp_path / "suite"
    for seed, de, sw in ((1, 0.5, 0.3), (2, 0.7, 0.3)):
        scored(
            place / f"topics/seed-{seed}", f"topics/seed-{seed}", "sib200", {"en": 0.8, "de": de, "sw": sw}, seed=seed
        )
        scored(place / f"topics_joint/seed-{seed}", f"topics_joint/seed-{seed}", "sib200", {"en": 0.9, "de": 0.8, "sw": 0.7}, ["en", "de", "sw"], protocol="joint", seed=seed)  # fmt: skip
    scored(place / "nli", "nli", "nli", {"en": 0.6, "fa": 0.4, "ko": 0.5}, target_interval=[0.42, 0.485])
    scored(place / "nli_joint", "nli_joint", "nli", {"en": 0.6, "fa": 0.5}, ["en", "fa"], protocol="joint")
    scored(place / "ner", "ner", "uner", {"en": 0.5, "zh": 0.1}, metric="f1")
    scored(place / "tatoeba", "tatoeba", "tatoeba", {"en-de": 0.9, "en-sw": 0.2}, [], protocol=None)
    return place


def printed(capsys, *argv):
    assert main([str(a) for a in argv]) == 0
    return capsys.readouterr().out


def test_the_tables_are_those_worked_out_by_hand(suite, capsys):
    out = printed(capsys, suite)
    assert out == (
        "transfer: 4 tasks, means over target languages in percent\n"
        "  task               langs  source     target  95% interval   gap  relative       worst\n"
        "  nli, accuracy          2    60.0       45.0  42.0 to 48.5  15.0      75.0     40.0 fa\n"
        "  sib200, accuracy       2    80.0  45.0 ±7.1                35.0      56.2     30.0 sw\n"
        "  tatoeba, accuracy      2               55.0                                20.0 en-sw\n"
        "  uner, f1               1    50.0       10.0                40.0      20.0     10.0 zh\n"
        "  mean of 3 tasks             63.3       33.3                30.0      50.4            \n"
        "not in the mean: tatoeba, accuracy (no source language)\n"
        "\n"
        "protocols beside each other: 2 tasks, means over the same target languages in percent\n"
        "  task              langs   transfer      joint  difference\n"
        "  nli, accuracy         1       40.0       50.0       +10.0\n"
        "  sib200, accuracy      2  45.0 ±7.1  75.0 ±0.0       +30.0\n"
        "  mean of 2 tasks               42.5       62.5       +20.0\n"
        "difference: from transfer\n"
        "\n"
        "language by language, with curves and matrices: --dataset nli | sib200 | tatoeba | uner\n"
    )


def test_figures_are_those_of_the_evaluation(tmp_path):
    """Means, gap, relative and worst of random scores, higher better or lower, against what `xlt zero-shot-eval` writes itself."""
    draw = random.Random(3)
    for i, metric in enumerate(("accuracy", "loss")):
        scores = {code: draw.uniform(0.1, 0.9) for code in ("en", "fr", "de", "sw", "ja")}
        scored(tmp_path / metric, f"run{i}", "data", scores, ["en", "fr"], metric)
        (task,) = tasks(find([tmp_path / metric]))
        found, wanted = Figures.of(task, "transfer"), transfer(scores, ["en", "fr"], metric == "accuracy")
        for key in ("source_mean", "target_mean", "gap", "relative"):
            assert getattr(found, key) == [pytest.approx(wanted[key])]
        assert list(found.worst) == wanted["worst"] and found.languages == ["de", "ja", "sw"]


def test_what_is_no_share_is_in_no_mean(tmp_path):
    for name, metric in (("a", "f1"), ("b", "accuracy"), ("c", "loss")):
        scored(tmp_path / name, name, name, {"en": 0.5, "de": 0.25 if metric == "f1" else 0.35}, metric=metric)
    (table,) = suite_tables(tasks(find([tmp_path])))
    assert table.title == "transfer: 3 tasks, means over target languages (shares in percent)"
    assert table.lines[2][:6] == ["c, loss", "1", "0.500", "0.350", "-0.150", "70.0"], "a lower loss is no gap"
    assert table.lines[3][:4] == ["mean of 2 tasks", "", "50.0", "30.0"]
    assert table.note == "not in the mean: c, loss (lower is better, or no share)"


def test_seeds_are_averaged_task_by_task_before_their_deviation(tmp_path):
    """Seed 1 has 40 and 20, seed 2 has 20 and 60: means of 30 and 40, whose deviation is 7.1; that of the tasks' own means would be 14 and 28."""
    for seed, both in ((1, (0.4, 0.2)), (2, (0.2, 0.6))):
        for name, score in zip(("a", "b"), both, strict=True):
            scored(tmp_path / name / str(seed), f"{name}/seed={seed}", name, {"en": 0.8, "de": score}, seed=seed)
    (table,) = suite_tables(tasks(find([tmp_path])))
    assert [line[3] for line in table.lines] == ["30.0 ±14.1", "40.0 ±28.3", "35.0 ±7.1"]
    assert table.head == ["task", "langs", "source", "target", "gap", "relative", "worst"], "no interval is known"


def test_several_systems_have_a_table_each_and_stand_beside_each_other(tmp_path):
    """Columns are called by what the names say beside the task, whatever separates it: pretrained/a, random/a; pretrained/b_topics, random/b_topics."""
    for system, score in (("pretrained", 0.6), ("random", 0.4)):
        for name, dataset in (("a", "a"), ("b_topics", "b")):
            scored(tmp_path / system / name, f"exp/{system}/{name}", dataset, {"en": 0.8, "de": score})
            scored(tmp_path / system / f"{name}-joint", f"exp/{system}/{name}-joint", dataset, {"en": 0.8, "de": 0.7}, ["de", "en"], protocol="joint")  # fmt: skip
    first, second, beside = suite_tables(tasks(find([tmp_path])))
    assert first.title.startswith("transfer pretrained: 2 tasks") and second.title.startswith(
        "transfer random: 2 tasks"
    )
    assert beside.head == ["task", "langs", "transfer pretrained", "transfer random", "difference", "joint pretrained", "difference", "joint random", "difference"]  # fmt: skip
    assert beside.lines[-1] == ["mean of 2 tasks", "", "60.0", "40.0", "-20.0", "70.0", "+10.0", "70.0", "+10.0"]
    assert beside.note == "difference: from transfer pretrained"


def test_names_that_would_not_be_told_apart_stay_whole(tmp_path):
    for i, (run, score) in enumerate((("transfer/a", 0.5), ("a/transfer", 0.6), ("new/a", 0.7))):
        scored(tmp_path / str(i), run, "a", {"en": 0.8, "de": score})
    scored(tmp_path / "b", "b", "b", {"en": 0.8, "de": 0.6})
    columns = {name: column.scores[0]["de"] for name, column in tasks(find([tmp_path]))[0].columns.items()}
    assert columns == {"transfer transfer/a": 0.5, "transfer a/transfer": 0.6, "transfer new/a": 0.7}


def test_a_run_scored_by_several_rules_has_a_column_for_each_that_is_not_the_ordinary_one(tmp_path, capsys):
    for name in ("a", "b"):
        run = scored(tmp_path / name, name, name, {"en": 0.8, "de": 0.5})
        oracle = {**run["results"][name]["accuracy"], "de": 0.6}
        rules = {"source-dev": {"results": run["results"]}, "oracle": {"results": {name: {"accuracy": oracle}}}}
        (tmp_path / name / "metrics.json").write_text(json.dumps({**run, "selections": rules}))
    out = printed(capsys, tmp_path)
    assert out.count("transfer [oracle]") == 2 and "mean of 2 tasks" in out and "+10.0" in out
    assert "[oracle]: checkpoint chosen on TARGET dev data" in out


def test_few_shot_runs_are_one_column_over_their_buckets_and_cells_of_a_matrix_none(tmp_path):
    for name in ("a", "b"):
        scored(tmp_path / name / "zero", name, name, {"en": 0.8, "de": 0.4})
        for bucket, score in ((1, 0.5), (2, 0.7)):
            run = f"{name}/few_shot.k=5,few_shot.bucket={bucket}"
            scored(tmp_path / name / str(bucket), run, name, {"en": 0.8, "de": score}, protocol=few_shot(5, bucket))
        matrix(tmp_path / name / "matrix", name, name, {"en": {"en": 0.8, "de": 0.4}, "de": {"en": 0.2, "de": 0.9}})
    beside = suite_tables(tasks(find([tmp_path])))[1]
    assert beside.head == ["task", "langs", "transfer", "few-shot k=5", "difference"]
    assert beside.lines[0] == ["a, accuracy", "1", "40.0", "60.0 ±14.1", "+20.0"]


def test_a_protocol_of_one_task_alone_is_compared_nowhere(tmp_path):
    """Else the mean would be over that task."""
    for name in ("a", "b"):
        scored(tmp_path / name, name, name, {"en": 0.8, "de": 0.4})
        scored(
            tmp_path / f"{name}_joint", f"{name}_joint", name, {"en": 0.8, "de": 0.6}, ["en", "de"], protocol="joint"
        )
    scored(tmp_path / "few", "a/few", "a", {"en": 0.8, "de": 0.5}, protocol=few_shot(1, 1))
    assert suite_tables(tasks(find([tmp_path])))[1].head == ["task", "langs", "transfer", "joint", "difference"]


def test_two_objectives_on_one_data_set_are_two_tasks(tmp_path, capsys):
    scored(tmp_path / "names", "names", "demo", {"en": 0.8, "de": 0.4}, metric="f1", objective="TokenClassification")
    scored(tmp_path / "answers", "answers", "demo", {"en": 0.6, "de": 0.2}, metric="f1", objective="SpanExtraction")
    scored(tmp_path / "topics", "topics", "demo", {"en": 0.6, "de": 0.2}, objective="SequenceClassification")
    out = printed(capsys, tmp_path, "--dataset", "demo")
    assert [line.split("  ")[1] for line in out.split("\n")[2:6]] == [
        "demo, accuracy", "demo, f1 (SpanExtraction)", "demo, f1 (TokenClassification)", "mean of 3 tasks",
    ]  # fmt: skip
    alone = printed(capsys, tmp_path, "--dataset", "demo", "--metric", "accuracy")
    assert alone.startswith("demo, accuracy in percent\n") and "topics" in alone and "names" not in alone


def test_it_fits_a_screen(tmp_path, capsys):
    """Long names, seeds, intervals and four protocols: no line is wider than 100 characters, as plain text or drawn."""
    for name in ("recommendation_of_documents", "ntrex_documents"):
        scores = {"eng_Latn": 0.8, "deu_Latn": 0.4, "swh_Latn": 0.3}
        for protocol in ("transfer", "joint", "translate-train", "translate-test"):
            for seed in (1, 2):
                scored(tmp_path / name / protocol / str(seed), f"{name}/{protocol}/seed-{seed}", name, {**scores, "deu_Latn": seed / 7}, ["eng_Latn"], "recall_at_10", protocol, seed)  # fmt: skip
    assert max(map(len, printed(capsys, tmp_path).split("\n"))) <= WIDTH
    for table in suite_tables(tasks(find([tmp_path]))):
        for head, lines in table.fitting(WIDTH):
            assert sum(max(map(len, column)) + 3 for column in zip(head, *lines, strict=True)) + 1 <= WIDTH
            assert head[0] == "task" and len(head) > 1


def test_one_data_set_of_many_is_told_language_by_language(suite, capsys):
    out = printed(capsys, suite, "--dataset", "sib200")
    assert out.startswith("sib200, accuracy in percent\n") and "\n  sw " in out and "langs" not in out
    assert "sib200, accuracy: languages without labels in transfer\n" in out


def test_files_hold_all_of_it(suite, tmp_path, capsys):
    out = printed(capsys, suite, "--out", tmp_path / "table")
    assert out.endswith(f"written: {' '.join(str(tmp_path / f'table.{kind}') for kind in ('md', 'csv', 'json'))}\n")
    page = (tmp_path / "table.md").read_text()
    assert page.startswith("transfer: 4 tasks, means over target languages in percent\n\n| task | langs | source |")
    assert "| run | seeds | source mean | target mean | gap | de | en | sw |" in page
    told = json.loads((tmp_path / "table.json").read_text())
    topics = next(task for task in told["tasks"] if task["dataset"] == "sib200")
    column = topics["columns"]["transfer"]
    assert column["target_mean"] == {"mean": pytest.approx(0.45), "std": pytest.approx(0.005**0.5)}
    assert column["worst"] == ["sw", 0.3] and column["seeds"] == [1, 2] and column["languages"] == ["de", "sw"]
    assert topics["compared"]["target_mean"]["joint"]["mean"] == pytest.approx(0.75)
    lines = list(csv.DictReader((tmp_path / "table.csv").open()))
    assert [(line["dataset"], line["protocol"]) for line in lines] == [
        ("nli", "transfer"), ("nli", "joint"), ("sib200", "transfer"), ("sib200", "joint"), ("tatoeba", "transfer"), ("uner", "transfer"),
    ]  # fmt: skip
    first = lines[0]
    assert (float(first["low"]), float(first["high"]), first["worst_language"]) == (0.42, 0.485, "fa")
    assert first["compared_languages"] == "1" and float(first["compared_mean"]) == 0.4, "joint was scored on fa alone"
    assert float(first["target_mean"]) == pytest.approx(0.45) and first["target_mean_std"] == ""


def test_the_same_runs_give_the_same_bytes(suite, tmp_path, capsys):
    for name in ("one", "two"):
        printed(capsys, suite, "--out", tmp_path / name)
    for kind in ("md", "csv", "json"):
        assert (tmp_path / f"one.{kind}").read_bytes() == (tmp_path / f"two.{kind}").read_bytes()


def test_the_interval_is_that_of_the_run_if_it_is_one_run_with_the_same_sources(tmp_path):
    scored(tmp_path / "1", "a", "a", {"en": 0.8, "fr": 0.7, "de": 0.4}, ["en"], target_interval=[0.5, 0.6])
    (task,) = tasks(find([tmp_path]))
    assert Figures.of(task, "transfer").interval == [0.5, 0.6]
    scored(tmp_path / "2", "b", "a", {"en": 0.8, "fr": 0.7, "de": 0.4}, ["en", "fr"], target_interval=[0.3, 0.5])
    (task,) = tasks(find([tmp_path]))
    found = {name: Figures.of(task, name) for name in task.columns}
    assert [f.languages for f in found.values()] == [["de"]] * 2, "fr has labels in one of them"
    assert [f.interval for f in found.values()] == [None, [0.3, 0.5]], "the first one's is over fr, too"

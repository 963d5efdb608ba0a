"""`xlt report A B --compare` from run directories: what it prints and writes, and what cannot be compared is said."""

import csv
import json

import numpy as np
import pytest

from xlt.errors import ConfigError, DataError
from xlt.evaluation.bootstrap import intervals, resample
from xlt.evaluation.statistics import Statistics
from xlt.evaluation.transfer import transfer
from xlt.reporting.tables import find
from xlt.reporting.tasks import Figures, tasks
from xlt.stages.comparing import with_intervals
from xlt.stages.report import main

ROWS = [{"id": i} for i in range(150)]


def write(folder, name, seed, means, dataset="sib200", digest="same", rule=None):
    """A scored run whose rows are right by chance, the same rows in all languages and runs; rule: scored by that one beside source-dev."""
    easy = np.random.default_rng(7).random(len(ROWS))
    noise = np.random.default_rng(seed).normal(size=len(ROWS)) / 20
    results = {}
    for rule_folder in ("", *([rule] if rule else [])):
        for code, mean in means.items():
            right = easy + noise < mean + bool(rule_folder)
            found = Statistics.of(code, ROWS, {"accuracy": right})
            found.save(folder / "statistics" / rule_folder / f"{dataset}.{code}.npz")
            results[code] = found.sums["accuracy"].score
    scored = {
        "results": {dataset: {"accuracy": results, "coral": dict.fromkeys(means, 0.5)}},
        "transfer": {dataset: {"accuracy": transfer(results, ["en"], True)} if "en" in results else {}},
    }
    metrics = {
        "run": f"{name}/seed={seed}",
        "seed": seed,
        "metric": "accuracy",
        "lineage": {"data": {f"{dataset}/{code}/test": digest for code in means}},
        **scored,
        **({"selections": {"source-dev": scored, rule: scored}} if rule else {}),
    }
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder


@pytest.fixture
def runs(tmp_path):
    for seed in (1, 2):
        write(tmp_path / "good" / str(seed), "good", seed, {"en": 0.8, "de": 0.7, "sw": 0.6})
    write(tmp_path / "bad", "bad", 3, {"en": 0.8, "de": 0.4, "yo": 0.1})
    return tmp_path


def compare(runs, *more):
    return main([str(runs / "good"), str(runs / "bad"), "--compare", "--draws", "500", *more])


def test_what_it_prints(runs, capsys):
    assert compare(runs) == 0
    title, head, *lines, note = capsys.readouterr().out.rstrip("\n").split("\n")
    assert title == "sib200, accuracy in percent: A = good (seeds 1, 2), B = bad (seed 3)"
    assert head.split() == ["A", "B", "A", "-", "B", "95%", "interval", "p", "p", "(Holm)"]
    assert [line[:13].strip() for line in lines] == ["source mean", "target mean", "de", "en"]
    assert [line.endswith("*") for line in lines] == [False, True, True, False]
    assert max(map(len, [title, head, *lines, note])) <= 100
    assert note == "* p below 0.05 (of languages: Holm's); paired bootstrap over test rows, 500 draws"


def test_what_it_writes_is_what_was_found(runs):
    assert compare(runs, "--out", str(runs / "table")) == 0
    lines = {line["column"]: line for line in csv.DictReader((runs / "table.csv").open())}
    stored = [json.loads((runs / "good" / seed / "metrics.json").read_text()) for seed in "12"]
    mean = np.mean([run["results"]["sib200"]["accuracy"]["de"] for run in stored])
    de = lines["de"]
    assert float(de["first"]) == pytest.approx(mean) and float(de["low"]) < float(de["difference"]) < float(de["high"])
    assert float(de["p_holm"]) == pytest.approx(2 * float(de["p"])) and lines["target mean"]["p_holm"] == ""
    assert (runs / "table.md").read_text().count("\n| ") == 6


def test_of_a_run_scored_by_several_rules_the_ordinary_one_is_compared(runs, capsys):
    means = {"en": 0.8, "de": 0.4, "yo": 0.1}
    compare(runs)
    before = capsys.readouterr().out
    write(runs / "bad", "bad", 3, means, rule="oracle")
    compare(runs)
    assert capsys.readouterr().out == before


def test_what_cannot_be_compared_is_said(runs):
    def refused(sentence, *argv):
        with pytest.raises((ConfigError, DataError), match=sentence):
            main([*map(str, argv), "--compare"])

    good, bad = runs / "good", runs / "bad"
    refused("report: --compare is of two runs, and 1 are given", good)
    refused("report: --level: 1.5 is not between 0 and 1", good, bad, "--level", 1.5)
    refused("report: --draws: 0 compares nothing", good, bad, "--draws", 0)
    refused(r"metrics.json: has no f1 on sib200; it has accuracy, coral", good, bad, "--metric", "f1")
    refused("coral of .. is not made of sums over rows, so it cannot be resampled", good, bad, "--metric", "coral")
    refused("holds several runs that were scored on sib200", runs, bad)
    refused("no run of xlt zero-shot-eval on xnli with statistics of its rows", good, bad, "--dataset", "xnli")
    refused("on xnli; only runs on one data set", good, write(runs / "other", "o", 1, {"en": 0.5}, "xnli"))
    refused("scored on no language of sib200 that both have", bad, write(runs / "far", "f", 1, {"ja": 0.5}))
    refused("sib200/en/test had other rows there than in", good, write(runs / "new", "n", 1, {"en": 0.5}, digest="new"))
    (bad / "statistics" / "sib200.de.npz").unlink()
    refused("sib200.de.npz: is missing, so its run cannot be compared", good, bad)


def over_tasks(folder, dataset, seeds, means):
    """A suite's task, scored in seeds whose runs have statistics and drew 300 times for their own intervals."""
    for seed in seeds:
        place = write(folder / dataset / str(seed), dataset, seed, means, dataset)
        run, how = json.loads((place / "metrics.json").read_text()), {"draws": 300, "seed": 5, "level": 0.9}
        found = {code: Statistics.load(place / "statistics" / f"{dataset}.{code}.npz") for code in means}
        own = intervals(found, ["en"], {"accuracy": True}, **how)
        run |= {"bootstrap": how, "intervals": {dataset: own}, "protocol": {"name": "transfer"}, "split": "test"}
        (place / "metrics.json").write_text(json.dumps(run))


def test_the_interval_over_seeds_is_of_their_mean_on_the_same_draws(tmp_path):
    means = {"en": 0.8, "de": 0.7, "sw": 0.4}
    over_tasks(tmp_path, "one", [1], means)
    over_tasks(tmp_path, "two", [1, 2], means)
    one, two = (with_intervals(task) for task in tasks(find([tmp_path])))
    (run,) = one.columns["transfer"].runs
    own = run["intervals"]["one"]["accuracy"]["target_mean"]
    assert one.columns["transfer"].interval == (pytest.approx(own), 0.9), "of a single run it is the run's own"
    drawn = np.zeros(300)
    for seed in (1, 2):  # the mean over seeds of each draw, written out
        place = tmp_path / "two" / str(seed) / "statistics"
        found = {code: Statistics.load(place / f"two.{code}.npz") for code in means}
        drawn += resample(found, 300, 5).mean("accuracy", ["de", "sw"]) / 2
    wanted = [pytest.approx(end) for end in np.quantile(drawn, [0.05, 0.95])]
    assert two.columns["transfer"].interval == (wanted, 0.9)
    assert Figures.of(two, "transfer").interval == wanted


def test_without_statistics_of_the_same_rows_there_is_no_interval_over_seeds(tmp_path, capsys):
    means = {"en": 0.8, "de": 0.7, "sw": 0.4}
    for dataset in ("one", "two", "three", "four"):
        over_tasks(tmp_path, dataset, [1, 2], means)
    (tmp_path / "two" / "1" / "statistics" / "two.de.npz").unlink()
    Statistics.of("de", ROWS[:-1], {"accuracy": np.ones(149)}).save(tmp_path / "three/1/statistics/three.de.npz")
    other = tmp_path / "four" / "2" / "metrics.json"
    other.write_text(other.read_text().replace('"draws": 300', '"draws": 200'))
    found = {task.dataset: with_intervals(task).columns["transfer"].interval for task in tasks(find([tmp_path]))}
    assert {name: bool(each) for name, each in found.items()} == {"one": True, "two": False, "three": False, "four": False}  # fmt: skip
    assert main([str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "90% interval" in out and sum(" to " in line for line in out.split("\n")) == 1

"""The table of one run's scores: sources first, languages sorted, means below, and never wider than 100 characters."""

from xlt.evaluation.transfer import grouped, transfer
from xlt.reporting.scores import WIDTH, group_table, score_table

FIGURES = {"f1": {"ja": 0.25, "en": 0.8, "de": 0.6}, "accuracy": {"de": 0.9, "en": 1.0}}
INTERVALS = {"languages": {"en": [0.7, 0.9], "de": [0.5, 0.7]}, "target_mean": [0.3, 0.5], "gap": [-0.0001, 0.1]}


def test_sources_stand_first_and_means_below():
    summary = transfer(FIGURES["f1"], ["en"], True)
    head, lines, left_out = score_table(FIGURES, ["en"], summary, INTERVALS, 0.9)
    assert head == ["language", "f1", "90% interval", "accuracy"] and not left_out
    assert lines == [
        ["en (source)", "0.800", "0.700 to 0.900", "1.000"],
        ["de", "0.600", "0.500 to 0.700", "0.900"],
        ["ja", "0.250", "", ""],
        ["source mean", "0.800", "", ""],
        ["target mean", "0.425", "0.300 to 0.500", ""],
        ["transfer gap", "0.375", "0.000 to 0.100", ""],
        ["target / source", "0.531", "", ""],
        ["worst: ja", "0.250", "", ""],
    ]


def test_scores_alone():
    head, lines, _ = score_table({"loss": {"de": 2.0, "cs": 1.5}})
    assert (head, lines) == (["language", "loss"], [["cs", "1.500"], ["de", "2.000"]])


def test_what_does_not_fit_is_named():
    names = ["exact_match", "intent_accuracy", "slot_f1", "slot_precision", "slot_recall", "slot_f1_conll", "last"]
    head, lines, left_out = score_table({name: {"en": 0.5} for name in names}, ["en"])
    widths = [max(map(len, column)) for column in zip(head, *lines, strict=True)]
    assert sum(w + 3 for w in widths) + 1 <= WIDTH
    assert left_out and [*head[1:], *left_out] == names


def test_groups_are_those_that_divide_the_languages():
    targets = {"de": 0.6, "ru": 0.4, "sw": 0.2}
    bins = {"de": "1% to 10%", "ru": "1% to 10%", "sw": "none", "en": "10% and more"}
    summary = transfer({"en": 0.8, **targets}, ["en"], True, bins)
    assert summary["by_share"] == {"1% to 10%": 0.5, "none": 0.2}
    assert group_table("f1", summary, grouped(iter(targets), bins)) == [
        ["script: Cyrl", "1", "0.400"],
        ["script: Latn", "2", "0.400"],
        ["family: Indo-European", "2", "0.500"],
        ["family: Niger-Congo", "1", "0.200"],
        ["pretraining share: 1% to 10%", "2", "0.500"],
        ["pretraining share: none", "1", "0.200"],
    ]
    alone = transfer({"en": 0.8, "de": 0.6}, ["en"], True)
    assert group_table("f1", alone, grouped(["de"], None)) == []

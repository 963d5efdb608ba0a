"""Resampled scores are those of the resampled rows, drawn plainly; parallel rows are drawn together; intervals hold what they promise."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics.v1 import precision_recall_fscore_support
from seqeval.scheme import IOB2
from sklearn.metrics import f1_score

from xlt import metrics, noise
from xlt.evaluation import bootstrap
from xlt.evaluation.bootstrap import families, interval, intervals, resample
from xlt.evaluation.statistics import Statistics

TAGS = ["B-LOC", "B-PER", "I-LOC", "I-PER", "O", "O"]


def drawn_rows(statistics, draws, seed):
    """{language: rows of each draw}, one at a time, from the same draws of ids."""
    found = {}
    for together in families({code: s.ids for code, s in statistics.items()}):
        names = list(dict.fromkeys(name for code in together for name in statistics[code].ids))
        weights = np.concatenate(list(bootstrap._weights(len(names), draws, noise.key(seed, together[0]))))
        for code in together:
            rows_of = [[r for r, own in enumerate(statistics[code].ids) if own == name] for name in names]
            found[code] = [[r for u, times in enumerate(w) for r in rows_of[u] * int(times)] for w in weights]
    return found


@pytest.fixture(scope="module", params=[2**22, 40])
def cells(request):
    """As many cells of the matrix of draws as are held at once: all draws, or two of them."""
    before, bootstrap.CELLS = bootstrap.CELLS, request.param
    yield
    bootstrap.CELLS = before


def test_resampled_scores_are_scores_of_the_resampled_rows(cells):
    """de and en share all ids but one, sw has its own, ja has no ids."""
    random = np.random.default_rng(3)
    rows = {
        "de": [{"id": i} for i in range(20)],
        "en": [{"id": i} for i in range(21)],
        "sw": [{"id": f"sw{i // 2}"} for i in range(17)],  # two rows of one id
        "ja": [{}] * 9,
    }
    gold = {code: random.integers(0, 4, len(r)) for code, r in rows.items()}
    guess = {code: np.where(random.random(len(g)) < 0.6, g, random.integers(0, 5, len(g))) for code, g in gold.items()}
    tags = {code: [[[TAGS[i] for i in random.integers(0, 6, 1 + n % 7)] for n in range(len(r))] for _ in "ab"] for code, r in rows.items()}  # fmt: skip
    statistics = {
        code: Statistics.of(
            code,
            rows[code],
            {
                "accuracy": guess[code] == gold[code],
                "macro_f1": metrics.class_sums(guess[code], gold[code], 5),
                **metrics.span_sums(*tags[code], strict=True),
            },
        )
        for code in rows
    }
    found = resample(statistics, 30, seed=7).scores
    plain = drawn_rows(statistics, 30, seed=7)
    assert {len(drawn) for drawn in plain["ja"]} == {9} and len({len(drawn) for drawn in plain["de"]}) > 1
    for code, d in itertools.product(rows, range(30)):
        at = plain[code][d]
        assert found["accuracy"][code][d] == pytest.approx(np.mean(guess[code][at] == gold[code][at]))
        macro = f1_score(gold[code][at], guess[code][at], average="macro", zero_division=0)
        assert found["macro_f1"][code][d] == pytest.approx(macro)
        said, truth = ([side[r] for r in at] for side in tags[code])
        three = precision_recall_fscore_support(truth, said, average="micro", scheme=IOB2, zero_division=0)[:3]
        assert [found[name][code][d] for name in ("precision", "recall", "f1")] == pytest.approx(list(three))


def of(ids, figures):
    return Statistics(list(map(str, ids)), {"accuracy": metrics.Sums.of(np.asarray(figures, float))})


def test_translations_are_drawn_together():
    """Two languages with the same rows and figures are as uncertain as one; were they drawn apart, their mean would be less so."""
    figures = np.random.default_rng(0).random(50) < 0.6
    together = resample({"de": of(range(50), figures), "en": of(range(50), figures)}, 2000, 1)
    assert np.array_equal(together.mean("accuracy", ["de", "en"]), together.scores["accuracy"]["en"])
    apart = resample({"de": of(range(50), figures), "en": of(range(50, 100), figures)}, 2000, 1)
    assert apart.mean("accuracy", ["de", "en"]).std() == pytest.approx(
        together.mean("accuracy", ["de", "en"]).std() / 2**0.5, rel=0.1
    )


def test_the_gap_between_equal_translations_is_certain():
    figures = np.random.default_rng(0).random(50) < 0.6
    found = intervals({"de": of(range(50), figures), "en": of(range(50), figures)}, ["en"], {"accuracy": True}, 200, 1, 0.95)  # fmt: skip
    assert found["accuracy"]["gap"] == [0.0, 0.0] and found["accuracy"]["relative"] == [1.0, 1.0]
    low, high = found["accuracy"]["languages"]["de"]
    assert low < figures.mean() < high and found["accuracy"]["target_mean"] == [low, high]


def test_a_gap_is_a_loss_where_less_is_better():
    loss = {"en": of(range(40), np.full(40, 2.0)), "de": of(range(40), np.full(40, 3.0))}
    assert intervals(loss, ["en"], {"accuracy": False}, 20, 1, 0.9)["accuracy"]["gap"] == [1.0, 1.0]


def test_without_a_target_there_are_languages_only():
    found = intervals({"en": of(range(9), np.arange(9))}, ["en"], {"accuracy": True}, 20, 1, 0.9)
    assert found["accuracy"].keys() == {"languages"}


def test_draws_without_a_row_of_a_language_tell_nothing_of_it():
    rare = resample({"de": of(range(100), np.ones(100)), "en": of([5], [0.5])}, 400, 1).scores["accuracy"]["en"]
    share = np.isnan(rare).mean()
    assert share == pytest.approx((1 - 1 / 100) ** 100, abs=0.1) and interval(rare, 0.95) == [0.5, 0.5]
    assert interval(np.full(5, np.nan), 0.95) is None


@given(st.lists(st.sets(st.sampled_from("abcdefgh"), min_size=1), min_size=1, max_size=6))
def test_families_are_the_components_of_shared_ids(sets):
    ids = {f"l{i}": sorted(names) for i, names in enumerate(sets)}
    near = {a: {b for b in ids if set(ids[a]) & set(ids[b])} for a in ids}
    for _ in ids:
        near = {a: set().union(*(near[b] for b in near[a])) for a in ids}
    assert families(ids) == sorted({tuple(sorted(codes)): sorted(codes) for codes in near.values()}.values())


def test_a_language_is_drawn_alike_whoever_else_is_scored():
    figures = np.random.default_rng(0).random(30)
    alone = resample({"sw": of(range(30), figures)}, 20, 1).scores["accuracy"]["sw"]
    beside = resample({"de": of(range(50, 90), range(40)), "sw": of(range(30), figures)}, 20, 1).scores["accuracy"]
    assert np.array_equal(alone, beside["sw"])
    assert not np.array_equal(alone, resample({"sw": of(range(30), figures)}, 20, 2).scores["accuracy"]["sw"])


LABELS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=20)


@given(LABELS)
@settings(max_examples=50)
def test_sums_over_rows_are_scikit_learns_macro_f1(pairs):
    gold, guess = map(np.array, zip(*pairs, strict=True))
    assert metrics.class_sums(guess, gold, 4).score == pytest.approx(metrics.macro_f1(guess, gold))


def test_a_formula_is_one_of_those_there_are():
    with pytest.raises(ValueError, match="sum is not one of ratio, exp_ratio, macro_f1"):
        metrics.Sums(np.ones((2, 1)), "sum")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["accuracy", "macro_f1"])
def test_intervals_cover_the_truth_as_often_as_they_say(kind):
    """Of 400 test sets of 150 rows, drawn in three languages that share how hard a row is, 95 in 100 intervals hold the score of a million rows."""
    random = np.random.default_rng(5)

    def sample(rows):
        hard_R = random.normal(size=rows)
        gold_R = random.integers(0, 3, rows)
        figures = {}
        for code, skill in (("de", 0.3), ("en", 1.0), ("sw", -0.3)):
            right_R = hard_R + random.normal(size=rows) < skill
            figures[code] = (np.where(right_R, gold_R, (gold_R + random.integers(1, 3, rows)) % 3), gold_R)
        return figures

    def statistics(figures):
        of = {"accuracy": lambda guess, gold: guess == gold, "macro_f1": lambda guess, gold: metrics.class_sums(guess, gold, 3)}[kind]  # fmt: skip
        return {code: Statistics.of(code, [{"id": i} for i in range(len(s[0]))], {kind: of(*s)}) for code, s in figures.items()}  # fmt: skip

    whole = {code: s.sums[kind].score for code, s in statistics(sample(1_000_000)).items()}
    truth = {"en": whole["en"], "target_mean": (whole["de"] + whole["sw"]) / 2}
    truth["gap"] = truth["en"] - truth["target_mean"]
    held = dict.fromkeys(truth, 0)
    for trial in range(400):
        found = intervals(statistics(sample(150)), ["en"], {kind: True}, 400, trial, 0.95)[kind]
        for name, value in truth.items():
            low, high = found["languages"][name] if name == "en" else found[name]
            held[name] += low <= value <= high
    assert all(0.92 <= times / 400 <= 0.98 for times in held.values()), held

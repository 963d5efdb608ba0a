"""Several labels, ordered labels and numbers for a text: losses by their definition, predictions that no batch changes, scores of other scorers."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from scipy import stats
from sklearn.metrics import accuracy_score, f1_score, mean_absolute_error, ndcg_score

from tests.shipped import shipped
from tests.toy import Toy, word_tokenizer
from xlt import metrics
from xlt.data.encode import encode, gather
from xlt.errors import ConfigError
from xlt.evaluation.loop import predict
from xlt.models.build import FromScratch, build
from xlt.objectives import classification
from xlt.types import Gold, closed_sets
from xlt.vocabulary import Vocabulary

WORDS = [f"w{i}" for i in range(40)]
EMOTIONS = ["anger", "fear", "joy", "trust"]
GRADES = ["bad", "fair", "good", "best"]
NAMES = {"multi_label_classification": EMOTIONS, "sequence_regression": [], "ordinal_classification": GRADES, "graded_relevance": GRADES}  # fmt: skip
RANDOM = np.random.default_rng(0)


def row(i: int) -> dict:
    """Every third row has no emotion, every second some; three rows a query."""
    return {
        "text": " ".join(WORDS[(i // 3 * 7 + k) % 40] for k in range(1 + i // 3 % 6)),
        "text_pair": " ".join(WORDS[(i * 5 + k * 3) % 40] for k in range(1 + i * 11 % 17)),
        "labels": [name for k, name in enumerate(EMOTIONS) if i % 3 and (i >> k) % 2],
        "label": GRADES[i * 5 % 7 % 4],
        "score": i % 7 / 2 - 1,
    }


ROWS = [row(i) for i in range(24)]


@pytest.fixture(scope="module", params=NAMES)
def case(request, tmp_path_factory):
    objective, tokenizer = shipped(request.param), word_tokenizer(WORDS)
    node = FromScratch(
        architecture="xlm-roberta", layers=2, width=16, attention_heads=2, feed_forward=32, max_positions=40,
        dropout=0.1, attention_dropout=0.1, init_from=None,
    )  # fmt: skip
    names = NAMES[request.param]
    model = build(node, "encoder", objective, names, tokenizer, seed=3)
    with torch.no_grad():  # random weights are small: larger ones make a wrong place visible
        for parameter in model.parameters():
            parameter.mul_(4)
    annotate = getattr(objective, "annotate", None)
    shown = ["text", "text_pair", {"multilabel": "labels", "regression": "score"}.get(objective.view, "label")]
    data = Toy({(objective.view, "en", "test"): [{key: r[key] for key in shown} for r in ROWS]})
    table = encode(
        data, objective.view, "en", "test", objective.texts, tokenizer, "hash", tmp_path_factory.mktemp("cache"), annotate,
        objective.annotation if annotate else "",
    )  # fmt: skip
    gold = table.gold(closed_sets(objective, names))
    return SimpleNamespace(name=request.param, objective=objective, model=model, table=table, gold=gold, vocabulary=Vocabulary.of(tokenizer))  # fmt: skip


def predicted(case, budget=64):
    return predict(
        case.model, case.objective, case.table, case.gold, case.vocabulary, 12, budget, Accelerator(cpu=True)
    )


def batches(objective, table, gold, vocabulary, size):
    numbers = np.arange(24)
    drawn = gather([table], 0 * numbers, numbers, 0 * numbers, 1, [gold])
    return [objective.collate(drawn.slice(i, i + size), vocabulary, 12) for i in range(0, 24, size)]


def test_a_batch_of_one_and_of_many_agree(case):
    one, many = predicted(case, 1), predicted(case, 10_000)
    for name in one:
        np.testing.assert_allclose(one[name], many[name], atol=1e-5)
        assert np.ptp(one[name], axis=0).min() > 1e-3, "rows differ"


def by_definition(case, outputs) -> list[float]:
    """The loss of each row, from what is predicted."""
    if case.name == "sequence_regression":
        return [(said - r["score"]) ** 2 for said, r in zip(outputs["score"], ROWS, strict=True)]
    if case.name == "multi_label_classification":
        return [
            -np.mean([np.log(p if name in r["labels"] else 1 - p) for name, p in zip(EMOTIONS, p_N, strict=True)])
            for p_N, r in zip(outputs["probabilities"], ROWS, strict=True)
        ]
    above = [[1, *map(float, a), 0] for a in outputs["above"]]
    places = [GRADES.index(r["label"]) for r in ROWS]
    return [-np.log(a[place] - a[place + 1]) for a, place in zip(above, places, strict=True)]


@torch.no_grad()
def test_the_loss_is_the_one_that_is_defined_and_a_sum_over_rows(case):
    expected = by_definition(case, predicted(case))  # and no dropout from here on
    for size in (24, 8, 1):
        cut = batches(case.objective, case.table, case.gold, case.vocabulary, size)
        losses = [case.objective.loss_by_row(case.model, batch) for batch in cut]
        assert sum(batch.count for batch in cut) == 24
        assert sum(float(total) for total, _ in losses) == pytest.approx(sum(expected), rel=1e-4)
        each = torch.cat([by_row for _, by_row in losses])
        np.testing.assert_allclose(each, np.stack([expected, np.ones(24)], 1), rtol=1e-3)
        lengths = case.objective.row_length(case.table.lengths, case.vocabulary, 12)
        assert sum(batch.tokens for batch in cut) == lengths.sum()


@torch.no_grad()
def test_the_probabilities_of_ordered_labels_never_rise_and_sum_to_one(case):
    if not case.name.startswith(("ordinal", "graded")):
        pytest.skip("of ordered labels")
    outputs = predicted(case)
    assert (np.diff(outputs["above"], axis=1) <= 0).all() and outputs["above"].shape == (24, 3)
    for line in case.objective.records(outputs, case.gold):
        p = list(line["probabilities"].values())
        assert min(p) >= 0 and sum(p) == pytest.approx(1, abs=1e-5)
        assert line["expected"] == pytest.approx(sum(place * x for place, x in enumerate(p)), abs=1e-5)
        reached = [GRADES[place] for place in range(4) if sum(p[place:]) > 0.5]
        assert line["prediction"] == reached[-1], "the highest that is more likely than not reached"


def test_records_are_of_the_rows(case):
    kind = {"multilabel": "labels", "regression": "score"}.get(case.objective.view, "label")
    lines = list(case.objective.records(predicted(case), case.gold))
    assert [line[kind] for line in lines] == [r[kind] for r in ROWS]


def drawn():
    """Outputs of no model, in which all labels occur and numbers are equal."""
    return {
        "probabilities": RANDOM.random((24, 4)).astype(np.float32),
        "score": RANDOM.integers(-3, 4, 24).astype(np.float32),
        "above": RANDOM.uniform(0.4, 1, (24, 3)).cumprod(1).astype(np.float32),
    }


def test_scores_are_those_of_statistics_and_of_other_scorers(case):
    outputs = drawn()
    scores, statistics = (getattr(case.objective, ask)(outputs, case.gold) for ask in ("score", "statistics"))
    assert set(scores) == set(case.objective.higher_is_better) and case.objective.metric in scores
    left_out = {"spearman"} if case.name == "sequence_regression" else set()
    assert metrics.scores(statistics) == pytest.approx({k: v for k, v in scores.items() if k not in left_out})
    assert all(len(metrics.Sums.of(each).each) == 24 for each in statistics.values())
    lines = list(case.objective.records(outputs, case.gold))
    assert scores == pytest.approx(judged(case, lines), abs=1e-6)


def judged(case, lines) -> dict[str, float]:
    """The scores by scikit-learn and scipy, from what is written of each row."""
    if case.name == "multi_label_classification":
        guess, truth = (
            [[name in line[key] for name in EMOTIONS] for line in lines] for key in ("prediction", "labels")
        )
        return {
            "macro_f1": f1_score(truth, guess, average="macro", zero_division=np.nan),
            "micro_f1": f1_score(truth, guess, average="micro", zero_division=0),
            "exact_match": accuracy_score(truth, guess),
        }
    if case.name == "sequence_regression":
        guess, truth = ([line[key] for line in lines] for key in ("prediction", "score"))
        return {
            "spearman": stats.spearmanr(truth, guess).statistic,
            "pearson": stats.pearsonr(truth, guess).statistic,
            "mean_absolute_error": mean_absolute_error(truth, guess),
        }
    guess, truth = ([GRADES.index(line[key]) for line in lines] for key in ("prediction", "label"))
    found = {
        "accuracy": accuracy_score(truth, guess),
        "macro_f1": f1_score(truth, guess, average="macro", zero_division=0),
        "spearman": stats.spearmanr(truth, guess).statistic,
        "mean_absolute_error": mean_absolute_error(truth, guess),
    }
    if case.objective.ranking:
        expected, grades = np.array([line["expected"] for line in lines]), np.array(truth)
        queries = [range(i, i + 3) for i in range(0, 24, 3)]
        assert all(len({ROWS[i]["text"] for i in query}) == 1 for query in queries)
        found["ndcg"] = np.mean([ndcg_score(grades[None, q], expected[None, q]) for q in queries])
    return found


def test_a_query_of_one_candidate_is_not_counted_as_xglue_does_it():
    objective = shipped("graded_relevance")
    texts = ["a", "a", "b", "c", "c", "c", "a"]  # the last begins a query anew
    above = RANDOM.random((7, 3)).cumprod(1)
    gold = Gold(RANDOM.integers(0, 4, 7), {"label": GRADES}, size=7, read=lambda: iter([{"text": t} for t in texts]))
    expected = [ndcg_score(gold.labels[None, s], above.sum(1)[None, s]) for s in (slice(0, 2), slice(3, 6))]
    assert objective.score({"above": above}, gold)["ndcg"] == pytest.approx(np.mean(expected), abs=1e-6)
    alone = Gold(np.array([1, 2]), {"label": GRADES}, size=2, read=lambda: iter([{"text": "a"}, {"text": "b"}]))
    assert objective.score({"above": above[:2]}, alone)["ndcg"] == 0


def test_the_threshold_gives_a_label_from_there_on():
    gold = Gold(None, {"labels": ["a", "b"]}, {"labels": [np.array([0]), np.array([], int)]}, size=2)
    outputs = {"probabilities": np.array([[0.5, 0.3], [0.29, 0.1]], np.float32)}
    for threshold, given in ((0.5, [["a"], []]), (0.3, [["a", "b"], []]), (0.1, [["a", "b"], ["a", "b"]])):
        objective = shipped("multi_label_classification", threshold=threshold)
        assert [line["prediction"] for line in objective.records(outputs, gold)] == given
        sets = [["a"], []]
        assert objective.score(outputs, gold)["exact_match"] == np.mean(
            [a == b for a, b in zip(given, sets, strict=True)]
        )


def test_the_score_that_chooses_is_a_field():
    assert shipped("multi_label_classification").metric == "macro_f1"
    assert f"{shipped('multi_label_classification', metric='exact_match').metric}" == "exact_match"
    with pytest.raises(ConfigError, match=r"objective\.metric"):
        shipped("multi_label_classification", metric="accuracy")


@pytest.mark.parametrize("threshold", [0.0, 1.0, 50.0])
def test_a_threshold_is_a_probability(threshold):
    with pytest.raises(ConfigError, match=rf"objective\.threshold: {threshold} is not between 0 and 1; give the prob"):
        shipped("multi_label_classification", threshold=threshold)


def test_one_label_has_no_order():
    with pytest.raises(ConfigError, match=r"dataset\.label_names: good has no order; give two labels or more"):
        shipped("ordinal_classification").modules(8, ["good"])


def test_what_is_predicted_of_a_classifier_is_left_to_classifiers():
    """Projection takes softmax over `logits`; that would be wrong for these."""
    assert not any(hasattr(shipped(name), "logits") for name in NAMES)
    assert hasattr(classification, "predict") and hasattr(shipped("sequence_classification"), "logits")

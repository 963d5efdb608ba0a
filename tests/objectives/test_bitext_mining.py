"""Mining on vectors that are known: what counts as a sentence, what as a pair, and where the threshold comes from."""

import numpy as np
import pytest

from tests.shipped import shipped
from xlt.alignment import mining
from xlt.errors import ConfigError
from xlt.evaluation.bootstrap import intervals
from xlt.evaluation.statistics import Statistics
from xlt.types import Gold


def made(size, noise, seed=0, texts=None):
    """(outputs, gold) of `size` pairs whose target is the source with noise. texts: of the source sentences, where some are the same."""
    rng = np.random.default_rng(seed)
    texts = texts or [f"s{i}" for i in range(size)]
    of = {text: rng.normal(size=24) for text in texts}
    source = np.stack([of[text] for text in texts]).astype(np.float32)
    target = (source + noise * rng.normal(size=source.shape)).astype(np.float32)
    rows = [{"source": text, "target": f"t{i}"} for i, text in enumerate(texts)]
    return {"source": source, "target": target}, Gold(None, size=size, read=lambda: iter(rows))


def test_pairs_that_are_near_are_found_and_others_are_not():
    objective = shipped("bitext_mining", threshold=1.4, unpaired=0.5)
    outputs, gold = made(80, 0.05)
    scores = objective.score(outputs, gold)
    assert scores["recall"] == 1.0 and scores["precision"] > 0.9
    everything = shipped("bitext_mining", threshold=0.0, unpaired=0.5).score(outputs, gold)
    assert everything["recall"] == 1.0 and everything["precision"] < 0.8, "half of the sentences have no pair"
    whole = shipped("bitext_mining", threshold=0.0, unpaired=0.0).score(outputs, gold)
    assert whole == {"precision": 1.0, "recall": 1.0, "f1": 1.0}


def test_half_of_the_rows_lose_one_side_each_in_turn():
    objective = shipped("bitext_mining", unpaired=0.5)
    source, target, true = objective._sides(made(400, 0.0)[1])
    alone = 400 - len(true)
    assert 150 < alone < 250 and len(source) + len(target) == 800 - alone and abs(len(source) - len(target)) <= 1


def test_a_sentence_in_several_rows_is_one():
    outputs, gold = made(6, 0.0, texts=["a", "b", "a", "c", "a", "d"])
    source, target, true = shipped("bitext_mining", unpaired=0.0)._sides(gold)
    assert (source, target) == ([0, 1, 3, 5], [0, 1, 2, 3, 4, 5])
    assert true == {(0, 0): 0, (1, 1): 1, (0, 2): 2, (2, 3): 3, (0, 4): 4, (3, 5): 5}
    scores = shipped("bitext_mining", unpaired=0.0, threshold=0.0).score(outputs, gold)
    assert scores["precision"] == 1.0 and scores["recall"] == 4 / 6, "one pair of each sentence at most"


def test_the_threshold_is_that_of_dev_data_of_the_pair_or_of_all_others():
    objective = shipped("bitext_mining")
    assert objective.fits and not shipped("bitext_mining", threshold=1.1).fits
    dev = {"en-de": made(60, 0.3, 1), "en-fr": made(60, 1.2, 2)}
    fitted = objective.fitted(dev, ["en-de", "en-fr", "en-sw"])
    assert [fitted[code][1]["dev"] for code in fitted] == ["en-de", "en-fr", "all"]
    for code, (outputs, gold) in dev.items():
        own, facts = fitted[code]
        assert facts["threshold"] == own.threshold
        best = own.score(outputs, gold)["f1"]
        assert all(
            shipped("bitext_mining", threshold=float(t)).score(outputs, gold)["f1"] <= best
            for t in np.arange(0.8, 2, 0.05)
        )
    assert fitted["en-de"][0].threshold != fitted["en-fr"][0].threshold


def test_predictions_are_what_is_scored():
    objective = shipped("bitext_mining", threshold=1.1)
    outputs, gold = made(80, 0.8)
    records, scores = list(objective.records(outputs, gold)), objective.score(outputs, gold)
    kept = [record for record in records if record["mined"]]
    assert len(records) == 80 and 0 < len(kept) < 80
    assert np.mean([record["right"] for record in kept]) == pytest.approx(scores["precision"])
    assert all(r["found"] is None and r["score"] is None for r in records if r["score"] is None)
    assert all((r["found"] == f"t{i}") == r["right"] for i, r in enumerate(records) if r["mined"])


def test_each_row_has_its_pair_and_what_was_mined_for_it():
    """Sentence a stands in rows 0 and 2, with two targets, of which one can be mined; c is like d's target, so that both of theirs are wrong or missed."""
    texts, eye = ["a", "b", "a", "c", "d"], np.eye(4, dtype=np.float32)
    source = eye[[0, 1, 0, 2, 3]]
    target = np.stack([eye[0] * 0.8 + eye[1] * 0.6, eye[1], eye[0], eye[3], -eye[2]])
    rows = [{"source": text, "target": f"t{i}"} for i, text in enumerate(texts)]
    gold = Gold(None, size=5, read=lambda: iter(rows))
    objective = shipped("bitext_mining", margin="absolute", k=4, threshold=0.9, unpaired=0.0)
    statistics = objective.statistics({"source": source, "target": target}, gold)
    # rows 1 and 2 are right; d takes t3, c's translation, so row 4 has a wrong one and rows 0, 3 and 4 miss theirs
    wanted = [[0, 0, 1], [1, 1, 1], [1, 1, 1], [0, 0, 1], [0, 1, 1]]
    assert all(sums.each.tolist() == wanted for sums in statistics.values())
    scores = objective.score({"source": source, "target": target}, gold)
    assert scores == pytest.approx({"precision": 2 / 3, "recall": 2 / 5, "f1": 0.5})


def test_rows_add_up_to_the_scores_of_all_pairs():
    objective = shipped("bitext_mining", threshold=1.1, unpaired=0.4)
    outputs, gold = made(90, 0.8, texts=[f"s{i % 70}" for i in range(90)])
    pairs, right_P, true = objective._mined(outputs, gold)
    assert 0 < right_P.sum() < len(right_P)
    wanted = mining.scores(right_P[pairs.scores >= 1.1], true)._asdict()
    assert objective.score(outputs, gold) == pytest.approx(wanted)
    counts = objective.statistics(outputs, gold)["f1"].each
    assert (counts[:, 0] <= counts[:, 1:].min(1)).all(), "no row finds more than it mined or had"
    found = Statistics.of("en-de", gold.rows, objective.statistics(outputs, gold))
    low, high = intervals({"en-de": found}, [], objective.higher_is_better, 200, 1, 0.9)["f1"]["languages"]["en-de"]
    assert low < wanted["f1"] < high


def test_fields_that_cannot_be():
    with pytest.raises(ConfigError) as error:
        shipped("bitext_mining", k=0, unpaired=1.0)
    assert error.value.problems == [
        "objective.k: 0 is below 1; Artetxe and Schwenk 2019 take 4",
        "objective.unpaired: 1.0 is not in [0, 1); with 0 every sentence has its pair",
    ]

"""Mixtures without a stage: who takes part in which update, what is asked of the model, and what is refused."""

import numpy as np
import pytest
import torch

from tests.shipped import shipped
from xlt.errors import ConfigError
from xlt.models.pooling import Pool
from xlt.objectives.coral import Coral
from xlt.objectives.mixture import Mixture, Part, Updates
from xlt.objectives.sequence_classification import SequenceClassification

MLM = shipped("masked_lm")
CROSS = shipped("contrastive", temperature=0.05, pool="mean", layer=None)
TASK = SequenceClassification(pair=False, pool=Pool.first, hidden=True, dropout=0.1)


def part(objective, weight=1, **settings):
    fixed = dict.fromkeys(("dataset", "languages", "batch_size", "batch_tokens", "max_length", "alpha", "weights"))
    return Part(objective=objective, weight=weight, **{**fixed, **settings})


def mixture(updates=Updates.joint, **parts):
    return Mixture(updates=updates, parts=parts)


def turns(mixed, steps):
    """Letters of the parts of each update."""
    return ["".join(n for n, takes in zip(mixed.parts, column, strict=True) if takes) for column in mixed.takes_part(steps).T]  # fmt: skip


def test_jointly_all_parts_make_each_update_unless_their_weight_is_zero():
    assert turns(mixture(a=part(MLM), b=part(CROSS)), 3) == ["ab"] * 3
    assert turns(mixture(a=part(MLM), b=part(CROSS, "0:1,2:0")), 4) == ["ab", "ab", "a", "a"]


def test_alternately_they_take_turns_and_one_of_weight_zero_is_passed_over():
    both = mixture(Updates.alternate, a=part(MLM), b=part(CROSS), c=part(Coral(pool=None, layer=None)))
    assert turns(both, 7) == ["a", "b", "c", "a", "b", "c", "a"]
    assert both.turns == 3
    off = mixture(Updates.alternate, a=part(MLM), b=part(CROSS, "0:1,4:0"))
    assert turns(off, 8) == ["a", "b", "a", "b", "a", "a", "a", "a"]


def test_an_update_of_nothing_is_refused():
    with pytest.raises(ConfigError, match="objective.parts: all weights are 0 in update 6; nothing would be learned"):
        mixture(a=part(MLM, "0:1,5:0"), b=part(CROSS, "0:1,3:0")).takes_part(10)


def test_it_asks_for_what_its_parts_need():
    both = mixture(mlm=part(MLM), cross=part(CROSS))
    assert (both.view, both.head, both.separable, both.metric) == ("text", "masked-lm", False, "mlm/loss")
    assert both.higher_is_better["mlm/loss"] is False and both.higher_is_better["cross/accuracy"] is True
    assert mixture(cross=part(CROSS)).head == "encoder"
    assert mixture(mlm=part(MLM)).separable
    assert list(mixture(task=part(TASK), mlm=part(MLM)).modules(8, ["a", "b"])) == ["classifier"]


def test_settings_are_those_that_differ_from_the_runs():
    assert part(MLM).settings == {}
    assert part(MLM, alpha=1.0, max_length=9).settings == {"alpha": 1.0, "max_length": 9}
    assert part(MLM, batch_size=4).settings == {"batch_size": 4, "batch_tokens": None}
    assert part(MLM, batch_size=4, batch_tokens=99).settings == {"batch_size": 4, "batch_tokens": 99}
    assert part(MLM, batch_tokens=99).settings == {"batch_tokens": 99}
    assert part(MLM, weights={"en": 2}).settings == {"weights": {"en": 2}}


class CausalLike:
    head, view, separable = "causal-lm", "text", True

    def collate(self):
        """An objective, as far as a part can see."""


SOLVER = shipped("procrustes")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: part(MLM, "much"), "objective.weight: 'much' cannot be read, 'much' is not a number; give a number, or points as '0:1,100000:0.1'"),
        (lambda: part(MLM, "0:1,9:-1"), "objective.weight: 0:1,9:-1 falls below 0; a loss is not maximised"),
        (lambda: part(MLM, batch_size=0), "objective.batch_size: 0 is not above 0; null takes the run's"),
        (lambda: part(MLM, alpha=3.0), "objective.alpha: 3.0 is not in [0, 1]; give a share, or null for the run's"),
        (lambda: part(MLM, alpha="0:0.3,9:2"), "objective.alpha: 2.0 is not in [0, 1]; give a share, or null for the run's"),
        (lambda: part(MLM, alpha="much"), "objective.alpha: 'much' is not a number; give a number, points as '0:0.3,50000:0.7', or null for the run's"),
        (lambda: part(MLM, weights={"en": -1}), "objective.weights: {'en': -1} where {CODE:WEIGHT,...} is expected; null takes the run's"),
        (lambda: part(MLM, weights={"en": 1}, alpha=0.3), "objective.weights: objective.alpha is given too; leave one of them null"),
        (lambda: part("coral"), "objective.objective: 'coral' is no objective; choose one with objective@objective.parts.PART.objective=NAME"),
        (lambda: part(MLM, dataset="tatoeba"), "objective.dataset: 'tatoeba' is no data set; choose one with dataset@objective.parts.PART.dataset=NAME"),
        (lambda: part(mixture(a=part(MLM))), "objective.objective: Mixture has no loss of its own that could be mixed; choose another one"),
        (lambda: part(SOLVER), "objective.objective: Procrustes has no loss of its own that could be mixed; choose another one"),
        (lambda: part(shipped("label_projection")), "objective.objective: LabelProjection continues a fine-tuned model as a run of its own; choose another one"),
        (lambda: mixture(), "objective.parts: a mixture needs at least one; see objective=mlm_contrastive"),
        (lambda: mixture(a=MLM), "objective.parts.a: is not a part; add one with +part@objective.parts.a=as_run (xlt ls part)"),
        (lambda: mixture(a=part(MLM), b=part(CausalLike())), "objective.parts: one model has one language-model head, but a needs masked-lm, b needs causal-lm; leave one of them out"),
        (lambda: mixture(a=part(TASK), b=part(TASK)).modules(8, ["x"]), "objective.parts.b: another part has a classifier too; leave one of them out"),
    ],
)  # fmt: skip
def test_what_cannot_be_mixed_is_a_sentence(make, sentence):
    with pytest.raises(ConfigError) as error:
        make()
    assert str(error.value) == sentence


def test_the_loss_is_that_of_the_batchs_part():
    class Counted:
        head, view, separable, metric, higher_is_better = "encoder", "text", True, "loss", {"loss": False}

        def __init__(self, value):
            self.value = value

        def collate(self):
            """An objective, as far as a part can see."""

        def loss(self, model, batch):
            return torch.tensor(self.value)

    both = mixture(a=part(Counted(1.0), 5), b=part(Counted(2.0), 7))
    batch = type("Batch", (), {"part": "b"})()
    assert both.loss(None, batch).item() == 2.0, "weights are the loop's business"
    assert np.array_equal(both.takes_part(2), np.ones((2, 2), bool))

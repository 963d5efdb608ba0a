"""The pieces of language-adversarial training against their formulas: reversal, its schedule, both losses, and what a sample is."""

import math

import numpy as np
import pytest
import torch

from tests.toy import word_tokenizer
from xlt.errors import ConfigError
from xlt.models.pooling import Pool
from xlt.objectives.language_adversary import Classes, GradientReversal, LanguageText, WassersteinCritic, ramp, reverse
from xlt.types import Rows
from xlt.vocabulary import Vocabulary

COMMON = dict(weight=1.0, pool=Pool.mean, layer=None, hidden=6, hidden_layers=1, learning_rate=1e-3, batch_size=8, languages=None, dataset=None, probe_rows=0)  # fmt: skip


def reversal(**changes):
    return GradientReversal(**{**COMMON, "gamma": 10.0, "classes": Classes.languages, **changes})


def critic(**changes):
    return WassersteinCritic(**{**COMMON, "rounds": 5, "clip": 0.01, **changes})


@pytest.mark.parametrize("strength", [0.25, 1.0, 3.0])
def test_the_reversal_is_the_identity_whose_gradient_has_the_other_sign_and_the_strength(strength):
    x = torch.tensor([1.0, -2.0, 3.0], requires_grad=True)
    weights = torch.tensor([0.5, 4.0, -1.0])
    out = reverse(x, strength)
    assert torch.equal(out, x)
    (out * weights).sum().backward()
    assert torch.equal(x.grad, -strength * weights)


def test_the_schedule_is_that_of_the_paper():
    assert ramp(0.0, 10.0) == 0.0
    assert ramp(1.0, 10.0) == pytest.approx(0.9999092, abs=1e-7)
    for p in (0.1, 0.37, 0.8):
        assert ramp(p, 10.0) == pytest.approx(math.tanh(5.0 * p), abs=1e-12), "2 s(2x) - 1 = tanh(x)"
    assert reversal(weight=0.5).strength(0.3) == pytest.approx(0.5 * math.tanh(1.5))
    assert critic(weight=0.01).strength(0.3) == 0.01


def test_the_reversed_loss_is_cross_entropy_over_the_whole_update():
    logits = torch.tensor([[0.0, 0.0, 0.0], [2.0, 0.0, 0.0]])
    classes, counts = torch.tensor([1, 0]), torch.tensor([3, 1, 1])
    expected = (math.log(3) + math.log(math.e**2 + 2) - 2) / 5
    assert float(reversal().loss(logits, classes, counts)) == pytest.approx(expected, rel=1e-6)


def test_the_critic_minimises_target_minus_source():
    """Means of each side: source 1, 3; target -2, 0, 5."""
    scores = torch.tensor([1.0, -2.0, 3.0, 0.0, 5.0]).unsqueeze(1)
    sides = torch.tensor([0, 1, 0, 1, 1])
    assert float(critic().loss(scores, sides, torch.tensor([2, 3]))) == pytest.approx(3 / 3 - 4 / 2)
    halves = [critic().loss(scores[part], sides[part], torch.tensor([2, 3])) for part in (slice(0, 2), slice(2, 5))]
    assert float(sum(halves)) == pytest.approx(-1.0), "micro-batches add up"
    assert float(critic().loss(scores[:1], sides[:1], torch.tensor([1, 0]))) == -1.0, "an update without a target row"


def test_the_discriminator_has_the_layers_that_are_asked_for():
    shapes = [tuple(p.shape) for p in reversal(hidden_layers=2).discriminator(4, 3).parameters() if p.ndim == 2]
    assert shapes == [(6, 4), (6, 6), (3, 6)]
    assert [tuple(p.shape) for p in reversal(hidden_layers=0).discriminator(4, 3).parameters()] == [(3, 4), (3,)]


class States:
    """A model whose state of a token is its id."""

    def hidden(self, inputs, layer):
        assert set(inputs) == {"input_ids", "attention_mask"} and layer == 1
        return inputs["input_ids"].unsqueeze(-1).double()


@pytest.mark.parametrize("padded", [True, False])
def test_samples_are_sentences_or_real_tokens_and_are_counted_before_they_are_computed(padded):
    vocabulary = Vocabulary.of(word_tokenizer(["a", "b"]))
    ids = [np.array([5, 6, 6]), np.array([6] if padded else [6, 5, 5])]
    rows = Rows([ids], None, np.zeros(2, np.uint64), ["sw", "en"])
    for how, expected in ((Pool.mean, [1, 1]), (None, [3 if padded else 5, 5])):
        reader = LanguageText("text", lambda row: (row["text"],), {"en": 0, "sw": 1}, how, 1)
        batch = reader.collate(rows, vocabulary, 24)
        samples_ND, classes_N = reader.samples(States(), batch)
        assert samples_ND.dtype == torch.float32
        assert torch.bincount(classes_N).tolist() == expected == reader.counts([batch], 2).tolist()
        if how is None:
            assert samples_ND.flatten().tolist() == [0, 5, 6, 6, 2, 0, 6, *([2] if padded else [5, 5, 2])]
            assert classes_N.tolist() == [1] * 5 + [0] * (len(classes_N) - 5)


@pytest.mark.parametrize(
    "make, changes, said",
    [
        (reversal, {"gamma": 0.0}, "adversarial.gamma: 0.0 is not above 0"),
        (reversal, {"weight": -1.0}, "adversarial.weight: -1.0 is below 0"),
        (reversal, {"layer": -1}, "adversarial.layer: -1 is below 0"),
        (reversal, {"probe_rows": 3}, "adversarial.probe_rows: 3 are too few"),
        (reversal, {"dataset": "mono"}, "adversarial.dataset: is no data set"),
        (critic, {"clip": 0.0}, "adversarial.clip: 0.0 is not above 0"),
        (critic, {"rounds": 0}, "adversarial.rounds: 0 is not above 0"),
        (critic, {"batch_size": 0}, "adversarial.batch_size: 0 is not above 0"),
    ],
)
def test_what_cannot_be_is_said(make, changes, said):
    with pytest.raises(ConfigError, match=said):
        make(**changes)

"""The objectives on sentence pairs and CORAL: what they take from a batch, what flows back, and that rows do not see each other's padding."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.shipped import shipped
from tests.toy import word_tokenizer
from xlt import noise
from xlt.alignment.similarity import coral_distance, covariance
from xlt.errors import ConfigError
from xlt.models.build import FromScratch, build
from xlt.models.pooling import Pool
from xlt.objectives.additive_margin import AdditiveMargin
from xlt.objectives.coral import Coral
from xlt.objectives.mean_squared_error import Held, MeanSquaredError
from xlt.objectives.optimal_transport import OptimalTransport
from xlt.objectives.sequence_classification import SequenceClassification
from xlt.types import Rows
from xlt.vocabulary import Vocabulary

TOKENIZER = word_tokenizer([f"w{i}" for i in range(40)])
VOCABULARY = Vocabulary.of(TOKENIZER)
INFONCE = shipped("contrastive", temperature=0.1, pool="mean", layer=None)
MARGIN = AdditiveMargin(margin=0.3, temperature=0.1, pool=Pool.mean, layer=1)
SQUARED = MeanSquaredError(held=None, pool=Pool.mean, layer=None)
TRANSPORT = OptimalTransport(epsilon=0.1, iterations=5, pool=Pool.mean, layer=None)
CORAL = Coral(pool=Pool.mean, layer=None)


@pytest.fixture(scope="module")
def model():
    node = FromScratch(
        architecture="xlm-roberta", layers=2, width=16, attention_heads=2, feed_forward=32, max_positions=40,
        dropout=0.0, attention_dropout=0.0, init_from=None,
    )  # fmt: skip
    return build(node, "masked-lm", INFONCE, None, TOKENIZER, seed=5).eval()


def pairs(n, seed=1):
    rng = np.random.default_rng(seed)
    sides = [[rng.integers(5, 45, rng.integers(1, 9)) for _ in range(n)] for _ in range(2)]
    return Rows(sides, None, noise.combine(noise.key(seed), np.arange(n)), ["en-de"] * n)


def texts(languages, seed=1):
    rng, n = np.random.default_rng(seed), len(languages)
    sentences = [rng.integers(5, 45, rng.integers(1, 9)) for _ in range(n)]
    return Rows([sentences], None, noise.combine(noise.key(seed), np.arange(n)), list(languages))


@pytest.mark.parametrize("objective", [INFONCE, MARGIN, SQUARED, TRANSPORT], ids=lambda o: type(o).__name__)
def test_each_side_is_read_in_its_language(objective):
    spoken = replace(VOCABULARY, languages=("de", "en", "sw"))
    batch = objective.collate(replace(pairs(2), languages=["en-de", "sw-en"]), spoken, 99)
    assert batch["source_language_ids"].tolist() == [1, 2] and batch["target_language_ids"].tolist() == [0, 1]


def test_texts_are_read_in_their_language():
    spoken = replace(VOCABULARY, languages=("de", "en", "sw"))
    assert CORAL.collate(texts(["sw", "de"]), spoken, 99)["language_ids"].tolist() == [2, 0]


def loss(objective, model, rows):
    return objective.loss(model, objective.collate(rows, VOCABULARY, 99))


def gradient(objective, model, rows, start=0, stop=None):
    model.zero_grad()
    loss(objective, model, rows.slice(start, len(rows) if stop is None else stop)).backward()
    return torch.cat(
        [torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in model.parameters()]
    )


def test_without_margin_it_is_infonce(model):
    plain = AdditiveMargin(margin=0.0, temperature=0.1, pool=Pool.mean, layer=None)
    assert loss(plain, model, pairs(6)).item() == loss(INFONCE, model, pairs(6)).item()
    assert loss(MARGIN, model, pairs(6)).item() > loss(INFONCE, model, pairs(6)).item()


@pytest.mark.parametrize("objective", [SQUARED, TRANSPORT], ids=["squared", "transport"])
def test_what_is_separable_may_be_cut(model, objective):
    assert objective.separable
    whole = gradient(objective, model, pairs(9))
    cut = sum(gradient(objective, model, pairs(9), a, b) for a, b in ((0, 2), (2, 7), (7, 9)))
    assert float((whole - cut).norm() / whole.norm()) < 1e-5


@pytest.mark.parametrize("objective", [INFONCE, MARGIN], ids=["infonce", "margin"])
def test_what_is_not_separable_says_so(model, objective):
    whole = gradient(objective, model, pairs(9))
    cut = gradient(objective, model, pairs(9), 0, 4) + gradient(objective, model, pairs(9), 4)
    assert not objective.separable and float((whole - cut).norm() / whole.norm()) > 1e-2


def test_coral_depends_on_the_whole_batch(model):
    rows = texts("aabb" * 3)
    whole = gradient(CORAL, model, rows)
    cut = gradient(CORAL, model, rows, 0, 6) + gradient(CORAL, model, rows, 6)
    assert not CORAL.separable and float((whole - cut).norm() / whole.norm()) > 1e-2


@pytest.mark.parametrize("held", Held)
def test_nothing_flows_through_the_side_that_is_held(model, held):
    """Sentences of the two sides have no word in common, so the embeddings of the held side's words stay without gradient."""
    source, target = np.arange(5, 15), np.arange(25, 35)
    rows = Rows([[source], [target]], None, noise.combine(noise.key(1), np.arange(1)), ["en-de"])
    gradient(MeanSquaredError(held=held, pool=Pool.mean, layer=None), model, rows)
    moved = model.backbone.get_input_embeddings().weight.grad.abs().sum(1) > 0
    assert bool(moved[source].any()) == (held is Held.target)
    assert bool(moved[target].any()) == (held is Held.source)


def test_transport_leaves_special_tokens_out_unless_there_is_nothing_else(model):
    empty = np.zeros(0, np.int64)
    rows = Rows([[np.arange(5, 8), empty], [np.arange(9, 14), np.arange(9, 11)]], None, noise.combine(noise.key(1), np.arange(2)), ["en-de"] * 2)  # fmt: skip
    batch = TRANSPORT.collate(rows, VOCABULARY, 99)
    assert batch["source_mass"][0].tolist() == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3, 0])
    assert batch["source_mass"][1].tolist() == pytest.approx([1 / 2, 1 / 2, 0, 0, 0])
    assert batch["target_mass"][1].tolist() == pytest.approx([0, 1 / 2, 1 / 2, 0, 0, 0, 0])
    assert loss(TRANSPORT, model, rows).isfinite()


def test_a_sentence_is_carried_to_itself_at_no_cost(model):
    """The same sentence on both sides: a tight plan puts each token on itself."""
    words = [np.array([5, 17, 30, 41])]
    rows = Rows([words, words], None, noise.combine(noise.key(1), np.arange(1)), ["en-en"])
    tight = OptimalTransport(epsilon=0.005, iterations=200, pool=Pool.mean, layer=None)
    assert loss(tight, model, rows).item() == pytest.approx(0, abs=1e-3)
    assert loss(TRANSPORT, model, pairs(1)).item() > 0.01


@pytest.mark.parametrize("pooled", [Pool.mean, None], ids=["sentences", "tokens"])
def test_coral_is_its_formula_over_pairs_of_languages(model, pooled):
    rows = texts(["sw", "en", "de", "en", "sw", "en", "fr", "sw", "de"])  # fr has one row: no covariance
    objective = Coral(pool=pooled, layer=1)
    batch = objective.collate(rows, VOCABULARY, 99)
    assert batch.count == 3
    of = {}
    for language in ("de", "en", "sw"):
        states = []
        for ids in (s for s, code in zip(rows.segments[0], rows.languages, strict=True) if code == language):
            row = torch.tensor(VOCABULARY.join((ids,), 99))[None]
            hidden_LD = model.hidden({"input_ids": row}, 1)[0]
            states += [hidden_LD.mean(0)] if pooled else list(hidden_LD)
        of[language] = np.cov(torch.stack(states).detach().numpy(), rowvar=False)
    expected = sum(np.square(of[a] - of[b]).sum() / (4 * 16**2) for a, b in (("de", "en"), ("de", "sw"), ("en", "sw")))
    assert objective.loss(model, batch).item() == pytest.approx(expected, rel=1e-4)


def test_coral_of_one_language_is_no_loss_and_no_error(model):
    batch = CORAL.collate(texts("aaab"), VOCABULARY, 99)
    assert batch.count == 0
    value = CORAL.loss(model, batch)
    value.backward()
    assert value.item() == 0


def test_coral_is_validated_across_languages():
    rng = np.random.default_rng(1)
    outputs = {code: {"vectors": (rng.normal(size=(20, 3)) * scale).astype(np.float32)} for code, scale in (("a", 1), ("b", 1), ("c", 5))}  # fmt: skip
    found = CORAL.compare(outputs)["coral"]
    of = {code: covariance(torch.tensor(o["vectors"])) for code, o in outputs.items()}
    assert found["a"] == pytest.approx(float(coral_distance(of["a"], of["b"]) + coral_distance(of["a"], of["c"])) / 2, rel=1e-4)  # fmt: skip
    assert found["c"] > found["a"] and found["c"] > found["b"]
    assert CORAL.compare({"a": outputs["a"]}) == {}


@pytest.mark.parametrize(
    ("objective", "rows"),
    [
        (INFONCE, pairs(6)), (MARGIN, pairs(6)), (SQUARED, pairs(6)), (TRANSPORT, pairs(6)), (CORAL, texts("abab")),
        (shipped("masked_lm", mask_rate=0.3), texts("abcab")),
    ],
    ids=lambda x: type(x).__name__,
)  # fmt: skip
def test_what_rows_add_is_what_is_summed(model, objective, rows):
    batch = objective.collate(rows, VOCABULARY, 99)
    total, sums_B2 = objective.loss_by_row(model, batch)
    assert total.requires_grad and not sums_B2.requires_grad and sums_B2.shape == (len(rows), 2)
    assert total.item() == objective.loss(model, batch).item()
    if objective is CORAL:  # each row has its language's distance
        assert sums_B2.tolist() == [pytest.approx([total.item(), 1])] * 4
    else:
        assert sums_B2.sum(0).tolist() == pytest.approx([total.item(), batch.count], rel=1e-6)


def test_a_label_a_row():
    task = SequenceClassification(pair=False, pool=Pool.first, hidden=False, dropout=0.0)
    node = FromScratch(
        architecture="xlm-roberta", layers=1, width=16, attention_heads=2, feed_forward=32, max_positions=40,
        dropout=0.0, attention_dropout=0.0, init_from=None,
    )  # fmt: skip
    model = build(node, "encoder", task, ["x", "y"], TOKENIZER, seed=5).eval()
    rows = texts("abc")
    rows = Rows(rows.segments, np.array([0, 1, 1]), rows.keys, rows.languages)
    total, sums_B2 = task.loss_by_row(model, task.collate(rows, VOCABULARY, 99))
    assert sums_B2.sum(0).tolist() == pytest.approx([total.item(), 3])


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: AdditiveMargin(margin=2.5, temperature=0.1, pool=Pool.mean, layer=None), r"objective.margin: 2.5 is not in \[0, 2\)"),
        (lambda: AdditiveMargin(margin=0.3, temperature=0.0, pool=Pool.mean, layer=None), "objective.temperature: 0.0 is not positive"),
        (lambda: MeanSquaredError(held=None, pool=Pool.mean, layer=-1), "objective.layer: -1 is below 0; 0 is the embeddings, null the last"),
        (lambda: OptimalTransport(epsilon=0.0, iterations=5, pool=Pool.mean, layer=None), "objective.epsilon: 0.0 is not positive"),
        (lambda: OptimalTransport(epsilon=0.1, iterations=0, pool=Pool.mean, layer=None), "objective.iterations: 0 is below 1"),
        (lambda: Coral(pool=None, layer=-2), "objective.layer: -2 is below 0"),
    ],
)  # fmt: skip
def test_numbers_that_mean_nothing_are_refused(make, sentence):
    with pytest.raises(ConfigError, match=sentence):
        make()

"""Embeddings of languages and segments: added as the paper adds them, saved beside a plain model, and fed from the rows' languages."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoModelForMaskedLM

from tests.models.test_families import MLM, TASK, recurrent, scratch
from tests.shipped import shipped
from tests.toy import word_tokenizer
from xlt import noise
from xlt.errors import ConfigError
from xlt.models.build import MultilingualInput, Pretrained, build, save
from xlt.models.inputs import INPUTS_FILE
from xlt.models.pooling import Pool
from xlt.objectives.sequence_classification import SequenceClassification
from xlt.objectives.siamese_classification import Feature, SiameseClassification
from xlt.types import Rows
from xlt.vocabulary import Vocabulary

LANGUAGES = ["en-sw", "de"]
PAIRS = SequenceClassification(pair=True, pool=Pool.mean, hidden=True, dropout=0.1)
APART = SiameseClassification(features=[Feature.difference], pool=Pool.mean, normalise=True, hidden=True, dropout=0.0)
RANKING = shipped("contrastive", temperature=0.05, pool="mean", layer=None)


@pytest.fixture(scope="module")
def tokenizer():
    return word_tokenizer([f"w{i}" for i in range(40)])


def with_input(backbone, languages=True, segments=True):
    return MultilingualInput(backbone=backbone, languages=languages, segments=segments)


def made(node, tokenizer, head="encoder", objective=TASK, **options):
    labels = None if objective is MLM or objective is RANKING else ["a", "b"]
    return build(node, head, objective, labels, tokenizer, seed=1, languages=LANGUAGES, **options).eval()


def ids(rows=2):
    return torch.randint(5, 45, (rows, 6), generator=torch.Generator().manual_seed(2))


def rows(languages, texts=1):
    rng = np.random.default_rng(0)
    segments = [[rng.integers(5, 45, rng.integers(3, 9)) for _ in languages] for _ in range(texts)]
    return Rows(segments, np.zeros(len(languages), np.int64), noise.combine(noise.key(1), np.arange(len(languages))), languages)  # fmt: skip


@torch.no_grad()
def test_token_position_language_and_segment_are_summed(tokenizer):
    model = made(with_input(scratch("xlm-roberta")), tokenizer)
    assert model.languages == ("de", "en", "sw") and model.segments
    tables = model.backbone.embeddings
    ids_BL, languages_B, segments_BL = ids(), torch.tensor([2, 0]), torch.tensor([[0, 0, 0, 1, 1, 1]] * 2)
    expected_BLD = (
        tables.word_embeddings.weight[ids_BL]
        + tables.position_embeddings.weight[2:8]
        + tables.token_type_embeddings.weight[0]
        + model.inputs.language.weight[languages_B][:, None]
        + model.inputs.segment.weight[segments_BL]
    )
    inputs = {"input_ids": ids_BL, "language_ids": languages_B, "segment_ids": segments_BL}
    torch.testing.assert_close(model.hidden(inputs, layer=0), tables.LayerNorm(expected_BLD))
    by_token = inputs | {"language_ids": languages_B[:, None].expand(-1, 6)}
    assert torch.equal(model.hidden(by_token), model.hidden(inputs))
    one_text = {"input_ids": ids_BL, "language_ids": languages_B}
    assert torch.equal(model.hidden(one_text), model.hidden(one_text | {"segment_ids": torch.zeros_like(ids_BL)}))


@torch.no_grad()
@pytest.mark.parametrize(
    "node", [*map(scratch, ["bert", "modernbert", "gpt2", "llama", "mbart", "mt5"]), recurrent()],
    ids=lambda n: getattr(n, "architecture", "recurrent"),
)  # fmt: skip
def test_embeddings_of_zero_change_no_family(node, tokenizer):
    """Whatever a family does between ids and first layer (scaling, positions, norms) is done to the sum too; padded rows included."""
    plain, model = made(node, tokenizer), made(with_input(node), tokenizer)
    for parameter in model.inputs.parameters():
        parameter.zero_()
    inputs = {"input_ids": ids(), "attention_mask": torch.tensor([[1] * 6, [1, 1, 1, 1, 0, 0]])}
    with_languages = model.hidden(inputs | {"language_ids": torch.tensor([0, 1])})
    real = inputs["attention_mask"].bool()
    torch.testing.assert_close(with_languages[real], plain.hidden(inputs)[real], rtol=1e-5, atol=1e-6)
    model.inputs.language.weight[1].fill_(0.5).mul_(torch.arange(model.inputs.language.weight.shape[1]) % 3)
    changed = model.hidden(inputs | {"language_ids": torch.tensor([0, 1])})
    assert torch.equal(changed[0], with_languages[0]) and not torch.allclose(changed[1], with_languages[1], atol=1e-3)


@torch.no_grad()
def test_plain_transformers_loads_the_backbone_and_xlt_the_embeddings(tokenizer, tmp_path):
    node = with_input(scratch("xlm-roberta"), segments=False)
    model = made(node, tokenizer, "masked-lm", MLM)
    save(model, tokenizer, tmp_path)
    plain, info = AutoModelForMaskedLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert torch.equal(plain.lm_head.dense.weight, model.backbone.lm_head.dense.weight)
    assert torch.equal(AutoModel.from_pretrained(tmp_path).embeddings.word_embeddings.weight, plain.get_input_embeddings().weight)  # fmt: skip
    inputs = {"input_ids": ids(), "language_ids": torch.tensor([2, 1])}
    from_folder = Pretrained(init_from=str(tmp_path))
    for again in (from_folder, with_input(from_folder, segments=False)):
        loaded = made(again, tokenizer, "masked-lm", MLM)
        assert loaded.languages == model.languages and not loaded.segments
        assert torch.equal(loaded.inputs.language.weight, model.inputs.language.weight)
        assert torch.equal(loaded.hidden(inputs), model.hidden(inputs))
    with pytest.raises(ConfigError, match="model.segments: true, but the checkpoint .* has no embeddings of them"):
        made(with_input(from_folder), tokenizer, "masked-lm", MLM)
    with pytest.raises(ConfigError, match="model.languages: false, but the checkpoint .* has embeddings of them"):
        made(with_input(from_folder, languages=False), tokenizer, "masked-lm", MLM)


def test_a_plain_model_gets_no_file(tokenizer, tmp_path):
    save(made(scratch("xlm-roberta"), tokenizer), tokenizer, tmp_path)
    assert not (tmp_path / INPUTS_FILE).exists()


@pytest.mark.parametrize(
    ("objective", "head", "given", "expected"),
    [
        (MLM, "masked-lm", rows(["sw", "deu_Latn", "en"]), {"language_ids": [2, 0, 1]}),
        (TASK, "encoder", rows(["sw", "deu_Latn", "en"]), {"language_ids": [2, 0, 1]}),
        (APART, "encoder", rows(["sw", "de"], 2), {"first_language_ids": [2, 0], "second_language_ids": [2, 0]}),
        (RANKING, "encoder", rows(["en-sw", "de-en"], 2), {"source_language_ids": [1, 0], "target_language_ids": [2, 1]}),
    ],
    ids=["masked_lm", "classification", "siamese", "contrastive"],
)  # fmt: skip
def test_the_languages_of_the_rows_reach_the_model(objective, head, given, expected, tokenizer):
    model = made(with_input(scratch("xlm-roberta"), segments=False), tokenizer, head, objective)
    vocabulary = Vocabulary.of(tokenizer).read_by(model, LANGUAGES)
    batch = objective.collate(given, vocabulary, 30)
    assert {k: v.tolist() for k, v in batch.tensors.items() if "language" in k} == expected
    loss = objective.loss(model, batch)
    loss.backward()
    used = sorted({i for found in expected.values() for i in found})
    assert model.inputs.language.weight.grad.abs().sum(1).nonzero().flatten().tolist() == used
    with torch.no_grad():
        model.inputs.language.weight[0] += torch.linspace(-1, 1, model.inputs.language.weight.shape[1])
        assert not torch.isclose(objective.loss(model, batch), loss)


@pytest.mark.parametrize("template", ["xlm-r", "bert"])
def test_the_second_text_of_a_pair_has_the_second_segment(template):
    tokenizer = word_tokenizer([f"w{i}" for i in range(40)], template)
    model = made(with_input(scratch("bert"), languages=False), tokenizer, objective=PAIRS)
    vocabulary = Vocabulary.of(tokenizer).read_by(model, ["en"])
    assert model.languages is None
    batch = PAIRS.collate(rows(["en", "xx-unknown"], 2), vocabulary, 30)
    for ids_L, segments_L in zip(batch["input_ids"].tolist(), batch["segment_ids"].tolist(), strict=True):
        begin = ids_L.index(2) + len(vocabulary.between)
        end = len([token for token in ids_L if token != 1])
        assert segments_L == [int(begin <= i < end) for i in range(len(ids_L))]
    assert ("token_type_ids" in batch.tensors) == (template == "bert")
    PAIRS.loss(model, batch).backward()
    assert (model.inputs.segment.weight.grad.abs().sum(1) > 0).all()


def test_a_language_without_an_embedding_is_said_before_anything_runs(tokenizer):
    model = made(with_input(scratch("xlm-roberta")), tokenizer)
    vocabulary = Vocabulary.of(tokenizer)
    sentence = (
        r"model: it has no language embedding for fr, zu, nor .* space \(it has de, en, sw\); leave out these languages"
    )
    with pytest.raises(ConfigError, match=sentence):
        vocabulary.read_by(model, ["en", "zu", "fr-de"])
    assert vocabulary.read_by(model, ["eng_Latn", "sw-de"]).languages == ("de", "en", "sw")
    plain = made(scratch("xlm-roberta"), tokenizer)
    assert vocabulary.read_by(plain, ["no language at all"]) == vocabulary


def test_what_does_not_fit_together_is_said(tokenizer):
    model = made(with_input(scratch("xlm-roberta")), tokenizer)
    with pytest.raises(ConfigError, match="model: it has language embeddings, and this objective does not say"):
        model.hidden({"input_ids": ids()})
    with pytest.raises(ConfigError, match="model: it has no embeddings for language_ids, which the objective gives"):
        made(scratch("xlm-roberta"), tokenizer).hidden({"input_ids": ids(), "language_ids": torch.tensor([0, 0])})
    with pytest.raises(ConfigError, match="model.languages, model.segments: both are false"):
        with_input(scratch("gpt2"), languages=False, segments=False)
    with pytest.raises(ConfigError, match="model.backbone: it is no model"):
        with_input(with_input(scratch("gpt2")))

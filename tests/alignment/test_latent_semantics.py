"""Latent semantics against dense linear algebra and exact recovery; the encoder that carries it; frozen parameters."""

import numpy as np
import pytest
import torch
from transformers import XLMRobertaConfig, XLMRobertaModel

from xlt.alignment.latent_semantics import Occurrences, latent_semantics
from xlt.errors import ConfigError
from xlt.models.build import TransferModel
from xlt.models.static import make_static
from xlt.training.layers import freeze
from xlt.training.optimizer import adamw


def world(seed=0, sentences=40, words=12):
    """Two languages of `words` each, word for word translations; the second has only the first half of the sentences."""
    rng = np.random.default_rng(seed)
    triples = []
    for s in range(sentences):
        chosen = np.flatnonzero(rng.random(words) < 0.3)
        for language in (0, 1) if s < sentences // 2 else (0,):
            triples += [(w + language * words, s, language) for w in chosen]
    return Occurrences(*(torch.tensor(column) for column in zip(*triples, strict=True)))


def dense(seen, size):
    """The same matrix written out: correspondence weights, each word's mean over its languages' sentences taken away."""
    count = int(seen.sentences.max()) + 1
    m = np.zeros((size, count))
    m[seen.words, seen.sentences] = 1
    x = m / np.sqrt(np.maximum(m.sum(1, keepdims=True), 1)) / np.sqrt(np.maximum(m.sum(0, keepdims=True), 1))
    centred = x.copy()
    for language in np.unique(seen.languages):
        of = np.unique(seen.sentences[seen.languages == language])
        for word in np.unique(seen.words[seen.languages == language]):
            here = [s for w, s, g in zip(*(c.tolist() for c in seen), strict=True) if w == word and g == language]
            centred[word, of] -= x[word, here].sum() / len(of)
    return m, centred


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_latent_semantics_is_the_svd_of_the_dense_matrix(power):
    seen, size, width = world(), 25, 6
    m, centred = dense(seen, size)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    expected = u[:, :width] * s[:width]
    idf = np.where(m.sum(1) > 0, np.log(m.shape[1] / np.maximum(m.sum(1), 1)), 0)
    expected = expected / np.maximum(np.linalg.norm(expected, axis=1, keepdims=True), 1e-12) * idf[:, None] ** power
    found = latent_semantics(seen, size, width, iterations=30, idf_power=power, seed=1).numpy()
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=2e-3)  # the basis is free up to rotation
    assert (found[24] == 0).all()  # a word that was never seen


def test_words_that_translate_each_other_have_the_same_vector():
    words, full = 12, world(sentences=40)
    whole = full.sentences < 20  # both languages have all sentences
    vectors = latent_semantics(Occurrences(*(c[whole] for c in full)), 2 * words, 8, 5, 1.0, 0)
    seen = vectors[:words].norm(dim=1) > 0
    torch.testing.assert_close(vectors[:words][seen], vectors[words:][seen], atol=1e-4, rtol=1e-4)


def test_a_language_s_share_of_the_data_is_no_direction():
    """Without centring, all words of the language that has half of the sentences would share a direction."""
    vectors = latent_semantics(world(sentences=400), 24, 12, 10, 1.0, 0)
    unit = torch.nn.functional.normalize(vectors, dim=1)
    assert unit[12:].mean(0).norm() < 0.35  # 12 random directions: 1/sqrt(12) = 0.29


def test_result_does_not_depend_on_the_order_of_occurrences_and_is_narrower_than_asked_without_enough_sentences():
    seen = world()
    order = torch.randperm(len(seen.words), generator=torch.Generator().manual_seed(3))
    one = latent_semantics(seen, 24, 6, 4, 1.0, 0)
    other = latent_semantics(Occurrences(*(c[order] for c in seen)), 24, 6, 4, 1.0, 0)
    torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
    wide = latent_semantics(seen, 24, 64, 4, 1.0, 0)
    assert wide.shape == (24, 64) and (wide[:, 40:] == 0).all()


def encoder(layers):
    config = XLMRobertaConfig(
        vocab_size=30, hidden_size=16, num_hidden_layers=layers, num_attention_heads=2, intermediate_size=8
    )
    return TransferModel(XLMRobertaModel(config, add_pooling_layer=False), {"classifier": torch.nn.Linear(16, 3)}, {})


def test_static_encoder_states_are_the_vectors_up_to_one_scale():
    model = encoder(0).eval()
    vectors = torch.randn(30, 16, generator=torch.Generator().manual_seed(0)) * torch.arange(1, 31)[:, None]
    make_static(model, vectors)
    ids = torch.tensor([[5, 9, 29, 7]])
    states = model.hidden({"input_ids": ids, "attention_mask": torch.ones_like(ids)})[0]
    centred = (vectors - vectors.mean(1, keepdim=True))[ids[0]]
    longest = (vectors - vectors.mean(1, keepdim=True)).square().mean(1).max().sqrt()
    torch.testing.assert_close(states, centred / longest, atol=2e-3, rtol=1e-3)


def test_static_encoder_refuses_layers():
    with pytest.raises(ConfigError, match="model.layers=0"):
        make_static(encoder(1), torch.zeros(30, 16))


def test_frozen_parameters_stay_and_the_others_learn():
    model = encoder(0)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    assert freeze(model, ["backbone.*"]) == sum(p.numel() for p in model.backbone.parameters())
    optimizer = adamw(model, (0.9, 0.999), 1e-8, 0.1)
    for group in optimizer.param_groups:
        group["lr"] = 0.1
    ids = torch.tensor([[5, 9]])
    states = model.hidden({"input_ids": ids, "attention_mask": torch.ones_like(ids)})
    model.heads["classifier"](states).square().sum().backward()
    optimizer.step()
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert changed == {"heads.classifier.weight", "heads.classifier.bias"}


@pytest.mark.parametrize(
    "patterns, said", [(["backbone.embedings.*"], "no parameter is called"), (["*"], "no parameter to learn")]
)
def test_freeze_refuses(patterns, said):
    with pytest.raises(ConfigError, match=said):
        freeze(encoder(0), patterns)

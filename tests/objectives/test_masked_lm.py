"""Masked LM against transformers' own loss, and the statistics of its noise."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from transformers import AutoModelForMaskedLM, BertConfig, XLMRobertaConfig

from tests.toy import masked_lm, word_tokenizer
from xlt import noise
from xlt.errors import ConfigError
from xlt.models.build import TransferModel
from xlt.objectives.masking import Unit
from xlt.types import Rows
from xlt.vocabulary import Vocabulary

WORDS = ["a", "b", *(f"w{i}" for i in range(50))]
OBJECTIVE = masked_lm()


@pytest.fixture(scope="module")
def vocabulary():
    return Vocabulary.of(word_tokenizer(WORDS))


def rows(n, seed=0, length=(5, 25)):
    rng = np.random.default_rng(seed)
    sentences = [rng.integers(5, 57, rng.integers(*length)) for _ in range(n)]
    return Rows([sentences], None, noise.combine(noise.key(seed), np.arange(n)), ["en"] * n)


@pytest.mark.parametrize("family", [XLMRobertaConfig, BertConfig])
def test_the_loss_is_that_of_transformers(vocabulary, family):
    shape = dict(
        vocab_size=57,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=40,
        pad_token_id=1,
    )
    backbone = AutoModelForMaskedLM.from_config(family(**shape)).eval()
    batch = OBJECTIVE.collate(rows(16), vocabulary, 30)
    labels_BL = torch.full_like(batch["input_ids"], -100)
    labels_BL.view(-1)[batch["where"]] = batch["targets"]
    theirs = backbone(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels_BL).loss
    ours = OBJECTIVE.loss(TransferModel(backbone, {}, {}), batch) / batch.count
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-6)


def test_gradients_are_those_of_transformers(vocabulary):
    shape = dict(
        vocab_size=57,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=40,
        pad_token_id=1,
    )
    backbone = AutoModelForMaskedLM.from_config(XLMRobertaConfig(**shape)).eval()
    batch = OBJECTIVE.collate(rows(8), vocabulary, 30)
    (OBJECTIVE.loss(TransferModel(backbone, {}, {}), batch) / batch.count).backward()
    ours = {n: p.grad.clone() for n, p in backbone.named_parameters() if p.grad is not None}
    backbone.zero_grad()
    labels_BL = torch.full_like(batch["input_ids"], -100)
    labels_BL.view(-1)[batch["where"]] = batch["targets"]
    backbone(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels_BL).loss.backward()
    theirs = {n: p.grad for n, p in backbone.named_parameters() if p.grad is not None}
    assert ours.keys() == theirs.keys()
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-4, atol=1e-6)


def test_rates_of_the_noise(vocabulary):
    many = rows(4000, length=(20, 21))
    ids_BL, _ = vocabulary.pad_rows([vocabulary.join((s,), 64) for s in many.segments[0]])
    noised_BL, chosen_BL = OBJECTIVE.corrupt(ids_BL, many.keys, vocabulary)
    ordinary_BL = ~np.isin(ids_BL, [0, 1, 2, 3, 4])
    assert not (chosen_BL & ~ordinary_BL).any()
    assert (noised_BL[~chosen_BL] == ids_BL[~chosen_BL]).all()
    n = chosen_BL.sum()
    assert n / ordinary_BL.sum() == pytest.approx(0.15, abs=0.005)
    assert (noised_BL[chosen_BL] == vocabulary.mask).mean() == pytest.approx(0.8 + 0.1 / 57, abs=0.015)
    assert (noised_BL[chosen_BL] == ids_BL[chosen_BL]).mean() == pytest.approx(0.1 + 0.1 / 57, abs=0.015)


def test_a_rows_noise_does_not_depend_on_its_batch(vocabulary):
    batch = rows(6)
    whole = OBJECTIVE.collate(batch, vocabulary, 30)
    alone = OBJECTIVE.collate(batch.slice(4, 5), vocabulary, 30)
    width = alone["input_ids"].shape[1]
    assert torch.equal(alone["input_ids"][0], whole["input_ids"][4, :width])


def test_wrong_shares_are_one_sentence():
    with pytest.raises(ConfigError, match=r"objective.mask_share \+ objective.random_share: 0.9 \+ 0.2"):
        masked_lm(mask_share=0.9, random_share=0.2)


@pytest.fixture(scope="module")
def halves():
    """Even words go on with a word, odd ones begin one (but ids 5 and 6, that Vocabulary reads itself with)."""
    made = Vocabulary.of(word_tokenizer(WORDS))
    starts = np.arange(made.size) % 2 == 1
    made.__dict__["starts_word"] = starts
    return made


def words_of(ids_BL, vocabulary):
    """(row, list of places) of each word: an independent reading, token by token."""
    found = []
    for row, ids in enumerate(ids_BL.tolist()):
        open_word = None
        for place, token in enumerate(ids):
            if token in vocabulary.special:
                open_word = None
            elif open_word is None or vocabulary.starts_word[token]:
                open_word = [place]
                found.append((row, open_word))
            else:
                open_word.append(place)
    return found


@pytest.mark.parametrize("unit", [Unit.word, Unit.span])
def test_words_are_hidden_whole(halves, unit):
    many = rows(3000, length=(1, 30))
    ids_BL, _ = halves.pad_rows([halves.join((s,), 64) for s in many.segments[0]])
    noised_BL, chosen_BL = masked_lm(unit=unit).corrupt(ids_BL, many.keys, halves)
    words = words_of(ids_BL, halves)
    whole = [chosen_BL[row, places].mean() for row, places in words]
    assert set(whole) == {0.0, 1.0}
    assert sum(len(places) > 1 for _, places in words) > 5000
    assert not (chosen_BL & np.isin(ids_BL, halves.special)).any()
    assert (noised_BL[~chosen_BL] == ids_BL[~chosen_BL]).all()
    n = len(whole)
    if unit is Unit.word:  # each by itself
        assert stats.binomtest(int(sum(whole)), n, 0.15).pvalue > 1e-3
    else:  # a share of each row, so with less variance
        assert sum(whole) / n == pytest.approx(0.15, abs=0.003)
    ordinary = ~np.isin(ids_BL, halves.special)
    assert chosen_BL.sum() / ordinary.sum() == pytest.approx(0.15, abs=0.005)


def test_each_row_has_its_share_of_spans(vocabulary):
    many = rows(2000, length=(20, 21))
    ids_BL, _ = vocabulary.pad_rows([vocabulary.join((s,), 64) for s in many.segments[0]])
    _, chosen_BL = masked_lm(unit=Unit.span).corrupt(ids_BL, many.keys, vocabulary)
    assert set(chosen_BL.sum(1)) == {3}  # 0.15 of 20


def test_spans_have_one_fate_and_words_have_one_each(vocabulary):
    """With shares 0.5 and 0.5, runs are all masks or have none (a random token is a mask once in 57); words differ within a run."""
    many = rows(3000, length=(60, 61))
    ids_BL, _ = vocabulary.pad_rows([vocabulary.join((s,), 64) for s in many.segments[0]])
    mixed = {}
    for unit in (Unit.span, Unit.token):
        objective = masked_lm(unit=unit, mask_share=0.5, random_share=0.5)
        noised_BL, chosen_BL = objective.corrupt(ids_BL, many.keys, vocabulary)
        masks_BL = noised_BL == vocabulary.mask
        runs = [masks_BL[row, a:b] for row in range(len(ids_BL)) for a, b in runs_of(chosen_BL[row]) if b - a > 1]
        mixed[unit] = np.mean([run.any() and not run.all() for run in runs])
    assert mixed[Unit.token] > 0.4
    assert mixed[Unit.span] < 0.15  # neighbours that touch, and random tokens that are masks


def runs_of(flags):
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(int), [0]])))
    return zip(edges[::2], edges[1::2], strict=True)


def test_span_lengths_are_those_of_spanbert(vocabulary):
    """Runs of hidden tokens in long rows, against a simulation of the definition with another generator and another algorithm."""
    many = rows(600, length=(400, 401))
    ids_BL, _ = vocabulary.pad_rows([vocabulary.join((s,), 500) for s in many.segments[0]])
    _, chosen_BL = masked_lm(unit=Unit.span).corrupt(ids_BL, many.keys, vocabulary)
    found = [b - a for flags in chosen_BL for a, b in runs_of(flags)]
    rng, weights, simulated = np.random.default_rng(1), 0.8 ** np.arange(10), []
    for _ in range(1200):
        lengths = []
        while sum(lengths) < 60:  # 0.15 of 400
            lengths.append(min(int(rng.choice(10, p=weights / weights.sum())) + 1, 60 - sum(lengths)))
        items = [[True] * n for n in lengths] + [[False]] * 340
        order = rng.permutation(len(items))
        simulated += [b - a for a, b in runs_of(np.concatenate([items[i] for i in order]))]
    top = 14
    table = [np.bincount(np.minimum(x, top), minlength=top + 1)[1:] for x in (found, simulated)]
    assert stats.chi2_contingency(table).pvalue > 1e-3
    assert len(found) > 8000


def test_rare_tokens_are_chosen_by_the_root_of_their_frequency(vocabulary):
    """Two kinds of tokens, frequencies 100 and 1: rows of 40 of each, one choice a row, so that the rare kind has it ten times as often."""
    counts = np.where(np.arange(vocabulary.size) % 2 == 0, 100, 1)
    known = replace(vocabulary, counts=counts)
    sentence = np.concatenate([np.full(40, 8), np.full(40, 9)])
    keys = noise.combine(noise.key("rare"), np.arange(20_000))
    ids_BL = np.tile(sentence, (len(keys), 1))
    objective = masked_lm(frequency_power=0.5, mask_rate=1 / 80)
    _, chosen_BL = objective.corrupt(ids_BL, keys, known)
    assert (chosen_BL.sum(1) == 1).all()
    rare = int(chosen_BL[:, 40:].sum())
    assert stats.binomtest(rare, len(keys), 10 / 11).pvalue > 1e-3
    assert stats.chisquare(chosen_BL[:, 40:].sum(0)).pvalue > 1e-3


def test_the_rate_is_kept_when_rare_tokens_are_chosen(vocabulary):
    known = replace(vocabulary, counts=np.random.default_rng(0).integers(0, 9999, vocabulary.size))
    many = rows(3000, length=(1, 25))
    ids_BL, _ = known.pad_rows([known.join((s,), 64) for s in many.segments[0]])
    _, chosen_BL = masked_lm(frequency_power=0.5).corrupt(ids_BL, many.keys, known)
    ordinary_BL = ~np.isin(ids_BL, known.special)
    assert not (chosen_BL & ~ordinary_BL).any()
    assert (np.abs(chosen_BL.sum(1) - 0.15 * ordinary_BL.sum(1)) < 1).all()
    assert chosen_BL.sum() / ordinary_BL.sum() == pytest.approx(0.15, abs=0.004)


WRONG = {
    "mask_rate": (1.0, "objective.mask_rate: 1.0 is not in"),
    "span_p": (0.0, "objective.span_p: 0.0 is not in"),
    "span_longest": (0, "objective.span_longest: 0 is below 1"),
    "frequency_power": (-1.0, "objective.frequency_power: -1.0 is below 0"),
}


@pytest.mark.parametrize("field", WRONG)
def test_wrong_values_are_one_sentence(field):
    value, sentence = WRONG[field]
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        masked_lm(**{field: value})


def test_frequencies_choose_tokens_only():
    with pytest.raises(ConfigError, match=r"frequency_power: 0.5 chooses single tokens, but objective.unit is span"):
        masked_lm(unit=Unit.span, frequency_power=0.5)

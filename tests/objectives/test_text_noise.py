"""mBART's text infilling and the word noise of unsupervised translation, against their definitions."""

from dataclasses import replace
from itertools import chain, pairwise, permutations

import numpy as np
import pytest
from scipy import stats

from tests.toy import word_tokenizer
from xlt import noise
from xlt.errors import ConfigError
from xlt.objectives.denoising import Denoising
from xlt.objectives.text_noise import TextInfilling, WordNoise, permute_sentences, word_offsets
from xlt.types import Rows
from xlt.vocabulary import Vocabulary

WORDS = ["a", "b", *(f"w{i}" for i in range(500))]
KEYS = noise.combine(noise.key("text noise"), np.arange(20_000))


@pytest.fixture(scope="module")
def vocabulary():
    return Vocabulary.of(word_tokenizer(WORDS))


@pytest.fixture(scope="module")
def pieces():
    """The same, where every third id begins a word and the others go on with it."""
    made = Vocabulary.of(word_tokenizer(WORDS))
    made.__dict__["starts_word"] = np.arange(made.size) % 3 == 0
    return made


def infill(texts, keys, vocabulary, **changes):
    made = TextInfilling(**{"rate": 0.35, "mean_span": 3.5, "permute_sentences": False, **changes})
    return made.spoil(texts, keys, vocabulary)


def gaps(noised, text, mask):
    """How many tokens of `text` each mask stands for, 0 where it was inserted. Tokens of the text are all different, so what stays tells."""
    found, at, masks = [], 0, 0
    for token in [*noised.tolist(), None]:
        if token == mask:
            masks += 1
            continue
        place = len(text) if token is None else text.tolist().index(token)
        if masks:
            found.append((masks, place - at))
        elif place != at:
            raise AssertionError("a token went without a mask")
        at, masks = place + 1, 0
    return found


def test_thirty_five_percent_of_the_words_are_hidden(vocabulary):
    texts = [np.arange(7, 7 + n) for n in np.random.default_rng(0).integers(1, 60, 4000)]
    noised = infill(texts, KEYS[:4000], vocabulary)
    hidden = 0
    for spoiled, text in zip(noised, texts, strict=True):
        lost = sum(n for _, n in gaps(spoiled, text, vocabulary.mask))
        assert abs(lost - 0.35 * len(text)) < 1
        hidden += lost
    assert hidden / sum(map(len, texts)) == pytest.approx(0.35, abs=0.003)


def test_span_lengths_are_poisson(vocabulary):
    """One mask in long texts where few words are hidden, so that spans seldom touch: their lengths by chi-square. Spans that touch are left out, and
    what that does to short ones is small here; the last span of a text is cut, so budgets are large."""
    text = np.arange(7, 487)
    noised = infill([text] * 3000, KEYS[:3000], vocabulary, rate=0.1, mean_span=3.5)
    lengths = [n for spoiled in noised for masks, n in gaps(spoiled, text, vocabulary.mask) if masks == 1]
    rng, simulated = np.random.default_rng(5), []
    for _ in range(6000):  # the definition, another way: 48 words hidden among 480
        drawn = []
        while sum(drawn) < 48:
            drawn.append(min(int(rng.poisson(3.5)), 48 - sum(drawn)))
        items = [-1] * 432 + drawn
        order = [items[i] for i in rng.permutation(len(items))]
        padded = [-1, *order, -1]
        simulated += [b for a, b, c in zip(padded, padded[1:], padded[2:], strict=False) if b >= 0 and a < 0 and c < 0]
    top = 11
    table = [np.bincount(np.minimum(x, top), minlength=top + 1) for x in (lengths, simulated)]
    assert len(lengths) > 20_000
    assert stats.chi2_contingency(table).pvalue > 1e-3
    share = np.bincount(lengths, minlength=12)[:12] / len(lengths)
    assert np.abs(share - stats.poisson(3.5).pmf(np.arange(12))).max() < 0.02


def test_words_are_hidden_whole(pieces):
    texts = [np.random.default_rng(i).permutation(np.arange(7, 7 + 90)) for i in range(300)]
    for text, spoiled in zip(texts, infill(texts, KEYS[:300], pieces), strict=True):
        kept = np.isin(text, spoiled)
        offsets = word_offsets(text, pieces)
        whole = {kept[a:b].mean() for a, b in pairwise(offsets)}
        assert whole <= {0.0, 1.0}
        assert (np.diff(offsets) > 1).any()


def test_all_orders_of_three_sentences_equally_often():
    tokenizer = word_tokenizer(["a", "b", "x.", "y.", "z!", "c"])
    vocabulary = Vocabulary.of(tokenizer)
    one, two, three = (tokenizer(t, add_special_tokens=False)["input_ids"] for t in ("a x.", "y.", "b c z!"))
    text = np.array([*one, *two, *three])
    orders = {tuple(chain(*order)): 0 for order in permutations([one, two, three])}
    for key in KEYS[:6000]:
        orders[tuple(permute_sentences(text, key, vocabulary).tolist())] += 1
    assert stats.chisquare(list(orders.values())).pvalue > 1e-3


def test_shuffled_words_move_at_most_k_places_and_do_move(vocabulary):
    text = np.arange(7, 27)
    for k in (1, 3, 5):
        noised = WordNoise(shuffle=k, dropout=0.0, blank=0.0).spoil([text] * 3000, KEYS[:3000], vocabulary)
        moved = np.array([np.argsort(np.argsort(ids)) - np.arange(20) for ids in noised])
        assert np.abs(moved).max() == k
        assert (np.sort(noised, 1) == text).all()


def test_the_shuffle_is_that_of_the_paper(vocabulary):
    """i + U(0, k + 1) sorted (Lample et al. 2018, section 2.3): all orders of four words, against a simulation."""
    noised = WordNoise(shuffle=3, dropout=0.0, blank=0.0).spoil([np.arange(7, 11)] * 20_000, KEYS, vocabulary)
    simulated = np.argsort(np.arange(4) + np.random.default_rng(2).random((20_000, 4)) * 4, axis=1)
    table = [
        [int((np.array(x) == order).all(1).sum()) for order in permutations(range(4))]
        for x in (np.array(noised) - 7, simulated)
    ]
    table = np.array(table)[:, np.array(table).sum(0) > 0]
    assert stats.chi2_contingency(table).pvalue > 1e-3


def test_dropout_and_blank_have_their_rates_and_keep_words_whole(pieces):
    text = np.arange(9, 309)  # a word every three tokens
    noised = WordNoise(shuffle=0, dropout=0.1, blank=0.2).spoil([text] * 300, KEYS[:300], pieces)
    words = [ids.reshape(-1, 3) for ids in noised]
    kept = sum(map(len, words))
    assert stats.binomtest(kept, 300 * 100, 0.9).pvalue > 1e-3
    blank = np.concatenate([(w == pieces.mask).mean(1) for w in words])
    assert set(blank) == {0.0, 1.0}
    assert stats.binomtest(int(blank.sum()), kept, 0.2).pvalue > 1e-3


def test_a_word_is_always_left(vocabulary):
    texts = [np.array([7])] * 200 + [np.array([], np.int64)]
    noised = WordNoise(shuffle=3, dropout=0.9, blank=0.0).spoil(texts, KEYS[:201], vocabulary)
    assert [len(ids) for ids in noised] == [1] * 200 + [0]


def one(text, language="en"):
    return Rows([[text]], None, KEYS[:1], [language])


def test_language_tokens_stand_where_mbart_has_them():
    tokenizer = word_tokenizer(WORDS)
    tokenizer.add_special_tokens({"extra_special_tokens": ["en_XX", "de_DE"]})
    vocabulary = Vocabulary.of(tokenizer)
    german = tokenizer.convert_tokens_to_ids("de_DE")
    objective = Denoising(noise=WordNoise(shuffle=0, dropout=0.0, blank=0.0), language_tokens=True)
    batch = objective.collate(one(np.arange(10, 14), "deu"), vocabulary, 30)
    assert batch["input_ids"].tolist() == [[10, 11, 12, 13, 2, german]] == batch["labels"].tolist()
    cut = objective.collate(one(np.arange(10, 90), "de"), vocabulary, 8)
    assert cut["input_ids"].tolist() == [[*range(10, 16), 2, german]]
    # mBART-50 begins with the language: the tokenizer's own frame says so, with the row's language in it
    fifty = replace(vocabulary, prefix=(tokenizer.convert_tokens_to_ids("en_XX"),), suffix=(2,))
    assert objective.collate(one(np.arange(10, 14), "de"), fifty, 30)["labels"].tolist() == [
        [german, 10, 11, 12, 13, 2]
    ]
    with pytest.raises(ConfigError, match="tokenizer: it has no token for the language sw"):
        objective.collate(one(np.arange(10, 14), "sw"), vocabulary, 30)


def test_masks_too_many_do_not_make_a_row_too_long(vocabulary):
    objective = Denoising(noise=TextInfilling(rate=0.9, mean_span=0.1, permute_sentences=True), language_tokens=False)
    rows = Rows([[np.arange(10, 40)] * 20], None, KEYS[:20], ["en"] * 20)
    batch = objective.collate(rows, vocabulary, 24)
    assert batch["input_ids"].shape == (20, 24) and (batch["input_ids"][:, -1] == 2).all()
    assert batch["labels"].shape == (20, 24) and batch.tokens == 2 * 20 * 24 and batch.count == 20 * 24


def test_wrong_values_are_one_sentence():
    for make, sentence in (
        (lambda: TextInfilling(rate=1.0, mean_span=3.5, permute_sentences=True), "objective.noise.rate: 1.0"),
        (lambda: TextInfilling(rate=0.3, mean_span=0.0, permute_sentences=True), "objective.noise.mean_span: 0.0"),
        (lambda: WordNoise(shuffle=-1, dropout=0.1, blank=0.1), "objective.noise.shuffle: -1"),
        (lambda: WordNoise(shuffle=3, dropout=1.0, blank=0.1), "objective.noise.dropout: 1.0"),
        (lambda: Denoising(noise=3, language_tokens=True), "objective.noise: 3 is no noise"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            make()

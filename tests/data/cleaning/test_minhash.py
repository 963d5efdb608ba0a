"""MinHash against exact Jaccard similarity, and banding against its closed form. All bounds are four standard deviations of the binomial."""

import random

import numpy as np
import pytest

from xlt import noise
from xlt.data.cleaning.minhash import band_keys, caught, jaccard, ngrams, signatures

BANDS, ROWS = 14, 8


def plain(text, n):
    """The n-grams of a text, as strings."""
    text = text.ljust(n, "\0")
    return {text[i : i + n] for i in range(len(text) - n + 1)}


def sets_of_similarity(shared, own, pairs, seed):
    """Hashes and starts of `pairs` pairs of sets with `shared` elements in common and `own` of each alone."""
    pool = noise.combine(noise.key("pool", seed), np.arange(pairs * (shared + 2 * own))).reshape(pairs, -1)
    left, right = pool[:, : shared + own], np.concatenate([pool[:, :shared], pool[:, shared + own :]], axis=1)
    both = np.stack([left, right], axis=1)
    return both.reshape(-1), np.arange(2 * pairs) * (shared + own)


def test_ngrams_are_those_of_the_strings():
    draw = random.Random(0)
    texts = ["".join(draw.choices("abc \u0915\u094d\U0001f600", k=draw.randrange(1, 30))) for _ in range(200)]
    for n in (1, 3, 5):
        hashes, starts = ngrams(texts, n)
        parts = np.split(hashes, starts[1:])
        known = {}
        for text, part in zip(texts, parts, strict=True):
            padded = text.ljust(n, "\0")
            grams = [padded[i : i + n] for i in range(len(padded) - n + 1)]
            assert len(grams) == len(part)
            for gram, value in zip(grams, part.tolist(), strict=True):
                assert known.setdefault(gram, value) == value
        assert len(set(known.values())) == len(known), "two n-grams have one hash"


def test_rows_do_not_depend_on_their_chunk():
    texts = ["one sentence", "x", "another sentence"]
    together = signatures(*ngrams(texts, 5), 16)
    alone = np.concatenate([signatures(*ngrams([text], 5), 16) for text in texts])
    assert np.array_equal(together, alone)


def test_jaccard_is_that_of_the_strings():
    draw = random.Random(1)
    for _ in range(200):
        a = "".join(draw.choices("ab", k=draw.randrange(1, 25)))
        b = "".join(draw.choices("ab", k=draw.randrange(1, 25)))
        found = jaccard(np.unique(ngrams([a], 3)[0]), np.unique(ngrams([b], 3)[0]))
        assert found == len(plain(a, 3) & plain(b, 3)) / len(plain(a, 3) | plain(b, 3))


@pytest.mark.parametrize(("shared", "own"), [(20, 40), (40, 20), (80, 10), (90, 5), (4, 1), (500, 62)])
def test_estimates_are_within_the_theoretical_error(shared, own):
    """Agreements are binomial: mean s, variance s(1-s)/H per pair, in expectation and in spread."""
    pairs, functions, s = 1500, 112, shared / (shared + 2 * own)
    found = signatures(*sets_of_similarity(shared, own, pairs, 3), functions)
    estimates = (found[::2] == found[1::2]).mean(1)
    error = np.sqrt(s * (1 - s) / functions)
    assert abs(estimates.mean() - s) < 4 * error / np.sqrt(pairs)
    assert estimates.std() == pytest.approx(error, rel=4 / np.sqrt(2 * pairs))
    assert (np.abs(estimates - s) < 4 * error).mean() > 0.998


def test_estimates_of_texts_are_within_the_theoretical_error():
    """Real n-grams, which overlap: squared errors over their variance sum to about the number of pairs."""
    draw, functions, squares = random.Random(4), 112, []
    for _ in range(600):
        a = "".join(draw.choices("abcdefghij ", k=80))
        at = draw.randrange(80)
        b = a[:at] + "".join(draw.choices("abcdefghij ", k=draw.randrange(1, 40))) + a[at:]
        s = len(plain(a, 5) & plain(b, 5)) / len(plain(a, 5) | plain(b, 5))
        found = signatures(*ngrams([a, b], 5), functions)
        squares.append(((found[0] == found[1]).mean() - s) ** 2 / (s * (1 - s) / functions))
    assert abs(np.mean(squares) - 1) < 4 * np.sqrt(2 / 600)


@pytest.mark.parametrize("texts", [None, "abcdefghijklmnopqrstuvwx", "a b c d e f g h i j k l "], ids=str)
def test_each_element_is_as_often_the_smallest(texts):
    """Min-wise independence, which is what the estimate rests on; n-grams of a text are no worse than random numbers."""
    functions, size = 4000, 20
    hashes = noise.combine(noise.key("elements"), np.arange(size)) if texts is None else ngrams([texts], 5)[0]
    assert len(set(hashes.tolist())) == size
    smallest = signatures(hashes, np.array([0]), functions)[0]
    singles = signatures(hashes, np.arange(size), functions)
    counts = (singles == smallest).sum(1)
    assert counts.sum() == functions
    expected = functions / size
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert chi_square < (size - 1) + 4 * np.sqrt(2 * (size - 1))


@pytest.mark.parametrize(("shared", "own"), [(20, 20), (40, 20), (60, 20), (80, 10), (90, 5)])
@pytest.mark.parametrize(("bands", "rows"), [(BANDS, ROWS), (20, 3)])
def test_banding_proposes_with_the_probability_of_the_closed_form(shared, own, bands, rows):
    pairs, s = 3000, shared / (shared + 2 * own)
    keys = band_keys(signatures(*sets_of_similarity(shared, own, pairs, 5), bands * rows), bands, 0)
    share = (keys[::2] == keys[1::2]).any(1).mean()
    wanted = 1 - (1 - s**rows) ** bands
    assert caught(s, bands, rows) == pytest.approx(wanted)
    assert abs(share - wanted) <= 4 * np.sqrt(wanted * (1 - wanted) / pairs) + 1e-9


def test_what_the_config_says_of_its_banding():
    assert round(caught(0.8, BANDS, ROWS), 2) == 0.92 and round(caught(0.5, BANDS, ROWS), 2) == 0.05
    assert caught(1.0, BANDS, ROWS) == 1 and caught(0.0, BANDS, ROWS) == 0


def test_a_band_is_shared_if_all_its_values_are():
    draw = np.random.default_rng(0)
    values = draw.integers(0, 2, (200, 6), dtype=np.uint64)
    keys = band_keys(values, 2, 0)
    for band in range(2):
        part = values[:, 3 * band : 3 * band + 3]
        same = (part[:, None] == part[None]).all(2)
        assert np.array_equal(keys[:, band][:, None] == keys[:, band][None], same)
    assert not np.isin(keys[:, 0], keys[:, 1]).any(), "bands are told apart"
    assert not np.isin(keys, band_keys(values, 2, 1)).any(), "groups are told apart"

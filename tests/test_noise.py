"""The counter-based generator: SplitMix64's published values, and independence of shape."""

import numpy as np

from xlt import noise


def test_mix_is_splitmix64():
    # First outputs of SplitMix64 seeded with 1234567 (reference implementation of Vigna, splitmix64.c)
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    state, golden = 1234567, 0x9E3779B97F4A7C15
    seeds = np.array([(state + i * golden) % 2**64 for i in range(3)], np.uint64)
    assert noise.mix(seeds).tolist() == expected


def test_keys_do_not_depend_on_the_process():
    assert int(noise.key(1, "mono", "en", "train")) == int(noise.key(1, "mono", "en", "train"))
    assert noise.key(1, "ab", "c") != noise.key(1, "a", "bc")


def test_uniform_is_uniform():
    u = noise.uniform(noise.combine(noise.key("test"), np.arange(200_000)))
    assert u.min() >= 0 and u.max() < 1
    counts = np.histogram(u, 20, (0, 1))[0]
    chi2 = float(((counts - 10_000) ** 2 / 10_000).sum())
    assert chi2 < 43.8  # 99.9 % quantile, 19 degrees of freedom


def test_permutation_is_one_and_differs_by_key():
    a, b = noise.permutation(noise.key(1), 1000), noise.permutation(noise.key(2), 1000)
    assert sorted(a) == list(range(1000)) and a.tolist() != b.tolist()

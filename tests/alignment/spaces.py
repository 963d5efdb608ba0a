"""Spaces whose alignment is known: a space, a rotated noisy copy of it in another order, and one that has nothing to do with it. Spectra fall as those of real vectors do."""

from __future__ import annotations

import torch

from xlt.alignment.vectors import StaticVectors


def gaussian(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def rotation(d, seed=1, dtype=torch.float32):
    return torch.linalg.qr(gaussian(d, d, seed=seed, dtype=torch.float64))[0].to(dtype)


def realistic(n, d, seed=0, dtype=torch.float32):
    """Singular values that fall with the square root of their rank; words in clusters of different sizes, so that no two words have the same surroundings."""
    centres = gaussian(max(2, n // 20), d, seed=seed, dtype=dtype)
    draw = torch.Generator().manual_seed(seed + 1000)
    weight = -torch.rand(len(centres), generator=draw).log()
    cluster = torch.multinomial(weight / weight.sum(), n, replacement=True, generator=draw)
    spread = torch.rand(len(centres), generator=draw).to(dtype) + 0.3
    points = centres[cluster] + spread[cluster, None] * gaussian(n, d, seed=seed + 2000, dtype=dtype)
    scale = torch.arange(1, d + 1, dtype=dtype) ** -0.5
    return points * scale @ rotation(d, seed + 3000, dtype).T


def noisy_copy(x, noise, seed=0):
    """x rotated, with noise of `noise` times its own scale in every direction: (copy, the rotation)."""
    d = x.shape[1]
    w = rotation(d, seed + 10, x.dtype)
    axes = torch.linalg.svd(x, full_matrices=False)[2]
    scale = (x @ axes.T).std(0)
    return (x + noise * (gaussian(*x.shape, seed=seed + 11, dtype=x.dtype) * scale) @ axes) @ w.T, w


def tables(x, y):
    """Both as tables whose i-th words translate each other, s0-t0, s1-t1 ..."""
    return StaticVectors([f"s{i}" for i in range(len(x))], x), StaticVectors([f"t{i}" for i in range(len(y))], y)

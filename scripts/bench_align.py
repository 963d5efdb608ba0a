"""Speed of aligning word spaces and of mining: xlt against plain numpy and faiss, with the same results checked first.

    python scripts/bench_align.py --out scripts/results/align.json [--words 200000] [--cutoff 20000] [--sentences 100000] [--rounds 3] [--threads N] [--cases NAME ...]

Vectors are synthetic (a space and a rotated noisy copy), so the figures do not depend on anyone's data. Before a pair of sides is timed, both are run on a part small
enough to compare, and their results are asserted to be equal. The sides take turns; the best of the rounds counts. The share of the peak is useful operations only,
2 n m d of each matrix product that the definition needs, over the rate of a measured square fp32 product (4096) of the same threads.

csls: the CSLS neighbour of 1,500 words among all target words, neighbourhoods over all words of both sides (word translation as MUSE scores it).
neighbours: CSLS neighbours both ways of the `cutoff` most frequent words, which is a round of refinement. self_learning: a whole round of self-learning, with the
stochastic thinning of its first rounds (numpy thins similarity by similarity, as the paper has it). procrustes: the closed form from 5,000 pairs. mining: margin
scores and one-to-one pairs of sentences of 512 numbers.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np

WIDTH, SENTENCE_WIDTH, QUERIES, PAIRS, K = 300, 512, 1500, 5000, 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    for name, default in (
        ("words", 200_000),
        ("cutoff", 20_000),
        ("sentences", 100_000),
        ("rounds", 3),
        ("threads", os.cpu_count()),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    how = parser.parse_args()
    import faiss
    import torch

    torch.set_num_threads(how.threads)
    faiss.omp_set_num_threads(how.threads)
    peak = peak_of()
    print(f"GEMM peak {peak / 1e9:.1f} GFLOP/s, {how.threads} threads")
    results = {"peak_gflops": peak / 1e9}
    for name in how.cases:
        results[name] = measure(name, *CASES[name](how), how.rounds, peak)
    if how.out:
        how.out.parent.mkdir(parents=True, exist_ok=True)
        about = {
            "date": date.today().isoformat(),
            "processor": platform.processor() or platform.machine(),
            **vars(how),
            "out": None,
        }
        about["peak_memory_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        how.out.write_text(json.dumps({"about": about, **results}, indent=2) + "\n", encoding="utf-8")


def peak_of() -> float:
    """Operations per second of a square product, the best of five."""
    import torch

    a, b = torch.randn(4096, 4096), torch.randn(4096, 4096)
    return 2 * 4096**3 / min(timed(lambda: a @ b) for _ in range(5))


def timed(work: Callable) -> float:
    """Seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(name: str, sides: dict[str, Callable], operations: float, rounds: int, peak: float) -> dict:
    """Best seconds of each side, the sides in turn; printed with ratios and xlt's share of the peak."""
    best, start = dict.fromkeys(sides, float("inf")), time.perf_counter()
    while rounds > 0 or time.perf_counter() - start < 3:  # what is short is taken oftener
        rounds -= 1
        for side, work in sides.items():
            best[side] = min(best[side], timed(work))
    share = operations / best["xlt"] / peak if operations else None
    ratios = {side: seconds / best["xlt"] for side, seconds in best.items() if side != "xlt"}
    told = ", ".join(f"{side} {best[side]:.2f} s ({ratio:.2f} times as long)" for side, ratio in ratios.items())
    print(f"{name}: xlt {best['xlt']:.2f} s{f', {share:.0%} of the peak' if share else ''}; {told}", flush=True)
    return {"seconds": best, "times_as_fast": ratios, "share_of_peak": share}


def spaces(n: int, width: int, noise: float = 0.3):
    """Unit rows of a space and of its rotated noisy copy, float32."""
    import torch

    draw = torch.Generator().manual_seed(0)
    x = torch.randn(n, width, generator=draw) * torch.arange(1, width + 1) ** -0.5
    turn = torch.linalg.qr(torch.randn(width, width, generator=draw))[0]
    y = (x + noise * torch.randn(n, width, generator=draw) * torch.arange(1, width + 1) ** -0.5) @ turn.T
    return tuple(torch.nn.functional.normalize(each) for each in (x, y))


def procrustes_case(how):
    from xlt.alignment.procrustes import procrustes

    x, y = spaces(max(PAIRS, 1000), WIDTH)
    a, b = x.double().numpy(), y.double().numpy()

    def plain() -> np.ndarray:
        u, _, vt = np.linalg.svd(b.T @ a)
        return u @ vt

    assert np.abs(procrustes(x, y).double().numpy() - plain()).max() < 1e-5
    return {"xlt": lambda: procrustes(x, y), "numpy": plain}, None


def csls_case(how):
    from xlt.alignment.csls import nearest

    x, y = spaces(how.words, WIDTH)

    def ours(n: int) -> np.ndarray:
        return nearest(x[:QUERIES], y[:n], 1, "csls", K, hubs_ND=x[:n])[1][:, 0].numpy()

    def numpy_side(n: int) -> np.ndarray:
        return plain_csls(x[:QUERIES].numpy(), x[:n].numpy(), y[:n].numpy())

    def faiss_side(n: int) -> np.ndarray:
        return faiss_csls(x[:QUERIES].numpy(), x[:n].numpy(), y[:n].numpy())

    small = min(how.words, 20_000)
    assert same(ours(small), numpy_side(small)) and same(ours(small), faiss_side(small))
    n = how.words
    operations = 2 * WIDTH * (n * n + 2 * QUERIES * n)
    return {"xlt": lambda: ours(n), "numpy": lambda: numpy_side(n), "faiss": lambda: faiss_side(n)}, operations


def same(ours: np.ndarray, theirs: np.ndarray) -> bool:
    """But for a word in a thousand, where float32 adds up in another order and two are equally near."""
    return bool((ours == theirs).mean() > 0.999)


def top_means(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Mean similarity to the K nearest, a thousand rows at a time."""
    return np.concatenate(
        [np.partition(x[i : i + 1000] @ y.T, -K, axis=1)[:, -K:].mean(1) for i in range(0, len(x), 1000)]
    )


def plain_csls(queries: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    r_y = top_means(y, x)
    return np.concatenate([(2 * queries[i : i + 1000] @ y.T - r_y).argmax(1) for i in range(0, len(queries), 1000)])


def faiss_csls(queries: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Neighbourhoods from a flat index; the neighbour itself from a flat index with -r/2 as one more number, as MUSE's users do it."""
    import faiss

    of_x = faiss.IndexFlatIP(x.shape[1])
    of_x.add(x)
    r_y = of_x.search(y, K)[0].mean(1)
    of_y = faiss.IndexFlatIP(y.shape[1] + 1)
    of_y.add(np.hstack([y, -r_y[:, None] / 2]).astype(np.float32))
    return of_y.search(np.hstack([queries, np.ones((len(queries), 1), np.float32)]), 1)[1][:, 0]


def neighbours_case(how):
    from xlt.alignment.csls import csls_neighbours

    x, y = spaces(how.cutoff, WIDTH)

    def ours(n: int):
        return [each.numpy() for each in csls_neighbours(x[:n], y[:n], K)[:2]]

    def numpy_side(n: int):
        a, b = x[:n].numpy(), y[:n].numpy()
        return [plain_csls(a, a, b), plain_csls(b, b, a)]

    def faiss_side(n: int):
        a, b = x[:n].numpy(), y[:n].numpy()
        return [faiss_csls(a, a, b), faiss_csls(b, b, a)]

    small = min(how.cutoff, 5000)
    assert all(
        same(a, b) and same(a, c) for a, b, c in zip(ours(small), numpy_side(small), faiss_side(small), strict=True)
    )
    n = how.cutoff
    # the definition needs two products: one for the neighbourhoods of both sides, one for the corrected similarities
    return {
        "xlt": lambda: ours(n),
        "numpy": lambda: numpy_side(n),
        "faiss": lambda: faiss_side(n),
    }, 2 * 2 * WIDTH * n * n


def self_learning_case(how):
    import torch

    from xlt.alignment.self_learning import _neighbours

    x, y = spaces(how.cutoff, WIDTH)
    generator = torch.Generator().manual_seed(0)
    random = np.random.default_rng(0)

    def plain(n: int, keep: float):
        """Artetxe et al. 2018, section 3.3, each direction: similarities, their hubs, those kept, the best of them."""
        found, means = [], []
        for a, b in ((x[:n].numpy(), y[:n].numpy()), (y[:n].numpy(), x[:n].numpy())):
            r = top_means(b, a)
            for i in range(0, n, 1000):
                similarity = a[i : i + 1000] @ b.T
                means.append(similarity.max(1))
                similarity -= r / 2
                if keep < 1:
                    similarity[random.random(similarity.shape, dtype=np.float32) >= keep] = 0
                found.append(similarity.argmax(1))
        return np.concatenate(found), float(np.concatenate(means).mean())

    small = min(how.cutoff, 5000)
    (forward, backward), objective = _neighbours(x[:small], y[:small], 1.0, K, None)
    theirs, mean = plain(small, 1.0)
    assert same(np.concatenate([forward.numpy(), backward.numpy()]), theirs) and abs(objective - mean) < 1e-4
    n = how.cutoff
    return {
        "xlt": lambda: _neighbours(x, y, 0.1, K, generator),
        "numpy": lambda: plain(n, 0.1),
    }, 2 * WIDTH * n * n * 1.2


def mining_case(how):
    from xlt.alignment.mining import Margin, Matching, mine

    x, y = spaces(how.sentences, SENTENCE_WIDTH)

    def ours(n: int):
        return mine(x[:n], y[:n], 4, Margin.ratio, Matching.intersection)

    def faiss_side(n: int):
        return mine_with_faiss(x[:n].numpy(), y[:n].numpy(), 4)

    small = min(how.sentences, 5000)
    pairs = ours(small)
    a, b = set(zip(pairs.source.tolist(), pairs.target.tolist(), strict=True)), faiss_side(small)
    assert len(a ^ b) <= 0.002 * len(a | b)
    n = how.sentences
    return {"xlt": lambda: ours(n), "faiss": lambda: faiss_side(n)}, 2 * 2 * SENTENCE_WIDTH * n * n


def mine_with_faiss(x: np.ndarray, y: np.ndarray, k: int) -> set[tuple[int, int]]:
    """Artetxe and Schwenk 2019 as LASER does it: both ways by a flat index, ratio margin, those that choose each other."""
    import faiss

    def search(a: np.ndarray, b: np.ndarray):
        index = faiss.IndexFlatIP(a.shape[1])
        index.add(b)
        return index.search(a, k)

    (near_x, of_x), (near_y, of_y) = search(x, y), search(y, x)
    mean_x, mean_y = near_x.mean(1), near_y.mean(1)
    forward = of_x[np.arange(len(x)), (near_x / ((mean_x[:, None] + mean_y[of_x]) / 2)).argmax(1)]
    backward = of_y[np.arange(len(y)), (near_y / ((mean_y[:, None] + mean_x[of_y]) / 2)).argmax(1)]
    return {(i, int(j)) for i, j in enumerate(forward) if backward[j] == i}


CASES = {
    "procrustes": procrustes_case,
    "neighbours": neighbours_case,
    "self_learning": self_learning_case,
    "csls": csls_case,
    "mining": mining_case,
}

if __name__ == "__main__":
    main()

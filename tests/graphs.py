"""Two small knowledge graphs as files: the second is a copy of the first with other ids, names and relation names, whole or with some triples left out."""

from __future__ import annotations

import numpy as np

NAMES = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"]


def triples(entities=60, relations=5, count=300, seed=1):
    """Different (head, relation, tail), random; every entity is in one."""
    draw = np.random.default_rng(seed)
    ring = {(i, int(draw.integers(relations)), (i + 1) % entities) for i in range(entities)}
    while len(ring) < count:
        ring.add((int(draw.integers(entities)), int(draw.integers(relations)), int(draw.integers(entities))))
    return sorted(ring)


def write(folder, pair="zh-en", entities=60, kept=1.0, seeds=30, with_entities=True, **rest):
    """{pair}/...: triples, entities and links; entity i of the source is entity (7 i + 3) mod N of the target. Returns the overrides that read it."""
    folder = folder / pair
    folder.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(5)
    facts = triples(entities, **rest)
    partner = [(7 * i + 3) % entities for i in range(entities)]
    assert len(set(partner)) == entities
    for side, own in (("source", list(range(entities))), ("target", partner)):
        lines = [f"{side[0]}{own[h]}\t{side[0]}r{r}\t{side[0]}{own[t]}\n" for h, r, t in facts if draw.random() < kept]
        (folder / f"triples_{side}.tsv").write_text("".join(lines))
        if with_entities:
            named = {own[i]: f"{NAMES[i % 10]}_{NAMES[i // 10]}" for i in range(entities)}
            rows = [f"{side[0]}{i}\thttp://x.org/resource/{named[i]}\n" for i in sorted(named)]
            (folder / f"entities_{side}.tsv").write_text("".join(rows))
    order = draw.permutation(entities)
    for split, chosen in (("train", order[:seeds]), ("test", order[seeds:])):
        (folder / f"links_{split}.tsv").write_text("".join(f"s{i}\tt{partner[i]}\n" for i in chosen))
    given = ['dataset.entities="{root}/{lang}/entities_{side}.tsv"'] if with_entities else []
    return ["dataset=graph_files", f"dataset.root={folder.parent}", *given]

"""Hard negatives: which sentences are taken, that a table and a batch hold them, and what they add to the loss."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.objectives.test_pieces import model_of
from tests.objectives.test_similarities import INFONCE, VOCABULARY, pairs
from xlt.alignment.negatives import wrong_neighbours
from xlt.data.encode import Table, gather
from xlt.data.negatives import WithNegatives, numbers_of_texts
from xlt.types import Rows


def table_of(sources, targets):
    texts = [np.array(ids, np.int64) for pair in zip(sources, targets, strict=True) for ids in pair]
    offsets = np.concatenate([[0], np.cumsum([len(ids) for ids in texts])])
    return Table(
        "toy", "en-de", "train", 2, np.concatenate(texts), offsets, None, None, "", {}, {}, lambda: iter(()), str
    )


def brute(x, y, x_N, y_N, count):
    found = []
    for i in range(len(x)):
        order = sorted(
            range(len(y)), key=lambda j: (-float(x[i] @ y[j] / np.linalg.norm(x[i]) / np.linalg.norm(y[j])), j)
        )
        kept, seen = [], set()
        for j in order:
            if y_N[j] != y_N[i] and x_N[j] != x_N[i] and y_N[j] not in seen:
                kept.append(j)
                seen.add(y_N[j])
        found.append((kept + [-1] * count)[:count])
    return found


@pytest.mark.parametrize("count", [1, 3, 30])
def test_the_nearest_wrong_ones_are_found_one_by_one(count):
    rng = np.random.default_rng(count)
    x_N, y_N = rng.integers(0, 12, 20), rng.integers(0, 9, 20)
    x, y = rng.normal(size=(20, 4)), rng.normal(size=(9, 4))[y_N] + rng.normal(size=(20, 4)) * 1e-3
    found = wrong_neighbours(torch.tensor(x), torch.tensor(y), x_N, y_N, count)
    assert found.tolist() == brute(x, y, x_N, y_N, count)


def test_hubs_are_corrected_if_asked():
    """One sentence is near to all; by CSLS it is a negative of fewer."""
    torch.manual_seed(0)
    x = torch.nn.functional.normalize(torch.randn(30, 5) + 1.5, dim=1)
    y = torch.cat([torch.ones(1, 5), torch.randn(29, 5) + 0.7])
    names = np.arange(30)
    by = {how: int((wrong_neighbours(x, y, names, names, 1, how) == 0).sum()) for how in ("cosine", "csls", "ratio")}
    assert by["csls"] < by["cosine"] and by["ratio"] < by["cosine"]


def test_a_table_has_them_as_segments():
    table = table_of([[1, 2], [3], [4, 5, 6]], [[7], [8, 9], [7]])
    assert numbers_of_texts(table, 1).tolist() == [0, 1, 0]
    nearby = np.array([[[1, 2], [0, -1], [1, 0]], [[1, -1], [2, 0], [1, -1]]])
    held = WithNegatives.of(table, nearby)
    assert len(held) == 3 and held.segments == 6
    assert [held.segment(0, i).tolist() for i in range(6)] == [[1, 2], [7], [3], [4, 5, 6], [8, 9], []]
    assert held.lengths.tolist()[0] == [2, 1, 1, 3, 2, 0] and held.lengths.tolist()[1] == [1, 2, 2, 0, 1, 1]
    rows = gather([held], np.zeros(1, int), np.array([1]), np.zeros(1, int), 1, None)
    assert [s[0].tolist() for s in rows.segments] == [[3], [8, 9], [1, 2], [], [7], [7]]


def with_negatives(rows, each, seed=3):
    """The pairs, each with `each` further sentences a side, of which the last row has one less."""
    rng = np.random.default_rng(seed)
    further = [[rng.integers(5, 45, rng.integers(1, 9)) for _ in range(len(rows))] for _ in range(2 * each)]
    further[each - 1][-1] = further[2 * each - 1][-1] = np.array([], np.int64)
    return Rows([*rows.segments, *further], None, rows.keys, rows.languages)


def test_the_loss_is_its_formula():
    model, rows = model_of(0.0).eval(), with_negatives(pairs(4), 2)

    def vector(ids):
        hidden_LD = model.hidden({"input_ids": torch.tensor(VOCABULARY.join((ids,), 99))[None]})[0]
        return torch.nn.functional.normalize(hidden_LD.mean(0), dim=0).detach().double()

    x, y = ([vector(ids) for ids in side] for side in rows.segments[:2])
    expected = 0.0
    for mine, others, further in ((x, y, rows.segments[4:]), (y, x, rows.segments[2:4])):
        for i in range(4):
            hard = [vector(side[i]) for side in further if len(side[i])]
            assert len(hard) == (1 if i == 3 else 2)
            scores = [math.exp(float(mine[i] @ v) / 0.1) for v in [*others, *hard]]
            expected -= math.log(scores[i] / sum(scores)) / 2
    batch = INFONCE.collate(rows, VOCABULARY, 99)
    loss = INFONCE.loss(model, batch)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    assert batch.tokens == sum(len(VOCABULARY.join((ids,), 99)) for side in rows.segments for ids in side)
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    assert INFONCE.loss(model, INFONCE.collate(pairs(4), VOCABULARY, 99)).item() < loss.item()


def test_an_encoder_of_other_tokens_is_refused(tmp_path, monkeypatch):
    from tests.shipped import shipped
    from tests.toy import word_tokenizer
    from xlt.errors import ConfigError
    from xlt.stages.negatives import miner_of

    word_tokenizer(["x"]).save_pretrained(tmp_path)
    part = SimpleNamespace(
        name="",
        cfg=SimpleNamespace(objective=shipped("contrastive", hard_negatives=2, negatives_from=str(tmp_path)), seed=1),
    )
    with pytest.raises(ConfigError, match="objective.negatives_from: .* has another tokenizer than this run"):
        miner_of(part, None, word_tokenizer(["y"]))

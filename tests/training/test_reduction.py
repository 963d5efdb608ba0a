"""Which rows are whose, and gradients that are summed over processes, against those of one process with all rows."""

import os
import socket

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from xlt import processes
from xlt.stages.drawing import dealt
from xlt.training import reduction


@given(st.lists(st.integers(1, 500), min_size=1, max_size=60), st.integers(1, 5))
def test_each_row_is_dealt_to_one_process_and_no_process_has_much_more_to_do(costs, world):
    costs = np.array(costs)
    hands = dealt(costs, world)
    assert sorted(np.concatenate(hands).tolist()) == list(range(len(costs)))
    assert max(map(len, hands)) - min(map(len, hands)) <= 1
    assert all((np.diff(hand) > 0).all() for hand in hands)
    sums = [int(costs[hand].sum()) for hand in hands]
    assert max(sums) - min(sums) <= 2 * costs.max()


def test_buckets_hold_all_gradients_in_order_and_none_is_too_large(monkeypatch):
    monkeypatch.setattr(reduction, "BUCKET", 10)
    gradients = [torch.zeros(n) for n in (4, 5, 3, 30, 1, 9)] + [torch.zeros(2, dtype=torch.bfloat16), torch.zeros(3)]
    found = list(reduction._buckets(gradients))
    assert all(a is b for a, b in zip((g for bucket in found for g in bucket), gradients, strict=True))
    assert [[len(g) for g in bucket] for bucket in found] == [[4, 5], [3], [30], [1, 9], [2], [3]]


def _work(rank: int, world: int, port: int, place: str) -> None:
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(world), MASTER_ADDR="localhost", MASTER_PORT=str(port))
    processes.join("gloo", 60)
    model = torch.nn.ModuleDict(
        {"a": torch.nn.Linear(3, 2), "b": torch.nn.Linear(2, 1), "unused": torch.nn.Linear(1, 1)}
    )
    torch.manual_seed(0)
    for p in model.parameters():
        torch.nn.init.normal_(p)
    x = torch.arange(12.0).view(4, 3)[rank::world]
    hidden = model["a"](x)
    (hidden.sum() if rank else model["b"](hidden).sum()).backward()  # b has a gradient in the first process alone
    reduction.sum_gradients(model.parameters())
    assert processes.gather(rank) == [0, 1]
    assert processes.first(lambda: rank) == 0
    order = []
    assert processes.in_turn(lambda: order.append(rank) or rank) == rank and order == [rank]
    with pytest.raises(processes.Elsewhere if rank else ZeroDivisionError):
        processes.first(lambda: 1 // 0)
    torch.save({n: p.grad for n, p in model.named_parameters()}, f"{place}/{rank}.pt")
    processes.leave()


def test_gradients_of_two_processes_are_summed_and_a_parameter_without_any_stays_so(tmp_path):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(_work, (2, port, str(tmp_path)), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    model = torch.nn.ModuleDict({"a": torch.nn.Linear(3, 2), "b": torch.nn.Linear(2, 1)})
    torch.manual_seed(0)
    for p in model.parameters():
        torch.nn.init.normal_(p)
    x = torch.arange(12.0).view(4, 3)
    (model["b"](model["a"](x[0::2])).sum() + model["a"](x[1::2]).sum()).backward()
    for name, p in model.named_parameters():
        assert torch.equal(first[name], second[name])
        torch.testing.assert_close(first[name], p.grad)
    assert first["unused.weight"] is None and second["unused.bias"] is None


def test_one_process_agrees_with_itself():
    assert processes.gather("x") == ["x"] and processes.first(lambda: 3) == 3 and processes.in_turn(lambda: 4) == 4
    assert processes.leads() and processes.world() == 1

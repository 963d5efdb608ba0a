"""Two real processes (gloo) against one with the whole batch: the same vectors, losses that add up, and gradients that do."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
import torch
from torch import distributed, multiprocessing

from xlt.alignment.processes import gather_rows, processes

SIZES = (4, 3)  # rows of each process


def _worker(rank, folder, job):
    distributed.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=len(SIZES))
    try:
        torch.set_num_threads(1)
        torch.save(job(rank), f"{folder}/{rank}.pt")
    finally:
        distributed.destroy_process_group()


def run(folder, job):
    """What job(rank) returned in each of two processes."""
    multiprocessing.spawn(_worker, (str(folder), job), nprocs=len(SIZES))
    return [torch.load(folder / f"{rank}.pt") for rank in range(len(SIZES))]


def own(rank):
    """The rows of one process."""
    return slice(sum(SIZES[:rank]), sum(SIZES[: rank + 1]))


def sides():
    torch.manual_seed(1)
    return torch.randn(sum(SIZES), 5, dtype=torch.float64), torch.randn(sum(SIZES), 3, dtype=torch.float64)


def gathered(rank):
    """What a process sees, and what flows back into its rows from a function of all, weighed differently in each process."""
    x, y = (side[own(rank)].requires_grad_() for side in sides())
    (all_x, all_y), first = gather_rows(x, y)
    ((rank + 1) * (all_x.sin().sum() * all_y.square().sum())).backward()
    return all_x.detach(), all_y.detach(), first, x.grad, y.grad


def test_one_process_has_nothing_to_gather():
    (x, y), first = gather_rows(*sides())
    assert processes() == 1 and first == 0 and torch.equal(x, sides()[0]) and torch.equal(y, sides()[1])


@pytest.mark.skipif(sys.platform == "win32", reason="gloo meets in a file here")
def test_rows_come_in_order_and_gradients_are_summed(tmp_path):
    x, y = (side.requires_grad_() for side in sides())
    (3 * (x.sin().sum() * y.square().sum())).backward()  # the processes' 1 and 2
    for rank, (all_x, all_y, first, x_grad, y_grad) in enumerate(run(tmp_path, gathered)):
        assert torch.equal(all_x, x) and torch.equal(all_y, y) and first == own(rank).start
        assert torch.allclose(x_grad, x.grad[own(rank)], rtol=1e-12) and torch.allclose(
            y_grad, y.grad[own(rank)], rtol=1e-12
        )


def learned(rank=None):
    """{objective: (loss of a process's rows, gradient)}; None: of one process with all rows. Encoded two rows at a time, too."""
    from tests.objectives.test_pieces import RETRIEVAL, model_of, queries
    from tests.objectives.test_similarities import INFONCE, MARGIN, VOCABULARY, pairs

    model, found = model_of(0.0), {}
    cases = {
        "contrastive": (INFONCE, pairs),
        "additive_margin": (MARGIN, pairs),
        "document_retrieval": (RETRIEVAL, queries),
    }
    for name, (objective, make) in cases.items():
        for piece in (None, 2):
            model.zero_grad()
            rows = make(sum(SIZES))
            mine = rows if rank is None else rows.slice(own(rank).start, own(rank).stop)
            loss = objective.loss(model, replace(objective.collate(mine, VOCABULARY, 99), piece=piece))
            loss.backward()
            flat = [torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in model.parameters()]
            found[name, piece] = (loss.detach(), torch.cat(flat))
    return found


@pytest.mark.skipif(sys.platform == "win32", reason="gloo meets in a file here")
def test_losses_and_gradients_of_two_processes_add_up_to_those_of_one(tmp_path):
    first, second = run(tmp_path, learned)
    for case, (loss, gradient) in learned().items():
        assert float(first[case][0] + second[case][0]) == pytest.approx(float(loss), rel=1e-5)
        assert float((first[case][1] + second[case][1] - gradient).norm() / gradient.norm()) < 1e-5, case
        assert float((first[case][1] * 2 - gradient).norm() / gradient.norm()) > 1e-2, "neither has all of it"

"""No room for a forward or backward pass: the same update in smaller batches, remembered; a sentence where nothing helps; and whose loss is not finite."""

from dataclasses import replace

import pytest
import torch

from tests.shipped import shipped
from tests.training.test_loop import MLM, TASK, flat, parts, relative, train
from xlt.errors import ConfigError, NonFinite
from xlt.training.checkpoint import Checkpoints
from xlt.training.memory import fitting, is_full, size_of

REFUSAL = "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."


def cramped(model, most: int, when: str = "forward"):
    """The model refuses more than `most` rows at a time, like the allocator, before a pass or after some gradients are there. Returns the sizes that were asked for."""
    forward, asked = model.forward, []

    def limited(function, batch):
        asked.append(size_of(batch))
        if size_of(batch) > most and when == "forward":
            raise RuntimeError(REFUSAL)
        outcome = forward(function, batch)
        if size_of(batch) > most:
            loss = outcome[0] if isinstance(outcome, tuple) else outcome
            loss.backward(retain_graph=True)  # half-made gradients, which must not stay
            raise RuntimeError(REFUSAL)
        return outcome

    model.forward = limited
    return asked


def moved(p, **options) -> torch.Tensor:
    """By how much three updates of plain gradient descent move the weights: the sum of the gradients."""
    before = flat(p.model)
    p.progress = train(
        p, torch.optim.SGD(p.model.parameters(), lr=0.0), steps=3, rate=lambda _: 0.1, norm=1e9, **options
    )
    return flat(p.model) - before


@pytest.mark.parametrize("when", ["forward", "backward"])
@pytest.mark.parametrize("objective", [MLM, TASK], ids=["masked_lm", "classification"])
def test_the_update_is_the_same_and_the_size_is_remembered(tmp_path, objective, when, capsys):
    whole = moved(parts(tmp_path / "whole", objective))
    p = parts(tmp_path / "cut", objective)
    asked = cramped(p.model, 3, when)
    assert relative(moved(p), whole) < 1e-6
    assert asked[:2] == [8, 4] and set(asked[2:]) == {2}, "halved twice in the first update, and never tried again"
    assert p.progress.at_a_time == 2
    told = capsys.readouterr().err
    assert (
        told.count("no room for 8 rows at a time: computing 4 from now on") == 1
        and told.count("computing 2 from now on") == 1
    )
    saved = Checkpoints(tmp_path / "cut" / "checkpoints", 2, print).load(3, p.model, None)
    assert saved["at_a_time"] == 2


def test_a_single_row_without_room_is_a_sentence_and_changes_nothing(tmp_path):
    p = parts(tmp_path / "run", MLM)
    cramped(p.model, 0)
    before = flat(p.model)
    with pytest.raises(
        ConfigError, match=r"train.max_length: no room for a single row of \d+ tokens, (en|sw) .*DefaultCPUAllocator"
    ):
        train(p, torch.optim.SGD(p.model.parameters(), lr=0.1), steps=3)
    assert torch.equal(flat(p.model), before)


def test_other_errors_are_not_taken_for_a_lack_of_room(tmp_path):
    assert is_full(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")) and is_full(MemoryError())
    assert not is_full(RuntimeError("mat1 and mat2 shapes cannot be multiplied")) and not is_full(
        ValueError("out of memory")
    )
    p = parts(tmp_path / "run", MLM)
    p.model.forward = lambda *_: (_ for _ in ()).throw(RuntimeError("shapes"))
    with pytest.raises(RuntimeError, match="shapes"):
        train(p, torch.optim.SGD(p.model.parameters(), lr=0.1), steps=3)


def test_rows_stay_in_order_and_keep_part_and_weight(tmp_path):
    (batch,) = parts(tmp_path / "run", MLM).batches(0)
    batch = replace(batch, part="text", weight=0.5)
    cut = fitting([batch], 3)
    assert [b.rows for b in cut] == [3, 3, 2] and {(b.part, b.weight) for b in cut} == {("text", 0.5)}
    assert sum((b.numbers for b in cut), ()) == batch.numbers and sum((b.languages for b in cut), ()) == batch.languages
    assert sum(b.count for b in cut) == batch.count and fitting([batch], None) == [batch]


def test_what_cannot_be_cut_says_so(tmp_path):
    (batch,) = parts(tmp_path / "run", MLM).batches(0)
    assert shipped("contrastive").caches_gradients, "which is encoded in pieces instead"
    p = parts(tmp_path / "other", MLM)
    p.batches = lambda step: [replace(batch, recut=None)]
    cramped(p.model, 4)
    with pytest.raises(
        ConfigError, match="train.batch_size: no room for an update of 8 rows, whose loss is of all of them"
    ):
        train(p, torch.optim.SGD(p.model.parameters(), lr=0.1), steps=3)


def test_rows_whose_loss_is_not_finite_are_named(tmp_path):
    p = parts(tmp_path / "run", MLM)
    (batch,) = p.batches(0)
    bad = [2, 5]
    forward = p.model.forward

    def spoiled(function, batch):
        loss, by_row = forward(function, batch)
        by_row = by_row.clone()
        by_row[bad, 0] = float("nan")
        return loss * float("nan"), by_row

    p.model.forward = spoiled
    names = ", ".join(f"{batch.languages[i]} {batch.numbers[i]}" for i in bad)
    with pytest.raises(NonFinite, match=f", by rows {names}; no weight was changed by it"):
        train(p, torch.optim.SGD(p.model.parameters(), lr=0.1), steps=3)

"""No room for a forward or backward pass: the same update in smaller batches, remembered; a sentence where nothing helps; and whose loss is not finite."""

from dataclasses import replace

import pytest
import torch

from tests.objectives.test_pieces import model_of
from tests.objectives.test_similarities import INFONCE, VOCABULARY, pairs
from tests.shipped import shipped
from tests.training.test_loop import MLM, NORM, TASK, flat, parts, relative, train
from tests.training.test_loop import optimizer_of as adamw_of
from xlt.errors import ConfigError, NonFinite
from xlt.room import is_full
from xlt.stages.drawing import collated
from xlt.training.checkpoint import Checkpoints
from xlt.training.loop import Progress
from xlt.training.memory import fitting, size_of
from xlt.training.optimizer import LearningRate
from xlt.training.perturbation import FGM, FreeLB

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


@pytest.mark.parametrize("when", ["forward", "backward"])
def test_what_is_encoded_in_pieces_has_the_same_update(tmp_path, when):
    """In-batch negatives: the loss of all rows together, whose gradient comes through smaller pieces."""

    def contrastive(name):
        p = parts(tmp_path / name, MLM)
        p.model, p.objective = model_of(0.0), INFONCE
        p.batches = lambda step: [collated(INFONCE, pairs(8, seed=step), VOCABULARY, 99, None, None)]
        return p

    whole, p = moved(contrastive("whole")), contrastive("cut")
    asked = cramped(p.model, 3, when)
    assert relative(moved(p), whole) < 1e-6
    assert asked[:2] == [8, 4] and set(asked[2:]) == {2} and p.progress.at_a_time == 2


@pytest.mark.parametrize("objective", [MLM, TASK], ids=["masked_lm", "classification"])
def test_a_run_that_is_cut_goes_on_with_the_size_that_it_remembers(tmp_path, objective):
    """Bit by bit as one that was left alone, and without a refusal more."""
    whole, rate = parts(tmp_path / "whole", objective, dropout=0.2), LearningRate(0.01, "linear", 2, 6)
    cramped(whole.model, 3)
    train(whole, adamw_of(whole.model), rate=rate)
    first = parts(tmp_path / "cut", objective, dropout=0.2)
    cramped(first.model, 3)
    train(first, adamw_of(first.model), steps=3, rate=rate)
    again = parts(tmp_path / "cut", objective, dropout=0.2)
    asked, optimizer = cramped(again.model, 3), adamw_of(again.model)
    state = Checkpoints(tmp_path / "cut" / "checkpoints", 2, print).load(3, again.model, optimizer)
    train(again, optimizer, rate=rate, progress=Progress(**state))
    assert set(asked) == {2}
    assert torch.equal(flat(again.model), flat(whole.model))


def test_a_single_row_without_room_is_a_sentence_and_changes_nothing(tmp_path):
    p = parts(tmp_path / "run", MLM)
    cramped(p.model, 0)
    before = flat(p.model)
    with pytest.raises(
        ConfigError,
        match=r"train.max_length: no room for rows one at a time; the longest has \d+ tokens, (en|sw) \(row \d+\) .*DefaultCPUAllocator",
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


def test_pieces_without_room_are_not_called_a_row(tmp_path):
    """Of a batch that is encoded a row at a time, nobody knows which had no room."""
    p = parts(tmp_path / "run", MLM)
    (batch,) = p.batches(0)
    p.batches = lambda step: [replace(batch, piece=1)]
    cramped(p.model, 0)
    with pytest.raises(ConfigError, match=f"one at a time; there are 8 with {batch.tokens} tokens, "):
        train(p, torch.optim.SGD(p.model.parameters(), lr=0.1), steps=3)


def spoiling(p, updates):
    """The losses of these updates (from 1) are NaN, and so are their gradients; the others are as they were."""
    batches, forward, current = p.batches, p.model.forward, []

    def counted(step):
        current[:] = [step + 1]
        return batches(step)

    def spoiled(function, batch):
        loss, by_row = forward(function, batch)
        return (loss * float("nan") if current[0] in updates else loss), by_row

    p.batches, p.model.forward = counted, spoiled


def test_an_update_that_is_not_finite_is_left_out_and_counted(tmp_path, capsys):
    """As if its learning rate were 0 and it had never touched the moments."""
    p = parts(tmp_path / "run", MLM)
    spoiling(p, {2, 3, 5})
    progress = train(p, adamw_of(p.model), steps=6, skips=True)
    assert (progress.step, progress.skipped, progress.skipped_in_a_row) == (6, 3, 0)
    told = capsys.readouterr().err
    assert told.count("it is left out (train.nonfinite=skip)") == 3 and "update 3: the loss is nan" in told
    plain = parts(tmp_path / "plain", MLM)
    batches, real = plain.batches, adamw_of(plain.model)
    for step in (0, 3, 5):  # by hand, each with the rate of its own number
        (batch,) = batches(step)
        torch.manual_seed(0)
        loss, _ = plain.model(plain.objective.loss_by_row, batch)
        (loss / batch.count).backward()
        torch.nn.utils.clip_grad_norm_(plain.model.parameters(), NORM)
        for group in real.param_groups:
            group["lr"] = LearningRate(0.01, "linear", 2, 6)(step)
        real.step()
        real.zero_grad()
    assert relative(flat(p.model), flat(plain.model)) < 1e-6


def test_the_third_in_a_row_ends_the_run(tmp_path):
    p = parts(tmp_path / "run", MLM)
    spoiling(p, {2, 3, 4})
    with pytest.raises(
        NonFinite, match="update 4: .*and so it was in the 2 updates before; no weight was changed by it"
    ):
        train(p, adamw_of(p.model), steps=6, skips=True)


@pytest.mark.parametrize("cut", [3, 4])
def test_what_was_skipped_is_in_the_checkpoint(tmp_path, cut):
    """A run that is cut among skipped updates counts on, and ends in the same weights and counts, bit by bit."""
    whole = parts(tmp_path / "whole", MLM)
    spoiling(whole, {3, 4, 6})
    progress = train(whole, adamw_of(whole.model), steps=9, skips=True)
    p = parts(tmp_path / "cut", MLM)
    spoiling(p, {3, 4, 6})
    optimizer = adamw_of(p.model)
    rate = LearningRate(0.01, "linear", 2, 9)
    train(p, optimizer, steps=cut, skips=True, rate=rate)
    again = parts(tmp_path / "cut", MLM)
    spoiling(again, {3, 4, 6})
    optimizer = adamw_of(again.model)
    state = Checkpoints(tmp_path / "cut" / "checkpoints", 2, print).load(cut, again.model, optimizer)
    resumed = train(again, optimizer, steps=9, skips=True, progress=Progress(**state))
    assert torch.equal(flat(again.model), flat(whole.model))
    assert (resumed.skipped, resumed.skipped_in_a_row) == (progress.skipped, progress.skipped_in_a_row) == (3, 0)


def test_no_room_for_the_moments_is_a_sentence(tmp_path):
    p = parts(tmp_path / "run", MLM)
    optimizer = adamw_of(p.model)
    optimizer.step = lambda: (_ for _ in ()).throw(RuntimeError(REFUSAL))
    numbers = sum(q.numel() for q in p.model.parameters())
    with pytest.raises(ConfigError, match=rf"model: no room for the optimizer's two moments of {numbers:,} parameters"):
        train(p, optimizer, steps=3)


@pytest.mark.parametrize(
    "perturbation", [FGM(epsilon=0.3, weight=1.0), FreeLB(steps=2, rate=0.1, magnitude=0.1, max_norm=0.2)]
)
@pytest.mark.parametrize("when", ["forward", "backward"])
def test_perturbed_embeddings_are_put_back_when_there_is_no_room(tmp_path, perturbation, when):
    whole = moved(parts(tmp_path / "whole", MLM), perturbation=perturbation)
    p = parts(tmp_path / "cut", MLM)
    asked = cramped(p.model, 3, when)
    assert relative(moved(p, perturbation=perturbation), whole) < 1e-5
    assert asked[:2] == [8, 4] and p.progress.at_a_time == 2
    assert not p.model.reader.get_input_embeddings()._forward_hooks

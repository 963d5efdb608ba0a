"""The discriminator's side of language-adversarial training: its updates, and the gradient that the model gets from it.

It is no part of the model: its weights and moments lie beside the model's in a checkpoint and are gone when the run is done.
"""

from __future__ import annotations

import math

import torch

from xlt.errors import NonFinite
from xlt.objectives.language_adversary import Adversary, LanguageText, reverse
from xlt.types import Batch, BatchOf


class Opponent:
    """A discriminator and its Adam. batches(k): the micro-batches of the k-th drawing of text. steps: updates of the run."""

    def __init__(
        self,
        spec: Adversary,
        reader: LanguageText,
        batches: BatchOf,
        width: int,
        steps: int,
        seed: int,
        accelerator,
    ):
        self.spec, self.reader, self.batches, self.steps, self.accelerator = spec, reader, batches, steps, accelerator
        self.classes = len(set(reader.classes.values()))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            discriminator = spec.discriminator(width, spec.outputs(self.classes))
        self.discriminator = discriminator.to(accelerator.device).train()
        self.optimizer = torch.optim.Adam(self.discriminator.parameters(), lr=spec.learning_rate)
        self.figures: dict[str, float] = {}

    def play(self, model, step: int) -> None:
        """Train the discriminator in update `step`, and add its reversed gradient to the model's.

        Behind the reversal one loss serves both: the discriminator lowers it, the model raises it, by `strength` and no more. A critic plays
        `rounds` rounds by itself first, and the model answers the critic that it finds.
        """
        spec, first = self.spec, step * (self.spec.rounds + 1)
        for number in range(first, first + spec.rounds):
            self._round(model, number, None)
            self._update()
        strength = spec.strength(step / self.steps)
        loss, told = self._round(model, first + spec.rounds, strength)
        if not spec.rounds:
            self._update()
        self.figures = {"loss": loss, "strength": strength, **({"accuracy": told} if spec.rounds == 0 else {})}

    def _round(self, model, number: int, strength: float | None) -> tuple[float, float]:
        """(loss, share of the samples whose class was told) of the number-th drawing, with the gradients of both sides; of the discriminator's alone
        where strength is None, and of none but these where it is 0."""
        window, device = self.batches(number), self.accelerator.device
        counts_C = self.reader.counts(window, self.classes).to(device)
        self.optimizer.zero_grad(set_to_none=True)
        total, right = 0.0, 0
        for batch in window:
            logits, classes_N = self._logits(model, batch.to(device), strength)
            loss = self.spec.loss(logits, classes_N, counts_C)
            self.accelerator.backward(loss)
            total += float(loss.detach())
            right += int((logits.argmax(-1) == classes_N).sum())
        if not math.isfinite(total):
            raise NonFinite(
                f"the discriminator's loss is {total:g} in its round {number + 1}: its weights or the features have run away; lower "
                "adversarial.learning_rate, adversarial.weight or train.learning_rate"
            )
        return total, right / int(counts_C.sum())

    def _logits(self, model, batch: Batch, strength: float | None) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.set_grad_enabled(bool(strength)):
            samples_ND, classes_N = model(self.reader.samples, batch)
        samples_ND = reverse(samples_ND, strength) if strength else samples_ND
        return self.discriminator(samples_ND), classes_N

    def _update(self) -> None:
        self.optimizer.step()
        if self.spec.clip is not None:
            with torch.no_grad():
                for parameter in self.discriminator.parameters():
                    parameter.clamp_(-self.spec.clip, self.spec.clip)

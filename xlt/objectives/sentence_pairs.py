"""What all objectives on parallel sentences do alike: read two texts a row, run the model on each side, score by retrieval. No objective of its own.

They take these functions as their methods; what differs, the loss of a batch, is in each one's file.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from xlt.alignment.processes import gather_rows
from xlt.alignment.retrieval import retrieval_accuracy, retrieval_hits
from xlt.alignment.similarity import one_way
from xlt.errors import ConfigError
from xlt.models.pooling import pool
from xlt.objectives.losses import loss, one_a_row  # noqa: F401  a method, too
from xlt.objectives.pieces import in_pieces
from xlt.objectives.plain_text import modules  # noqa: F401  the model's states are compared as they are
from xlt.types import Batch, Gold, Rows
from xlt.vocabulary import Vocabulary, model_inputs

SIDES = ("source", "target")
RETRIEVAL = {"accuracy": True, "accuracy_forward": True, "accuracy_backward": True}  # higher is better


def check_layer(layer: int | None) -> None:
    """ConfigError if it cannot be a layer of any model."""
    if layer is not None and layer < 0:
        raise ConfigError(f"objective.layer: {layer} is below 0; 0 is the embeddings, null the last layer")


def check_temperature(temperature: float) -> None:
    """ConfigError if nothing can be divided by it."""
    if temperature <= 0:
        raise ConfigError(f"objective.temperature: {temperature} is not positive; 0.05 is usual")


def texts(self, row: dict) -> tuple[str, ...]:
    """Both."""
    return row["source"], row["target"]


def row_length(self, lengths: np.ndarray, vocabulary: Vocabulary, max_length: int) -> np.ndarray:
    """Both sides pass through the model, each by itself."""
    return np.minimum(lengths + vocabulary.overhead(1), max_length).sum(1)


def collate(self, rows: Rows, vocabulary: Vocabulary, max_length: int) -> Batch:
    """{source, target}_{input_ids, attention_mask, and language_ids where the model has them}; each side is padded by itself."""
    return apart(rows, vocabulary, max_length, SIDES, of_pairs=True)


def apart(rows: Rows, vocabulary: Vocabulary, max_length: int, sides: tuple[str, str], of_pairs: bool) -> Batch:
    """The two texts of each row for a model that reads each by itself. of_pairs: a row's language is a pair, of which each side has its own."""
    tensors, tokens = {}, 0
    for i, (side, segment) in enumerate(zip(sides, rows.segments, strict=True)):
        ids_BL, lengths_B = vocabulary.pad_rows([vocabulary.join((ids,), max_length) for ids in segment])
        inputs = model_inputs(ids_BL, lengths_B) | vocabulary.language_input(rows.languages, i if of_pairs else None)
        tensors |= {f"{side}_{name}": value for name, value in inputs.items()}
        tokens += int(lengths_B.sum())
    return Batch(tensors, count=len(rows), tokens=tokens, rows=len(rows))


def one_side(batch: Batch, side: str) -> dict[str, torch.Tensor | None]:
    """What `apart` made of one side, by the names that a model reads."""
    return {
        name.removeprefix(f"{side}_"): value for name, value in batch.tensors.items() if name.startswith(f"{side}_")
    }


def states(self, model, batch: Batch, side: str) -> torch.Tensor:
    """hidden_PLD of one side, of `self.layer`."""
    return model.hidden({k: v for k, v in one_side(batch, side).items() if k != "mass"}, self.layer)


def vectors(self, model, batch: Batch, side: str) -> torch.Tensor:
    """vectors_PD of one side: its states pooled by `self.pool`, not normalised."""

    def encode(inputs: dict[str, torch.Tensor | None]) -> torch.Tensor:
        return pool(model.hidden(inputs, self.layer), inputs["attention_mask"], self.pool).float()

    return in_pieces(encode, {k: v for k, v in one_side(batch, side).items() if k != "mass"}, batch.piece)


def unit_vectors(self, model, batch: Batch, side: str) -> torch.Tensor:
    """The same with length 1."""
    return F.normalize(vectors(self, model, batch, side), dim=-1)


def ranked(self, model, batch: Batch, margin: float) -> tuple[torch.Tensor, torch.Tensor]:
    """`loss_by_row` of translation ranking with in-batch negatives, of the batches of all processes, at `self.temperature`."""
    x_PD, y_PD = (unit_vectors(self, model, batch, side) for side in SIDES)
    (x_QD, y_QD), first = gather_rows(x_PD, y_PD)
    gold_P = torch.arange(first, first + len(x_PD), device=x_PD.device)
    losses_P = torch.zeros_like(gold_P, dtype=x_PD.dtype)
    for asking_PD, among_QD, side in ((x_PD, y_QD, "target"), (y_PD, x_QD, "source")):
        hard_PK = own_cosines(self, model, batch, asking_PD, side) if f"there_{side}" in batch.tensors else None
        losses_P = losses_P + one_way(asking_PD, among_QD, gold_P, self.temperature, margin, hard_PK) / 2
    return one_a_row(losses_P)


def own_cosines(self, model, batch: Batch, asking_PD: torch.Tensor, side: str) -> torch.Tensor:
    """cosines_PK of unit vectors with the negatives of each row in that side's language (`xlt.objectives.hard_negatives`); -inf where it has fewer."""
    there_PK = batch[f"there_{side}"]
    hard_PKD = unit_vectors(self, model, batch, f"hard_{side}").view(*there_PK.shape, -1)
    return torch.einsum("pd,pkd->pk", asking_PD, hard_PKD).masked_fill(~there_PK, -torch.inf)


def predict(self, model, batch: Batch) -> dict[str, torch.Tensor]:
    """The vectors of both sides."""
    return {side: vectors(self, model, batch, side) for side in SIDES}


def score(self, outputs: dict[str, np.ndarray], gold: Gold) -> dict[str, float]:
    """Retrieval by cosine."""
    return retrieval_accuracy(torch.from_numpy(outputs["source"]), torch.from_numpy(outputs["target"]))


def statistics(self, outputs: dict[str, np.ndarray], gold: Gold) -> dict[str, np.ndarray]:
    """The same of each pair. What is resampled are the sentences that search, not those among which they do."""
    hits = retrieval_hits(torch.from_numpy(outputs["source"]), torch.from_numpy(outputs["target"]))
    return {name: hits_P.cpu().numpy() for name, hits_P in hits.items()}

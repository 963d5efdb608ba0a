"""What objectives that rank documents (or items) for a query do alike: rows, the loss over a batch's documents, an index of all, and its scores. No objective of its own.

A row has texts that ask (a query, or the items of a history) and documents, of which the first ones are right. A text of a row is the tuple of all its documents, so
each is tokenized by itself; where each begins is noted, and what it says by a hash, for a document stands in many rows and is read once a batch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional as F

from xlt import metrics, noise
from xlt.alignment.index import Index
from xlt.alignment.processes import gather_rows, processes
from xlt.alignment.similarity import ranking_losses_of
from xlt.errors import ConfigError
from xlt.models.pooling import pool
from xlt.objectives import losses, sentence_pairs
from xlt.objectives.losses import loss  # noqa: F401  a method, too
from xlt.objectives.pieces import in_pieces
from xlt.types import Batch, Gold, Rows
from xlt.vocabulary import Vocabulary, model_inputs

ANNOTATION = "ranking 2"
INPUTS = ("input_ids", "attention_mask", "token_type_ids", "segment_ids", "language_ids")  # what a model reads
SHOWN, HEAD = 10, 100  # documents of each query in the predictions, and how many characters of each


class Texts(NamedTuple):
    """Different texts of a batch, and which of them each row has. T mentions of U texts. of_T: number of the text; row_T: its row. identity_U: int64, the same for the
    same text in any batch."""

    ids: list[np.ndarray]
    languages: list[str]
    identity_U: np.ndarray
    of_T: np.ndarray
    row_T: np.ndarray


def check(self) -> None:
    """ConfigError with what is wrong in the fields that all of them have."""
    sentence_pairs.check_layer(self.layer)
    sentence_pairs.check_temperature(self.temperature)
    problems = []
    if not self.recall_at or min(self.recall_at) < 1:
        problems.append(f"objective.recall_at: {self.recall_at} must be one or more ranks, 1 the first")
    elif self.depth < max(10, *self.recall_at):
        problems.append(
            f"objective.depth: {self.depth} documents are found for each query, and scores look at the first {max(10, *self.recall_at)}; raise it"
        )
    if problems:
        raise ConfigError(problems)


def higher_is_better(self) -> dict[str, bool]:
    """Of its scores."""
    return {"mrr": True, "ndcg_at_10": True} | {f"recall_at_{cut}": True for cut in self.recall_at}


def identities(texts: Sequence[str]) -> np.ndarray:
    """int32 (T, 2): the same for the same text."""
    digests = b"".join(hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts)
    return np.frombuffer(digests, np.int32).reshape(-1, 2)


def different(rows: Rows, segment: int, name: str, side: int | None, vocabulary: Vocabulary, max_length: int) -> Texts:
    """The texts of a segment that is a list of them. name: of the notes of where each begins (`NAME_begins`) and what it says (`NAME_says`)."""
    known: dict[tuple, int] = {}
    ids, languages, of, row = [], [], [], []
    for i, (tokens, begins, says) in enumerate(
        zip(rows.segments[segment], rows.notes[f"{name}_begins"], rows.notes[f"{name}_says"], strict=True)
    ):
        spoken = vocabulary.spoken(rows.languages[i], side)
        for text, hashed in zip(np.split(tokens, begins[1:]), says.tolist(), strict=True):
            key = (spoken, *hashed)
            if key not in known:
                known[key] = len(ids)
                ids.append(vocabulary.join((text,), max_length))
                languages.append(spoken)
            of.append(known[key])
            row.append(i)
    identity_U = np.array([noise.key(*map(str, key)) for key in known], np.uint64).view(np.int64)
    return Texts(ids, languages, identity_U, np.array(of), np.array(row))


def read(texts: Texts, name: str, vocabulary: Vocabulary) -> tuple[dict[str, torch.Tensor | None], int]:
    """(NAME_input_ids, NAME_attention_mask ..., their tokens)."""
    ids_UL, lengths_U = vocabulary.pad_rows(texts.ids)
    inputs = model_inputs(ids_UL, lengths_U) | vocabulary.language_input(texts.languages)
    return {f"{name}_{key}": value for key, value in inputs.items()}, int(lengths_U.sum())


def documents(rows: Rows, segment: int, vocabulary: Vocabulary, max_length: int) -> tuple[dict, int]:
    """What a batch holds of its documents: the different ones, which of them are each row's (document_of, document_row), and whether they are right."""
    texts = different(rows, segment, "document", 1, vocabulary, max_length)
    tensors, tokens = read(texts, "document", vocabulary)
    right = [
        np.arange(len(begins)) < n
        for begins, (n,) in zip(rows.notes["document_begins"], rows.notes["right"], strict=True)
    ]
    tensors["right"] = torch.from_numpy(np.concatenate(right))
    tensors["document_identity"] = torch.from_numpy(texts.identity_U)
    tensors |= {"document_of": torch.from_numpy(texts.of_T), "document_row": torch.from_numpy(texts.row_T)}
    return tensors, tokens


def unit_vectors(self, model, batch: Batch, name: str) -> torch.Tensor:
    """vectors_UD of length 1 of the texts NAME."""
    inputs = {key: batch[f"{name}_{key}"] for key in INPUTS if f"{name}_{key}" in batch.tensors}

    def encode(inputs: dict[str, torch.Tensor | None]) -> torch.Tensor:
        return pool(model.hidden(inputs, self.layer), inputs["attention_mask"], self.pool).float()

    return F.normalize(in_pieces(encode, inputs, batch.piece), dim=-1)


def loss_by_row(self, model, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """-log softmax of each right document among all of the batch that are not right, the mean over a row's right ones (Karpukhin et al. 2020, section 3.2).

    With several processes, the batch is that of all of them.
    """
    asking_BD, own_UD = self.asking(model, batch), unit_vectors(self, model, batch, "document")
    row_P, own_P = (batch[f"document_{which}"][batch["right"]] for which in ("row", "of"))
    documents_UD, number_U = of_all(own_UD, batch["document_identity"])
    of_P = number_U[own_P]
    losses_P = ranking_losses_of(asking_BD @ documents_UD.T / self.temperature, row_P, of_P)
    sums_B, counts_B = (losses.by_row(v, row_P, batch.rows) for v in (losses_P, torch.ones_like(losses_P)))
    return losses.one_a_row(sums_B / counts_B)


def of_all(documents_UD: torch.Tensor, identity_U: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(the different documents of the batches of all processes, the number among them of each of this process's)."""
    (every_QD,), first = gather_rows(documents_UD)
    if processes() == 1:
        return documents_UD, torch.arange(len(documents_UD), device=documents_UD.device)
    (identity_Q1,), _ = gather_rows(identity_U[:, None])
    different, number_Q = identity_Q1[:, 0].unique(return_inverse=True)
    places = torch.arange(len(number_Q), device=number_Q.device)
    earliest = places.new_full((len(different),), len(number_Q)).scatter_reduce(0, number_Q, places, "amin")
    return every_QD[earliest], number_Q[first : first + len(documents_UD)]


def predict(self, model, batch: Batch) -> dict[str, torch.Tensor | list[torch.Tensor]]:
    """asking (B, D), and of each row the vectors of its documents."""
    documents_UD = unit_vectors(self, model, batch, "document").cpu()
    counts = torch.bincount(batch["document_row"].cpu(), minlength=batch.rows).tolist()
    each = documents_UD[batch["document_of"].cpu()].split(counts)
    return {"asking": self.asking(model, batch), "documents": list(each)}


class Found(NamedTuple):
    """What an index of all documents gave each of N queries. found_NT: numbers of documents, best first, -1 where there is none; hits_NT: whether right.

    relevant_N: how many are right. first_U: of each document a mention of it (row, place).
    """

    found: np.ndarray
    scores: np.ndarray
    hits: np.ndarray
    relevant: np.ndarray
    first: list[tuple[int, int]]


class Numbered(NamedTuple):
    """The U different documents of all rows of a language. mine: of each row the numbers of its documents, in its order. first: of each document a mention of it (row, place)."""

    mine: list[list[int]]
    first: list[tuple[int, int]]
    vectors_UD: np.ndarray


def numbered(outputs: dict, gold: Gold, numbers: dict[tuple, int]) -> Numbered:
    """Documents that say the same are one. numbers: is filled with the number of each hash."""
    mine, first, vectors = [], [], []
    for i in range(gold.size):
        mine.append([numbers.setdefault(tuple(h), len(numbers)) for h in gold.notes["document_says"][i].tolist()])
        for place, number in enumerate(mine[-1]):
            if number == len(first):  # met for the first time
                first.append((i, place))
                vectors.append(outputs["documents"][i][place])
    return Numbered(mine, first, np.stack(vectors))


def find(self, outputs: dict, gold: Gold, but: Sequence[np.ndarray] | None = None) -> Found:
    """Search with all queries of a language among all documents of its rows. but: of each row, hashes of documents that are not wanted (an item had already)."""
    numbers: dict[tuple, int] = {}
    mine, first, vectors_UD = numbered(outputs, gold, numbers)
    right = [set(row[: int(gold.notes["right"][i][0])]) for i, row in enumerate(mine)]
    unwanted = [{numbers.get(tuple(h), -1) for h in hashes.tolist()} - mine for hashes, mine in zip(but or (), right, strict=False)]  # fmt: skip
    index, asking_ND = Index(torch.from_numpy(vectors_UD)), torch.from_numpy(outputs["asking"])
    most = max(map(len, unwanted), default=0)
    scores_NT, found_NT = (column.numpy() for column in index.search(asking_ND, self.depth + most))
    if most:
        scores_NT, found_NT = _without(scores_NT, found_NT, unwanted)
    scores_NT, found_NT = scores_NT[:, : self.depth], found_NT[:, : self.depth]
    hits_NT = np.array([[n in mine for n in row] for row, mine in zip(found_NT.tolist(), right, strict=True)])
    return Found(found_NT, scores_NT, hits_NT, np.array(list(map(len, right))), first)


def _without(scores_NT: np.ndarray, found_NT: np.ndarray, unwanted: list[set[int]]) -> tuple[np.ndarray, np.ndarray]:
    """The same without what is not wanted of each row; -1 at its end stands for it."""
    gone_NT = np.array([[n in out for n in row] for row, out in zip(found_NT.tolist(), unwanted, strict=True)])
    order_NT = gone_NT.argsort(axis=1, kind="stable")
    found_NT = np.where(gone_NT, -1, found_NT)
    return np.take_along_axis(scores_NT, order_NT, 1), np.take_along_axis(found_NT, order_NT, 1)


def statistics_of(self, found: Found) -> dict[str, np.ndarray]:
    """Of each row, and so their means: MRR, nDCG at 10 and recall, of the first `depth` documents."""
    recalls = {f"recall_at_{cut}": metrics.recall(found.hits, found.relevant, cut) for cut in self.recall_at}
    return {
        "mrr": metrics.reciprocal_rank(found.hits),
        "ndcg_at_10": metrics.ndcg(found.hits, found.relevant, 10),
        **recalls,
    }


def shown(self, found: Found, gold: Gold) -> Iterator[dict]:
    """Of each row the rank of its first right document (null: not found) and the first documents with their scores."""
    texts = [self.texts(row)[1] for row in gold.rows]
    for numbers, scores, hits in zip(found.found, found.scores, found.hits, strict=True):
        best = [
            (*found.first[n], s)
            for n, s in zip(numbers[:SHOWN].tolist(), scores[:SHOWN].tolist(), strict=True)
            if n >= 0
        ]
        listed = [{"text": texts[row][place][:HEAD], "score": round(s, 6)} for row, place, s in best]
        yield {"rank": int(hits.argmax()) + 1 if hits.any() else None, "found": listed}

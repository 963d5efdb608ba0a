"""Words in their contexts: of each word of a list the mean of its states over all of its occurrences in a text, at every layer. Knows no pair and no score.

A word's state is the mean of its sub-words' (Schuster et al. 2019, section 3, average over contexts; their encoder reads whole words).
"""

from __future__ import annotations

import numpy as np
import torch

from xlt import signals
from xlt.data.subwords import encodings
from xlt.evaluation.loop import budgeted
from xlt.evaluation.vectors import Reader
from xlt.vocabulary import model_inputs


@torch.no_grad()
def mean_states(
    reader: Reader, sentences: list[list[str]], language: str, wanted: list[str]
) -> tuple[torch.Tensor, np.ndarray]:
    """(means_KWD float64, occurrences (W,)) of the wanted words in sentences given as words. Of a sentence that is cut the words that were read whole count.

    means of a word that does not occur are 0.
    """
    numbers = {word: i for i, word in enumerate(wanted)}
    sentences = [words for words in sentences if any(word in numbers for word in words)]
    found = encodings(reader.vocabulary.tokenizer)(sentences) if sentences else []
    room = reader.max_length - reader.vocabulary.overhead(1)
    lengths = np.array([min(len(e.ids), room) for e in found], np.int64) + reader.vocabulary.overhead(1)
    sums = torch.zeros(len(reader.layers), len(wanted), reader.width, dtype=torch.float64)
    counts = np.zeros(len(wanted), np.int64)
    order = np.argsort(-lengths, kind="stable")
    reader.model.eval()
    for rows in budgeted(order, lengths[order], reader.budget):
        signals.stop_if_requested("while reading words in context; run the same command again")
        ids_BL, lengths_B = reader.vocabulary.pad_rows(
            [reader.vocabulary.join((found[i].ids,), reader.max_length) for i in rows]
        )
        word_BL, share_BL = _places(reader, found, sentences, rows, numbers, ids_BL.shape, counts)
        inputs = model_inputs(ids_BL, lengths_B) | reader.vocabulary.language_input([language] * len(rows))
        inputs = {name: None if t is None else t.to(reader.device) for name, t in inputs.items()}
        states_KBLD = reader.model(_states, (inputs, reader.layers)).double().cpu()
        here_BL = word_BL >= 0
        parts_KTD = states_KBLD[:, here_BL] * torch.from_numpy(share_BL[here_BL.numpy()])[None, :, None]
        sums.index_add_(1, word_BL[here_BL], parts_KTD)
    return sums / torch.from_numpy(np.maximum(counts, 1))[None, :, None], counts


def _places(reader, found, sentences, rows, numbers, shape, counts) -> tuple[torch.Tensor, np.ndarray]:
    """(number of the wanted word that each token is of, -1: of none, and the token's share in it); counts the occurrences."""
    word_BL, share_BL = np.full(shape, -1, np.int64), np.zeros(shape)
    first, room = len(reader.vocabulary.prefix), reader.max_length - reader.vocabulary.overhead(1)
    for b, i in enumerate(rows.tolist()):
        of_token = found[i].words
        pieces = np.bincount(of_token, minlength=len(sentences[i]))
        whole = np.bincount(of_token[:room], minlength=len(sentences[i])) == pieces
        for place, word in enumerate(sentences[i]):
            if word in numbers and whole[place]:
                at = first + np.flatnonzero(of_token == place)
                word_BL[b, at], share_BL[b, at] = numbers[word], 1 / len(at)
                counts[numbers[word]] += 1
    return torch.from_numpy(word_BL), share_BL


def _states(model, given) -> torch.Tensor:
    inputs, layers = given
    every = model.hidden_layers(inputs)
    return torch.stack([every[layer].float() for layer in layers])

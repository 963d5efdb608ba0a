"""Which words of a sentence and its translation mean each other, read off the states of an encoder: from states to links between words.

awesome-align's soft alignments (Dou and Neubig 2021, section 2.1) and SimAlign's argmax, itermax and match (Jalili Sabet et al. 2020, section 3.2).
All work on sub-words, of which a batch holds pairs of sentences: B pairs, S source and T target sub-words (padded), D width. How links are written
and scored is in `xlt.alignment.links`.
"""

from __future__ import annotations

from enum import Enum

import numpy as np
import torch
from torch.nn import functional as F

_NEVER = -1e9  # the score of what is padded


class Method(str, Enum):
    """How links are extracted. softmax, entmax: probabilities in both directions above a threshold. argmax: each is the other's most similar.
    itermax: argmax again on what is not linked yet. match: of all matchings that of the largest summed similarity."""

    softmax = "softmax"
    entmax = "entmax"
    argmax = "argmax"
    itermax = "itermax"
    match = "match"

    @property
    def soft(self) -> bool:
        """Whether it is awesome-align's, with probabilities."""
        return self in (Method.softmax, Method.entmax)


class Similarity(str, Enum):
    """Of two states: their dot product (awesome-align), or their cosine, moved to [0, 1] as (1 + cos) / 2 (SimAlign)."""

    dot = "dot"
    cosine = "cosine"


def similarity(x_BSD: torch.Tensor, y_BTD: torch.Tensor, how: Similarity) -> torch.Tensor:
    """similarity_BST."""
    if how is Similarity.dot:
        return x_BSD @ y_BTD.mT
    return (1 + F.normalize(x_BSD, dim=-1) @ F.normalize(y_BTD, dim=-1).mT) / 2


def distorted(
    similarity_BST: torch.Tensor, source_BS: torch.Tensor, target_BT: torch.Tensor, kappa: float
) -> torch.Tensor:
    """similarity_BST * (1 - kappa * (how far apart the two places are, as shares of their sentences)^2): a preference for the same order (Jalili Sabet
    et al. 2020, section 3.3). The first and the last sub-words of both sentences are at the same place; so are all where one sentence has but one."""
    if not kappa:
        return similarity_BST
    ends = [(real.sum(1) - 1).to(similarity_BST.dtype) for real in (source_BS, target_BT)]
    source_BS, target_BT = (
        torch.arange(real.shape[1], device=real.device) / end_B.clamp(min=1)[:, None]
        for real, end_B in zip((source_BS, target_BT), ends, strict=True)
    )
    apart_BST = (source_BS[:, :, None] - target_BT[:, None]).square()
    several_B = (ends[0] > 0) & (ends[1] > 0)
    return similarity_BST * (1 - kappa * apart_BST * several_B[:, None, None])


def entmax15(scores: torch.Tensor) -> torch.Tensor:
    """1.5-entmax over the last dimension: p = max(s/2 - tau, 0)^2 with tau such that p sums to 1 (Peters et al. 2019, section 3.2 and algorithm 2).

    A score more than 2 below the largest has no share.
    """
    z = (scores / 2 - (scores / 2).amax(-1, keepdim=True)).clamp(min=-2)  # nothing below -1 can be in the support
    with torch.no_grad():
        support = _support(z)
    size = support.sum(-1, keepdim=True)
    mean = torch.where(support, z, 0).sum(-1, keepdim=True) / size
    spread = torch.where(support, (z - mean).square(), 0).sum(-1, keepdim=True)
    tau = mean - ((1 - spread) / size).clamp(min=1e-12).sqrt()
    return torch.where(support, (z - tau).clamp(min=0).square(), 0)


def _support(z: torch.Tensor) -> torch.Tensor:
    """bool of the same shape: the scores that share in the probability, the k largest for the largest k whose tau is below all of them."""
    ordered = z.double().sort(-1, descending=True).values
    count = torch.arange(1, z.shape[-1] + 1, device=z.device, dtype=torch.double)
    mean, square = ordered.cumsum(-1) / count, ordered.square().cumsum(-1) / count
    tau = mean - ((1 - count * (square - mean.square())) / count).clamp(min=0).sqrt()
    size = (tau <= ordered).sum(-1, keepdim=True)
    return z >= ordered.gather(-1, size - 1).to(z.dtype)


def directions(
    similarity_BST: torch.Tensor, source_BS: torch.Tensor, target_BT: torch.Tensor, entmax: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """(S_xy, S_yx transposed), both BST: the probability of each target sub-word for a source one, and of each source one for a target one.

    source_BS, target_BT: bool, the sub-words that are there. What is not has probability 0.
    """
    share = entmax15 if entmax else (lambda scores: scores.softmax(-1))
    real_BST = source_BS[:, :, None] & target_BT[:, None]
    forward_BST = share(similarity_BST.masked_fill(~target_BT[:, None], _NEVER)) * real_BST
    backward_BTS = share(similarity_BST.mT.masked_fill(~source_BS[:, None], _NEVER)) * real_BST.mT
    return forward_BST, backward_BTS.mT


def soft_links(forward_BST: torch.Tensor, backward_BST: torch.Tensor, threshold: float) -> torch.Tensor:
    """bool links_BST: above the threshold in both directions (Dou and Neubig 2021, equation 2)."""
    return (forward_BST > threshold) & (backward_BST > threshold)


def argmax_links(similarity_BST: torch.Tensor, source_BS: torch.Tensor, target_BT: torch.Tensor) -> torch.Tensor:
    """bool links_BST: pairs of which each is the other's most similar; of equals the first."""
    real_BST = source_BS[:, :, None] & target_BT[:, None]
    masked_BST = similarity_BST.masked_fill(~real_BST, -torch.inf)
    forward_BST = F.one_hot(masked_BST.argmax(2), masked_BST.shape[2]).bool()
    backward_BST = F.one_hot(masked_BST.argmax(1), masked_BST.shape[1]).bool().mT
    return forward_BST & backward_BST & real_BST


def itermax_links(
    similarity_BST: torch.Tensor, source_BS: torch.Tensor, target_BT: torch.Tensor, alpha: float, rounds: int
) -> torch.Tensor:
    """bool links_BST: argmax in `rounds`, before each of which a pair of two linked sub-words is struck out and one with a single linked one counts
    `alpha` times (Jalili Sabet et al. 2020, algorithm 1). similarity_BST: not negative, or to multiply it would raise it.

    Their code stops also where one sentence has all of its sub-words linked, or no more than two of them; the paper does not.
    """
    links_BST = torch.zeros_like(similarity_BST, dtype=torch.bool)
    for _ in range(rounds):
        source_linked, target_linked = links_BST.any(2)[:, :, None], links_BST.any(1)[:, None]
        both, none = source_linked & target_linked, ~source_linked & ~target_linked
        scaled_BST = torch.where(none, similarity_BST, alpha * similarity_BST).masked_fill(both, -torch.inf)
        links_BST = links_BST | (argmax_links(scaled_BST, source_BS, target_BT) & ~both)
    return links_BST


def match_links(similarity_BST: torch.Tensor, source_BS: torch.Tensor, target_BT: torch.Tensor) -> torch.Tensor:
    """bool links_BST: the matching of the largest summed similarity among those that link all sub-words of the shorter sentence."""
    from scipy.optimize import linear_sum_assignment

    links_BST = torch.zeros_like(similarity_BST, dtype=torch.bool, device="cpu")
    sizes = zip(source_BS.sum(1).tolist(), target_BT.sum(1).tolist(), strict=True)
    values_BST = similarity_BST.double().cpu().numpy()
    for row, (source, target) in enumerate(sizes):
        i, j = linear_sum_assignment(values_BST[row, :source, :target], maximize=True)
        links_BST[row, i, j] = True
    return links_BST.to(similarity_BST.device)


def between_words(
    links_ST: np.ndarray, strengths_ST: np.ndarray, source_S2: np.ndarray, target_T2: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(int64 links (n, 2) between words, sorted; float32 (n,) the strength of each): two words are linked if any two of their sub-words are.

    links_ST: bool, between sub-words. strengths_ST: of each pair; a link between words has its strongest. source_S2, target_T2: the first and the
    last word that a sub-word is of (one that spans two words, as in Chinese, belongs to both).
    """
    found: dict[tuple[int, int], float] = {}
    for s, t in np.argwhere(links_ST).tolist():
        for i in range(source_S2[s, 0], source_S2[s, 1] + 1):
            for j in range(target_T2[t, 0], target_T2[t, 1] + 1):
                found[i, j] = max(found.get((i, j), -np.inf), float(strengths_ST[s, t]))
    pairs = sorted(found)
    strengths = np.array([found[pair] for pair in pairs], np.float32)
    return np.array(pairs, np.int64).reshape(-1, 2), strengths


def of_linked_words(links_BST: torch.Tensor, source_BSW: torch.Tensor, target_BTW: torch.Tensor) -> torch.Tensor:
    """bool links_BST between all sub-words of words of which any two sub-words are linked (awesome-align trains on these).

    source_BSW, target_BTW: bool, which words W a sub-word is of.
    """
    x_BSW, y_BTW = source_BSW.float(), target_BTW.float()
    words_BWW = (x_BSW.mT @ links_BST.float() @ y_BTW) > 0
    return (x_BSW @ words_BWW.float() @ y_BTW.mT) > 0


def level(layer: int | None, layers: int) -> int:
    """The layer whose states are compared: as asked for, else two thirds of the way up: 8 of 12 (both papers), 16 of 24, 3 of 4, 1 of 1, 0 of 0."""
    return round(layers * 2 / 3) if layer is None else layer

"""From similarities between two sets to who is whom: nearest neighbour, CSLS, Sinkhorn and the Hungarian method, and how well gold partners rank.

Whole matrices: similarity_NM holds N M float32, and each method needs one or two more of its size. CSLS of sets too large for that, without ranks of every
partner, is in `xlt.alignment.csls`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from xlt.errors import ConfigError, NonFinite, suggest

METHODS = {
    "nn": "nearest neighbour",
    "csls": "cross-domain similarity local scaling (Conneau et al. 2018)",
    "sinkhorn": "entropic optimal transport (Cuturi 2013)",
    "hungarian": "the assignment with the largest sum (Kuhn 1955)",
}
OUTPUTS = ("tsv", "jsonl")


@dataclass(frozen=True, kw_only=True)
class Matching:
    """methods: how the partner of an entity is found; the first counts. candidates: among which partners are ranked, those of the test links (as published) or
    all of the other graph. csls_k: neighbours of CSLS. temperature, iterations: of Sinkhorn, on similarities of at most 1.

    links: write the links that are found among all entities without a seed. merge: write both graphs as one, joined by seeds and found links, in that format.
    """

    methods: list[str]
    candidates: str
    csls_k: int
    temperature: float
    iterations: int
    links: bool
    merge: str | None

    def __post_init__(self):
        problems = [
            f"matching.methods: there is no {name}; {suggest(name, METHODS)}"
            for name in self.methods
            if name not in METHODS
        ]
        if not self.methods:
            problems.append(f"matching.methods: [] finds nothing; give one or several of {', '.join(METHODS)}")
        if self.candidates not in ("test", "all"):
            problems.append(f"matching.candidates: {self.candidates} is neither test nor all; choose one of them")
        for name in ("csls_k", "temperature", "iterations"):
            if getattr(self, name) <= 0:
                problems.append(f"matching.{name}: {getattr(self, name)} is not above 0; give a larger one")
        if self.merge is not None and self.merge not in OUTPUTS:
            problems.append(f"matching.merge: there is no format {self.merge}; {suggest(self.merge, OUTPUTS)}, or null")
        if problems:
            raise ConfigError(problems)

    def score(self, similarity_NM: torch.Tensor, gold_N: torch.Tensor) -> tuple[dict[str, float], dict[str, float]]:
        """Scores of the first P rows, whose partners are the columns gold_P, and of these columns, whose partners are the rows: (source to target, back).

        Rows and columns beyond the P gold ones are other candidates. Hits@1, Hits@10 and MRR by each method; of an assignment, which ranks nothing, Hits@1.
        NonFinite for a similarity that is no number.
        """
        if not torch.isfinite(similarity_NM).all():
            raise NonFinite(
                "a similarity of two entities is not finite; the embeddings have run away: lower objective.learning_rate"
            )
        forward: dict[str, float] = {}
        backward: dict[str, float] = {}
        rows_P = torch.arange(len(gold_N), device=gold_N.device)
        for method in self.methods:
            if method == "hungarian":
                partner_N = hungarian(similarity_NM)
                hits = (partner_N[rows_P] == gold_N).double().mean().item()  # the same pairs, from either side
                forward["hungarian_hits_at_1"] = backward["hungarian_hits_at_1"] = hits
                continue
            scores_NM = self.rescored(method, similarity_NM)
            forward |= ranking(method, ranks(scores_NM[rows_P], gold_N))
            backward |= ranking(method, ranks(scores_NM.T[gold_N], rows_P))
        return forward, backward

    def rescored(self, method: str, similarity_NM: torch.Tensor) -> torch.Tensor:
        """The scores by which a method ranks; Sinkhorn's are logarithms of its plan."""
        if method == "csls":
            return csls(similarity_NM, self.csls_k)
        if method == "sinkhorn":
            return sinkhorn(similarity_NM, self.temperature, self.iterations)
        return similarity_NM

    def found(self, similarity_NM: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(i_P, j_P, similarity_P) of the pairs that the first method finds: those that choose each other, or those of the assignment."""
        method = self.methods[0]
        if method == "hungarian":
            partner_N = hungarian(similarity_NM)
            i_P = (partner_N >= 0).nonzero()[:, 0]
            j_P = partner_N[i_P]
        else:
            i_P, j_P = mutual(self.rescored(method, similarity_NM))
        return i_P, j_P, similarity_NM[i_P, j_P]


def csls(similarity_NM: torch.Tensor, k: int) -> torch.Tensor:
    """2 s - r_N - r_M, r the mean of the k largest of a row or column (of all, if there are fewer). Conneau et al. 2018, section 2.3."""
    r_N = similarity_NM.topk(min(k, similarity_NM.shape[1]), dim=1).values.mean(1)
    r_M = similarity_NM.topk(min(k, similarity_NM.shape[0]), dim=0).values.mean(0)
    return (2 * similarity_NM).sub_(r_N[:, None]).sub_(r_M)


def sinkhorn(similarity_NM: torch.Tensor, temperature: float, iterations: int) -> torch.Tensor:
    """log P_NM, P the transport plan between uniform masses 1/N and 1/M: exp(s / temperature), its rows and columns scaled in turn, columns last.

    Cuturi 2013, in logarithms, so that nothing underflows; as a matcher of entities Mao et al. 2021 (SEU).
    """
    log_NM = similarity_NM / temperature
    n, m = log_NM.shape
    for _ in range(iterations):
        log_NM -= log_NM.logsumexp(1, keepdim=True).add_(torch.tensor(float(n)).log())
        log_NM -= log_NM.logsumexp(0, keepdim=True).add_(torch.tensor(float(m)).log())
    return log_NM


def hungarian(similarity_NM: torch.Tensor) -> torch.Tensor:
    """partner_N: the column of each row in the one-to-one assignment with the largest sum, -1 for rows without (where N > M). Of one with several: any."""
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(similarity_NM.cpu().numpy(), maximize=True)
    partner_N = torch.full((len(similarity_NM),), -1, dtype=torch.long)
    partner_N[torch.from_numpy(rows)] = torch.from_numpy(columns)
    return partner_N.to(similarity_NM.device)


def mutual(scores_NM: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(i_P, j_P) of the pairs that choose each other; of equal scores the lower number is chosen."""
    forward_N, backward_M = scores_NM.max(1).indices, scores_NM.max(0).indices
    i_P = (backward_M[forward_N] == torch.arange(len(forward_N), device=forward_N.device)).nonzero()[:, 0]
    return i_P, forward_N[i_P]


def ranks(scores_PM: torch.Tensor, gold_P: torch.Tensor) -> torch.Tensor:
    """rank_P of each row's gold column, from 1; whatever scores as high counts as before it, so that a space in which all is equal ranks nothing first."""
    return (scores_PM >= scores_PM.gather(1, gold_P[:, None])).sum(1)


def ranking(method: str, rank_P: torch.Tensor) -> dict[str, float]:
    """Hits@1, Hits@10 and the mean reciprocal rank, as shares."""
    rank_P = rank_P.double()
    return {
        f"{method}_hits_at_1": (rank_P <= 1).double().mean().item(),
        f"{method}_hits_at_10": (rank_P <= 10).double().mean().item(),
        f"{method}_mrr": rank_P.reciprocal().mean().item(),
    }

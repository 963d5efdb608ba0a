"""Relations as translations from head to tail (TransE, Bordes et al. 2013), and how the spaces of two graphs become one (MTransE, BootEA).

Entities and relations have length 1; the parameters' own lengths do not matter.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from xlt.alignment.csls import unit

PART = 1024  # triples whose corruptions are looked up at once: a few MB, which stay in the cache


class _Scaled(torch.autograd.Function):
    """Rows scaled to length 1. Differentiated in three passes over them, where autograd's own takes eight: most of an update's time."""

    @staticmethod
    def forward(ctx, x_ND: torch.Tensor) -> torch.Tensor:
        length_N1 = x_ND.norm(dim=1, keepdim=True).clamp_min(1e-12)
        unit_ND = x_ND / length_N1
        ctx.save_for_backward(unit_ND, length_N1)
        return unit_ND

    @staticmethod
    def backward(ctx, gradient_ND: torch.Tensor) -> torch.Tensor:
        unit_ND, length_N1 = ctx.saved_tensors
        along_N1 = torch.linalg.vecdot(unit_ND, gradient_ND)[:, None]
        return torch.addcmul(gradient_ND, unit_ND, along_N1, value=-1).div_(length_N1)


def scaled(x_ND: torch.Tensor) -> torch.Tensor:
    """Rows scaled to length 1, with their gradient."""
    return _Scaled.apply(x_ND)


class Translation(nn.Module):
    """Embeddings of N entities (of both graphs) and R relations, and for mapped=True a linear map from the first graph's space into the second's."""

    def __init__(self, entities: int, relations: int, width: int, mapped: bool, generator: torch.Generator):
        super().__init__()
        draw = [torch.empty(count, width) for count in (entities, relations)]
        for table in draw:
            nn.init.trunc_normal_(table, a=-2, b=2, generator=generator)
        self.entities, self.relations = (nn.Parameter(F.normalize(table)) for table in draw)
        start_DD = nn.init.orthogonal_(torch.empty(width, width), generator=generator)
        self.map = nn.Parameter(start_DD) if mapped else None

    def tables(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(entities_ND, relations_RD) of length 1."""
        return scaled(self.entities), scaled(self.relations)

    @torch.no_grad()
    def spaces(self, first: int) -> tuple[torch.Tensor, torch.Tensor]:
        """(x_ND, y_MD) in one space: the `first` entities, mapped if there is a map, and the others."""
        x_ND, y_MD = unit(self.entities[:first]), unit(self.entities[first:])
        return (x_ND if self.map is None else x_ND @ self.map.T), y_MD


def adagrad(module: Translation, learning_rate: float, start: float) -> torch.optim.Adagrad:
    """Its optimizer (Duchi et al. 2011). start: of the sums of squares."""
    # torch has the fused one for the processor alone, where it is three times as fast
    fused = module.entities.device.type == "cpu"
    return torch.optim.Adagrad(module.parameters(), lr=learning_rate, initial_accumulator_value=start, fused=fused)


def parts(triples_B3: torch.Tensor, entities_ND: torch.Tensor, relations_RD: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """(h_BD, r_BD, t_BD)."""
    return (
        F.embedding(triples_B3[:, 0], entities_ND),
        F.embedding(triples_B3[:, 1], relations_RD),
        F.embedding(triples_B3[:, 2], entities_ND),
    )


def limit_loss(
    triples_B3: torch.Tensor,
    put_BK: torch.Tensor,
    head_B: torch.Tensor,
    tables: tuple[torch.Tensor, torch.Tensor],
    lower: float,
    upper: float,
    weight: float,
) -> torch.Tensor:
    """Sum of [f - lower]+ over triples and of weight [upper - f]+ over their corruptions, f = |h + r - t|^2. Sun et al. 2018 (BootEA), equations 2 and 3.

    put_BK: the entities that stand in place of a triple's head, where head_B is true, else of its tail.
    """
    h_BD, r_BD, t_BD = parts(triples_B3, *tables)
    near_B = (h_BD + r_BD - t_BD).square().sum(1)
    wanted_BD = torch.where(head_B[:, None], t_BD - r_BD, h_BD + r_BD)  # where the other end should be
    with torch.no_grad():  # most false triples are beyond the limit, and give no gradient
        products_BK = torch.cat(
            [
                (F.embedding(put_CK, tables[0]) @ wanted_CD[:, :, None])[..., 0]
                for put_CK, wanted_CD in zip(put_BK.split(PART), wanted_BD.split(PART), strict=True)
            ]
        )
        far_BK = wanted_BD.square().sum(1, keepdim=True) + 1 - 2 * products_BK  # |wanted - put|^2, for put has length 1
        row_A, column_A = (far_BK < upper).nonzero(as_tuple=True)
    far_A = (F.embedding(row_A, wanted_BD) - F.embedding(put_BK[row_A, column_A], tables[0])).square().sum(1)
    return (near_B - lower).relu().sum() + weight * (upper - far_A).relu().sum()


@torch.no_grad()
def near_entities(x_ND: torch.Tensor, share: float, pool_C: torch.Tensor) -> torch.Tensor:
    """near_NK: of the entities pool_C those among the nearest to each by cosine, K = max(1, share C); itself may be one. Sun et al. 2018, section 3.3.

    The paper takes them from all entities; from a random pool they are a random part of those, for a part of the work.
    """
    x_ND = unit(x_ND)
    near = [
        pool_C[(part_BD @ x_ND[pool_C].T).topk(max(1, round(share * len(pool_C))), dim=1, sorted=False).indices]
        for part_BD in x_ND.split(4096)
    ]
    return torch.cat(near)

"""Gradients of one update, summed over the processes that share its rows.

Not DistributedDataParallel: a loss here is a sum that is divided by the count of the whole update, so gradients are added and not averaged; the fast paths of
`xlt.models.fused` write gradients that autograd's hooks never see; and micro-batches need no exchange of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import nn

from xlt import processes

BUCKET = 2**23  # numbers in one exchange: 32 MB in fp32, the size from which the loopback and most networks are busy


def sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Every process then has the sum of all gradients. A parameter that got one in no process stays without. Sharded ones are summed already, by FSDP."""
    if processes.world() == 1:
        return
    from torch import distributed
    from torch.distributed.tensor import DTensor

    trained = [p for p in parameters if p.requires_grad and not isinstance(p, DTensor)]
    if not trained:
        return
    touched = torch.tensor([p.grad is not None for p in trained], dtype=torch.uint8, device=trained[0].device)
    distributed.all_reduce(touched, distributed.ReduceOp.MAX)
    for p, somewhere in zip(trained, touched.tolist(), strict=True):
        if somewhere and p.grad is None:
            p.grad = torch.zeros_like(p)
    for bucket in _buckets([p.grad for p in trained if p.grad is not None]):
        if len(bucket) == 1 and bucket[0].is_contiguous():  # a large one needs no copy
            distributed.all_reduce(bucket[0])
            continue
        flat = torch.cat([g.reshape(-1) for g in bucket])
        distributed.all_reduce(flat)
        for gradient, summed in zip(bucket, flat.split([g.numel() for g in bucket]), strict=True):
            gradient.copy_(summed.view_as(gradient))


def _buckets(gradients: list[torch.Tensor]) -> Iterator[list[torch.Tensor]]:
    """Consecutive gradients of one type, of BUCKET numbers at most or a single larger one."""
    bucket: list[torch.Tensor] = []
    for gradient in gradients:
        full = bucket and (
            sum(g.numel() for g in bucket) + gradient.numel() > BUCKET or gradient.dtype != bucket[0].dtype
        )
        if full:
            yield bucket
            bucket = []
        bucket.append(gradient)
    if bucket:
        yield bucket

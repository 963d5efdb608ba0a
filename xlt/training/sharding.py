"""A model whose weights, gradients and moments are spread over the processes (FSDP2: torch.distributed.fsdp.fully_shard; Zhao et al. 2023)."""

from __future__ import annotations

from torch import nn
from torch.distributed.tensor import DTensor

from xlt import processes


def shard(model: nn.Module) -> None:
    """Spread each layer of the model over the processes, and what is in no layer as one more. Gradients are summed, not averaged, as the loop expects.

    A layer is gathered when it is computed and let go of again; what is in no layer (embeddings, heads) stays whole through an update's forward and backward
    pass, for tied weights and losses read it outside of its module.
    """
    from torch.distributed.fsdp import fully_shard

    if processes.world() == 1:
        return
    each = [layer for layer in layers_of(model) if any(p.requires_grad for p in layer.parameters())]
    for module in [*each, model]:
        fully_shard(module, reshard_after_forward=module is not model)
        module.set_gradient_divide_factor(1.0)
        module.set_force_sum_reduction_for_comms(True)  # gloo knows no scaled sum


def layers_of(model: nn.Module) -> list[nn.Module]:
    """The members of the model's lists of modules that are in no other list: the layers of its stacks."""
    found, inside = [], set()
    for module in model.modules():
        if isinstance(module, nn.ModuleList) and id(module) not in inside:
            found += list(module)
            inside |= {id(each) for each in module.modules()}
    return found


def put_together(model: nn.Module) -> None:
    """Whole weights in the first process, to be saved there; the model is not computed with any more. Every process has to call it."""
    from torch.distributed.fsdp import FSDPModule

    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()  # else saving would do it, over what is put in place here
    names: dict[int, nn.Parameter] = {}
    for module in list(model.modules()):
        for name, parameter in list(module.named_parameters(recurse=False)):
            if isinstance(parameter, DTensor):
                if id(parameter) not in names:  # a tied one stays one
                    names[id(parameter)] = nn.Parameter(parameter.detach().full_tensor(), parameter.requires_grad)
                if processes.leads():
                    module._parameters[name] = names[id(parameter)]

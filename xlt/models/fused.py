"""Faster arithmetic for training: BERT's encoder family and the loss of a language-model head, from the model's own parameters.

A fast path is a function, chosen by capability; nothing is patched into transformers, and where a model is not of a known kind the plain path
runs. Loss and gradients are those of the plain path up to rounding; dropout draws other random numbers at the same rates, so a run with
`hardware.fused` is another sample of the same training, not another training. What it saves, and where: one product for query, key and value;
dropout masks from 16 random bits instead of a double; no dense gradient of the embedding table beside that of a tied head, which at 250,000
words is most of the memory traffic of an update; on a GPU in half precision, all work on padding, where the model drops no attention.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

try:
    from torch.nn.attention.varlen import varlen_attn as varlen  # since torch 2.10
except ImportError:
    varlen = None

_ENCODERS = {"BertModel", "RobertaModel", "XLMRobertaModel", "CamembertModel"}
_LEAVES = (
    nn.Linear,
    nn.LayerNorm,
    nn.Embedding,
    nn.Dropout,
    nn.ParameterDict,
)  # the last: of peft's adapters, which are called
_READ = {"input_ids", "attention_mask", "token_type_ids", "position_ids", "use_cache"}


def dropout(x: torch.Tensor, p: float, training: bool) -> torch.Tensor:
    """x with each number zero with probability p, rounded to 1/65536 on a processor, and the others scaled to keep the mean."""
    if not training or p == 0.0:
        return x
    if not x.is_cpu:  # a GPU's own kernel draws as it multiplies
        return F.dropout(x, p)
    return _Dropout.apply(x, round(p * 65536))


class _Dropout(torch.autograd.Function):
    """Four decisions from each 64-bit draw: torch's bernoulli_ takes a double of 53 bits for one."""

    @staticmethod
    def forward(ctx, x, dropped):
        bits = torch.empty(-(-x.numel() // 4), dtype=torch.int64, device=x.device).random_(-(2**63), None)
        kept = bits.view(torch.int16)[: x.numel()].view(x.shape) >= dropped - 32768
        ctx.scale = 65536 / (65536 - dropped)
        ctx.save_for_backward(kept)
        return (x * kept).mul_(ctx.scale)

    @staticmethod
    def backward(ctx, gradient):
        (kept,) = ctx.saved_tensors
        return (gradient * kept).mul_(ctx.scale), None


def accumulate(parameter: nn.Parameter, add: Callable[[torch.Tensor], object]) -> None:
    """`add` a gradient in place to that of a parameter, which begins at zero where there is none."""
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    add(parameter.grad)


class _Embedding(torch.autograd.Function):
    """A lookup whose gradient is added to the rows that were looked up, into the parameter's own gradient."""

    @staticmethod
    def forward(ctx, anchor, weight, ids, padding):
        ctx.weight, ctx.padding = weight, padding
        ctx.save_for_backward(ids)
        return F.embedding(ids, weight.detach())

    @staticmethod
    def backward(ctx, gradient):
        (ids,) = ctx.saved_tensors
        ids_T, gradient_TD = ids.flatten(), gradient.flatten(0, -2)
        if ctx.padding is not None:  # as torch's: the padding row is not trained by what is looked up
            gradient_TD = gradient_TD * (ids_T != ctx.padding).unsqueeze(1)
        accumulate(ctx.weight, lambda grad_VD: grad_VD.index_add_(0, ids_T, gradient_TD.to(grad_VD.dtype)))
        return torch.zeros((), device=gradient.device), None, None, None


def embedding(table: nn.Embedding, ids: torch.Tensor) -> torch.Tensor:
    """table(ids). The gradient bypasses autograd's sum over the uses of a tied table, and so its dense copy."""
    if not (torch.is_grad_enabled() and table.weight.requires_grad and table.weight.is_leaf):
        return table(ids)
    anchor = torch.zeros((), device=ids.device, requires_grad=True)  # so that backward is called
    found = _Embedding.apply(anchor, table.weight, ids, table.padding_idx)
    for hook in table._forward_hooks.values():  # such as `xlt.training.perturbation` sets
        changed = hook(table, (ids,), found)
        found = found if changed is None else changed
    return found


class _CrossEntropy(torch.autograd.Function):
    """-log softmax(hidden @ weight.T + bias)[target] per row; in backward the logits' memory becomes their gradient, and the weight's
    gradient is a product written into the parameter's own."""

    @staticmethod
    def forward(ctx, hidden_MD, weight, bias, targets_M, dtype):
        narrow_MD, narrow_VD = hidden_MD.detach().to(dtype), weight.detach().to(dtype)
        narrow_V = None if bias is None else bias.detach().to(dtype)
        logits_MV = F.linear(narrow_MD, narrow_VD, narrow_V).float()
        highest_M = logits_MV.amax(-1)
        gold_M = logits_MV.gather(1, targets_M.unsqueeze(1)).squeeze(1) - highest_M
        sums_M = logits_MV.sub_(highest_M.unsqueeze(1)).exp_().sum(-1)
        losses_M = sums_M.log() - gold_M
        ctx.weight, ctx.bias, ctx.dtype = weight, bias, dtype
        ctx.save_for_backward(narrow_MD, logits_MV, sums_M, targets_M)
        return losses_M

    @staticmethod
    def backward(ctx, gradient_M):
        narrow_MD, powers_MV, sums_M, targets_M = ctx.saved_tensors
        probabilities_MV = powers_MV.mul_((gradient_M / sums_M).unsqueeze(1))
        probabilities_MV[torch.arange(len(targets_M), device=targets_M.device), targets_M] -= gradient_M
        if ctx.bias is not None and ctx.bias.requires_grad:
            accumulate(ctx.bias, lambda grad_V: grad_V.add_(probabilities_MV.sum(0)))
        narrow_MV = probabilities_MV.to(ctx.dtype)
        hidden_gradient_MD = narrow_MV @ ctx.weight.detach().to(ctx.dtype)
        if ctx.weight.requires_grad:
            if ctx.weight.grad is None:
                ctx.weight.grad = (narrow_MV.T @ narrow_MD).float()
            elif ctx.dtype is torch.float32:
                ctx.weight.grad.addmm_(narrow_MV.T, narrow_MD)
            else:
                ctx.weight.grad += narrow_MV.T @ narrow_MD
        return hidden_gradient_MD.float(), None, None, None, None


def lm_losses(backbone, hidden_MD: torch.Tensor, targets_M: torch.Tensor) -> torch.Tensor | None:
    """losses_M in fp32 as `xlt.models.heads.lm_losses` has them, with gradients; None where the head is not one that this knows."""
    found = head(backbone)
    if found is None or not len(targets_M) or not torch.is_grad_enabled():
        return None
    transform, projection, bias = found
    device = hidden_MD.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else torch.float32
    return _CrossEntropy.apply(transform(hidden_MD).float(), projection.weight, bias, targets_M, dtype)


def head(backbone) -> tuple[Callable, nn.Linear, nn.Parameter | None] | None:
    """(transform of the states, projection to the words, its bias) of a language-model head; None if it is not one of the known kinds."""
    top = getattr(backbone, "lm_head", None)
    if hasattr(backbone, "final_logits_bias") or getattr(backbone.config, "scale_decoder_outputs", False):
        return None
    if type(top) is nn.Linear:  # GPT-2, Llama
        return _as_it_is, top, top.bias
    if type(getattr(top, "decoder", None)) is nn.Linear and {n for n, _ in top.named_children()} == {
        "dense",
        "layer_norm",
        "decoder",
    }:
        return (
            lambda hidden_MD: top.layer_norm(F.gelu(top.dense(hidden_MD))),
            top.decoder,
            top.decoder.bias,
        )  # RoBERTa, XLM-R
    predictions = getattr(getattr(backbone, "cls", None), "predictions", None)
    if type(getattr(predictions, "decoder", None)) is nn.Linear and hasattr(predictions, "transform"):  # BERT
        return predictions.transform, predictions.decoder, predictions.decoder.bias
    return None


def _as_it_is(hidden_MD: torch.Tensor) -> torch.Tensor:
    return hidden_MD


def encoder(reader: nn.Module) -> bool:
    """Whether `encode` computes what this module does: one of BERT's family with absolute positions, as transformers builds it."""
    config = reader.config
    return (
        type(reader).__name__ in _ENCODERS
        and type(reader).__module__.startswith("transformers.")
        and config.hidden_act == "gelu"
        and not getattr(config, "is_decoder", False)
        and getattr(config, "position_embedding_type", None) in (None, "absolute")
        and not getattr(reader, "gradient_checkpointing", False)
        and not any(m._forward_hooks or m._forward_pre_hooks for m in reader.modules())
        and all(type(m) in _LEAVES for m in reader.modules() if not len(list(m.children())) and list(m.parameters()))
    )  # fmt: skip


def readable(inputs: dict) -> bool:
    """Whether `encode` takes these inputs."""
    return set(inputs) <= _READ and "input_ids" in inputs


def encode(reader: nn.Module, inputs: dict[str, torch.Tensor], layer: int | None = None) -> torch.Tensor:
    """hidden_BLD of the last layer, or of `layer`, of a module for which `encoder` is true."""
    training, mask_BL = reader.training, inputs.get("attention_mask")
    read = (inputs.get(name) for name in ("input_ids", "token_type_ids", "position_ids"))
    states_BLD = _embed(reader.embeddings, *read, training)
    blocks = reader.encoder.layer[: len(reader.encoder.layer) if layer is None else layer]
    if mask_BL is None:
        attend = partial(_attention, bias=None, training=training)
        for block in blocks:
            states_BLD = _block(block, states_BLD, attend, training)
        return states_BLD
    # the T real tokens of all rows one after the other, each attending to its own row
    kept_T = mask_BL.flatten().nonzero().squeeze(1)
    attend = _varlen(mask_BL) if _has_varlen(reader, mask_BL.device.type) else _grouped(mask_BL, training)
    states_TD = states_BLD.flatten(0, 1)[kept_T]
    for block in blocks:
        states_TD = _block(block, states_TD, attend, training)
    whole = states_TD.new_zeros(mask_BL.numel(), states_TD.shape[-1])
    return whole.index_copy(0, kept_T, states_TD).view(*mask_BL.shape, -1)


def _has_varlen(reader: nn.Module, device: str) -> bool:
    """Whether FlashAttention's varlen kernel does it: in half precision on a GPU, without dropout."""
    if device != "cuda" or not torch.is_autocast_enabled(device) or varlen is None:
        return False
    half = torch.get_autocast_dtype(device) in (torch.bfloat16, torch.float16)
    return half and not (reader.training and reader.config.attention_probs_dropout_prob)


def _varlen(mask_BL: torch.Tensor) -> Callable[..., torch.Tensor]:
    """Attention of packed rows by the kernel."""
    ends = F.pad(mask_BL.sum(1).cumsum(0), (1, 0)).to(torch.int32)
    longest = mask_BL.shape[1]

    def attend(joined_T3HS: torch.Tensor, part: nn.Module) -> torch.Tensor:
        return varlen(*joined_T3HS.unbind(1), ends, ends, longest, longest, scale=part.scaling)

    return attend


LIKE = 0.6  # rows of a group are at least so long as its longest, less SLACK tokens
SLACK = 3


def _grouped(mask_BL: torch.Tensor, training: bool) -> Callable[..., torch.Tensor]:
    """Attention of packed rows in groups of like length, each padded to its longest."""
    lengths_B = mask_BL.sum(1)
    first_B = F.pad(lengths_B.cumsum(0), (1, 0))[:-1]
    order = lengths_B.argsort(descending=True, stable=True)
    groups, taken = [], lengths_B[order].tolist()
    for i, length in enumerate(taken):
        if not groups or length < LIKE * taken[groups[-1][0]] - SLACK:
            groups.append([i, i])
        groups[-1][1] = i + 1
    total, places, masks = int(lengths_B.sum()), [], []
    for begin, end in groups:
        rows, longest = order[begin:end], taken[begin]
        column = torch.arange(longest, device=rows.device)
        real_GL = column < lengths_B[rows, None]
        places.append((first_B[rows, None] + column).where(real_GL, total).flatten())  # padding: a row of zeros
        masks.append(None if taken[end - 1] == longest else real_GL)
    place_P = torch.cat(places)
    back_T = torch.empty(total + 1, dtype=torch.long, device=place_P.device)
    back_T[place_P] = torch.arange(len(place_P), device=place_P.device)
    shapes = [(end - begin, taken[begin]) for begin, end in groups]
    biases = [None if mask is None else _bias(mask, torch.float32) for mask in masks]

    def attend(joined_T3HS: torch.Tensor, part: nn.Module) -> torch.Tensor:
        padded_P3HS = F.pad(joined_T3HS, (0, 0) * 3 + (0, 1)).index_select(0, place_P)
        mixed = [
            _attention(piece.view(*shape, *piece.shape[1:]), part, bias, training).flatten(0, 1)
            for piece, shape, bias in zip(padded_P3HS.split([n * m for n, m in shapes]), shapes, biases, strict=True)
        ]
        return torch.cat(mixed).index_select(0, back_T[:-1])

    return attend


def _embed(
    part: nn.Module,
    ids_BL: torch.Tensor,
    types_BL: torch.Tensor | None,
    positions_BL: torch.Tensor | None,
    training: bool,
) -> torch.Tensor:
    positions_BL = _positions(part, ids_BL) if positions_BL is None else positions_BL
    types_BL = torch.zeros_like(ids_BL) if types_BL is None else types_BL
    summed_BLD = (
        embedding(part.word_embeddings, ids_BL)
        + part.token_type_embeddings(types_BL)
        + part.position_embeddings(positions_BL)
    )
    return _drop(part.dropout, part.LayerNorm(summed_BLD), training)


def _drop(part: nn.Module, x: torch.Tensor, training: bool) -> torch.Tensor:
    """A layer's dropout, and the adapters behind it (`xlt.models.adapters.bottleneck.AfterDropout`)."""
    if type(part) is nn.Dropout:
        return dropout(x, part.p, training)
    return part.adapt(dropout(x, part.dropout.p, training))


def _positions(part: nn.Module, ids_BL: torch.Tensor) -> torch.Tensor:
    if part.position_embeddings.padding_idx is None:
        return torch.arange(ids_BL.shape[1], device=ids_BL.device).expand_as(ids_BL)
    real_BL = ids_BL.ne(part.padding_idx).long()  # RoBERTa's family counts the tokens that are no padding, from pad + 1
    return real_BL.cumsum(1) * real_BL + part.padding_idx


def _bias(mask_BL: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return torch.zeros_like(mask_BL, dtype=dtype).masked_fill_(mask_BL == 0, torch.finfo(dtype).min)[:, None, None]


def _block(block: nn.Module, x: torch.Tensor, attend: Callable[..., torch.Tensor], training: bool) -> torch.Tensor:
    """A layer on states (..., D). attend(joined, part): (..., H, S) from query, key and value (..., 3, H, S); H heads of size S."""
    attention, after, up, down = block.attention.self, block.attention.output, block.intermediate.dense, block.output
    three = (attention.query, attention.key, attention.value)
    if all(type(p) is nn.Linear for p in three):
        joined = F.linear(x, torch.cat([p.weight for p in three]), torch.cat([p.bias for p in three]))
    else:  # adapted: their weights are not all that they do
        joined = torch.cat([p(x) for p in three], -1)
    shape = (*x.shape[:-1], 3, attention.num_attention_heads, attention.attention_head_size)
    mixed = attend(joined.view(shape), attention).flatten(-2)
    x = after.LayerNorm(_drop(after.dropout, after.dense(mixed), training) + x)
    return down.LayerNorm(_drop(down.dropout, down.dense(F.gelu(up(x))), training) + x)


def _attention(joined_BL3HS: torch.Tensor, part: nn.Module, bias: torch.Tensor | None, training: bool) -> torch.Tensor:
    """mixed_BLHS: attention within each row. bias: added to the scores, lowest where a row is padded."""
    q, k, v = joined_BL3HS.permute(2, 0, 3, 1, 4)
    p = part.dropout.p if training else 0.0
    if p and q.is_cpu:
        scores = torch.matmul(q, k.transpose(-1, -2)) * part.scaling
        scores = scores if bias is None else scores + bias
        mixed = torch.matmul(dropout(scores.softmax(-1), p, training).to(v.dtype), v)
    else:
        bias = None if bias is None else bias.to(q.dtype)
        mixed = F.scaled_dot_product_attention(q, k, v, bias, dropout_p=p, scale=part.scaling)
    return mixed.transpose(1, 2)

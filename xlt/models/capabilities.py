"""What a backbone can do, found by asking it: each missing capability is a ConfigError that names it, before anything is trained.

The questions are put to the model itself, on a few tokens, because neither configs nor signatures tell: `AutoModelForCausalLM` makes a model
of XLM-R that sees the future, and DeBERTa takes positions and ignores them.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from xlt.errors import ConfigError
from xlt.models.heads import decoder_ids, decoder_states, directions, lm_logits

_LENGTH = 6


def require_head(backbone, head: str) -> None:
    """That `lm_logits` on the states that xlt computes gives the model's own logits, and that a causal model is causal."""
    if head == "encoder":
        return
    if head == "seq2seq-lm":
        require_decoder(backbone)
    with _asked(backbone) as ids_BL:
        if head == "seq2seq-lm":
            read_BL = decoder_ids(backbone, ids_BL)
            encoded_BLD = backbone.get_encoder()(input_ids=ids_BL).last_hidden_state
            hidden_BLD = decoder_states(backbone, encoded_BLD, None, read_BL)
            theirs_BLV = backbone(input_ids=ids_BL, decoder_input_ids=read_BL).logits
        else:
            hidden_BLD = backbone.base_model(input_ids=ids_BL).last_hidden_state
            theirs_BLV = backbone(input_ids=ids_BL).logits
        if head == "causal-lm":
            hidden_BLD = directions(backbone, hidden_BLD)[0]
        ours_BLV = lm_logits(backbone, hidden_BLD.flatten(0, 1)).view_as(theirs_BLV)
        if (ours_BLV - theirs_BLV).abs().max() > 1e-3 * (1 + theirs_BLV.abs().max()):
            raise ConfigError(
                f"model: the LM head of {type(backbone).__name__} does more than its modules say, so its loss cannot be computed at single positions; "
                "take XLM-R, BERT or ModernBERT, GPT-2 or Llama, mBART or T5"
            )
        if head == "causal-lm" and not _causal(backbone, ids_BL, theirs_BLV):
            raise ConfigError(
                f"model: {type(backbone).__name__} sees the tokens it is to predict (it is no decoder; transformers' is_decoder is "
                f"{getattr(backbone.config, 'is_decoder', False)}), so a causal language model cannot be learned; take a decoder such as GPT-2 or Llama"
            )


def _causal(backbone, ids_BL: torch.Tensor, logits_BLV: torch.Tensor) -> bool:
    """Whether logits before the last token stay when that changes."""
    other_BL = ids_BL.clone()
    other_BL[:, -1] = ids_BL[:, 0]
    changed_BLV = backbone(input_ids=other_BL).logits
    return bool((changed_BLV - logits_BLV)[:, :-1].abs().max() <= 1e-4 * (1e-3 + logits_BLV.std()))


def require_decoder(backbone) -> None:
    """That the model is an encoder-decoder which knows what its decoder begins with."""
    name = type(backbone).__name__
    if not hasattr(backbone, "prepare_decoder_input_ids_from_labels") or not backbone.config.is_encoder_decoder:
        raise ConfigError(f"model: {name} has no decoder that reads an encoder; take mBART, BART, T5 or mT5")
    try:
        decoder_ids(backbone, torch.tensor([[0]]))
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"model: {name} does not say what its decoder begins with ({str(error).splitlines()[0]}); set decoder_start_token_id and pad_token_id in its config"
        ) from error


def require_positions(backbone) -> None:
    """That positions can be given to the model and matter to it."""
    name = type(backbone).__name__
    if "position_ids" not in inspect.signature(backbone.base_model.forward).parameters:
        raise ConfigError(
            f"model: {name} has no positions that could restart (it takes no position_ids); set objective.restart_positions=false, or take XLM-R, BERT or ModernBERT"
        )
    with _asked(backbone) as ids_BL:
        places_BL = torch.arange(_LENGTH).expand_as(ids_BL)
        plain_BLD = backbone.base_model(input_ids=ids_BL).last_hidden_state
        given_BLD = backbone.base_model(input_ids=ids_BL, position_ids=positions(backbone, places_BL)).last_hidden_state
        reset_BLD = backbone.base_model(
            input_ids=ids_BL, position_ids=positions(backbone, places_BL % (_LENGTH // 2))
        ).last_hidden_state
        if (given_BLD - plain_BLD).abs().max() > 1e-4 * (1 + plain_BLD.abs().max()):
            raise ConfigError(
                f"model: {name} counts its positions in a way that xlt does not know, so they cannot restart; set objective.restart_positions=false"
            )
        if torch.equal(reset_BLD, plain_BLD):
            raise ConfigError(
                f"model: {name} takes positions and ignores them, so they cannot restart; set objective.restart_positions=false, or take XLM-R, BERT or ModernBERT"
            )


def position_table(backbone) -> tuple[nn.Embedding | None, int]:
    """(its table of absolute positions, None if it has no such table; the number of the first position).

    RoBERTa's family counts from pad + 1, and only its positions have a padding index.
    """
    for name, module in backbone.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
            return module, 0 if module.padding_idx is None else module.padding_idx + 1
    return None, 0


def positions(backbone, places_BL: torch.Tensor) -> torch.Tensor:
    """position_ids of tokens at places 0, 1, ... of their sentence."""
    return places_BL + position_table(backbone)[1]


@contextmanager
def _asked(backbone) -> Iterator[torch.Tensor]:
    """ids_BL of one short row of ordinary tokens, with the model in evaluation mode and no gradient."""
    was_training = backbone.training
    pad = backbone.config.pad_token_id
    ids = [i for i in range(min(backbone.config.vocab_size, _LENGTH + 8)) if i != pad][-_LENGTH:]
    backbone.eval()
    try:
        with torch.no_grad():
            yield torch.tensor([ids], device=next(backbone.parameters()).device)
    finally:
        backbone.train(was_training)

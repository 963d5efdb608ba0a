"""Language-model heads of transformers models: from states to losses, at the predicted positions only. All language-model losses go through `lm_losses`.

Plain path: the model's own head, then cross-entropy in fp32. What is computed here is checked against the model's own logits when it is built.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional as F

from xlt.errors import ConfigError
from xlt.models import fused

KINDS = {  # name of a head in an objective -> the Auto class of transformers that has it
    "encoder": "AutoModel",
    "masked-lm": "AutoModelForMaskedLM",
    "causal-lm": "AutoModelForCausalLM",
    "seq2seq-lm": "AutoModelForSeq2SeqLM",
}
_HEADS = (
    ("lm_head",),  # RoBERTa and XLM-R; GPT-2, Llama and most decoders; BART, mBART, T5, mT5
    ("cls",),  # BERT
    ("predictions",),  # ALBERT
    ("head", "decoder"),  # ModernBERT
    ("vocab_transform", "activation", "vocab_layer_norm", "vocab_projector"),  # DistilBERT
    ("embed_out",),  # GPT-NeoX
)
LOGITS_AT_ONCE = 2**25  # numbers in memory while scoring: a whole evaluation batch times 250,000 words would not fit


def lm_losses(backbone, hidden_MD: torch.Tensor, targets_M: torch.Tensor, fast: bool = False) -> torch.Tensor:
    """losses_M in fp32: -log p(target) under the backbone's language-model head, for the states at the M predicted positions.

    fast: by `xlt.models.fused` where it knows the head; its gradients go straight into the parameters."""
    if fast and (losses_M := fused.lm_losses(backbone, hidden_MD, targets_M)) is not None:
        return losses_M
    return F.cross_entropy(lm_logits(backbone, hidden_MD).float(), targets_M, reduction="none")


@torch.no_grad()
def lm_scores(backbone, hidden_MD: torch.Tensor, targets_M: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(losses_M, hits_M) in fp32, in pieces that fit in memory. A hit is a target that is the most probable word."""
    size = max(1, LOGITS_AT_ONCE // backbone.config.vocab_size)
    losses, hits = [hidden_MD.new_zeros(0, dtype=torch.float32)], [hidden_MD.new_zeros(0, dtype=torch.float32)]
    for hidden_CD, targets_C in zip(hidden_MD.split(size), targets_M.split(size), strict=True):
        if len(targets_C):
            logits_CV = lm_logits(backbone, hidden_CD).float()
            losses.append(F.cross_entropy(logits_CV, targets_C, reduction="none"))
            hits.append((logits_CV.argmax(-1) == targets_C).float())
    return torch.cat(losses), torch.cat(hits)


def lm_logits(backbone, hidden_MD: torch.Tensor) -> torch.Tensor:
    """logits_MV of the backbone's own head on some states only: for masked LM a seventh of the head's work."""
    for part in lm_head(backbone):
        hidden_MD = part(hidden_MD)
    return hidden_MD


def lm_head(backbone) -> list[Callable]:
    """From states to logits, one after the other. transformers gives the head no common name; ConfigError where none of those known is there."""
    config = backbone.config
    odd = [name for name in ("final_logit_softcapping", "logits_scaling", "logit_scale") if getattr(config, name, None)]
    for names in _HEADS:
        if not odd and all(hasattr(backbone, name) for name in names):
            parts = [getattr(backbone, name) for name in names]
            if getattr(
                config, "scale_decoder_outputs", False
            ):  # T5 with tied embeddings (Mesh TensorFlow's convention)
                parts.insert(0, lambda hidden_MD: hidden_MD * config.d_model**-0.5)
            if hasattr(backbone, "final_logits_bias"):  # BART's family
                parts.append(lambda logits_MV: logits_MV + backbone.final_logits_bias)
            return parts
    kind = "LM head" if "MaskedLM" not in type(backbone).__name__ else "masked-LM head"
    raise ConfigError(
        f"model: the {kind} of {type(backbone).__name__} is not one that xlt knows{f' (it has {odd[0]})' if odd else ''}; take XLM-R, RoBERTa, "
        "BERT, DistilBERT, ALBERT or ModernBERT for masked LM, GPT-2 or Llama for causal LM, mBART, BART, T5 or mT5 for denoising"
    )


def directions(backbone, hidden_BLD: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """States from which a causal model's head predicts: (of the next token,), and of the one before for a recurrent model of two directions."""
    halves = getattr(backbone.base_model, "halves", None)
    return (hidden_BLD,) if halves is None else tuple(halves(hidden_BLD))


def decoder_states(
    backbone, encoded_BLD: torch.Tensor, mask_BL: torch.Tensor | None, ids_BL: torch.Tensor
) -> torch.Tensor:
    """hidden_BLD of an encoder-decoder's decoder that reads ids_BL and looks at the encoder's states where mask_BL is 1 (None: all are real)."""
    return backbone.get_decoder()(
        input_ids=ids_BL, encoder_hidden_states=encoded_BLD, encoder_attention_mask=mask_BL, use_cache=False
    ).last_hidden_state


def decoder_ids(backbone, labels_BL: torch.Tensor) -> torch.Tensor:
    """What the decoder reads while it predicts labels_BL (-100 where padded): moved right by the model's own rule. T5's rows then begin with
    <pad>, BART's with </s>, and mBART's with the last label, the language (Liu et al. 2020, section 2.2)."""
    return backbone.prepare_decoder_input_ids_from_labels(labels=labels_BL)

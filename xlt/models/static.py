"""An encoder without layers whose states are given word vectors: what a closed-form alignment saves, so that every later stage reads it."""

from __future__ import annotations

import torch

from xlt.errors import ConfigError
from xlt.models.build import TransferModel

_EPSILON = 1.0
_LARGEST = 0.03  # root mean square of the longest vector in the table


def require_static(backbone) -> None:
    """ConfigError if it has layers, or does not pass its embeddings through a layer norm as XLM-R does."""
    config, embeddings = backbone.config, getattr(backbone.base_model, "embeddings", None)
    if config.num_hidden_layers or not hasattr(embeddings, "word_embeddings") or not hasattr(embeddings, "LayerNorm"):
        raise ConfigError(
            f"model: {config.num_hidden_layers} layers of {config.model_type}, and vectors that are solved need an encoder like XLM-R with none; "
            "set model.layers=0 with model=tiny"
        )


@torch.no_grad()
def make_static(model: TransferModel, vectors_VD: torch.Tensor) -> None:
    """Each token's state becomes its vector, less the mean of its components, scaled so that the longest has components of about 1.

    The embedding's layer norm would give all tokens one length: with an epsilon far above the components' variance it multiplies by a
    constant, to within _LARGEST**2 / 2 = 0.05 %. Positions and types become zero. ConfigError as `require_static`.
    """
    require_static(model.backbone)
    embeddings = model.reader.embeddings
    centred = vectors_VD - vectors_VD.mean(1, keepdim=True)
    longest = centred.square().mean(1).max().sqrt().clamp(min=1e-30)
    embeddings.word_embeddings.weight.copy_(centred * (_LARGEST / longest))
    for name in ("position_embeddings", "token_type_embeddings"):
        if hasattr(embeddings, name):
            getattr(embeddings, name).weight.zero_()
    model.backbone.config.layer_norm_eps = embeddings.LayerNorm.eps = _EPSILON
    embeddings.LayerNorm.weight.fill_(1 / _LARGEST)
    embeddings.LayerNorm.bias.zero_()

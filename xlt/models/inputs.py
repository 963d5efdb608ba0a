"""What a model can read beside token ids: which language a token is in and which text of its row, as embeddings added to the token's own.

With the positions that the backbone adds itself this is XLM's input (Lample and Conneau 2019, section 3.4 and Figure 1). The backbone stays a
transformers model that plain transformers loads; these embeddings lie beside it in a file of their own, as heads do. A model type of our own
would be loaded by nothing else, and would need one class for each family.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from xlt.errors import ConfigError
from xlt.vocabulary import language_codes

INPUTS_FILE, INPUTS_NAMES = "inputs.safetensors", "inputs.json"
SEGMENTS = 2  # the texts of a row: a sentence and its translation, a premise and a hypothesis


@dataclass(frozen=True, kw_only=True)
class MultilingualInput:
    """A model (`backbone`: any other choice of the group) that also has embeddings of the languages it is trained on, of the segments, or both."""

    backbone: Any
    languages: bool
    segments: bool

    def __post_init__(self):
        if not self.languages and not self.segments:
            raise ConfigError(
                "model.languages, model.segments: both are false, so nothing is added; choose model.backbone itself"
            )
        if isinstance(self.backbone, MultilingualInput) or not hasattr(self.backbone, "init_from"):
            raise ConfigError(
                "model.backbone: it is no model; choose one with model@model.backbone=NAME (xlt ls model)"
            )

    @property
    def init_from(self) -> str | None:
        """Where the backbone comes from."""
        return self.backbone.init_from


class InputEmbeddings(nn.Module):
    """languages: xlt's codes of those that have an embedding, None: no language embeddings. width: of a token's embedding."""

    def __init__(self, width: int, languages: list[str] | None, segments: bool):
        super().__init__()
        self.languages = None if languages is None else tuple(languages)
        self.language = None if languages is None else nn.Embedding(len(languages), width)
        self.segment = nn.Embedding(SEGMENTS, width) if segments else None
        for table in (self.language, self.segment):
            if table is not None:
                nn.init.normal_(table.weight, std=0.02)  # as BERT's tables begin (Devlin et al. 2019, released code)

    def forward(self, tokens: nn.Module, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The inputs with `inputs_embeds` in place of input_ids, language_ids (B or BL) and segment_ids (BL; none: all in the first)."""
        inputs = dict(inputs)
        x_BLD = tokens(inputs.pop("input_ids"))
        languages, segments_BL = inputs.pop("language_ids", None), inputs.pop("segment_ids", None)
        if self.language is not None:
            if languages is None:
                raise ConfigError(
                    "model: it has language embeddings, and this objective does not say which language a row is in; take another objective, or a model without them"
                )
            x_BLD = x_BLD + self.language(languages if languages.ndim == 2 else languages.unsqueeze(1))
        if self.segment is not None:
            x_BLD = x_BLD + (self.segment.weight[0] if segments_BL is None else self.segment(segments_BL))
        return inputs | {"inputs_embeds": x_BLD}

    def save(self, folder: Path) -> None:
        """Weights and the names of the languages, into an existing folder."""
        from safetensors.torch import save_file

        save_file({k: v.contiguous() for k, v in self.state_dict().items()}, folder / INPUTS_FILE)
        names = {"languages": self.languages, "segments": self.segment is not None}
        (folder / INPUTS_NAMES).write_text(json.dumps(names, indent=2) + "\n")

    @classmethod
    def load(cls, folder: Path, width: int) -> InputEmbeddings | None:
        """Those that `save` wrote; None where the checkpoint has none."""
        from safetensors.torch import load_file

        if not (folder / INPUTS_FILE).is_file():
            return None
        loaded = cls(width, **json.loads((folder / INPUTS_NAMES).read_text()))
        loaded.load_state_dict(load_file(folder / INPUTS_FILE))
        return loaded


def input_embeddings(node, place: str | None, width: int, languages: list[str]) -> InputEmbeddings | None:
    """Those of the checkpoint at `place`, else new ones for `languages` where `node` asks for them, else None."""
    found = InputEmbeddings.load(Path(place), width) if place is not None else None
    if not isinstance(node, MultilingualInput):
        return found
    if found is None:
        return InputEmbeddings(width, language_codes(languages) if node.languages else None, node.segments)
    has = {"languages": found.language is not None, "segments": found.segment is not None}
    wrong = [name for name, there in has.items() if there != getattr(node, name)]
    if wrong:
        raise ConfigError(
            f"model.{wrong[0]}: {str(getattr(node, wrong[0])).lower()}, but the checkpoint {node.init_from} has {'' if has[wrong[0]] else 'no '}embeddings of them; choose model=pretrained to take what it has"
        )
    return found

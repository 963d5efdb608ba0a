"""A space that languages share, solved for the states of an encoder as it is: the mean of each language is taken away and the rest is turned, layer by layer.

It is saved beside the encoder (`space.safetensors`), and whoever asks the model for states gets them in that space; plain transformers, which does not read it, gets
them as they were.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import nn

from xlt.errors import ConfigError

SPACE_FILE, SPACE_NAMES = "space.safetensors", "space.json"


class Space(nn.Module):
    """languages: xlt's codes, in the order of their ids. means_GKD: of G languages and K layers (0 the embeddings); maps_GKDD: orthogonal, None: nothing is turned."""

    def __init__(self, languages: list[str], means_GKD: torch.Tensor, maps_GKDD: torch.Tensor | None):
        super().__init__()
        self.languages = tuple(languages)
        self.register_buffer("means", means_GKD.float())
        self.register_buffer("maps", None if maps_GKDD is None else maps_GKDD.float())

    def forward(self, hidden_BLD: torch.Tensor, languages: torch.Tensor | None, layer: int) -> torch.Tensor:
        """W (h - mean) of each state's language. languages: ids of rows (B,) or of tokens (B, L)."""
        if languages is None:
            raise ConfigError(
                "model: its states are turned by language, and this objective does not say which language a row is in; take another objective, or the model it was solved for"
            )
        ids_BL = (languages if languages.ndim == 2 else languages[:, None]).expand(hidden_BLD.shape[:2])
        moved_BLD = hidden_BLD - self.means[ids_BL, layer].to(hidden_BLD.dtype)
        if self.maps is None:
            return moved_BLD
        turned_BLD = torch.zeros_like(moved_BLD)
        for language in ids_BL.unique().tolist():
            here_BL1 = (ids_BL == language).unsqueeze(-1)
            map_DD = self.maps[language, layer].to(moved_BLD.dtype)
            turned_BLD = torch.where(here_BL1, moved_BLD @ map_DD.T, turned_BLD)
        return turned_BLD

    def save(self, folder: Path) -> None:
        """Into an existing folder."""
        from safetensors.torch import save_file

        save_file({name: tensor.contiguous() for name, tensor in self.state_dict().items()}, folder / SPACE_FILE)
        (folder / SPACE_NAMES).write_text(json.dumps({"languages": self.languages}, indent=2) + "\n")

    @classmethod
    def load(cls, place: str | None) -> Space | None:
        """What `save` wrote; None where the checkpoint has none."""
        from safetensors.torch import load_file

        folder = Path(place or "")
        if place is None or not (folder / SPACE_FILE).is_file():
            return None
        tensors = load_file(folder / SPACE_FILE)
        return cls(json.loads((folder / SPACE_NAMES).read_text())["languages"], tensors["means"], tensors.get("maps"))

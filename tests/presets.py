"""Objectives as conf/ has them, with the presets that they are made of; `tests.shipped` reads only those that are made of none."""

from __future__ import annotations

from functools import cache

import hydra
from omegaconf import OmegaConf

from xlt.config import paths
from xlt.config.build import build_node


@cache
def _node(objective: str) -> dict:
    with hydra.initialize_config_dir(str(paths.conf_dir()), version_base="1.3"):
        cfg = hydra.compose(None, [f"+objective={objective}"])
    return OmegaConf.to_container(cfg, resolve=True)["objective"]


def preset(objective: str, **changes):
    """The objective of that name, with some of its fields changed."""
    return build_node({**_node(objective), **changes}, "objective")

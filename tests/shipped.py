"""Objectives as conf/ has them, so that a test names only the fields it is about."""

from __future__ import annotations

import yaml

from xlt.config import paths
from xlt.config.build import build_node


def shipped(objective: str, **changes):
    """The objective of that name, with some of its fields changed."""
    node = yaml.safe_load((paths.conf_dir() / "objective" / f"{objective}.yaml").read_text(encoding="utf-8"))
    return build_node({**node, **changes}, "objective")

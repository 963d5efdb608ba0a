"""The directory of a model that was trained with an adapter: the adapter alone, and where the model under it lies.

    adapter.json          method, numbers, languages; path and hash of the base         heads.safetensors, xlt.json   the task's
    adapter_model.safetensors, adapter_config.json   peft's methods, in its format      config.json                   the base's
    adapter.safetensors   bottlenecks         sparse.safetensors   differences of weights

The base may be such a directory itself: it is that model with its adapter merged into it, or, where its adapters are of languages, with them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xlt import files
from xlt.errors import ConfigError, DataError
from xlt.models.adapters.attach import attach
from xlt.models.adapters.kinds import KINDS
from xlt.tokenization.load import ADAPTER_FILE, base_of, resolve

_HEADS = "heads.safetensors"


def weights_hash(place: str) -> str | None:
    """Hex digest of what decides a model's states: its weights, or its adapter; None of a name of the hub."""
    folder = Path(place)
    if not folder.is_dir():
        return None
    known = {}
    if (folder / files.MANIFEST).is_file():  # `locate` has seen to it that it is true
        known = {n: f["sha256"] for n, f in json.loads((folder / files.MANIFEST).read_text())["files"].items()}
    mine = [p for p in folder.iterdir() if p.suffix in (".safetensors", ".bin") or p.name == ADAPTER_FILE]
    hashes = {p.name: known.get(p.name) or files.sha256(p) for p in mine if p.name != _HEADS}
    return hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()


def reference(init_from: str) -> dict[str, str | None]:
    """What an adapter remembers of the model under it."""
    place = resolve(init_from)
    path = os.path.abspath(place) if Path(place).is_dir() else place
    return {"path": path, "weights": weights_hash(place)}


def write(model, folder: Path, beside: Path) -> None:
    """The adapter of a model, into an existing folder. beside: where that folder will lie, from which the base is found when both have moved."""
    adapter = model.adapter
    base = dict(adapter.base)
    if base["weights"] is not None:
        base["relative"] = os.path.relpath(base["path"], os.path.abspath(beside))
    facts = {
        "kind": adapter.kind.name,
        "fields": dataclasses.asdict(adapter.kind),
        "languages": list(adapter.names) if getattr(adapter.kind, "per_language", False) else [],
        "base": base,
    }
    model.backbone.config.save_pretrained(folder)
    adapter.write(folder)
    (folder / ADAPTER_FILE).write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n")


@dataclass(frozen=True)
class Found:
    """An adapter's directory. base: where the model under it lies, whose hash was compared."""

    place: Path
    facts: dict[str, Any]
    base: str

    @property
    def shape(self) -> str:
        """See `shape_of`."""
        return shape_of(self.facts["kind"], self.facts["fields"])

    @property
    def languages(self) -> list[str]:
        """Those that it has adapters of."""
        return self.facts["languages"]

    def node(self, node):
        """The config's model, with the base in place of this directory."""
        if hasattr(node, "backbone"):
            return dataclasses.replace(node, backbone=self.node(node.backbone))
        more = {"language_adapters": None} if hasattr(node, "language_adapters") else {}  # they are in the base
        return dataclasses.replace(node, init_from=self.base, **more)

    def put(self, model) -> None:
        """The adapter, as it was trained, on the base."""
        kind = KINDS[self.facts["kind"]](**self.facts["fields"])
        attach(kind, model, self.facts["base"], 0, self.facts["languages"]).read(self.place)


def shape_of(kind: str, fields: dict[str, Any]) -> str:
    """What all adapters of languages on one model have in common."""
    sizes = [f"{name}={fields[name]}" for name in ("reduction", "invertible_reduction") if name in fields]
    return " ".join([kind, *sizes])


def find(init_from: str | None, languages_from: str | None = None) -> Found | None:
    """The adapter's directory that `init_from` names; None where there is another model. ConfigError where its base is gone or is not the one it was trained on.

    languages_from: a directory with more adapters of languages than the base has, which becomes the base.
    """
    found = _find(init_from)
    if languages_from is None:
        return found
    fewer, more = _find(None if found is None else found.base), _find(languages_from)
    if fewer is None or not fewer.languages:
        raise ConfigError(
            f"model.language_adapters: {init_from} is not a task that was learned on adapters of languages; set it to null"
        )
    if problem := _no_extension(fewer, more):
        raise ConfigError(
            f"model.language_adapters: {languages_from} {problem}; give a run that added languages to {fewer.place}"
        )
    return dataclasses.replace(found, base=str(more.place))


def _no_extension(fewer: Found, more: Found | None) -> str | None:
    """Why `more` does not hold the same adapters and others."""
    from safetensors.torch import load_file

    if more is None or not more.languages:
        return "has no adapters of languages"
    if more.shape != fewer.shape:
        return f"has adapters of another shape ({more.shape}, not {fewer.shape})"
    if more.facts["base"]["weights"] != fewer.facts["base"]["weights"]:
        return "has adapters of another model"
    (file,) = (path.name for path in fewer.place.glob("*.safetensors") if path.name != _HEADS)
    old, new = load_file(fewer.place / file), load_file(more.place / file)
    odd = [name for name, values in old.items() if name not in new or not values.equal(new[name])]
    return f"has other numbers in {odd[0]}" if odd else None


def _find(init_from: str | None) -> Found | None:
    if init_from is None or not (Path(place := resolve(init_from)) / ADAPTER_FILE).is_file():
        return None
    if problem := files.verify(Path(place)):
        raise DataError(f"{place}: {problem}; make that checkpoint anew, or take another one")
    facts = json.loads((Path(place) / ADAPTER_FILE).read_text(encoding="utf-8"))
    base, wanted = base_of(place), facts["base"]["weights"]
    if wanted is not None and not Path(base).is_dir():
        raise ConfigError(
            f"model.init_from: {init_from} holds an adapter alone, and the model under it is not at {base} any more; put it back there, or name its place in "
            f"{Path(place) / ADAPTER_FILE} (base.path)"
        )
    if weights_hash(base) != wanted:
        raise ConfigError(
            f"model.init_from: the adapter in {init_from} was trained on another model than the one that lies at {base} now; put that one back, or train the "
            "adapter anew on this one"
        )
    return Found(Path(place), facts, base)

"""Loading a tokenizer that exists: the one a run made, one beside a checkpoint, or one of the hub. Trains none."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from xlt.errors import ConfigError

ADAPTER_FILE = "adapter.json"  # in the directory of an adapter, which has neither weights of a model nor a tokenizer
MOST_BYTES = 64 << 20  # of a tokenizer.json: that of 262,000 tokens has 33 MB


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """A tokenizer in transformers format. path: a run directory, a folder or a hub name; null: the one beside the model's checkpoint,
    else the one that `xlt tokenize` made under the same run.name."""

    path: str | None


def resolve(path: str) -> str:
    """What `from_pretrained` should be given for a run directory (its `model` or `tokenizer` folder), a folder, or a hub name."""
    for inside in ("tokenizer", "model"):
        if (Path(path) / inside).is_dir():
            return str(Path(path) / inside)
    return path


def base_of(place: str) -> str:
    """Where the model lies that an adapter's directory is for: as it was named, or as it lay from there. What is no such directory is its own."""
    file = Path(place) / ADAPTER_FILE
    if not file.is_file():
        return place
    base = json.loads(file.read_text(encoding="utf-8"))["base"]
    if not Path(base["path"]).is_dir() and "relative" in base and (moved := Path(place) / base["relative"]).is_dir():
        return str(moved)
    return base["path"]


def load(path: str, key: str = "tokenizer.path"):
    """The fast tokenizer at `path`. ConfigError in one sentence, blaming the config's `key`, if there is none."""
    from transformers import AutoTokenizer

    place = resolve(path)
    while (base := resolve(base_of(place))) != place:  # an adapter's tokenizer is that of its base
        place = base
    if looks_local(place) and not Path(place).is_dir():
        raise ConfigError(
            f"{key}: {path} does not exist; run the stage that makes it first, or give another run directory, folder or hub name"
        )
    for name in ("tokenizer.json", "tokenizer_config.json"):
        file = Path(place) / name
        if file.is_file() and file.stat().st_size > MOST_BYTES:
            raise ConfigError(
                f"{key}: {file} has {file.stat().st_size >> 20} MB, and no tokenizer has more than {MOST_BYTES >> 20}; is it one?"
            )
    try:
        tokenizer = AutoTokenizer.from_pretrained(place, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"{key}: no tokenizer could be loaded from {path} ({str(error).splitlines()[0]})") from error
    if not tokenizer.is_fast:
        raise ConfigError(f"{key}: {path} has only a slow tokenizer; save it in the fast format (tokenizer.json) first")
    return tokenizer


def looks_local(path: str) -> bool:
    """Whether `path` names a folder rather than a hub repository (`owner/name` or `name`)."""
    return Path(path).exists() or path.startswith((".", "/", "~")) or path.count("/") != 1


def tokenizer_hash(tokenizer) -> str:
    """Hex digest of everything that decides how text becomes ids."""
    return hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest()

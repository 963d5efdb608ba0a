"""YAML that came from elsewhere: read after a look at its size, so that a few hundred bytes of aliases cannot grow to gigabytes, and so that
no key of Hydra's own makes it run code.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from xlt.errors import ConfigError

MOST_BYTES, MOST_ALIASES, DEEPEST = 1 << 20, 64, 32
_RUNS_CODE = ("callbacks", "job_logging", "hydra_logging", "searchpath")  # of Hydra's own keys


def load(path: Path):
    """Plain values. ConfigError for what is too large, has tags, or is no YAML."""
    import yaml

    text = check(path)
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML ({str(error).splitlines()[0]}); repair the file") from error


def check(path: Path) -> str:
    """The file's text. ConfigError if to read it could take all memory, or if it has tags. What is no YAML is left to who parses it."""
    import yaml

    if (size := path.stat().st_size) > MOST_BYTES:
        raise ConfigError(f"{path}: {size:,} bytes, and a config has at most {MOST_BYTES:,}; is it one?")
    text = path.read_text(encoding="utf-8", errors="replace")
    depth = aliases = 0
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            aliases += isinstance(event, yaml.AliasEvent)
            tag = getattr(event, "tag", None)
            if tag is not None and not tag.startswith("tag:yaml.org,2002:"):
                raise ConfigError(
                    f"{path} line {event.start_mark.line + 1}: the tag {tag}; configs have none, remove it"
                )
            if tag is not None and "python" in tag:
                raise ConfigError(f"{path} line {event.start_mark.line + 1}: the tag {tag} would run code; remove it")
            if depth > DEEPEST or aliases > MOST_ALIASES:
                what = f"{depth} levels deep" if depth > DEEPEST else f"more than {MOST_ALIASES} aliases"
                raise ConfigError(f"{path}: {what}, and to read it could take all memory; write it out")
    except (yaml.YAMLError, RecursionError):
        pass
    return text


def refuse_code(path: Path) -> None:
    """ConfigError for a user's config that sets what Hydra itself would build: callbacks, loggers, a launcher."""
    import yaml

    text = check(path)
    if "hydra" not in text:
        return
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError:
        return  # Hydra says where
    whole = "@package hydra" in text or "hydra" in path.parts
    for place, value in _below(content, "hydra" if whole else ""):
        keys = place.split(".")
        if keys[0] == "hydra" and (keys[-1] == "_target_" or {*keys} & {*_RUNS_CODE}):
            raise ConfigError(f"{path}: {place}: {str(value)[:60]!r} could run code outside xlt; remove it")


def refuse_overrides(overrides: list[str]) -> None:
    """The same of a command line."""
    for override in overrides:
        keys = override.partition("=")[0].lstrip("+~").split("@")[0].replace("/", ".").split(".")
        if keys[0] == "hydra" and (keys[-1] == "_target_" or {*keys} & {*_RUNS_CODE}):
            raise ConfigError(
                f"{override.partition('=')[0]}: could run code outside xlt; use --plugin for a module that you trust"
            )


def _below(value, prefix: str) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            place = f"{prefix}.{key}" if prefix else str(key)
            yield place, inner
            yield from _below(inner, place)

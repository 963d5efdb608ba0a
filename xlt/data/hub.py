"""Rows of a data set on the Hugging Face hub, or in a folder that `datasets.load_dataset` understands. The only room that imports datasets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xlt.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset


def rows(hub: str, config: str | None, split: str) -> Iterator[tuple[int, dict]]:
    """Number (from 1) and raw row; class labels become their names."""
    from datasets import ClassLabel

    table = load(hub, config, split)
    names: dict[str, Callable[[Any], Any]] = {}
    for column, feature in table.features.items():
        inner = getattr(feature, "feature", feature)  # the item of a list
        if isinstance(inner, ClassLabel):
            names[column] = inner.int2str
    for number, row in enumerate(table, 1):
        yield number, row | {column: None if row[column] is None else name(row[column]) for column, name in names.items()}


def split_names(hub: str, config: str | None) -> list[str]:
    """The splits that it has."""
    from datasets import get_dataset_split_names

    return _ask(hub, config, lambda: get_dataset_split_names(hub, config))


def config_names(hub: str) -> list[str]:
    """The configs that it has, often one per language."""
    from datasets import get_dataset_config_names

    return _ask(hub, None, lambda: get_dataset_config_names(hub))


def load(hub: str, config: str | None, split: str) -> Dataset:
    """The table, from the cache of `datasets` where it is known."""
    from datasets import load_dataset

    return _ask(hub, config, lambda: load_dataset(hub, config, split=split))


def cached_files(hub: str, config: str | None, split: str) -> list[Path]:
    """The files on disk that hold the rows."""
    return sorted(Path(file["filename"]) for file in load(hub, config, split).cache_files)


def _ask(hub: str, config: str | None, call: Callable[[], Any]) -> Any:
    # datasets takes a folder that is missing for a hub name, and then blames the network
    if hub.startswith((".", "/", "~")) and not Path(hub).is_dir():
        raise DataError(f"{hub}: no such directory; correct dataset.hub, or give dataset.root=DIR")
    try:
        return call()
    except Exception as error:  # datasets, huggingface_hub, pyarrow, httpx and fsspec each have their own
        reason = (str(error) or type(error).__name__).split("\n")[0][:300]
        name = hub if config is None else f"{hub} (config {config})"
        raise DataError(f"dataset.hub: {name} cannot be loaded ({reason}); without network, download it elsewhere and give dataset.root=DIR") from error

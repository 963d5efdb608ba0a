"""Tables on the Hugging Face hub, or in a folder that `datasets.load_dataset` understands, as a store.

The only room that imports datasets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from xlt.data import patterns
from xlt.errors import DataError


class Hub:
    """One table per config and split; the config names the language."""

    def __init__(self, name: str, config: str | None, codes: list[str] | None):
        self.name, self.config, self.codes = name, config, codes
        self._splits: set[str] | None = None
        self._listed: dict[str, str] = {}  # language or pair -> its config's name, once the hub was asked

    def languages(self) -> list[str]:
        """Those given, else those whose config the hub lists."""
        if self.codes:
            return sorted(self.codes)
        self._list()
        return sorted(self._listed)

    def _list(self) -> None:
        if self.config is None:
            raise DataError(
                f"dataset.hub: {self.name} does not say its languages; name the one it holds in dataset.language_codes"
            )
        from datasets import get_dataset_config_names

        names = self._ask(None, lambda: get_dataset_config_names(self.name))
        self._listed = {code: name for name in names if (code := self._code(name)) is not None}
        if not self._listed:
            raise DataError(
                f"dataset.hub: no config of {self.name} is like {self.config} (it has {', '.join(names[:8])}); correct "
                "dataset.hub_config"
            )

    def splits(self, language: str) -> set[str]:
        """The hub's own names of them. One config is asked for all: each question is a request."""
        if self._splits is None:
            self._splits = set(self._ask(self._config(language), lambda: self._split_names(self._config(language))))
        return self._splits

    def files(self, language: str, split: str) -> list[Path]:
        """The files of the cache that hold the rows."""
        return sorted(Path(file["filename"]) for file in self._load(language, split).cache_files)

    def raw(self, language: str, split: str) -> Iterator[tuple[str, dict]]:
        """Place ("HUB (CONFIG) row 7") and raw row; class labels become their names."""
        from datasets import ClassLabel

        table, place = self._load(language, split), self._place(self._config(language))
        # of a list, its item
        features = {column: getattr(feature, "feature", feature) for column, feature in table.features.items()}
        names = {column: feature.int2str for column, feature in features.items() if isinstance(feature, ClassLabel)}
        for number, row in enumerate(table, 1):
            named = {column: None if row[column] is None else name(row[column]) for column, name in names.items()}
            yield f"{place} {split} row {number}", row | named

    def _load(self, language: str, split: str):
        from datasets import load_dataset

        config = self._config(language)
        return self._ask(config, lambda: load_dataset(self.name, config, split=split))

    def _split_names(self, config: str | None) -> list[str]:
        import datasets

        if datasets.config.HF_HUB_OFFLINE:  # then only the cache can answer
            return list(datasets.load_dataset(self.name, config))
        return datasets.get_dataset_split_names(self.name, config)

    def _config(self, language: str) -> str | None:
        """By the hub's list where it was asked: which code of a macro-language it uses (ara, arb) cannot be known."""
        if self.config is None:
            return None
        if "{target3}" in self.config and not self._listed:
            self._list()
        return self._listed.get(language) or patterns.fill(self.config, language)

    def _code(self, config: str) -> str | None:
        """The language whose config this is: fill() read backwards."""
        regex = "".join(
            f"(?P<{part[1:-1]}>.+)" if part.startswith("{") else re.escape(part)
            for part in re.split(r"(\{\w+\})", self.config)
        )
        if not (match := re.fullmatch(regex, config)):
            return None
        groups = match.groupdict()
        if foreign := groups.get("flores") or groups.get("target3"):
            from xlt import languages

            code = languages.canonical(foreign) if languages.known(foreign) else None
            return f"en-{code}" if code and "target3" in groups else code
        return groups.get("lang") or f"{groups['source']}-{groups['target']}"

    def _place(self, config: str | None) -> str:
        return self.name if config is None else f"{self.name} ({config})"

    def _ask(self, config: str | None, call: Callable[[], Any]) -> Any:
        # datasets takes a folder that is missing for a name on the hub, and then blames the network
        if self.name.startswith((".", "/")) and not Path(self.name).is_dir():
            raise DataError(f"{self.name}: no such directory; correct dataset.hub, or give dataset.root=DIR")
        try:
            return call()
        except Exception as error:  # datasets, huggingface_hub, pyarrow, httpx and fsspec each raise their own
            reason = (str(error) or type(error).__name__).split("\n")[0][:300]
            raise DataError(
                f"dataset.hub: {self._place(config)} cannot be loaded ({reason}); without network, give the folder of "
                "your copy: dataset.root=DIR"
            ) from error

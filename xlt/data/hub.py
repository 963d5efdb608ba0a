"""Tables on the Hugging Face hub, or in a folder that `datasets.load_dataset` understands, as a store.

The only room that imports datasets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from xlt.data import patterns
from xlt.data.faults import Found, refuse
from xlt.errors import DataError


class Hub:
    """One table per config and split; the config names the language. `CONFIG[COLUMN=PATTERN]`: the rows whose COLUMN is like PATTERN, in any case of
    letters, where a table holds several languages.
    """

    def __init__(self, name: str, config: str | None, codes: list[str] | None, streaming: bool):
        self.name, self.codes, self.streaming = name, codes, streaming
        parts = re.fullmatch(r"(.*?)(?:\[([^=\]]+)=([^\]]+)\])?", config or "")
        self.config, self.column, self.like = parts[1] or None, parts[2], parts[3]
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
        found = {code: name for name in names if (code := self._code(name)) is not None}
        self._listed = {code: name for code, name in found.items() if not _other_form(code, found)}
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

    def raw(self, language: str, split: str, found: Found = refuse) -> Iterator[tuple[str, dict]]:
        """Place ("HUB (CONFIG) row 7") and raw row; class labels become their names. found: no raw row of the hub is faulty."""
        return self.stream(language, split, {})[0]

    def stream(self, language: str, split: str, at: dict) -> tuple[Iterator[tuple[str, dict]], Callable[[], dict]]:
        """The same from a place on, and the function that says which place the rows taken so far lead to. {}: the beginning."""
        table, place, done = self._load(language, split), self._place(self._config(language)), at.get("rows", 0)
        wanted = patterns.fill(self.like, language).lower() if self.like else None
        if at:
            table.load_state_dict(at["state"])

        def rows() -> Iterator[tuple[str, dict]]:
            nonlocal done
            name = _label_names(table.features)
            for row in table:
                done += 1
                if wanted and not fnmatchcase(str(self._value(row, place)).lower(), wanted):
                    continue
                named = {column: None if row[column] is None else of(row[column]) for column, of in name.items()}
                yield f"{place} {split} row {done}", row | named

        return rows(), lambda: {"rows": done, "state": table.state_dict()}

    def identity(self, language: str, split: str) -> list:
        """Names of the files and their revisions; nothing is downloaded."""
        from datasets import load_dataset_builder

        config = self._config(language)
        builder = self._ask(config, lambda: load_dataset_builder(self.name, config))
        found = [(builder.config.data_files or {}).get(name) for name in split.split("+")]
        if None in found:
            return [builder.hash]
        return [
            [Path(file).name, *map(str, about)]
            for files in found
            for file, about in zip(files, files.origin_metadata, strict=True)
        ]

    def _value(self, row: dict, place: str) -> Any:
        """Of the column by which rows are chosen."""
        if self.column not in row:
            raise DataError(
                f"dataset.hub_config: {place} has no column {self.column} (it has {', '.join(row)}); correct the name in [ ]"
            )
        return row[self.column]

    def _load(self, language: str, split: str):
        from datasets import load_dataset

        config = self._config(language)
        return self._ask(config, lambda: load_dataset(self.name, config, split=split, streaming=self.streaming))

    def _split_names(self, config: str | None) -> list[str]:
        import datasets

        if datasets.config.HF_HUB_OFFLINE:  # then only the cache can answer
            return list(datasets.load_dataset(self.name, config, streaming=self.streaming))
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
        parts = re.split(r"(\{\w+\})", self.config)
        regex = "".join(
            re.escape(part) if not i % 2 else f"(?P={part[1:-1]})" if part in parts[:i] else f"(?P<{part[1:-1]}>.+)"
            for i, part in enumerate(parts)
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


def _other_form(code: str, codes: Collection[str]) -> bool:
    """Whether it is a language's rows in another form, as XCOPA's translation-it beside it; en-de beside de is a pair."""
    from xlt import languages

    form, _, language = code.rpartition("-")
    return language in codes and len(form) > 0 and not languages.known(code) and not languages.known(form)


def _label_names(features) -> dict[str, Callable]:
    """Of each column of class labels, the function from number to name. features: None where a stream does not say."""
    from datasets import ClassLabel

    # of a list, its item
    kinds = {column: getattr(feature, "feature", feature) for column, feature in (features or {}).items()}
    return {column: kind.int2str for column, kind in kinds.items() if isinstance(kind, ClassLabel)}

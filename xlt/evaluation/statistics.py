"""What each test row adds to each score, on disk: statistics/<dataset>.<language>.npz, from which runs are compared without their models."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xlt import files
from xlt.errors import DataError
from xlt.metrics import Sums


@dataclass(frozen=True, eq=False)
class Statistics:
    """Of one language. ids: of its R rows; what has the same id is resampled together. sums: {metric: what each row adds}."""

    ids: Sequence[str]
    sums: Mapping[str, Sums]

    @classmethod
    def of(cls, language: str, rows: Sequence[dict], figures: Mapping[str, np.ndarray | Sums]) -> Statistics:
        """A row without an id has one of its own. ValueError if a figure is not of these rows."""
        sums = {metric: Sums.of(each) for metric, each in figures.items()}
        if wrong := [metric for metric, each in sums.items() if len(each.each) != len(rows)]:
            raise ValueError(f"{wrong[0]}: {len(sums[wrong[0]].each)} figures for {len(rows)} rows")
        return cls([str(row.get("id", f"{language} {number}")) for number, row in enumerate(rows)], sums)

    def save(self, path: Path) -> None:
        """Equal statistics are equal bytes."""
        arrays: dict[int, np.ndarray] = {}  # several scores are made of the same sums
        for sums in self.sums.values():
            arrays.setdefault(id(sums.each), sums.each)
        place = {key: f"each{i}" for i, key in enumerate(arrays)}
        meta = {metric: [place[id(sums.each)], sums.formula] for metric, sums in self.sums.items()}
        out = io.BytesIO()
        named = {place[key]: _small(each) for key, each in arrays.items()}
        np.savez_compressed(out, ids=np.array(self.ids, str), metrics=np.array(json.dumps(meta)), **named)
        files.write_bytes(path, out.getvalue())

    @classmethod
    def load(cls, path: Path) -> Statistics:
        """DataError if it is missing or damaged."""
        if not path.is_file():
            raise DataError(f"{path}: is missing, so its run cannot be compared; run its xlt zero-shot-eval anew")
        try:
            with np.load(path, allow_pickle=False) as found:
                meta = json.loads(str(found["metrics"]))
                arrays = {name: found[name] for name in {place for place, _ in meta.values()}}
                return cls(found["ids"].tolist(), {m: Sums(arrays[place], how) for m, (place, how) in meta.items()})
        except Exception as error:  # a damaged zip file raises whatever it meets
            raise DataError(f"{path}: is damaged ({error}); run its xlt zero-shot-eval anew") from error


def _small(each: np.ndarray) -> np.ndarray:
    """Whole numbers in as few bytes as they need."""
    whole = each.astype(np.int64)
    if not np.array_equal(whole, each):
        return each
    low, high = (int(whole.min()), int(whole.max())) if whole.size else (0, 0)
    return whole.astype(np.promote_types(np.min_scalar_type(low), np.min_scalar_type(high)))

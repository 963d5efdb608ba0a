"""Few shots: k rows of each class from a target language's training split, in buckets that share none. Which rows, not how they are learned."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from xlt import noise
from xlt.data.subset import Subset
from xlt.errors import ConfigError, DataError
from xlt.types import Dataset


class Start(str, Enum):
    """What the shots are learned after, or beside."""

    sequential = "sequential"  # a fine-tuned model goes on with them alone (Lauscher et al. 2020)
    together = "together"  # with the source languages' rows, in one fine-tuning


@dataclass(frozen=True, kw_only=True)
class FewShot:
    """Each language's rows, class by class, are shuffled by `seed` and dealt to `buckets` like cards; a bucket's shots are its first `k`.

    So buckets of one seed share no row, and of one bucket the shots for a small k are among those for a larger one.
    """

    k: int | None  # rows of each class in classification with one label a row, else rows; null: none are drawn
    bucket: int  # from 1
    buckets: int
    seed: int
    start: Start

    def __post_init__(self) -> None:
        problems = [
            f"few_shot.{name}: {getattr(self, name)} is not above 0; give 1 or more"
            for name in ("k", "bucket", "buckets")
            if getattr(self, name) is not None and getattr(self, name) < 1
        ]
        if not problems and self.bucket > self.buckets:
            problems.append(
                f"few_shot.bucket: {self.bucket} is above few_shot.buckets={self.buckets}; raise that (other rows are drawn then), or lower it"
            )
        if problems:
            raise ConfigError(problems)

    def draw(self, dataset: Dataset, view: str, languages: list[str]) -> Subset:
        """`dataset` with the training rows of `languages` cut down to the shots. DataError if a class has too few rows."""
        return Subset(dataset, {(view, code, "train"): self._shots(dataset, view, code) for code in languages})

    def _shots(self, dataset: Dataset, view: str, language: str) -> list[int]:
        classes: dict[str, list[int]] = {}
        for number, row in enumerate(dataset.rows(view, language, "train")):
            classes.setdefault(_class_of(row, view), []).append(number)
        shots = []
        for name, rows in sorted(classes.items()):
            order = noise.permutation(noise.key("few-shot", self.seed, language, name), len(rows))
            bucket = order[self.bucket - 1 :: self.buckets][: self.k]
            if len(bucket) < self.k:
                what = f"label {name} has" if name else "there are"
                raise DataError(
                    f"few_shot.k: dataset {dataset.name}, language {language}, split train: {what} {len(rows)} rows, in {self.buckets} buckets "
                    f"{len(bucket)} each, and {self.k} are asked for; lower few_shot.k or few_shot.buckets"
                )
            shots += [rows[i] for i in bucket.tolist()]
        return sorted(shots)


def _class_of(row: dict, view: str) -> str:
    """The class of a row; "" where rows have none, or several."""
    label = row.get("label") if view == "classification" else None
    return label if isinstance(label, str) else ""

"""Training on rows that nobody has counted: what `dataset.streaming=true` puts in the place of encoded tables and their plan."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from xlt import noise
from xlt.config.schema import Sampling
from xlt.data.sampling import LanguageShare, Shares
from xlt.data.streams import Stream, Streams
from xlt.data.subwords import encoder
from xlt.errors import ConfigError
from xlt.stages.drawing import micro_batches, shares_of
from xlt.stages.forgetting import is_old, replayed_languages
from xlt.types import BatchOf
from xlt.vocabulary import Vocabulary


@dataclass(frozen=True)
class Feed:
    """What the loop is fed with. position(k): where update k begins, for the checkpoint, {} where rows are planned; seek: go on from there."""

    steps: int
    table: list[LanguageShare]
    batches: BatchOf
    position: Callable[[int], dict] = lambda step: {}
    seek: Callable[[dict], None] = lambda position: None
    close: Callable[[], None] = lambda: None


def is_streamed(dataset) -> bool:
    """Whether rows are read as they are needed. ConfigError for a mixture of data sets with one that is."""
    for name, part in getattr(dataset, "parts", {}).items():
        if getattr(part, "streaming", False):
            raise ConfigError(
                f"dataset.parts.{name}.streaming: data sets that are read as one are counted; set it to false"
            )
    return getattr(dataset, "streaming", False)


def lineage(dataset, view: str, wanted: list[str]) -> dict[str, str]:
    """What identifies the rows, for the manifest."""
    return {f"{dataset.name}/{code}/train": dataset.fingerprint(view, code, "train") for code in wanted}


def open_feed(cfg, vocabulary: Vocabulary, tokenizer, wanted: list[str]) -> Feed:
    """The training rows of the languages, from their beginning."""
    settings, objective, dataset = cfg.train, cfg.objective, cfg.dataset
    shares, encode = _shares(cfg, wanted), encoder(tokenizer)
    streams = {
        code: Stream(
            f"dataset {dataset.name}, language {code}, split train",
            noise.key(cfg.seed, dataset.name, code, "train"),
            partial(dataset.stream, objective.view, code, "train"),
            objective.texts,
            encode,
            settings.shuffle_rows,
            settings.max_length,
        )
        for code in wanted
    }
    reader = Streams(
        streams, shares, cfg.seed, settings.window, settings.batch_size, settings.batch_tokens,
        lambda lengths: objective.row_length(lengths, vocabulary, settings.max_length), cfg.hardware.workers + 4,
    )  # fmt: skip

    def batches(step: int) -> list:
        return micro_batches(objective, reader.batch(step), cfg.hardware, vocabulary, settings.max_length)

    steps = _steps(cfg, wanted)
    return Feed(steps, _table(cfg, wanted, shares, steps), batches, reader.position, reader.seek, reader.close)


def _counts(cfg, wanted: list[str]) -> dict[str, int] | None:
    """Rows of each language as declared; None if they are not."""
    known = cfg.dataset.row_counts
    if known is None:
        return None
    missing = [code for code in wanted if code not in known]
    if missing:
        raise ConfigError(
            f"dataset.row_counts: has no {', '.join(missing)}; add the rows of each language that is drawn"
        )
    return {code: known[code] for code in wanted}


def _shares(cfg, wanted: list[str]) -> Shares:
    settings, counts = cfg.train, _counts(cfg, wanted)
    if len(wanted) == 1 and settings.replay is None:
        return Shares.fixed([1.0])
    if settings.sampling is Sampling.unimax and settings.batch_tokens is not None:
        raise ConfigError(
            "train.sampling: unimax counts tokens, and a stream does not say how many it has; set train.batch_tokens=null "
            "to count rows, or choose alpha or weights"
        )
    if counts is None and settings.sampling is not Sampling.weights:
        raise ConfigError(
            f"dataset.row_counts: a stream does not say how many rows it has, and train.sampling={settings.sampling.value} draws by them; give "
            f"dataset.row_counts={{{wanted[0]}:ROWS,{wanted[1]}:ROWS,...}}, which may be estimates, or train.sampling=weights with train.weights"
        )
    rows = dict.fromkeys(wanted, 1) if counts is None else counts
    return shares_of(settings, rows, rows, [is_old(code, replayed_languages(cfg)) for code in wanted])


def _steps(cfg, wanted: list[str]) -> int:
    settings, counts = cfg.train, _counts(cfg, wanted)
    if settings.epochs is None:
        return settings.steps
    if counts is None or settings.batch_tokens is not None:
        raise ConfigError(
            "train.epochs: a stream does not say when it has been read once; set it to null and give train.steps"
            + ("" if settings.batch_tokens is None else ", or give dataset.row_counts and train.batch_tokens=null")
        )
    return math.ceil(settings.epochs * sum(counts.values()) / settings.batch_size)


def _table(cfg, wanted: list[str], shares: Shares, steps: int) -> list[LanguageShare]:
    """What is known of the languages: rows where they are declared, passes where also the rows of a batch are."""
    counts, settings = _counts(cfg, wanted) or {}, cfg.train
    every = max(1, min(steps, shares.settled) // 1000)
    changing = [shares.at(step) for step in range(0, min(steps, shares.settled), every)]
    after = steps - len(changing) * every
    means = [
        (sum(q[j] for q in changing) * every + max(0, after) * last) / max(steps, len(changing) * every, 1)
        for j, last in enumerate(shares.at(steps))
    ]
    lines = []
    for code, share in zip(wanted, means, strict=True):
        rows = counts.get(code)
        epochs = share * steps * settings.batch_size / rows if rows and settings.batch_tokens is None else None
        drawn = share * steps * settings.batch_tokens if len(wanted) == 1 and settings.batch_tokens else None
        lines.append(LanguageShare(code, rows, None, share, epochs, drawn))
    return sorted(lines, key=lambda line: (-line.share, line.language))

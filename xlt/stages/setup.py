"""What several stages do first: find the tokenizer, encode the languages, set up the hardware. Steps of a pipeline, no pipeline itself."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

import torch

from xlt import files, languages, processes
from xlt.data.cleaning import report
from xlt.data.encode import Table, encode
from xlt.errors import ConfigError, DataError
from xlt.run import RunDirectory
from xlt.tokenization.load import load, tokenizer_hash
from xlt.training.tracking import check_trackers


def cache_folder(cfg) -> Path:
    """Where encoded corpora are kept: run.cache, else $XLT_CACHE, else ~/.cache/xlt."""
    return Path(cfg.run.cache or os.environ.get("XLT_CACHE") or Path.home() / ".cache" / "xlt").expanduser()


def tokenizer_of(cfg):
    """The tokenizer that cfg.tokenizer and cfg.model name together."""
    if cfg.tokenizer.path is not None:
        return load(cfg.tokenizer.path)
    if cfg.model.init_from is not None:
        return load(cfg.model.init_from, "model.init_from")
    names = [
        Path(cfg.run.name),
        *Path(cfg.run.name).parents,
    ]  # jobs of a sweep, NAME/seed-1, share the tokenizer of NAME
    for name in names[:-1]:
        if (made := Path(cfg.run.root) / name / "tokenize").is_dir():
            return load(str(made))
    missing = Path(cfg.run.root) / names[-2] / "tokenize"
    raise ConfigError(
        f"tokenizer.path: none is given and {missing} does not exist; run `xlt tokenize run.name={names[-2]}` first, or give tokenizer.path=DIR"
    )


def accelerator_of(cfg):
    """accelerate's handle on device and precision, with cfg.hardware applied to torch."""
    from accelerate import Accelerator

    if cfg.hardware.threads is not None:
        torch.set_num_threads(cfg.hardware.threads)
    if cfg.hardware.device.value == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "hardware.device: cuda is asked for, but torch finds no GPU here; choose hardware=cpu, or install a CUDA build of torch"
        )
    if cfg.hardware.device.value == "cuda":
        torch.backends.cuda.enable_cudnn_sdp(
            False
        )  # it plans anew for each shape of a batch, which takes longer than the attention
    trackers = check_trackers(list(cfg.tracking.trackers))
    precision = {"fp32": "no", "bf16": "bf16"}[cfg.hardware.precision.value]
    accelerator = Accelerator(
        cpu=cfg.hardware.device.value == "cpu",
        mixed_precision=precision,
        log_with=trackers or None,
        project_dir=cfg.run.dir,
    )
    if trackers:
        accelerator.init_trackers(cfg.tracking.project)
    return accelerator


def end_tracking(accelerator) -> None:
    """Trackers write what they hold back. Not accelerate's end_training, which also takes the processes from each other, and a run may not be the last."""
    for tracker in accelerator.trackers:
        tracker.finish()


def choose_languages(asked: list[str] | None, dataset, view: str, split: str | None, key: str) -> list[str]:
    """The languages (or pairs) of `dataset` with `split` (None: with any) that are asked for; null asks for all. ConfigError for one it does not have.

    In parallel data a single language stands for all of its pairs with another one asked for.
    """
    if view not in dataset.views():
        raise ConfigError(
            f"dataset: {dataset.name} has no {view} view (it has {', '.join(dataset.views())}), which this objective reads; choose another dataset or objective"
        )
    splits = {language: dataset.splits(view, language) for language in dataset.languages(view)}
    offered = [language for language, names in splits.items() if (split in names if split else names)]
    if asked is None:
        if not offered:
            raise ConfigError(
                f"dataset: {dataset.name} has no {f'{split} ' if split else ''}split in any language; check dataset.root"
            )
        return offered
    asked = [
        language if "-" in language and language in offered else _canonical(language, offered) for language in asked
    ]
    if view in ("parallel", "tagged_parallel", "dictionary", "entities"):
        singles = {language for language in asked if "-" not in language}
        pairs = [p for p in offered if p in asked or set(languages.pair(p)) <= singles]
        if pairs:
            return pairs
    unknown = [language for language in asked if language not in offered]
    if unknown:
        near = difflib.get_close_matches(unknown[0], offered, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ConfigError(
            f"{key}: {dataset.name} has no {unknown[0]} with {f'a {split}' if split else 'any'} split; {hint}it has {', '.join(offered) or 'none'}"
        )
    return asked


def _canonical(code: str, offered: list[str]) -> str:
    """The data set's own spelling of an alias (eng_Latn, eng, en)."""
    if code in offered:
        return code
    if "-" in code and not languages.known(code):  # a pair, and not one of those offered
        languages.pair(code)
        return code
    wanted = languages.canonical(code)
    same = [o for o in offered if "-" not in o and languages.known(o) and languages.canonical(o) == wanted]
    return same[0] if same else wanted


def changed(cfg, **values):
    """A copy of a config with some of its fields replaced."""
    return type(cfg)(**{**vars(cfg), **values})


def clean_text(cfg, view: str, wanted: list[str], run: RunDirectory, screen, part: str = ""):
    """(cfg with the text of `wanted` cleaned by cfg.cleaning, the report); cfg as it was and None where nothing is to be cleaned.

    Writes cleaning.json (cleaning.PART.json, if several parts of a run read text) and prints what each filter removed per language.
    DataError if no text of a language is left.
    """
    if cfg.cleaning is None or not cfg.cleaning.working or view != "text":
        return cfg, None
    screen.say(f"{cfg.stage}: cleaning {cfg.dataset.name} in {len(wanted)} languages ({', '.join(cfg.cleaning.names)})")
    dataset, found = processes.in_turn(lambda: cfg.cleaning.clean(cfg.dataset, wanted, cache_folder(cfg)))
    written = run.path / f"cleaning{'.' * bool(part)}{part}.json"
    processes.first(lambda: files.write_json(written, found))
    for name, codes in found["not_judged"].items():
        screen.warn(f"cleaning: {name} does not know {', '.join(codes)}, so their rows passed it")
    screen.table(*report.table(found))
    for code, counts in found["languages"].items():
        if not counts["kept"]:
            most = max(counts["removed"], key=counts["removed"].get)
            raise DataError(
                f"cleaning: nothing in {code} is left, {most} alone removed {counts['removed'][most]:,} of {counts['rows']:,} rows "
                f"(examples in {written}); loosen it in cleaning.filters, or leave {code} out"
            )
    return changed(cfg, dataset=dataset), found


def encode_all(cfg, objective, tokenizer, wanted: list[str], split: str) -> dict[str, Table]:
    """Encoded rows of each language; from the cache where they are known."""
    digest, cache = tokenizer_hash(tokenizer), cache_folder(cfg)
    annotate = getattr(objective, "annotate", None)
    annotation = objective.annotation if annotate else ""

    def table(language: str) -> Table:
        where = (cfg.dataset, objective.view, language, split)
        return encode(*where, objective.texts, tokenizer, digest, cache, annotate, annotation)

    return processes.in_turn(lambda: {language: table(language) for language in wanted})


def data_lineage(tables: dict[str, Table]) -> dict[str, str]:
    """Content hashes, for the manifest."""
    return {f"{t.dataset}/{t.language}/{t.split}": t.fingerprint for t in tables.values()}

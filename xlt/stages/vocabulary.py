"""What trimming and extending share: the text that is read, whether the model computes what it did, and what is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import torch

from xlt import files, signals
from xlt.models.vocabulary import extra_files
from xlt.stages.setup import choose_languages

CHECKED = 16  # texts whose logits are compared
LOGITS_AGREE = 1e-5


def texts_of(cfg, codes: list[str], rows: int | None) -> Callable[[], Iterator[str]]:
    """The training text of the languages, one after the other, read anew at each call."""

    def texts() -> Iterator[str]:
        for code in codes:
            signals.stop_if_requested("while reading text; run the same command again")
            for row in islice(cfg.dataset.rows("text", code, "train"), rows):
                yield row["text"]

    return texts


def read_languages(cfg) -> tuple[list[str], dict[str, str]]:
    """(languages asked for, fingerprints of their training text)."""
    codes = choose_languages(cfg.languages.train, cfg.dataset, "text", "train", "languages.train")
    return codes, {code: cfg.dataset.fingerprint("text", code, "train") for code in codes}


@torch.no_grad()
def logits_of(model, rows: list[list[int]]) -> list[torch.Tensor]:
    """Of each row alone: logits_LV, or the last states where the model has no head."""
    found = []
    for ids in rows:
        ids_1L = torch.tensor([ids[:64]])
        more = {"decoder_input_ids": ids_1L} if model.config.is_encoder_decoder else {}
        out = model(input_ids=ids_1L, **more)
        found.append((out.logits if "logits" in out else out.last_hidden_state)[0])
    return found


def largest_difference(before: list[torch.Tensor], after: list[torch.Tensor]) -> float:
    """Between two lists of logits of the same shapes. RuntimeError where the model computes something else, for that is a fault of xlt."""
    worst = max((float((a - b).abs().max()) for a, b in zip(before, after, strict=True) if a.numel()), default=0.0)
    if worst > LOGITS_AGREE:
        raise RuntimeError(f"the logits of pieces that stay differ by {worst:.2e}")
    return worst


def write_model(
    place: Path, model, tokenizer, init_from: str, change: Callable[[Path], object] = lambda folder: None
) -> None:
    """place/model, with what xlt had saved beside the old one. change: is given the folder before its files are counted."""
    import shutil

    def fill(folder: Path) -> None:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        for extra in extra_files(init_from):
            shutil.copyfile(extra, folder / extra.name)
        change(folder)

    files.write_folder(place / "model", fill)


def size_of(model) -> dict[str, int]:
    """Parameters, and their bytes on disk."""
    parameters = {p.data_ptr(): p for p in model.parameters()}.values()
    return {
        "parameters": sum(p.numel() for p in parameters),
        "bytes": sum(p.numel() * p.element_size() for p in parameters),
    }

"""Hard negatives of the parts that ask for them: searched once, before the first update, and kept in the run directory for those who go on."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import torch

from xlt import files, processes
from xlt.alignment.negatives import wrong_neighbours
from xlt.data.encode import Table
from xlt.data.negatives import WithNegatives, numbers_of_texts
from xlt.errors import ConfigError
from xlt.evaluation.loop import predict
from xlt.models.build import TransferModel, build
from xlt.models.shapes import Pretrained
from xlt.run import RunDirectory
from xlt.stages.parts import LearnedPart
from xlt.tokenization.load import load, tokenizer_hash
from xlt.training.progress import Screen


def with_negatives(
    parts: list[LearnedPart], model: TransferModel, tokenizer, accelerator, run: RunDirectory, screen: Screen
) -> list[LearnedPart]:
    """The parts, each table with its negatives where the objective has `hard_negatives`."""
    done = []
    for part in parts:
        if getattr(part.cfg.objective, "hard_negatives", 0):
            miner = miner_of(part, model, tokenizer).to(accelerator.device)
            found = {}
            for pair, table in part.tables.items():
                place = run.path / "negatives" / f"{part.named(pair)}.npy"
                if not processes.first(place.is_file):
                    screen.say(
                        f"{part.named(pair)}: searching {part.cfg.objective.hard_negatives} hard negatives for each of {len(table):,} pairs"
                    )
                    rows = search(part, table, miner, accelerator)  # by all processes: each reads a share
                    processes.first(lambda place=place, rows=rows: files.write_bytes(place, _bytes_of(rows)))
                found[pair] = WithNegatives.of(table, np.load(place))
            part = replace(part, tables=found)
        done.append(part)
    return done


def miner_of(part: LearnedPart, model: TransferModel, tokenizer) -> TransferModel:
    """Whose vectors are searched. ConfigError for an encoder that reads other tokens."""
    objective = part.cfg.objective
    if objective.negatives_from is None:
        return model
    key = f"objective.parts.{part.name}.objective.negatives_from" if part.name else "objective.negatives_from"
    if tokenizer_hash(load(objective.negatives_from, key)) != tokenizer_hash(tokenizer):
        raise ConfigError(
            f"{key}: {objective.negatives_from} has another tokenizer than this run; take an encoder that shares it, or null"
        )
    try:
        return build(
            Pretrained(init_from=objective.negatives_from), "encoder", objective, None, tokenizer, part.cfg.seed
        )
    except ConfigError as error:
        raise ConfigError([p.replace("model.init_from:", f"{key}:", 1) for p in error.problems]) from error


def search(part: LearnedPart, table: Table, miner: TransferModel, accelerator) -> np.ndarray:
    """int64 (2, n, K): rows whose source is near a row's target, and rows whose target is near its source."""
    objective, cfg = part.cfg.objective, part.cfg
    limits = cfg.train.max_length, cfg.hardware.eval_tokens
    vectors = predict(miner, objective, table, table.gold({}), part.vocabulary, *limits, accelerator)
    x_ND, y_ND = (torch.from_numpy(vectors[side]) for side in ("source", "target"))
    x_N, y_N = (numbers_of_texts(table, side) for side in (0, 1))
    how = objective.hard_negatives, objective.negatives_by.value, objective.negatives_k
    return np.stack([wrong_neighbours(y_ND, x_ND, y_N, x_N, *how), wrong_neighbours(x_ND, y_ND, x_N, y_N, *how)])


def _bytes_of(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()

"""xlt inspect: what each layer of an encoder makes of parallel sentences: figures by layer and pair, tables, heat maps, and a map of the sentences.

Any AutoModel directory and any data set with a parallel view; each sentence is read once, in however many pairs it stands.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from xlt import files, languages
from xlt.alignment.csls import unit
from xlt.alignment.geometry import main_plane
from xlt.data.translations import Part, Translations, read_translations
from xlt.errors import ConfigError
from xlt.evaluation.inspection import CENTRED, HIGHER_IS_BETTER, Inspection, by_pair, measure
from xlt.evaluation.vectors import Reader
from xlt.models.build import build, known_task, max_tokens
from xlt.reporting.figures import Plane, heat_map, planes
from xlt.reporting.inspections import DRAWN, layers_table, matrix_of, pairs_table
from xlt.reporting.scores import WIDTH
from xlt.run import RunDirectory, parent_lineage, peak_memory
from xlt.stages.quarantine import set_aside
from xlt.stages.setup import accelerator_of, choose_languages, tokenizer_of
from xlt.tokenization.load import tokenizer_hash
from xlt.training.progress import Screen
from xlt.vocabulary import Vocabulary

READ = 2048  # sentences whose vectors of all layers are in memory at once
SCRATCH = "vectors"  # in the run directory, while it works


def run(cfg) -> float:
    """Inspect cfg.model on the pairs of cfg.languages.target (null: all); returns the mean retrieval accuracy of the chosen layer."""
    spec: Inspection = cfg.inspection
    screen, started = Screen(), time.monotonic()
    if cfg.model.init_from is None:
        raise ConfigError(
            "model.init_from: no model is named; give a run directory, a folder in transformers format or a hub name"
        )
    directory = RunDirectory.open(cfg.run.dir, cfg.stage, cfg.resolved, cfg.run.overwrite)
    accelerator, tokenizer = accelerator_of(cfg), tokenizer_of(cfg)
    pairs = choose_languages(cfg.languages.target, cfg.dataset, "parallel", spec.split, "languages.target")
    data = read_translations(cfg.dataset, pairs, spec.split, spec.rows, spec.learn)
    fingerprints = {f"{cfg.dataset.name}/{p}/{spec.split}": cfg.dataset.fingerprint("parallel", p, spec.split) for p in pairs}  # fmt: skip
    parent = parent_lineage(cfg.model.init_from)
    directory.record({"data": fingerprints, "tokenizer": tokenizer_hash(tokenizer), "parent": parent})

    reader, chosen = reader_of(cfg, spec, tokenizer, list(data.texts), accelerator, every_layer=True)
    vectors, tokens_seconds = read_all(reader, data, directory.path / SCRATCH, screen)
    layers = []
    with screen.counting("measuring", len(reader.layers), 0):
        for layer in reader.layers:
            layers.append({"layer": layer, **measure({code: v[layer] for code, v in vectors.items()}, data)})
            screen.advance(layer + 1)

    tables = [layers_table(cfg.dataset.name, layers), pairs_table(cfg.dataset.name, layers[chosen])]
    for table in tables:
        screen.fitted(table, WIDTH)
    files.write_text(directory.path / "inspection.md", "\n".join(table.markdown() for table in tables))
    drawn = draw(cfg.dataset.name, spec, layers, {code: v[chosen] for code, v in vectors.items()}, data, directory.path)
    results = by_pair(layers[chosen])
    directory.finish(
        {
            **set_aside(cfg, directory.path),
            "results": {cfg.dataset.name: results},
            "n": {cfg.dataset.name: {pair: len(data.of(pair, Part.scored)[0]) for pair in pairs}},
            "split": spec.split,
            "metric": "accuracy",
            "higher_is_better": {m: HIGHER_IS_BETTER[m.removesuffix(CENTRED)] for m in results},
            "inspection": {
                "layer": chosen,
                "layers": layers,
                "sentences": {
                    code: {part.name: int((data.parts[code] == part).sum()) for part in Part} for code in data.texts
                },
            },
            "efficiency": {
                "seconds": round(time.monotonic() - started, 1),
                "reading_seconds": round(tokens_seconds, 1),
                "peak_memory_bytes": peak_memory(),
            },
        }
    )
    shutil.rmtree(directory.path / SCRATCH, ignore_errors=True)
    pictures = ", ".join(drawn) if drawn else "for pictures, pip install 'xlt[figures]' and run it again"
    screen.say(f"{directory.path}: done; inspection.md, {pictures}")
    return float(np.mean(list(results["accuracy"].values())))


def reader_of(cfg, spec, tokenizer, codes: list[str], accelerator, every_layer: bool) -> tuple[Reader, int]:
    """(what turns sentences of these languages into vectors of every layer, or of one; the layer that spec chooses). spec: has pool, layer, head and modules."""
    group = "objective" if hasattr(spec, "view") else type(spec).__name__.lower()
    try:
        model = build(cfg.model, spec.head, spec, None, tokenizer, cfg.seed)
    except ConfigError as error:
        raise ConfigError([p.replace("objective.", f"{group}.") for p in error.problems]) from error
    last = model.backbone.config.num_hidden_layers
    if spec.layer is not None and spec.layer > last:
        raise ConfigError(
            f"{group}.layer: {spec.layer}, and this model has {last} layers; give 0 (embeddings) to {last}, or null"
        )
    known = known_task(cfg.model.init_from) or {"max_length": cfg.train.max_length}
    longest = min(known["max_length"], max_tokens(model) or known["max_length"])
    vocabulary = Vocabulary.of(tokenizer).read_by(model, codes)
    prepared = accelerator.prepare_model(model, evaluation_mode=True)
    chosen = last if spec.layer is None else spec.layer
    layers = tuple(range(last + 1)) if every_layer else (chosen,)
    reader = Reader(prepared, vocabulary, spec.pool, layers, longest, cfg.hardware.eval_tokens, accelerator.device)
    return reader, chosen


def read_all(reader: Reader, data: Translations, folder: Path, screen: Screen) -> tuple[dict[str, np.ndarray], float]:
    """({language: vectors_KND of its sentences, on disk}, seconds); what an interrupted run has read is not read again."""
    started, total, done = time.monotonic(), sum(map(len, data.texts.values())), 0
    folder.mkdir(parents=True, exist_ok=True)
    vectors = {}

    def count(n: int) -> None:
        nonlocal done
        done += n
        screen.advance(done)

    with screen.counting("reading sentences", total, 0):
        for code, texts in data.texts.items():
            place, aside = folder / f"{code}.npy", folder / f".{code}.npy.part"
            with files.disk(place):
                if not place.exists():
                    shape = len(reader.layers), len(texts), reader.width
                    written = np.lib.format.open_memmap(aside, "w+", np.float32, shape)
                    for start in range(0, len(texts), READ):
                        part = slice(start, start + READ)
                        written[:, part] = reader.read(texts[part], code, count)
                    written.flush()
                    os.replace(aside, place)
                else:
                    count(len(texts))
            vectors[code] = np.load(place, mmap_mode="r")
    return vectors, time.monotonic() - started


def draw(
    name: str,
    spec: Inspection,
    layers: list[dict[str, Any]],
    vectors: dict[str, np.ndarray],
    data: Translations,
    folder: Path,
) -> list[str]:
    """Names of the pictures that were drawn."""
    drawn = []
    for metric in DRAWN:
        place = folder / f"heat-{metric}.svg"
        if heat_map(matrix_of(layers, metric), f"{name}, {metric} in percent", place, "pair", ""):
            drawn.append(place.name)
    if spec.map_sentences and planes(
        [map_of(spec, vectors, data, centred) for centred in (False, True)], folder / "map.svg"
    ):
        drawn.append("map.svg")
    return drawn


def map_of(spec: Inspection, vectors: dict[str, np.ndarray], data: Translations, centred: bool) -> Plane:
    """The first scored sentences of each pair in the plane in which all of them vary most, each with length 1 as cosines see it."""
    shown = {pair: tuple(at[: spec.map_sentences] for at in data.of(pair, Part.scored)) for pair in data.pairs}
    places: dict[str, list[int]] = {code: [] for code in data.texts}
    for pair, at in shown.items():
        for code, numbers in zip(languages.pair(pair), at, strict=True):
            known = set(places[code])
            places[code] += [i for i in numbers.tolist() if i not in known][: spec.map_sentences - len(known)]
    means = {code: v[data.parts[code] != Part.scored].mean(0) if centred else 0.0 for code, v in vectors.items()}
    x_ND = np.concatenate([vectors[code][places[code]] - means[code] for code in places])
    x_N2, (first, second) = main_plane(unit(torch.from_numpy(x_ND)))
    ends = np.cumsum([0, *map(len, places.values())]).tolist()
    points = {code: list(map(tuple, x_N2[ends[i] : ends[i + 1]].tolist())) for i, code in enumerate(places)}
    where = {code: dict(zip(places[code], points[code], strict=True)) for code in places}
    lines = []
    for pair, at in shown.items() if spec.map_lines else ():
        a, b = languages.pair(pair)
        both = zip(*(numbers.tolist() for numbers in at), strict=True)
        lines += [(where[a][i], where[b][j]) for i, j in both if i in where[a] and j in where[b]]
    what = "less the language's mean" if centred else "as they are"
    return Plane(f"sentences {what} ({first + second:.0%} of the variance)", points, lines)

"""xlt align with an objective that links the words of translations: Pharaoh files of all rows, and with annotation_projection a training set for
the other language. The model stays as it is.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import numpy as np

from xlt import files, languages, metrics
from xlt.alignment.links import pharaoh
from xlt.errors import ConfigError
from xlt.evaluation.loop import predict
from xlt.models.build import TransferModel, build
from xlt.objectives.annotation_projection import Project, Projected
from xlt.run import RunDirectory, parent_lineage, peak_memory
from xlt.stages.parts import check_layer, check_length
from xlt.stages.quarantine import set_aside
from xlt.stages.scoring import mean_score, show
from xlt.stages.setup import accelerator_of, choose_languages, data_lineage, encode_all, end_tracking, tokenizer_of
from xlt.tokenization.load import tokenizer_hash
from xlt.training.progress import Screen
from xlt.types import Gold
from xlt.vocabulary import Vocabulary

_BREAKS = re.compile("[\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]")  # would end a cell or a line


def run(cfg) -> float:
    """Link cfg.languages.train (pairs; null: all) in all splits they have; returns the mean of the metric, NaN without gold."""
    objective, screen, started = cfg.objective, Screen(), time.monotonic()
    if cfg.model.init_from is None:
        raise ConfigError(
            f"model.init_from: {type(objective).__name__} links words by the states of a model; give a run directory, a folder or a hub name"
        )
    pairs = choose_languages(cfg.languages.train, cfg.dataset, objective.view, None, "languages.train")
    if hasattr(objective, "project_rows"):
        one_source_each(pairs)
    directory = RunDirectory.open(cfg.run.dir, cfg.stage, cfg.resolved, cfg.run.overwrite)
    accelerator, tokenizer = accelerator_of(cfg), tokenizer_of(cfg)
    splits = {
        split: [p for p in pairs if split in cfg.dataset.splits(objective.view, p)] for split in splits_of(cfg, pairs)
    }
    tables = {split: encode_all(cfg, objective, tokenizer, having, split) for split, having in splits.items()}
    directory.record(
        {
            "data": {key: digest for each in tables.values() for key, digest in data_lineage(each).items()},
            "tokenizer": tokenizer_hash(tokenizer),
            "parent": parent_lineage(cfg.model.init_from),
        }
    )

    model = build(cfg.model, objective.head, objective, None, tokenizer, cfg.seed)
    check_layer(model, objective, "objective")
    check_length(cfg, model, cfg.train.max_length, "train")
    vocabulary = Vocabulary.of(tokenizer).read_by(model, pairs)
    announce(screen, cfg, model, tables)
    model = accelerator.prepare_model(model, evaluation_mode=True)
    statistics: dict[str, list[dict]] = {}
    with screen.counting("linking", sum(map(len, tables.values())), 0):
        for done, (split, pair, table) in enumerate(
            ((s, p, t) for s, each in tables.items() for p, t in each.items()), 1
        ):
            gold = table.gold({})
            limits = cfg.train.max_length, cfg.hardware.eval_tokens
            outputs = predict(model, objective, table, gold, vocabulary, *limits, accelerator)
            written = write(directory.path, cfg, pair, split, outputs, gold)
            statistics.setdefault(pair, []).append(objective.statistics(outputs, gold))
            screen.advance(done, f"{pair}  {split}: {written}")
    end_tracking(accelerator)

    figures: dict[str, dict[str, float]] = {}
    for pair, each in statistics.items():
        for metric, value in metrics.scores(joined(each)).items():
            figures.setdefault(metric, {})[pair] = value
    seconds, rows = time.monotonic() - started, {p: sum(len(t[p]) for t in tables.values() if p in t) for p in pairs}
    directory.finish(
        {
            **set_aside(cfg, directory.path),
            "results": {cfg.dataset.name: figures},
            "n": {cfg.dataset.name: rows},
            "split": "+".join(tables),
            "higher_is_better": {metric: objective.higher_is_better[metric] for metric in figures},
            "efficiency": {"seconds": round(seconds, 1), "peak_memory_bytes": peak_memory()},
        }
    )
    if figures:
        show(screen, f"{cfg.dataset.name}, {' + '.join(tables)}", figures)
    place = directory.path / ("projected" if hasattr(objective, "project_rows") else "alignments")
    screen.say(f"{directory.path}: done in {seconds:.1f} s; {sum(rows.values()):,} pairs of sentences in {place}")
    return mean_score(figures, objective.metric)


def splits_of(cfg, pairs: list[str]) -> list[str]:
    """All that any of the pairs has, in the data set's order."""
    return list(dict.fromkeys(split for pair in pairs for split in cfg.dataset.splits(cfg.objective.view, pair)))


def one_source_each(pairs: list[str]) -> None:
    """ConfigError where two pairs would write the training set of one language."""
    sources: dict[str, str] = {}
    for pair in pairs:
        source, target = languages.pair(pair)
        if target in sources:
            raise ConfigError(
                f"languages.train: {sources[target]}-{target} and {pair} would both write tags for {target}; name the pairs to project, such as "
                f"languages.train=[{pair}], or set dataset.pivot"
            )
        sources[target] = source


def announce(screen: Screen, cfg, model: TransferModel, tables: dict[str, dict]) -> None:
    """What links which rows."""
    config, aligner = model.backbone.config, getattr(cfg.objective, "aligner", cfg.objective)
    from xlt.alignment.word_alignment import level

    rows = sum(len(table) for each in tables.values() for table in each.values())
    screen.say(
        f"align: linking words of {rows:,} pairs of sentences by {aligner.method.value}, on layer {level(aligner.layer, config.num_hidden_layers)} of "
        f"{config.num_hidden_layers} of {cfg.model.init_from}"
    )


def joined(statistics: list[dict]) -> dict[str, metrics.Sums]:
    """Those of all splits as one, of the metrics that some split has."""
    names = dict.fromkeys(name for each in statistics for name in each)
    found = {}
    for name in names:
        sums = [metrics.Sums.of(each[name]) for each in statistics if name in each]
        found[name] = metrics.Sums(np.concatenate([s.each for s in sums]), sums[0].formula)
    return found


def write(folder: Path, cfg, pair: str, split: str, outputs: dict[str, Any], gold: Gold) -> str:
    """The files of one pair and split; returns what was written, for the screen."""
    lines = [pharaoh(links_N2) for links_N2 in outputs["links"]]
    files.write_text(folder / "alignments" / f"{cfg.dataset.name}.{pair}.{split}.txt", "".join(f"{x}\n" for x in lines))
    said = f"{sum(len(links_N2) for links_N2 in outputs['links']):,} links in {len(lines):,} pairs of sentences"
    objective = cfg.objective
    if not hasattr(objective, "project_rows"):
        return said
    layout = conll if objective.project is Project.ner else conllu
    sentences = list(zip(gold.rows, objective.project_rows(outputs, gold), strict=True))
    kept = [(number, row, each) for number, (row, each) in enumerate(sentences, 1) if objective.keeps(each)]
    target = languages.pair(pair)[1]
    text = "".join(layout(str(row.get("id", number)), each) for number, row, each in kept)
    files.write_text(folder / "projected" / target / f"{split}.{objective.suffix}", text)
    return f"{said}, {len(kept):,} projected"


def conll(name: str, sentence: Projected) -> str:
    """A word and its tag a line, with a tab between, as dataset=conll_files reads it."""
    return "".join(f"{_cell(w)}\t{tag}\n" for w, tag in zip(sentence.words, sentence.tags, strict=True)) + "\n"


def conllu(name: str, sentence: Projected) -> str:
    """CoNLL-U with UPOS alone, as dataset=conllu_files reads it. Words are written with blanks between them."""
    words = [_cell(word) for word in sentence.words]
    lines = [f"# sent_id = {_cell(name)}", f"# text = {' '.join(words)}"]
    lines += [
        f"{i}\t{word}\t_\t{tag}" + "\t_" * 6 for i, (word, tag) in enumerate(zip(words, sentence.tags, strict=True), 1)
    ]
    return "\n".join(lines) + "\n\n"


def _cell(word: str) -> str:
    return _BREAKS.sub("_", word)

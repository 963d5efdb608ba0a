"""xlt align with an objective that links the entities of two knowledge graphs: read both, learn from the seeds, find partners, score both directions, write."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from xlt import files, languages, noise, signals
from xlt.errors import ConfigError, DataError, NonFinite
from xlt.objectives.entity_alignment import Learner, Read, Task
from xlt.reporting.merged_graph import Merged
from xlt.run import RunDirectory, parent_lineage, peak_memory
from xlt.stages.inspect import reader_of
from xlt.stages.setup import accelerator_of, choose_languages, tokenizer_of
from xlt.training.checkpoint import Checkpoints
from xlt.training.progress import Screen


@dataclass(frozen=True, eq=False)
class Pair:
    """Two graphs, and what is known of who is whom. seeds_P2, test_Q2: int64, numbers of entities in their graphs."""

    name: str
    graphs: tuple
    seeds_P2: np.ndarray
    test_Q2: np.ndarray

    @property
    def back(self) -> str:
        """The pair's name the other way round."""
        return "-".join(reversed(languages.pair(self.name)))


def run(cfg) -> float:
    """Link the graphs of cfg.languages.train (pairs; null: all); returns the mean of the objective's metric over pairs and directions."""
    objective, screen, started = cfg.objective, Screen(), time.monotonic()
    directory = RunDirectory.open(cfg.run.dir, cfg.stage, cfg.resolved, cfg.run.overwrite)
    names = choose_languages(cfg.languages.train, cfg.dataset, "entities", None, "languages.train")
    prints = {
        name: [cfg.dataset.fingerprint("entities", name, split) for split in cfg.dataset.splits("entities", name)]
        for name in names
    }
    directory.record({"data": prints, "parent": parent_lineage(cfg.model.init_from)})
    accelerator = accelerator_of(cfg)
    encoder = encoder_of(cfg, names, accelerator)
    figures: dict[str, dict[str, float]] = {}
    counts, facts = {}, {}
    for name in names:
        pair = read_pair(cfg, name)
        key = noise.key(cfg.seed, "entities", name)
        read = None if encoder is None else named(encoder, name)
        learner = objective.learner(Task(pair.graphs, pair.seeds_P2, key, accelerator.device, read))
        history = learn(cfg, learner, pair, directory, screen)
        scores = dict(zip((name, pair.back), score(objective, learner, pair, accelerator.device), strict=True))
        for direction, found in scores.items():
            for metric, value in found.items():
                figures.setdefault(metric, {})[direction] = value
            counts[direction] = len(pair.test_Q2)
        facts[name] = sizes(pair) | write(objective, learner, pair, directory.path, accelerator.device)
        lines = (json.dumps(line, sort_keys=True) for line in history)
        files.write_lines(directory.path / "learning" / f"{name}.jsonl", lines)
    return finish(cfg, directory, screen, figures, counts, facts, started)


def encoder_of(cfg, names: list[str], accelerator):
    """The model that reads names, None if the objective reads none or no model is given."""
    objective = cfg.objective
    spec = objective.names_of() if hasattr(objective, "names_of") else objective if hasattr(objective, "pool") else None
    if spec is None or cfg.model.init_from is None:
        return None
    codes = sorted({code for name in names for code in languages.pair(name)})
    return reader_of(cfg, spec, tokenizer_of(cfg), codes, accelerator, every_layer=False)[0]


def named(encoder, pair: str) -> Read:
    """The names of each side as the model reads them in its language."""
    codes = languages.pair(pair)
    return lambda texts, side: torch.from_numpy(encoder.read(texts, codes[side])[0])


def read_pair(cfg, name: str) -> Pair:
    """Graphs, seeds and test links of a pair. DataError for a link to no entity, and for tested entities that are seeds, too."""
    dataset = cfg.dataset
    graphs = dataset.graphs(name)
    numbers = [{entity: number for number, entity in enumerate(graph.ids)} for graph in graphs]
    links = {split: links_of(dataset, name, split, numbers) for split in dataset.splits("entities", name)}
    if dataset.seed_share is not None:
        every_L2 = np.concatenate(list(links.values()))
        order = noise.permutation(noise.key(cfg.seed, "seeds", name), len(every_L2))
        taken = round(dataset.seed_share * len(every_L2))
        seeds_P2, test_Q2 = every_L2[order[:taken]], every_L2[order[taken:]]
    elif "train" not in links:
        raise ConfigError(
            f"dataset.seed_share: null, and {name} has no train split; give the share of its links that are seeds, for example 0.3, or correct dataset.split_names"
        )
    else:
        seeds_P2, test_Q2 = links["train"], links.get("test", np.empty((0, 2), np.int64))
    if not len(seeds_P2):
        raise ConfigError(
            f"dataset.seed_share: {dataset.seed_share} of the links of {name} is less than one; give a larger share"
        )
    for side, graph in enumerate(graphs):
        if both := np.intersect1d(seeds_P2[:, side], test_Q2[:, side]).tolist():
            raise DataError(
                f"dataset {dataset.name}, {name}: {graph.ids[both[0]]} is both a seed and tested; remove one of its links"
            )
    return Pair(name, graphs, seeds_P2, test_Q2)


def links_of(dataset, name: str, split: str, numbers: list[dict[str, int]]) -> np.ndarray:
    """links_P2 of a split."""
    found = []
    for place, row in enumerate(dataset.rows("entities", name, split)):
        for side, entities in zip(("source", "target"), numbers, strict=True):
            if row[side] not in entities:
                where = dataset.locate("entities", name, split, place)
                raise DataError(
                    f"{where}: {row[side]} is no entity of the {side} graph; correct the id, or swap the columns"
                )
        found.append((numbers[0][row["source"]], numbers[1][row["target"]]))
    return np.array(found, np.int64).reshape(-1, 2)


def learn(cfg, learner: Learner, pair: Pair, directory: RunDirectory, screen: Screen) -> list[dict]:
    """All rounds, or those that an interrupted run did not reach; the figures of each. NonFinite, with the last checkpoint whole."""
    if learner.module is None:
        return []
    place = directory.path / "checkpoints" / pair.name
    checkpoints = Checkpoints(place, cfg.train.keep, screen.warn, of=directory.identity)
    first, history = checkpoints.newest() or 0, []
    if first:
        state = checkpoints.load(first, learner.module, learner.optimizer)
        learner.restore(state["learner"])
        history = state["history"]
        screen.say(f"{pair.name}: goes on after round {first} of {learner.rounds}")
    with screen.counting(f"learning {pair.name}", learner.rounds, first):
        for number in range(first, learner.rounds):
            history.append(learn_round(learner, number, history, pair.name))
            if number + 1 == learner.rounds or signals.requested() or due(cfg.train.save_every, history):
                state = {"learner": learner.state(), "history": history}
                checkpoints.save(number + 1, learner.module, learner.optimizer, state, None)
            signals.stop_if_requested(f"after round {number + 1} of {pair.name}; run the same command again to go on")
            said = (number + 1) % max(1, learner.rounds // 10) == 0
            line = ", ".join(f"{key} {value:.4g}" for key, value in history[-1].items() if key != "round")
            screen.advance(number + 1, f"{pair.name}  {line}" if said else None)
    return history


def learn_round(learner: Learner, number: int, history: list[dict], name: str) -> dict:
    """The figures of a round; updates: so far."""
    figures = learner.learn(number)
    if not all(map(math.isfinite, figures.values())):
        raise NonFinite(f"{name}, round {number + 1}: the loss is not finite; lower objective.learning_rate")
    before = history[-1]["updates"] if history else 0
    return {"round": number + 1, **figures, "updates": before + figures["updates"]}


def due(save_every: int, history: list[dict]) -> bool:
    """Whether a checkpoint is, after so many updates; a round is not cut."""
    before, now = (line["updates"] for line in [{"updates": 0}, *history][-2:])
    return save_every > 0 and before // save_every < now // save_every


def score(objective, learner: Learner, pair: Pair, device: torch.device) -> tuple[dict[str, float], dict[str, float]]:
    """Scores of the test links from source to target and back; none if there are no test links."""
    if not len(pair.test_Q2):
        return {}, {}
    sides = []
    for side, graph in enumerate(pair.graphs):
        chosen = pair.test_Q2[:, side]
        if objective.matching.candidates == "all":
            chosen = np.concatenate([chosen, np.setdiff1d(np.arange(len(graph)), chosen)])
        sides.append(torch.from_numpy(chosen).to(device))
    return objective.matching.score(learner.similarity(*sides), torch.arange(len(pair.test_Q2), device=device))


def write(objective, learner: Learner, pair: Pair, place: Path, device: torch.device) -> dict[str, int]:
    """graphs/<pair>: the links that were found, and both graphs as one; as far as they are asked for. Their numbers, for metrics.json."""
    matching = objective.matching
    if not matching.links and matching.merge is None:
        return {}
    free = [np.setdiff1d(np.arange(len(graph)), pair.seeds_P2[:, side]) for side, graph in enumerate(pair.graphs)]
    found = matching.found(learner.similarity(*(torch.from_numpy(numbers).to(device) for numbers in free)))
    i_P, j_P, similarity_P = (column.cpu().numpy() for column in found)
    order_P = np.argsort(-similarity_P, kind="stable")
    links_P2 = np.stack([free[0][i_P[order_P]], free[1][j_P[order_P]]], 1)
    merged = Merged(pair.graphs, languages.pair(pair.name), pair.seeds_P2, links_P2, similarity_P[order_P])
    fillers: list[Callable[[Path], None]] = [merged.write_links]
    if matching.merge is not None:
        fillers.append(lambda folder: merged.write_graph(folder, matching.merge))
    files.write_folder(place / "graphs" / pair.name, lambda folder: [fill(folder) for fill in fillers] and None)
    return {"links_found": len(links_P2)}


def sizes(pair: Pair) -> dict[str, int]:
    """For metrics.json."""
    found = {"seeds": len(pair.seeds_P2), "tested": len(pair.test_Q2)}
    for side, graph in zip(("source", "target"), pair.graphs, strict=True):
        found |= {f"{side}_entities": len(graph), f"{side}_triples": len(graph.triples_T3)}
    return found


def finish(
    cfg, directory: RunDirectory, screen: Screen, figures: dict, counts: dict, facts: dict, started: float
) -> float:
    """Write metrics.json, show the scores; the mean of the metric."""
    objective, scored = cfg.objective, {pair: n for pair, n in counts.items() if n}
    directory.finish(
        {
            "results": {cfg.dataset.name: figures} if figures else {},
            "n": {cfg.dataset.name: scored} if scored else {},
            "split": "test",
            "pairs": facts,
            "higher_is_better": objective.higher_is_better,
            "efficiency": {"seconds": round(time.monotonic() - started, 1), "peak_memory_bytes": peak_memory()},
        }
    )
    if figures:
        lines = [[pair, str(scored[pair]), *(f"{100 * by[pair]:.1f}" for by in figures.values())] for pair in scored]
        screen.table(f"{cfg.dataset.name}: entities, in percent", ["pair", "n", *figures], lines)
    screen.say(f"{directory.path}: done")
    return sum(figures[objective.metric].values()) / len(scored) if figures else 0.0
